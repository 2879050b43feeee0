"""What the tests of the trainer share: a small synthetic log in which a refund after a long gap announces label 1."""

import os
from pathlib import Path

import numpy as np
import pytest

from models.repository import Artifact, Repository
from tests.training.runs import Run, run_train
from training.config import TrainingConfig
from training.data_config import DataConfig
from training.eventlog import EventLog
from training.log_reading import read_event_log
from training.splits import Split, split_by_time

# As the command line does; it counts once OpenMP is loaded, which test modules do.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

NUM_SEQUENCES = 240
START = np.datetime64("2026-01-01T00:00:00", "s")

CONFIGURATION = """
name = "refunds"
predicts = "this customer will leave"
seed = 7

[data]
path = "log.csv"

[vocabulary]
min_count = 2

[network]
embedding_width = 4
lstm_units = 8
dense_units = 4

[fit]
learning_rate = 0.02
batch_size = 64
max_epochs = 3

[evaluation]
resamples = 100

[serving]
max_events = 10
"""


def write_log(path: Path, num_sequences: int = NUM_SEQUENCES, seed: int = 0) -> None:
    generator = np.random.default_rng(seed)
    lines = ["sequence_id,event_type,timestamp,label"]
    for sequence in range(num_sequences):
        time = START + np.timedelta64(6 * sequence, "h")
        label = int(generator.random() < 0.4)
        for event in range(int(generator.integers(1, 7))):
            is_telling = label == 1 and generator.random() < 0.6
            event_type = "refund" if is_telling else str(generator.choice(["login", "pay", "browse"]))
            if event:
                time += np.timedelta64(int(generator.integers(600, 90_000 if is_telling else 6_000)), "s")
            lines.append(f"c{sequence},{event_type},{time}Z,{label}")
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a configuration, `refunds.toml`, and the log it names."""
    directory = tmp_path_factory.mktemp("workplace")
    write_log(directory / "log.csv")
    (directory / "refunds.toml").write_text(CONFIGURATION)
    return directory


@pytest.fixture(scope="session")
def config(workplace: Path) -> TrainingConfig:
    return TrainingConfig.read(workplace / "refunds.toml")


@pytest.fixture(scope="session")
def log(workplace: Path) -> EventLog:
    return read_event_log(workplace / "log.csv", DataConfig(path="log.csv"))


@pytest.fixture(scope="session")
def split(log: EventLog, config: TrainingConfig) -> Split:
    return split_by_time(log, config.split)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def two_runs(workplace: Path, repository: Repository) -> tuple[Run, Run]:
    """The same training run twice, into the same repository; the second has its seed from the command line."""
    other_seed = workplace / "other_seed.toml"
    other_seed.write_text(CONFIGURATION.replace("seed = 7", "seed = 8"))
    first = run_train(str(workplace / "refunds.toml"), "--repository", repository.url, "--publish-worse")
    second = run_train(str(other_seed), "--repository", repository.url, "--seed", "7", "--publish-worse")
    return first, second


@pytest.fixture(scope="session")
def artifact(two_runs: tuple[Run, Run], repository: Repository) -> Artifact:
    assert [run.exit_code for run in two_runs] == [0, 0], two_runs
    return repository.open("refunds", 1)
