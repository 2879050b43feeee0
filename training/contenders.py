"""Contenders: the models of an evaluation, each fitted on the same histories and asked for risks of the test period.

network                 the network of the configuration
network_without_time    the same without elapsed time, gaps and clock, wherever they enter
network_shuffled_order  the same, fitted and judged on histories in random order
gradient_boosting, logistic_regression   on aggregates of the same histories; also without time
"""

import gc
from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np
from numpy.typing import NDArray

from models.further_inputs import SCORED_MINUTE_OF_WEEK
from training.baselines import GradientBoosting, LogisticRegression
from training.calibration import fit_platt
from training.config import TrainingConfig
from training.network_config import NetworkConfig
from training.parts import Parts
from training.prefixes import Prefixes
from training.results import (
    GRADIENT_BOOSTING,
    GRADIENT_BOOSTING_WITHOUT_TIME,
    LOGISTIC_REGRESSION,
    LOGISTIC_REGRESSION_WITHOUT_TIME,
    NETWORK,
    NETWORK_SHUFFLED_ORDER,
    NETWORK_WITHOUT_TIME,
)
from training.risk_network import fit_risk_network
from training.shuffling import shuffle_order

NETWORKS = (NETWORK, NETWORK_WITHOUT_TIME, NETWORK_SHUFFLED_ORDER)
BASELINES = (
    GRADIENT_BOOSTING,
    GRADIENT_BOOSTING_WITHOUT_TIME,
    LOGISTIC_REGRESSION,
    LOGISTIC_REGRESSION_WITHOUT_TIME,
)
CONTENDERS = NETWORKS + BASELINES
"""Networks are refitted for every seed; baselines have no random part worth one."""

_AGGREGATES_WITHOUT_TIME = {"counts", "length"}


def fit_contender(
    model: str, config: TrainingConfig, parts: Parts, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> NDArray[np.float64]:
    """Calibrated risks of the test period, float64 (prefix,).

    Args:
        model: One of `CONTENDERS`.
        config: Which network; its seed is that of the fit.
        parts: What is learnt from and judged on.
        callbacks: What is told of a network's epochs.

    Raises:
        FitError: The network cannot be fitted as configured.
    """
    if model in BASELINES:
        return baseline_risks(model, config, parts)
    if model == NETWORK_WITHOUT_TIME:
        config, parts = config.model_copy(update={"network": without_time(config.network)}), _without_clock(parts)
    if model == NETWORK_SHUFFLED_ORDER:
        parts = _in_random_order(parts, config)
    # Graphs of earlier fits would pile up.
    keras.backend.clear_session()
    gc.collect()
    fitted = fit_risk_network(config, parts, callbacks=callbacks, has_shared_rows=model != NETWORK_SHUFFLED_ORDER)
    return fitted.risks(parts.test)


def baseline_risks(model: str, config: TrainingConfig, parts: Parts) -> NDArray[np.float64]:
    """Calibrated risks of the test period by one of `BASELINES`, float64 (prefix,)."""
    vocabulary, max_events = parts.vocabulary, config.serving.max_events
    has_time = model in {GRADIENT_BOOSTING, LOGISTIC_REGRESSION}
    baseline: GradientBoosting | LogisticRegression
    if model in {GRADIENT_BOOSTING, GRADIENT_BOOSTING_WITHOUT_TIME}:
        baseline = GradientBoosting(vocabulary, max_events, config.seed, has_time=has_time)
    else:
        baseline = LogisticRegression(vocabulary, max_events, has_time=has_time)
    baseline.fit(parts.training, parts.validation, parts.joint)
    platt = fit_platt(baseline.logits(parts.calibration), parts.calibration.labels)
    return platt.risks(baseline.logits(parts.test))


def without_time(network: NetworkConfig) -> NetworkConfig:
    """The same options, but for those through which time comes in."""
    options = network.model_dump()
    defaults = {"decay": "none", **{key: _default(key) for key in ("decay_of", "decay_minutes")}}
    aggregates = tuple(one for one in network.aggregates if one in _AGGREGATES_WITHOUT_TIME)
    into = network.aggregates_into if aggregates else _default("aggregates_into")
    width = network.aggregate_width if aggregates else _default("aggregate_width")
    pieces = network.aggregate_pieces if "length" in aggregates else _default("aggregate_pieces")
    target = network.auxiliary_target
    changed = {
        **defaults,
        # Gaps would else come in as what the state is to foretell.
        "auxiliary_target": _default("auxiliary_target") if target == "minutes_to_next_event" else target,
        "time": "none",
        "aggregates": aggregates,
        "aggregate_pieces": pieces,
        "aggregate_width": width,
        "aggregates_into": into,
    }
    return NetworkConfig.model_validate({**options, **changed})


def _default(option: str) -> object:
    return NetworkConfig.model_fields[option].default


def _without_clock(parts: Parts) -> Parts:
    def stopped(prefixes: Prefixes) -> Prefixes:
        return replace(prefixes, log=replace(prefixes.log, has_clock=False))

    return replace(
        parts,
        further=tuple(one for one in parts.further if one.declared.name != SCORED_MINUTE_OF_WEEK),
        training=stopped(parts.training),
        validation=stopped(parts.validation),
        calibration=stopped(parts.calibration),
        test=stopped(parts.test),
        joint=None if parts.joint is None else stopped(parts.joint),
    )


def _in_random_order(parts: Parts, config: TrainingConfig) -> Parts:
    def shuffled(prefixes: Prefixes, part: int) -> Prefixes:
        return shuffle_order(prefixes, config.serving.max_events, (config.seed, part))

    return replace(
        parts,
        training=shuffled(parts.training, 0),
        validation=shuffled(parts.validation, 1),
        calibration=shuffled(parts.calibration, 2),
        test=shuffled(parts.test, 3),
        joint=None if parts.joint is None else shuffled(parts.joint, 4),
    )
