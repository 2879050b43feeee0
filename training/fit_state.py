"""How far a fit is: all that it remembers beside the variables of network and optimizer."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """How an epoch went.

    Attributes:
        loss: Mean loss of a prefix, dropout on, before the step it was part of.
        validation_roc_auc_weighted: Of the main output, on the validation slice; NaN without one.
        seconds: Of its steps; the first epoch's hold the time of compiling.
        prefixes_per_second: Prefixes learnt from in a second of them; one an event where every event is asked about.
    """

    loss: float
    validation_roc_auc_weighted: float
    seconds: float
    prefixes_per_second: float


@dataclass(slots=True)
class FitState:
    """Where a fit stands.

    Attributes:
        epochs: Of the epochs that are complete.
        step: Steps of the next epoch that have been made.
        loss_sum: Sum of their losses.
        seconds: They took.
        best_epoch: The epoch with the best validation metric, counted from 1; 0 before the first.
        best_weights: The network's weights after it.
        is_done: Whether there is nothing more to do.
    """

    epochs: list[EpochFigures] = field(default_factory=list)
    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    best_epoch: int = 0
    best_weights: list[NDArray[Any]] = field(default_factory=list)
    is_done: bool = False

    @property
    def best_ranking(self) -> float:
        """The best epoch's validation metric; below any before the first."""
        return self.epochs[self.best_epoch - 1].validation_roc_auc_weighted if self.best_epoch else -np.inf

    @property
    def epochs_since_best(self) -> int:
        """Complete epochs after the best."""
        return len(self.epochs) - self.best_epoch

    def to_json(self) -> dict[str, Any]:
        """All but the weights."""
        return {
            "epochs": [asdict(figures) for figures in self.epochs],
            "step": self.step,
            "loss_sum": self.loss_sum,
            "seconds": self.seconds,
            "best_epoch": self.best_epoch,
            "is_done": self.is_done,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], best_weights: list[NDArray[Any]]) -> "FitState":
        """The state that `to_json` was called on."""
        epochs = [EpochFigures(**figures) for figures in content.pop("epochs")]
        return cls(epochs=epochs, best_weights=best_weights, **content)
