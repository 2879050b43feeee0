import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.manifest import Band
from service.agreement import WINDOW_SEQUENCES, Agreement, band_names
from service.metrics import Metrics

BANDS = (Band(name="low", lower_risk=0.0), Band(name="high", lower_risk=0.5))
STRICT = (Band(name="low", lower_risk=0.0), Band(name="high", lower_risk=0.2))


def compared(champion: list[float], challenger: list[float]) -> tuple[Agreement, Metrics]:
    metrics = Metrics()
    agreement = Agreement(metrics)
    agreement.observe(np.array(champion, np.float32), BANDS, np.array(challenger, np.float32), STRICT)
    return agreement, metrics


def test_each_risk_lies_in_a_band_of_its_own_version() -> None:
    _, metrics = compared([0.1, 0.3, 0.6], [0.1, 0.3, 0.6])

    assert metrics.registry.get_sample_value("seqrisk_challenger_bands_total", {"result": "same"}) == 2
    assert metrics.registry.get_sample_value("seqrisk_challenger_bands_total", {"result": "different"}) == 1


def test_differences_are_counted_without_their_sign() -> None:
    _, metrics = compared([0.1, 0.5], [0.4, 0.2])

    assert metrics.registry.get_sample_value("seqrisk_challenger_risk_difference_sum") == pytest.approx(0.6)
    assert metrics.registry.get_sample_value("seqrisk_challenger_risk_difference_bucket", {"le": "0.2"}) == 0


def test_a_threshold_belongs_to_the_upper_band() -> None:
    risks = np.array([0.0, 0.49, 0.5, 1.0], np.float32)

    assert band_names(risks, BANDS).tolist() == ["low", "low", "high", "high"]


@pytest.mark.parametrize(
    ("champion", "challenger", "correlation"),
    [
        ([0.1, 0.2, 0.3], [0.5, 0.6, 0.99], 1.0),
        ([0.1, 0.2, 0.3], [0.9, 0.2, 0.1], -1.0),
        # By hand: ranks 1.5 1.5 3 4 and 1 2 4 3 about their mean give 3.5 / sqrt(4.5 * 5).
        ([0.1, 0.1, 0.3, 0.4], [0.1, 0.2, 0.9, 0.8], 3.5 / math.sqrt(22.5)),
    ],
)
def test_the_rank_correlation_is_spearmans(champion: list[float], challenger: list[float], correlation: float) -> None:
    agreement, _ = compared(champion, challenger)

    assert agreement.rank_correlation() == pytest.approx(correlation)


@given(st.permutations([k / 16 for k in range(17)]))
def test_only_the_order_of_risks_counts_for_the_rank_correlation(risks: list[float]) -> None:
    agreement, _ = compared(risks, [risk**2 for risk in risks])

    assert agreement.rank_correlation() == pytest.approx(1.0)


def test_without_two_different_risks_there_is_no_rank_correlation() -> None:
    empty = Agreement(Metrics())
    constant, _ = compared([0.5, 0.5], [0.1, 0.2])

    assert math.isnan(empty.rank_correlation())
    assert math.isnan(constant.rank_correlation())


def test_the_window_holds_the_latest_sequences_and_forgets_them_when_told() -> None:
    agreement, _ = compared([0.0] * 10, [1.0] * 10)
    rising = np.linspace(0, 1, WINDOW_SEQUENCES, dtype=np.float32)
    agreement.observe(rising, BANDS, rising, BANDS)
    latest = agreement.rank_correlation()

    agreement.forget()

    assert latest == pytest.approx(1.0)
    assert math.isnan(agreement.rank_correlation())
