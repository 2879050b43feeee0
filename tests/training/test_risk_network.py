from collections.abc import Callable

import keras
import numpy as np
import pytest

from training import risk_network
from training.config import TrainingConfig
from training.eventlog import EventLog
from training.fit import FitResult
from training.fit_config import FitConfig
from training.one_pass import is_per_event
from training.parts import Parts, cut_parts
from training.prefixes import Prefixes
from training.risk_network import RiskNetwork, fit_risk_network
from training.scoring import score
from training.splits import Split

Fit = Callable[..., tuple[RiskNetwork, keras.Model]]


@pytest.fixture(scope="module")
def parts(log: EventLog, split: Split, config: TrainingConfig) -> Parts:
    return cut_parts(log, split, config)


@pytest.fixture
def fit(config: TrainingConfig, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """Of a network that is left as it begins: what a fit does to it is `tests/training/test_fit.py`'s."""

    def fitted(*, has_shared_rows: bool = True) -> tuple[RiskNetwork, keras.Model]:
        seen: list[keras.Model] = []

        def leave(network: keras.Model, *_arguments: object, **_options: object) -> FitResult:
            seen.append(network)
            return FitResult(1, 1, 0.5)

        monkeypatch.setattr(risk_network, "fit_network", leave)
        return fit_risk_network(config, parts, has_shared_rows=has_shared_rows), seen[0]

    return fitted


def test_what_is_measured_is_an_exportable_copy_with_the_fitted_weights_calibrated(fit: Fit, parts: Parts) -> None:
    fitted, network = fit()

    assert is_per_event(network)
    assert not is_per_event(fitted.network)
    assert fitted.network.get_layer("lstm").use_cudnn is False
    logits = score(network, parts.test, parts.vocabulary, 10).risk
    assert fitted.risks(parts.test) == pytest.approx(fitted.platt.risks(logits), abs=1e-6)
    # The best intercept makes as many of the calibration part as there are; but for Platt's two extra histories.
    calibration = parts.calibration
    assert fitted.risks(calibration).mean() == pytest.approx(calibration.labels.mean(), abs=2 / len(calibration))


def test_histories_that_share_no_rows_are_answered_one_by_one_from_the_same_start(fit: Fit) -> None:
    one, alone = fit(has_shared_rows=False)
    other, _ = fit()

    assert not is_per_event(alone)
    for weight, same in zip(one.network.get_weights(), other.network.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


def test_a_refit_begins_where_the_fit_did_and_makes_as_many_passes_over_more(
    config: TrainingConfig, log: EventLog, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[keras.Model, Prefixes, Prefixes | None, FitConfig]] = []

    def note(
        network: keras.Model, training: Prefixes, validation: Prefixes | None, *, config: FitConfig, **_: object
    ) -> FitResult:
        asked.append((network, training, validation, config))
        return FitResult(9, 4, 0.5)

    monkeypatch.setattr(risk_network, "fit_network", note)
    config = config.model_copy(update={"fit": config.fit.model_copy(update={"refit": True})})
    parts = cut_parts(log, split, config)

    fitted = fit_risk_network(config, parts)

    (network, *_), (again, training, validation, how) = asked
    assert (training, validation, how.max_epochs) == (parts.joint, None, 4)
    assert fitted.fit.best_epoch == 4
    for one, other in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    logits = score(again, parts.test, parts.vocabulary, 10).risk
    assert fitted.risks(parts.test) == pytest.approx(fitted.platt.risks(logits), abs=1e-6)
