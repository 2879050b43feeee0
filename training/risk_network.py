"""The risk network: a network fitted, calibrated, and ready to be measured or exported."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from models.sequences import Vocabulary
from training.calibration import Platt, fit_platt
from training.checkpoints import Checkpoints
from training.config import TrainingConfig
from training.export import portable_copy
from training.fit import FitResult, fit_network
from training.fit_config import FitConfig
from training.losses import network_losses
from training.network import build_network
from training.parts import Parts
from training.prefixes import Prefixes
from training.scoring import score


@dataclass(frozen=True, slots=True)
class RiskNetwork:
    """A trained network with its calibration.

    Attributes:
        network: The copy that is exported.
        platt: Calibration of its main output.
        fit: How the fit went.
    """

    network: keras.Model
    platt: Platt
    fit: FitResult
    _vocabulary: Vocabulary
    _max_events: int

    def risks(self, prefixes: Prefixes) -> NDArray[np.float64]:
        """Calibrated risks, float64 (prefix,)."""
        return self.platt.risks(score(self.network, prefixes, self._vocabulary, self._max_events).risk)

    def further_logits(self, prefixes: Prefixes) -> dict[str, NDArray[np.float64]]:
        """What it says of further labels, not calibrated, float64 (prefix,), by their column."""
        columns = prefixes.log.further_labels
        if not columns:
            return {}
        logits = score(self.network, prefixes, self._vocabulary, self._max_events).further_risks
        return dict(zip(columns, logits.T, strict=True))


def fit_risk_network(
    config: TrainingConfig,
    parts: Parts,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    refit_callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoints: Checkpoints | None = None,
    has_shared_rows: bool = True,
) -> RiskNetwork:
    """Build, fit and calibrate the network of `config`; with `fit.refit` fit it twice, the second time on more.

    Args:
        config: Which network, and how it is fitted.
        parts: What it learns from.
        callbacks: What is told of the fit's epochs.
        refit_callbacks: What is told of the refit's.
        checkpoints: Where the fit's state is kept, and found if the run was killed.
        has_shared_rows: Whether the prefixes of a sequence are the beginnings of one history: then one pass over it
            teaches them all, if the network is causal.

    Raises:
        FitError: The network cannot be fitted as configured.
        CheckpointError: The checkpoint is of another run, or cannot be read or written.
    """
    vocabulary, max_events = parts.vocabulary, config.serving.max_events

    def fit(
        training: Prefixes,
        validation: Prefixes | None,
        how: FitConfig,
        told: Sequence[keras.callbacks.Callback],
        kept: Checkpoints | None,
    ) -> tuple[keras.Model, FitResult]:
        keras.utils.set_random_seed(config.seed)
        network = build_network(
            config.network,
            vocabulary.size,
            config.vocabulary.unknown_rate,
            parts.further,
            is_per_event=has_shared_rows and config.network.is_causal,
        )
        return network, fit_network(
            network,
            training,
            validation,
            vocabulary=vocabulary,
            max_events=max_events,
            config=how,
            losses=network_losses(config.network),
            seed=config.seed,
            callbacks=told,
            checkpoints=kept,
        )

    network, fitted = fit(parts.training, parts.validation, config.fit, callbacks, checkpoints)
    if parts.joint is not None:
        how = config.fit.model_copy(update={"max_epochs": fitted.best_epoch})
        kept = None if checkpoints is None else checkpoints.of_refit()
        network, _ = fit(parts.joint, None, how, refit_callbacks, kept)
    # From here on the network that is measured is the one that is exported.
    portable = portable_copy(network, config, vocabulary.size, parts.further)
    platt = fit_platt(score(portable, parts.calibration, vocabulary, max_events).risk, parts.calibration.labels)
    return RiskNetwork(portable, platt, fitted, vocabulary, max_events)
