"""A training run that is killed with `kill -9` and started again ends with the metrics of an undisturbed one.

Each run trains a small network, dropout in every place, on a log of its own making, with a checkpoint after every step,
so that the signal also comes in the middle of writing one. It is killed at a random step of its fit, once; what is then
published by the same command is compared with what an undisturbed run published.

From the root of the project: python -m tests.proofs.prove_resume [--times 10]
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np

from models.repository import Repository
from tests.benchmarks.results import Row
from tests.benchmarks.servers import ROOT
from tests.proofs.verdict import conclude, must_be_none
from tests.training.conftest import write_log
from training.checkpoints import CHECKPOINT_FILE, REFIT_CHECKPOINT_FILE

NUM_SEQUENCES = 240
NAME = "resumed"

CONFIGURATION = f"""
name = "{NAME}"
predicts = "this customer will leave"

[data]
path = "log.csv"

[network]
embedding_width = 6
element_dropout = 0.1
event_dropout = 0.1
feature_dropout = 0.1
input_dropout = 0.1
recurrent_dropout = 0.1
lstm_units = 8
lstm_layers = 2
between_dropout = 0.1

[fit]
batch_size = 32
max_epochs = 5
refit = true
checkpoint_steps = 1

[evaluation]
resamples = 100

[serving]
max_events = 10
"""

_POLL_SECONDS = 0.002


def main() -> None:
    """Kill runs, and start them again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    conclude("Resumption", prove(parser.parse_args().times))


def prove(times: int) -> list[Row]:
    """Compare `times` runs that were killed with one that was not."""
    draw = np.random.default_rng()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_log(directory / "log.csv", NUM_SEQUENCES)
        (directory / "run.toml").write_text(CONFIGURATION)
        undisturbed = directory / "undisturbed"
        run_to_the_end(undisturbed)
        expected = published(undisturbed)
        num_steps = num_steps_made(undisturbed)
        num_different = num_not_killed = 0
        for number in range(1, times + 1):
            killed = directory / f"killed-{number}"
            step = int(draw.integers(1, num_steps))
            is_killed, at = run_and_kill(killed, step)
            run_to_the_end(killed)
            is_same = published(killed) == expected
            num_different += not is_same
            num_not_killed += not is_killed
            verdict = "equal" if is_same else "DIFFER"
            print(f"{number:3}: killed at step {at} of {num_steps}, metrics {verdict}", flush=True)
    return [
        must_be_none("runs with other metrics than the undisturbed one", num_different, among=times),
        must_be_none("runs that ended before they were killed", num_not_killed, among=times),
    ]


def start(directory: Path) -> subprocess.Popen[bytes]:
    """Start the run whose checkpoints and repository are in `directory`."""
    arguments = ["--repository", str(directory / "repository"), "--run-directory", str(directory / "run")]
    command = [sys.executable, "-m", "training", "train", str(directory.parent / "run.toml"), "--publish-worse"]
    return subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)


def run_to_the_end(directory: Path) -> None:
    """Start it, or start it again, and wait for its version."""
    if exit_code := start(directory).wait():
        sys.exit(f"Expected the run to end with 0. Received: {exit_code}.")


def run_and_kill(directory: Path, step: int) -> tuple[bool, int]:
    """Start it, kill it once `step` steps are kept, and say whether it was still running, and where it stood."""
    process = start(directory)
    while process.poll() is None and num_steps_made(directory) < step:
        sleep(_POLL_SECONDS)
    process.kill()
    return process.wait() == -signal.SIGKILL, num_steps_made(directory)


def num_steps_made(directory: Path) -> int:
    """Steps that the checkpoints of fit and refit know of."""
    return sum(_num_steps(directory / "run" / file) for file in (CHECKPOINT_FILE, REFIT_CHECKPOINT_FILE))


def _num_steps(path: Path) -> int:
    if not path.exists():
        return 0
    with np.load(path) as saved:
        # The optimizer counts them; no other variable is a single whole number.
        return int(max(saved[name] for name in saved.files if saved[name].dtype == np.int64 and saved[name].ndim == 0))


def published(directory: Path) -> Any:  # noqa: ANN401  JSON
    """What the run published of its figures: every metric with its interval, and the risks of golden examples."""
    manifest = Repository(str(directory / "repository")).open(NAME, 1).manifest.model_dump(mode="json")
    return manifest["evaluation"], manifest["golden_examples"]


if __name__ == "__main__":
    main()
