"""Checkpoints: a fit's whole state in a file, so that a run that was killed goes on as if it had not been.

The file holds the variables of network and optimizer, those of the random generators of every dropout among them, the
best weights so far and `FitState`. The order of batches needs no place in it: it follows from seed, epoch and step.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from numpy.typing import NDArray

from training.fit_state import FitState

CHECKPOINT_FILE = "fit.npz"
REFIT_CHECKPOINT_FILE = "refit.npz"


class CheckpointError(RuntimeError):
    """The checkpoint is of another fit, or cannot be read or written."""


class Checkpoints:
    """The latest checkpoint of one fit, in a directory of its own.

    Args:
        directory: Where to; created if it is missing.
        describes: What makes the run what it is, as text: its configuration.
        file: Its name in there.

    Raises:
        CheckpointError: The directory cannot be created.
    """

    def __init__(self, directory: Path, describes: str = "", file: str = CHECKPOINT_FILE) -> None:
        self.path = directory / file
        self._describes = describes
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"Expected a directory for checkpoints. Received: {error}.") from error

    def of_refit(self) -> "Checkpoints":
        """Those of the same run's second fit."""
        return Checkpoints(self.path.parent, self._describes, REFIT_CHECKPOINT_FILE)

    def write(self, fingerprint: str, state: FitState, variables: Sequence[keras.Variable]) -> None:
        """Replace the checkpoint, at no moment leaving none or half of one.

        Raises:
            CheckpointError: It cannot be written.
        """
        content = {"describes": self._describes, "fingerprint": fingerprint, **state.to_json()}
        arrays: dict[str, NDArray[Any]] = {
            "content": np.frombuffer(json.dumps(content).encode(), np.uint8),
            **{f"variable_{place}": variable.numpy() for place, variable in enumerate(variables)},
            **{f"best_{place}": weight for place, weight in enumerate(state.best_weights)},
        }
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            with partial.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub knows no names but allow_pickle
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
            # The name is on the disk only when its directory is.
            directory = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise CheckpointError(f"Expected to write a checkpoint. Received: {error}.") from error

    def read(self, fingerprint: str, variables: Sequence[keras.Variable]) -> FitState | None:
        """Set `variables` to where the fit stood, and say where; None if there is no checkpoint.

        Raises:
            CheckpointError: It is of another fit, or cannot be read.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as saved:
                content = json.loads(saved["content"].tobytes())
                values = [saved[f"variable_{place}"] for place in range(_count(saved.files, "variable_"))]
                best_weights = [saved[f"best_{place}"] for place in range(_count(saved.files, "best_"))]
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise CheckpointError(
                f"Expected a checkpoint in {self.path}. Received: {error}. Remove it to start over."
            ) from error
        if (content.pop("describes"), content.pop("fingerprint")) != (self._describes, fingerprint):
            raise CheckpointError(
                f"Expected the checkpoint in {self.path} to be of this configuration and this data. Received: one of "
                "another run. Name another directory, or remove it to start over."
            )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return FitState.from_json(content, best_weights)


def _count(names: Sequence[str], prefix: str) -> int:
    return sum(name.startswith(prefix) for name in names)
