"""The losses of the network's outputs. A target that is missing costs nothing.

network_losses             one an output
network_loss_weights       and its weight in the sum
BinaryCrossentropy         labels 0 and 1, NaN where missing, label 1 weighted
NextEventCrossentropy      event ids, padding where there is no next event
MinutesToNextEventLoss     minutes, NaN where there is no next event
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from models.sequences import PADDING_ID
from training.network_config import NetworkConfig


def network_losses(config: NetworkConfig) -> dict[str, keras.losses.Loss]:
    """The loss of every output of `build_network(config, …)`."""
    first, *others = config.label_weights
    losses: dict[str, keras.losses.Loss] = {
        "risk": BinaryCrossentropy((first,)),
        "auxiliary_risk": BinaryCrossentropy((config.auxiliary_positive_weight,)),
    }
    if others:
        losses["further_risks"] = BinaryCrossentropy(tuple(others))
    if config.auxiliary_target == "next_event":
        losses["next_event"] = NextEventCrossentropy()
    elif config.auxiliary_target == "minutes_to_next_event":
        losses["minutes_to_next_event"] = MinutesToNextEventLoss()
    return losses


def network_loss_weights(outputs: Iterable[str], auxiliary_weight: float) -> dict[str, float]:
    """Weight of each output's loss: 1 for what the labels say, `auxiliary_weight` for what is auxiliary."""
    return {name: 1.0 if name in {"risk", "further_risks"} else auxiliary_weight for name in outputs}


class _MeanOfKnown(keras.losses.Loss, ABC):
    """A loss averaged over the targets that are known, each by its sample weight."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, reduction="sum")

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Loss of each target over the number of known ones: Keras adds them up."""
        is_known, costs = self.costs(y_true, y_pred)
        num_known = ops.maximum(ops.sum(ops.cast(is_known, costs.dtype)), 1.0)
        # Summed over the outputs, as Keras weights rows, not numbers.
        return ops.sum(ops.where(is_known, costs, 0.0), -1) / num_known

    @abstractmethod
    def costs(
        self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Which targets are known, and what each costs, finite also where it is not known."""


@keras.saving.register_keras_serializable("seqrisk")
class BinaryCrossentropy(_MeanOfKnown):
    """w y softplus(-z) + (1 - y) softplus(z), of labels y, (…, outputs), NaN where missing, and logits z.

    With w above 1 the logits it is least for are too large by ln w; see `training.heads.PriorCorrection`.

    Args:
        positive_weights: w, one an output.
    """

    def __init__(self, positive_weights: tuple[float, ...]) -> None:
        super().__init__("binary_crossentropy")
        self.positive_weights = tuple(positive_weights)

    def costs(
        self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Weighted cross-entropy of each label."""
        is_known = ops.logical_not(ops.isnan(y_true))
        labels = ops.where(is_known, y_true, 0.0)
        weights = ops.convert_to_tensor(self.positive_weights, dtype=y_pred.dtype)
        return is_known, weights * labels * ops.softplus(-y_pred) + (1 - labels) * ops.softplus(y_pred)

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to build the loss again."""
        return {"positive_weights": self.positive_weights}


@keras.saving.register_keras_serializable("seqrisk")
class NextEventCrossentropy(_MeanOfKnown):
    """-log softmax(z)_e, of the id e of the event that follows, int32 (…, 1), padding's if none does.

    Multitask with the outcome as in Tax et al. 2017 (arXiv 1612.02130, §4).
    """

    def __init__(self) -> None:
        super().__init__("next_event_crossentropy")

    def costs(
        self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Cross-entropy of each event."""
        event_ids = ops.cast(y_true, "int32")
        costs = ops.sparse_categorical_crossentropy(event_ids, y_pred[..., None, :], from_logits=True)
        return ops.not_equal(event_ids, PADDING_ID), costs

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to build the loss again."""
        return {}


@keras.saving.register_keras_serializable("seqrisk")
class MinutesToNextEventLoss(_MeanOfKnown):
    """Huber loss (1964, Annals of Mathematical Statistics 35(1)), δ = 1, of log(1 + minutes to the event that follows).

    r²/2 if |r| ≤ 1, else |r| - 1/2, with r = z - log(1 + minutes); minutes (…, 1), NaN if none follows.
    """

    def __init__(self) -> None:
        super().__init__("minutes_to_next_event_loss")

    def costs(
        self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Huber loss of each."""
        is_known = ops.logical_not(ops.isnan(y_true))
        errors = ops.abs(y_pred - ops.log1p(ops.where(is_known, y_true, 0.0)))
        return is_known, ops.where(errors <= 1, errors**2 / 2, errors - 0.5)

    def get_config(self) -> dict[str, Any]:
        """What Keras needs to build the loss again."""
        return {}
