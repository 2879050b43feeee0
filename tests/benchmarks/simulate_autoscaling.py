"""Where the shipped autoscaling settings hold: days of load on a few pods and on thousands, simulated.

From the root of the project: python -m tests.benchmarks.simulate_autoscaling [--requests-per-second 2000]

The autoscaler is the one under deploy/, read from its manifest; only its largest number of replicas is set for each
scenario. Same seed, same figures.
"""

import argparse
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import simpy
import yaml
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from service.settings import Settings
from tests.benchmarks.autoscaler import Autoscaler
from tests.benchmarks.fleet import Capacity, Fleet, Second
from tests.benchmarks.results import DIRECTORY
from tests.benchmarks.servers import ROOT

MANIFEST = ROOT / "deploy/kustomize/components/horizontal-pod-autoscaler/horizontal-pod-autoscaler.yaml"
ADAPTER = ROOT / "deploy/kustomize/overlays/monitoring/prometheus-adapter-values.yaml"

BURST = "x3 in a minute, 12 pods"

_SYNC_SECONDS = 15
_HOUR = 3600
_DAY = 24 * _HOUR
_TROUGH = 0.2

Load = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load, and what befalls the pods.

    Attributes:
        name: For the table.
        load: Requests a second, by seconds since midnight.
        start_seconds: Median of a pod's start.
        loses: Share of the pods that dies at `loses_at_seconds`.
        begins_at_seconds: When it starts.
        seconds: How long it is.
        is_wait_limited: Whether the autoscaler sees no longer wait than the adapter's rule lets through.
    """

    name: str
    load: Load
    start_seconds: float = 30.0
    loses: float = 0.0
    loses_at_seconds: float = 14 * _HOUR
    begins_at_seconds: float = 0.0
    seconds: float = _DAY
    is_wait_limited: bool = True


def main() -> None:
    """Simulate every scenario; print the table, draw the burst."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests-per-second", type=float, default=2000, help="What one pod carries, as measured.")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    settings = Settings.from_environment()
    capacity = Capacity(
        requests_per_second=options.requests_per_second,
        slots=2,
        max_waiting=settings.max_waiting_sequences,
        deadline_seconds=settings.request_timeout_seconds,
        start_seconds=30.0,
        imbalance=0.1,
    )
    table = Table(
        *(
            "scenario",
            "replicas",
            "refused",
            "wait in the slow pods: median s",
            "longest s",
            "seconds over 20 ms",
            "pods over ideal",
        ),
        title=f"One pod carries {capacity.requests_per_second:,.0f} requests/s",
    )
    seen = {}
    for scenario in track(scenarios(capacity.requests_per_second), "Simulating"):
        seen[scenario.name] = history = simulate(scenario, capacity, options.seed)
        table.add_row(scenario.name, *_figures(history, capacity))
    Console().print(table)
    DIRECTORY.mkdir(exist_ok=True)
    draw(DIRECTORY / "autoscaling.svg", seen[BURST])


def scenarios(pod: float) -> list[Scenario]:
    """From a few pods to thousands; `pod` is what one carries."""
    small, large = diurnal(12 * 0.7 * pod), diurnal(2_500 * 0.7 * pod)

    def afternoon(name: str, load: Load, **options: Any) -> Scenario:  # noqa: ANN401  a scenario's own fields
        return Scenario(name, load, begins_at_seconds=13 * _HOUR, seconds=3 * _HOUR, **options)

    return [
        Scenario("a day, up to 12 pods", small),
        Scenario("a day, up to 2,500 pods", large),
        afternoon("x1.4 in a minute, 12 pods", bursts(small, 1.4)),
        afternoon(BURST, bursts(small, 3)),
        afternoon("the same, the wait seen without a limit", bursts(small, 3), is_wait_limited=False),
        afternoon("x3 in ten minutes, 12 pods", bursts(small, 3, rise_seconds=600)),
        afternoon("x3 in a minute, 2,500 pods", bursts(large, 3)),
        afternoon("x3 in a minute, starts in 120 s", bursts(small, 3), start_seconds=120),
        afternoon("x3 in a minute, starts in 8 s", bursts(small, 3), start_seconds=8),
        afternoon("a fifth of 12 pods dies at the peak", small, loses=0.2),
        afternoon("a fifth of 2,500 pods dies at the peak", large, loses=0.2),
    ]


def diurnal(peak: float) -> Load:
    """A day: a fifth of the peak at two in the night, the peak at two in the afternoon."""
    middle, swing = peak * (1 + _TROUGH) / 2, peak * (1 - _TROUGH) / 2
    return lambda second: middle + swing * math.cos(2 * math.pi * (second / _DAY - 14 / 24))


def bursts(load: Load, factor: float, rise_seconds: float = 60.0) -> Load:
    """From 14:00 on, for half an hour, `factor` times the load."""

    def raised(second: float) -> float:
        since = second - 14 * _HOUR
        if not 0 <= since < _HOUR / 2:
            return load(second)
        return load(second) * (1 + (factor - 1) * min(since / rise_seconds, 1.0))

    return raised


def simulate(scenario: Scenario, capacity: Capacity, seed: int) -> list[Second]:
    """Every second of a scenario."""
    ceiling = _wait_ceiling_seconds() if scenario.is_wait_limited else math.inf
    environment = simpy.Environment(initial_time=scenario.begins_at_seconds)
    fleet = Fleet(environment, replace(capacity, start_seconds=scenario.start_seconds), np.random.default_rng(seed))
    manifest = yaml.safe_load(MANIFEST.read_text())
    manifest["spec"]["maxReplicas"] = 10_000
    autoscaler = Autoscaler(manifest)
    target = next(metric.target for metric in autoscaler.metrics if metric.name == "cpu")
    fleet.begin(max(2, math.ceil(scenario.load(scenario.begins_at_seconds) / target / capacity.requests_per_second)))

    def serve() -> Generator[simpy.Event, Any, None]:
        while True:
            fleet.serve(scenario.load(environment.now))
            yield environment.timeout(1)

    def follow() -> Generator[simpy.Event, Any, None]:
        while True:
            yield environment.timeout(_SYNC_SECONDS)
            seen = {
                "cpu": fleet.utilization(),
                "seqrisk_queue_wait_seconds": np.minimum(fleet.waits_seconds(), ceiling),
            }
            fleet.scale(autoscaler.replicas(environment.now, fleet.replicas, seen))

    def lose() -> Generator[simpy.Event, Any, None]:
        yield environment.timeout(scenario.loses_at_seconds - scenario.begins_at_seconds)
        fleet.lose(scenario.loses)

    environment.process(serve())
    environment.process(follow())
    if scenario.loses:
        environment.process(lose())
    environment.run(until=scenario.begins_at_seconds + scenario.seconds)
    return fleet.history


def _wait_ceiling_seconds() -> float:
    """The longest wait that the adapter's rule tells the autoscaler."""
    (rule,) = yaml.safe_load(ADAPTER.read_text())["rules"]["custom"]
    return float(rule["metricsQuery"].removeprefix("clamp_max(").removesuffix(")").rpartition(",")[2])


def draw(path: Path, history: list[Second]) -> None:
    """The load, the pods and the wait of one scenario over time."""
    mpl.rcParams.update({"svg.hashsalt": "seqrisk", "svg.fonttype": "none", "font.family": "sans-serif"})
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    minutes = np.arange(len(history)) / 60
    panels = (
        ("requests/s", [second.offered for second in history], [second.refused for second in history], "refused"),
        ("pods", [second.replicas for second in history], [second.ready for second in history], "ready"),
        ("wait in slow pods, s", [second.slow_wait_seconds for second in history], None, ""),
    )
    chosen = (minutes > 45) & (minutes < 120)
    for axes, (name, values, more, label) in zip(figure.subplots(3, sharex=True), panels, strict=True):
        axes.plot(minutes[chosen], np.array(values)[chosen], color="#b8c4c0", label="asked for")
        if more is not None:
            axes.plot(minutes[chosen], np.array(more)[chosen], color="#1f6f5c", label=label)
            axes.legend(frameon=False, loc="upper right")
        axes.set_ylabel(name)
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("minutes; the load triples at 60 within one, for half an hour")
    figure.savefig(path, metadata={"Date": None})


def _figures(history: list[Second], capacity: Capacity) -> list[str]:
    offered = np.array([second.offered for second in history])
    waits = np.array([second.slow_wait_seconds for second in history])
    replicas = np.array([second.replicas for second in history])
    refused = sum(second.refused for second in history) / offered.sum()
    ideal = (offered / capacity.requests_per_second).sum()
    return [
        f"{replicas.min():,} to {replicas.max():,}",
        f"{refused:.3%}" if refused else "none",
        f"{np.median(waits):.4f}",
        f"{waits.max():.3f}",
        f"{int((waits > 0.02).sum()):,}",
        f"{replicas.sum() / ideal:.2f}",
    ]


if __name__ == "__main__":
    main()
