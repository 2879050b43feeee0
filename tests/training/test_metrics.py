import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from training.metrics import NUM_CALIBRATION_BINS, Deviations, RankedRisks, weighted_roc_auc

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def drawn(seed: int) -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
    """Labels, risks with many ties, owners and lengths of a few prefixes."""
    generator = np.random.default_rng(seed)
    number = int(generator.integers(4, 50))
    labels = (generator.permutation(number) % 2).astype(np.float64)
    risks = np.round(0.3 * labels + 0.7 * generator.random(number), 1)
    return labels, risks, generator.integers(0, number, number), generator.integers(1, 5, number)


def pooled(labels: FloatArray, risks: FloatArray, owners: IntArray) -> RankedRisks:
    return RankedRisks.of(labels, risks, owners, np.zeros(len(labels), np.int64))


def lift_by_hand(labels: FloatArray, risks: FloatArray, share: float) -> float:
    """Takes risk after risk from the top; of equal ones as many of either class as there is room for."""
    room = share * len(labels)
    found = 0.0
    for risk in np.unique(risks)[::-1]:
        taken = min(float((risks == risk).sum()), room)
        found += taken * float(labels[risks == risk].mean())
        room -= taken
    return found / (share * float(labels.sum()))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=12, deadline=None)
def test_metrics_under_weights_equal_those_of_the_repeated_sample(seed: int) -> None:
    labels, risks, owners, _ = drawn(seed)
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(labels))).astype(np.int32)
    weighed, deviations = (
        pooled(labels, risks, owners).weighed(weights),
        Deviations.of(labels, risks, owners, len(labels)),
    )

    for row, repeats in enumerate(weights[:, owners]):
        its_labels, its_risks = np.repeat(labels, repeats), np.repeat(risks, repeats)
        if len(set(its_labels)) < 2:
            continue
        assert weighed.roc_auc()[row, 0] == pytest.approx(roc_auc_score(its_labels, its_risks))
        assert weighed.average_precision()[row] == pytest.approx(average_precision_score(its_labels, its_risks))
        assert deviations.brier(weights)[row] == pytest.approx(brier_score_loss(its_labels, its_risks))
        for share in (0.01, 0.1, 0.37, 1.0):
            assert weighed.lift(share)[row] == pytest.approx(lift_by_hand(its_labels, its_risks, share))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=12, deadline=None)
def test_weighted_roc_auc_is_that_of_each_length_averaged_by_its_prefixes(seed: int) -> None:
    labels, risks, _, lengths = drawn(seed)
    figures = [
        (len(labels[chosen]), roc_auc_score(labels[chosen], risks[chosen]))
        for chosen in (lengths == length for length in np.unique(lengths))
        if len(set(labels[chosen])) == 2
    ]

    (weighted,) = weighted_roc_auc(labels, risks, np.ones((1, len(labels))), lengths)

    if not figures:
        assert np.isnan(weighted)
    else:
        numbers, of_lengths = zip(*figures, strict=True)
        assert weighted == pytest.approx(np.average(of_lengths, weights=numbers))


def test_a_resample_without_one_class_has_no_ranking_figures() -> None:
    labels, risks = np.array([0.0, 1.0]), np.array([0.2, 0.9])
    weighed = pooled(labels, risks, np.arange(2)).weighed(np.array([[1, 0], [1, 1]], np.int32))

    for figures in (weighed.roc_auc()[:, 0], weighed.average_precision(), weighed.lift(0.5)):
        assert np.isnan(figures).tolist() == [True, False]


def calibration_error(labels: FloatArray, risks: FloatArray) -> float:
    deviations = Deviations.of(labels, risks, np.arange(len(labels)), len(labels))
    return float(deviations.expected_calibration_error(np.ones((1, len(labels)), np.int32))[0])


def test_expected_calibration_error_is_the_mean_gap_of_equally_full_bins() -> None:
    risks = np.repeat(np.linspace(0.05, 0.75, NUM_CALIBRATION_BINS), 20)
    labels = np.tile(np.repeat([0.0, 1.0], 10), NUM_CALIBRATION_BINS)

    assert calibration_error(labels, risks) == pytest.approx(np.mean(np.abs(risks - 0.5)))


def test_one_risk_for_all_is_off_by_its_distance_to_the_share_of_label_one() -> None:
    assert calibration_error(np.repeat([0.0, 1.0], 50), np.full(100, 0.3)) == pytest.approx(0.2)


def test_risks_that_come_true_have_no_calibration_error() -> None:
    generator = np.random.default_rng(0)
    risks = generator.random(100_000)

    assert calibration_error((generator.random(100_000) < risks).astype(np.float64), risks) < 0.01


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_does_not_change_a_metric(seed: int) -> None:
    labels, risks, _, _ = drawn(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    once = np.ones((1, len(labels)), np.int32)
    one, other = (pooled(labels[rows], risks[rows], rows).weighed(once) for rows in (order, np.arange(len(labels))))

    assert calibration_error(labels[order], risks[order]) == pytest.approx(calibration_error(labels, risks))
    assert one.average_precision() == pytest.approx(other.average_precision())
    assert one.lift(0.1) == pytest.approx(other.lift(0.1))
