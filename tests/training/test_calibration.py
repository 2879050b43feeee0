import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.calibration import SMALLEST_SLOPE, Platt, fit_platt, sigmoid


@given(slope=st.floats(0.3, 2), intercept=st.floats(-1, 1), seed=st.integers(0, 100))
@settings(max_examples=10, deadline=None)
def test_a_known_line_is_recovered(slope: float, intercept: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, 20_000)
    labels = (generator.random(len(logits)) < sigmoid(slope * logits + intercept)).astype(np.float32)

    platt = fit_platt(logits, labels)

    assert platt.slope == pytest.approx(slope, abs=0.15)
    assert platt.intercept == pytest.approx(intercept, abs=0.15)


def test_calibrated_risks_come_true_on_average() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(3, 2, 1_000)
    labels = (generator.random(1_000) < 0.3).astype(np.float32)

    assert fit_platt(logits, labels).risks(logits).mean() == pytest.approx(labels.mean(), abs=0.002)


def test_separable_logits_keep_a_finite_slope() -> None:
    logits = np.repeat([-1.0, 1.0], 50)

    platt = fit_platt(logits, (logits > 0).astype(np.float32))

    assert 1 < platt.slope < 10


@pytest.mark.parametrize("sign", [-1.0, 0.0])
def test_logits_that_tell_nothing_end_near_the_share_of_label_one(sign: float) -> None:
    logits = np.linspace(-2, 2, 200)
    labels = (np.arange(200) >= 140).astype(np.float32)

    platt = fit_platt(sign * logits, labels)

    assert platt.slope == SMALLEST_SLOPE
    assert platt.risks(logits) == pytest.approx(np.full(200, 0.3), abs=0.02)


def test_risks_of_extreme_logits_stay_finite() -> None:
    assert Platt(1.0, 0.0).risks(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
