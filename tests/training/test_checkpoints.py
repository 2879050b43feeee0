from pathlib import Path

import keras
import numpy as np
import pytest

from training.checkpoints import CHECKPOINT_FILE, CheckpointError, Checkpoints
from training.fit_state import EpochFigures, FitState

STATE = FitState(
    epochs=[EpochFigures(0.7, 0.6, 1.5, 100.0), EpochFigures(0.1 + 0.2, 0.55, 1.25, 90.0)],
    step=3,
    loss_sum=1 / 3,
    seconds=0.5,
    best_epoch=1,
    best_weights=[np.array([1.5, 2.5], np.float32)],
)


@pytest.fixture
def variables() -> list[keras.Variable]:
    weights = keras.Variable(np.array([[0.1, 0.2]], np.float32))
    generator = keras.Variable(np.array([7, 2**32 - 1], np.uint32), trainable=False, dtype="uint32")
    return [weights, generator]


def test_a_fit_is_found_exactly_as_it_was_left(tmp_path: Path, variables: list[keras.Variable]) -> None:
    left = [variable.numpy() for variable in variables]
    Checkpoints(tmp_path / "new", "one configuration").write("one fit", STATE, variables)
    for variable in variables:
        variable.assign(np.zeros_like(variable))

    state = Checkpoints(tmp_path / "new", "one configuration").read("one fit", variables)

    assert state is not None
    assert state.to_json() == STATE.to_json()
    assert [weight.tolist() for weight in state.best_weights] == [[1.5, 2.5]]
    for variable, value in zip(variables, left, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_a_later_checkpoint_replaces_an_earlier_one_and_nothing_else_stays(
    tmp_path: Path, variables: list[keras.Variable]
) -> None:
    checkpoints = Checkpoints(tmp_path)
    # What a kill in the middle of writing leaves.
    (tmp_path / f".{CHECKPOINT_FILE}.partial").write_bytes(b"half of one")
    checkpoints.write("one fit", FitState(step=1), variables)
    checkpoints.write("one fit", FitState(step=2), variables)

    state = checkpoints.read("one fit", variables)

    assert state is not None
    assert state.step == 2
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT_FILE]


def test_a_refit_is_kept_beside_the_fit(tmp_path: Path, variables: list[keras.Variable]) -> None:
    checkpoints = Checkpoints(tmp_path, "one configuration")
    checkpoints.write("one fit", FitState(step=1), variables)

    checkpoints.of_refit().write("its refit", FitState(step=2), variables)

    kept = [
        one.read(fingerprint, variables)
        for one, fingerprint in ((checkpoints, "one fit"), (checkpoints.of_refit(), "its refit"))
    ]
    assert [state.step for state in kept if state is not None] == [1, 2]


def test_without_a_checkpoint_there_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path).read("one fit", []) is None


@pytest.mark.parametrize(("describes", "fingerprint"), [("another", "one fit"), ("one configuration", "another")])
def test_the_checkpoint_of_another_run_is_refused(
    tmp_path: Path, variables: list[keras.Variable], describes: str, fingerprint: str
) -> None:
    Checkpoints(tmp_path, "one configuration").write("one fit", STATE, variables)

    with pytest.raises(CheckpointError, match=r"to be of this configuration and this data.*Name another directory"):
        Checkpoints(tmp_path, describes).read(fingerprint, variables)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"PK nothing of the kind")

    with pytest.raises(CheckpointError, match="Remove it to start over"):
        Checkpoints(tmp_path).read("one fit", [])


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CheckpointError, match="Expected a directory for checkpoints"):
        Checkpoints(tmp_path / "file")
