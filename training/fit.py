"""The fit: finds a network's weights on the fit slice, stopping by the validation slice."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan

import keras

from models.sequences import Vocabulary
from training.checkpoints import Checkpoints
from training.descent import Descent
from training.fit_config import FitConfig
from training.fit_state import EpochFigures, FitState
from training.prefixes import Prefixes

VALIDATION_METRIC = "validation_roc_auc_weighted"


@dataclass(frozen=True, slots=True)
class FitResult:
    """How a fit went.

    Attributes:
        num_epochs: Passes made.
        best_epoch: The pass whose weights were kept, counted from 1.
        validation_roc_auc_weighted: Their weighted ROC AUC on the validation slice; NaN without one.
        epochs: How each pass went.
    """

    num_epochs: int
    best_epoch: int
    validation_roc_auc_weighted: float
    epochs: tuple[EpochFigures, ...] = ()


def fit_network(
    network: keras.Model,
    training: Prefixes,
    validation: Prefixes | None,
    *,
    vocabulary: Vocabulary,
    max_events: int,
    config: FitConfig,
    losses: Mapping[str, keras.losses.Loss],
    seed: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoints: Checkpoints | None = None,
) -> FitResult:
    """Fit `network` in place and leave it with its best epoch's weights.

    The loss is that of the risks + w times that of what is auxiliary, w = `config.auxiliary_weight`, every prefix of
    which the target is known counting equally. A network that answers after every event learns from all prefixes of a
    sequence in one pass.

    Args:
        network: Of `build_network`, untrained.
        training: Prefixes to learn from.
        validation: Later prefixes to stop by; None to make all passes and keep the weights of the last.
        vocabulary: The network's.
        max_events: Longest history used.
        config: Step size, batch size and when to stop.
        losses: Of `network_losses`, for all outputs.
        seed: Seed of the shuffling; weights and dropout take Keras' global seed.
        callbacks: Further Keras callbacks; their epoch logs hold what `EpochFigures` has, `VALIDATION_METRIC` only with
            validation prefixes.
            They are told of the epochs before a resumption, too.
        checkpoints: Where the fit's state is kept, and found if it was broken off.

    Raises:
        FitError: The network no longer gives numbers, or a target is known of no prefix.
        CheckpointError: The checkpoint is of another fit, or cannot be read or written.
    """
    fit = Descent(
        network,
        training,
        validation,
        vocabulary=vocabulary,
        max_events=max_events,
        config=config,
        losses=losses,
        seed=seed,
    )
    state = fit.resumed(checkpoints) or FitState()
    network.stop_training = False
    told = keras.callbacks.CallbackList(
        list(callbacks), model=network, epochs=config.max_epochs, steps=fit.batches.num_batches
    )
    told.on_train_begin()
    for epoch, figures in enumerate(state.epochs):
        told.on_epoch_begin(epoch)
        told.on_epoch_end(epoch, _logs(figures))
    while not state.is_done:
        epoch = len(state.epochs)
        told.on_epoch_begin(epoch)
        fit.descend(state, told, checkpoints)
        fit.close_epoch(state)
        told.on_epoch_end(epoch, _logs(state.epochs[-1]))
        state.is_done |= bool(network.stop_training)
        fit.keep(state, checkpoints)
    network.set_weights(state.best_weights)
    told.on_train_end()
    return FitResult(len(state.epochs), state.best_epoch, state.best_ranking, tuple(state.epochs))


def _logs(figures: EpochFigures) -> dict[str, float]:
    return {name: value for name, value in asdict(figures).items() if not isnan(value)}
