"""What an autoscaler saw and did, moment by moment, as a chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

_ASKED_FOR, _IS = "#b8c4c0", "#1f6f5c"


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment.

    Attributes:
        seconds: Since the begin.
        per_second: Requests sent.
        wait_seconds: The metric: mean wait for the model, averaged over the pods.
        cpu_cores: Used by all pods.
        desired: Replicas the autoscaler asks for.
        ready: Replicas that answer.
    """

    seconds: float
    per_second: float
    wait_seconds: float
    cpu_cores: float
    desired: int
    ready: int


def draw(path: Path, samples: Sequence[Sample], target_seconds: float) -> None:
    """Load, wait beside its target, and replicas over time."""
    mpl.rcParams.update({"svg.hashsalt": "seqrisk", "svg.fonttype": "none", "font.family": "sans-serif"})
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    load, wait, replicas = figure.subplots(3, sharex=True)
    seconds = [one.seconds for one in samples]
    load.plot(seconds, [one.per_second for one in samples], color=_IS)
    load.set_ylabel("requests/s")
    wait.plot(seconds, [1e3 * one.wait_seconds for one in samples], color=_IS, label="mean of the pods")
    wait.axhline(1e3 * target_seconds, color=_ASKED_FOR, label="target")
    wait.set_ylabel("queue wait, ms")
    replicas.step(seconds, [one.desired for one in samples], color=_ASKED_FOR, where="post", label="asked for")
    replicas.step(seconds, [one.ready for one in samples], color=_IS, where="post", label="ready")
    replicas.set_ylabel("pods")
    replicas.set_xlabel("seconds")
    for axes in (wait, replicas):
        axes.legend(frameon=False, loc="upper right")
    for axes in (load, wait, replicas):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
