"""The descent: how a network's weights go down its loss, epoch by epoch."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import chain
from math import nan
from time import perf_counter
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from models.sequences import Vocabulary
from training.batches import Batches
from training.checkpoints import Checkpoints
from training.fit_config import FitConfig
from training.fit_state import EpochFigures, FitState
from training.known_targets import known_targets
from training.losses import network_loss_weights
from training.metrics import weighted_roc_auc
from training.one_pass import AskedBucket, ask, is_per_event
from training.prefixes import Prefixes
from training.scoring import Scorer
from training.train_step import TrainStep, create_optimizer

# A shape is compiled if a fit may need it so often: that takes as long as 900 steps save, and most fits stop early.
_STEPS_WORTH_COMPILING = 2000


class FitError(RuntimeError):
    """The weights went astray; the message says what to change."""


class Descent:
    """What stays the same throughout a fit, and the two halves of an epoch.

    Args:
        network: Of `build_network`, untrained; fitted in place.
        training: Prefixes to learn from.
        validation: Later prefixes to choose the best epoch by; None to choose the latest.
        vocabulary: The network's.
        max_events: Longest history used.
        config: Step size, batch size and when to stop.
        losses: Of `network_losses`, for all outputs.
        seed: Seed of the shuffling.

    Attributes:
        batches: What an epoch goes through.

    Raises:
        FitError: A target is known of no prefix.
    """

    def __init__(
        self,
        network: keras.Model,
        training: Prefixes,
        validation: Prefixes | None,
        *,
        vocabulary: Vocabulary,
        max_events: int,
        config: FitConfig,
        losses: Mapping[str, keras.losses.Loss],
        seed: int,
    ) -> None:
        self._network = network
        self._validation = validation
        self._config = config
        asked = ask(network, training, vocabulary, max_events)
        known = known_targets(losses, training, vocabulary)
        targets = [bucket.targets(known, is_per_event=is_per_event(network)) for bucket in asked]
        encoded = [bucket.encoded for bucket in asked]
        self.batches = Batches(list(zip(encoded, targets, strict=True)), config.batch_size, seed)
        _require_known(self.batches)
        self._scorer = None if validation is None else Scorer(network, validation, vocabulary, max_events)
        self._optimizer = create_optimizer(config, self.batches.num_batches)
        self._optimizer.build(network.trainable_variables)
        weights = network_loss_weights(losses, config.auxiliary_weight)
        self._step = TrainStep(network, self._optimizer, losses, weights, self.batches.mean_known)
        if self._step.can_be_compiled:
            for shape, steps in self.batches.shapes.items():
                if steps * config.max_epochs >= _STEPS_WORTH_COMPILING:
                    self._step.compile(shape)
        # The states of all random generators are among the network's.
        self._variables = [*network.variables, *self._optimizer.variables]
        told = (repr(config), repr(seed), *(f"{name} {loss.get_config()}" for name, loss in losses.items()))
        of_buckets = chain.from_iterable(of_bucket.values() for of_bucket in targets)
        arrays = [*network.get_weights(), *of_buckets]
        if self._scorer is not None and validation is not None:
            asked += self._scorer.buckets
            arrays += [validation.labels, validation.strata]
        self._fingerprint = _fingerprint("\n".join(told), arrays, asked)

    def resumed(self, checkpoints: Checkpoints | None) -> FitState | None:
        """The state of a fit that was broken off, all variables set to it."""
        return None if checkpoints is None else checkpoints.read(self._fingerprint, self._variables)

    def keep(self, state: FitState, checkpoints: Checkpoints | None) -> None:
        """Write a checkpoint, if any are wanted."""
        if checkpoints is not None:
            checkpoints.write(self._fingerprint, state, self._variables)

    def descend(self, state: FitState, told: keras.callbacks.Callback, checkpoints: Checkpoints | None) -> None:
        """Make the steps that are left of an epoch."""
        # Fetched late: a device need not wait for each.
        losses: list[keras.KerasTensor] = []
        started, num_made, num_kept = perf_counter(), state.step, state.step
        for run in self.batches.epoch(len(state.epochs), first=state.step):
            steps = range(num_made, num_made + len(run))
            for step in steps:
                told.on_train_batch_begin(step)
            losses.append(self._step(run))
            for step in steps:
                told.on_train_batch_end(step)
            num_made = steps.stop
            is_due = num_made - num_kept >= self._config.checkpoint_steps and num_made < self.batches.num_batches
            if checkpoints is not None and is_due:
                started, num_kept = _fetch(state, losses, started), num_made
                self.keep(state, checkpoints)
        _fetch(state, losses, started)

    def close_epoch(self, state: FitState) -> None:
        """Judge the weights, or their average, keep them if they are the best, and say whether to stop.

        Raises:
            FitError: The network no longer gives numbers.
        """
        latest = self._network.get_weights()
        # Puts the average in their place, if there is one.
        self._optimizer.finalize_variable_values(self._network.trainable_variables)
        ranking = self._ranking(state)
        is_best = self._validation is None or ranking > state.best_ranking or not state.best_epoch
        state.epochs.append(
            EpochFigures(
                loss=state.loss_sum / self.batches.num_batches,
                validation_roc_auc_weighted=ranking,
                seconds=state.seconds,
                prefixes_per_second=self.batches.num_asked / state.seconds,
            )
        )
        if is_best:
            state.best_epoch, state.best_weights = len(state.epochs), self._network.get_weights()
        self._network.set_weights(latest)
        state.step, state.loss_sum, state.seconds = 0, 0.0, 0.0
        is_last = len(state.epochs) == self._config.max_epochs
        state.is_done = is_last or state.epochs_since_best >= self._config.patience

    def _ranking(self, state: FitState) -> float:
        """The main output's weighted ROC AUC on the validation slice; NaN without one.

        Total loss would also reward the auxiliary output, and both shift with the share of label 1; the order of risks
        is what the network is chosen for, calibration comes later.
        """
        risks = np.array([state.loss_sum]) if self._scorer is None else self._scorer().risk
        if not np.isfinite(risks).all():
            raise FitError(
                f"Expected finite scores after epoch {len(state.epochs) + 1}. Received: NaN or infinity. "
                "Lower fit.learning_rate."
            )
        if self._validation is None:
            return nan
        labels = self._validation.labels.astype(np.float64)
        return float(weighted_roc_auc(labels, risks, np.ones((1, len(risks))), self._validation.strata)[0])


def _require_known(batches: Batches) -> None:
    for target, number in batches.num_known.items():
        if not number:
            raise FitError(
                f"Expected prefixes of the fit part of which the {target.replace('_', ' ')} is known. Received: none. "
                "Give a longer log, or leave that target out under [network]."
            )


def _fetch(state: FitState, losses: list[keras.KerasTensor], started: float) -> float:
    """Move the steps made into `state`, and give the time from which the next ones count."""
    for of_run in losses:
        values = keras.ops.convert_to_numpy(of_run)
        state.loss_sum += float(values.sum(dtype=np.float64))
        state.step += len(values)
    losses.clear()
    now = perf_counter()
    state.seconds += now - started
    return now


def _fingerprint(told: str, arrays: Sequence[NDArray[Any]], asked: Sequence[AskedBucket]) -> str:
    """A digest of all that decides how a fit goes, the weights it starts from among it."""
    digest = hashlib.sha256(told.encode())
    of_buckets = ((one.prefixes, one.rows, one.steps, *one.encoded.tensors.values()) for one in asked)
    for array in chain(arrays, *of_buckets):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
