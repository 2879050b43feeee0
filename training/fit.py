"""The fit: finds a network's weights on the fit slice, stopping by the validation slice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from models.sequences import Vocabulary
from training.batches import shuffled_batches
from training.config import FitConfig
from training.evaluation import roc_auc_by_length
from training.prefixes import Prefixes
from training.scoring import score

VALIDATION_METRIC = "validation_roc_auc_weighted"


class FitError(RuntimeError):
    """The weights went astray; the message says what to change."""


@dataclass(frozen=True, slots=True)
class FitResult:
    """How a fit went.

    Attributes:
        num_epochs: Passes made.
        best_epoch: The pass whose weights were kept, counted from 1.
        validation_roc_auc_weighted: Their weighted ROC AUC on the validation slice.
    """

    num_epochs: int
    best_epoch: int
    validation_roc_auc_weighted: float


def fit_network(
    network: keras.Model,
    training: Prefixes,
    validation: Prefixes,
    *,
    vocabulary: Vocabulary,
    max_events: int,
    config: FitConfig,
    losses: Mapping[str, keras.losses.Loss],
    seed: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> FitResult:
    """Fit `network` in place and leave it with its best epoch's weights.

    The loss is that of the risk + w times that of the auxiliary risk, w = `config.auxiliary_weight`, every prefix
    counting equally.

    Args:
        network: Of `build_network`, untrained.
        training: Prefixes to learn from.
        validation: Later prefixes to stop by.
        vocabulary: The network's.
        max_events: Longest history used.
        config: Step size, batch size and when to stop.
        losses: Of `network_losses`, for both outputs.
        seed: Seed of the shuffling; weights and dropout take Keras' global seed.
        callbacks: Further Keras callbacks; their epoch logs hold `VALIDATION_METRIC`.

    Raises:
        FitError: The network no longer gives numbers.
    """
    network.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate, clipnorm=1.0),
        loss=dict(losses),
        loss_weights={"risk": 1.0, "auxiliary_risk": config.auxiliary_weight},
        # Every bucket has a shape of its own: compiling each takes longer than it saves.
        jit_compile=False,
    )
    stop = keras.callbacks.EarlyStopping(
        VALIDATION_METRIC, mode="max", patience=config.patience, restore_best_weights=True
    )
    history = network.fit(
        shuffled_batches(training, vocabulary, max_events, config.batch_size, seed),
        epochs=config.max_epochs,
        callbacks=[_ValidationRanking(validation, vocabulary, max_events), stop, *callbacks],
        shuffle=False,
        verbose=0,
    )
    return FitResult(len(history.epoch), stop.best_epoch + 1, float(stop.best))


class _ValidationRanking(keras.callbacks.Callback):
    """Adds the main output's weighted ROC AUC on the validation slice to the logs of every epoch.

    Total loss would also reward the auxiliary output, and both shift with the share of label 1; the order of risks is
    what the network is chosen for, calibration comes later.
    """

    def __init__(self, validation: Prefixes, vocabulary: Vocabulary, max_events: int) -> None:
        super().__init__()
        self._validation = validation
        self._vocabulary = vocabulary
        self._max_events = max_events

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Score the validation slice."""
        risks = score(self.model, self._validation, self._vocabulary, self._max_events).risk
        if not np.isfinite(risks).all():
            raise FitError(
                f"Expected finite scores after epoch {epoch + 1}. Received: NaN or infinity. Lower fit.learning_rate."
            )
        labels = self._validation.labels.astype(np.float64)
        ranking = roc_auc_by_length(labels, risks, np.ones((1, len(risks))), self._validation.lengths)
        if logs is not None:
            logs[VALIDATION_METRIC] = float(ranking[0])
