from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from training import evaluation
from training.evaluation import evaluate
from training.eventlog import EventLog
from training.prefixes import Prefixes, cut_prefixes

FloatArray = NDArray[np.float64]


def sample(seed: int, num_sequences: int = 40) -> tuple[Prefixes, FloatArray]:
    """Prefixes and risks with many ties."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 7, num_sequences)
    log = EventLog(
        sequence_ids=np.arange(num_sequences).astype(str).astype(object),
        labels=(generator.permutation(num_sequences) % 2).astype(np.int8),
        offsets=np.append(0, np.cumsum(lengths)),
        event_types=np.full(lengths.sum(), "x", dtype=object),
        times_microseconds=np.arange(lengths.sum()),
        has_calendar_time=True,
    )
    prefixes = cut_prefixes(log)
    risks = np.round(0.3 * prefixes.labels + 0.7 * generator.random(len(prefixes)), 1)
    return prefixes, risks.astype(np.float64)


def roc_auc_of_pairs(labels: FloatArray, risks: FloatArray) -> float:
    positives, negatives = risks[labels == 1], risks[labels == 0]
    wins = [float(p > n) + 0.5 * float(p == n) for p in positives for n in negatives]
    return float(np.mean(wins))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_weighted_roc_auc_equals_counting_pairs_length_by_length(seed: int) -> None:
    prefixes, risks = sample(seed)
    labels = prefixes.labels.astype(np.float64)
    total = mass = 0.0
    for length in range(1, 7):
        chosen = prefixes.lengths == length
        if len(set(labels[chosen])) == 2:
            total += chosen.sum() * roc_auc_of_pairs(labels[chosen], risks[chosen])
            mass += chosen.sum()

    weighted = evaluation.roc_auc_by_length(labels, risks, np.ones((1, len(risks))), prefixes.lengths)

    assert weighted[0] == pytest.approx(total / mass)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_metrics_under_weights_equal_those_of_the_repeated_sample(seed: int) -> None:
    prefixes, risks = sample(seed)
    labels = prefixes.labels.astype(np.float64)
    weights = np.random.default_rng(seed).integers(0, 4, len(risks)).astype(np.float64)
    repeats = weights.astype(int)
    repeated_labels, repeated_risks = np.repeat(labels, repeats), np.repeat(risks, repeats)

    for metric, reference in (
        (evaluation.roc_auc, roc_auc_score),
        (evaluation.average_precision, average_precision_score),
        (evaluation.brier, brier_score_loss),
    ):
        expected = reference(repeated_labels, repeated_risks)
        assert metric(labels, risks, weights[None])[0] == pytest.approx(expected)


def test_a_class_without_weight_has_no_roc_auc() -> None:
    labels, risks = np.array([0.0, 1.0]), np.array([0.2, 0.9])

    assert np.isnan(evaluation.roc_auc(labels, risks, np.array([[1.0, 0.0]])))[0]


def test_expected_calibration_error_is_the_mean_gap_of_equally_full_bins() -> None:
    risks = np.repeat(np.linspace(0.05, 0.75, evaluation.NUM_CALIBRATION_BINS), 20)
    labels = np.tile(np.repeat([0.0, 1.0], 10), evaluation.NUM_CALIBRATION_BINS)

    error = evaluation.expected_calibration_error(labels, risks, np.ones((1, len(risks))))

    assert error[0] == pytest.approx(np.mean(np.abs(risks - 0.5)))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_order_of_rows_does_not_change_a_metric(seed: int) -> None:
    prefixes, risks = sample(seed)
    labels, weights = prefixes.labels.astype(np.float64), np.ones((1, len(risks)))
    order = np.random.default_rng(seed).permutation(len(risks))

    for metric in (evaluation.roc_auc, evaluation.average_precision, evaluation.expected_calibration_error):
        assert metric(labels[order], risks[order], weights) == pytest.approx(metric(labels, risks, weights))


def test_one_risk_for_all_is_off_by_its_distance_to_the_share_of_label_one() -> None:
    labels = np.repeat([0.0, 1.0], 50)

    error = evaluation.expected_calibration_error(labels, np.full(100, 0.3), np.ones((1, 100)))

    assert error[0] == pytest.approx(0.2)


def test_risks_that_come_true_have_no_calibration_error() -> None:
    generator = np.random.default_rng(0)
    risks = generator.random(100_000)
    labels = (generator.random(100_000) < risks).astype(np.float64)

    assert evaluation.expected_calibration_error(labels, risks, np.ones((1, 100_000)))[0] < 0.01


def test_an_interval_spans_what_other_samples_of_sequences_would_give() -> None:
    prefixes, risks = sample(0, num_sequences=200)

    interval = evaluate(prefixes, {"a": risks, "b": risks[::-1]}, 500, seed=1).figures["a"]["roc_auc_pooled"]

    assert interval.lower < interval.value < interval.upper
    others = [sample(seed, num_sequences=200) for seed in range(1, 61)]
    values = [roc_auc_score(other.labels, its_risks) for other, its_risks in others]
    assert interval.upper - interval.lower == pytest.approx(2 * 1.96 * np.std(values), rel=0.4)


def test_a_model_does_not_differ_from_itself() -> None:
    prefixes, risks = sample(3)

    comparison = evaluate(prefixes, {"network": risks, "gradient_boosting": risks}, 100, seed=1)

    assert all((d.value, d.lower, d.upper) == (0, 0, 0) for d in comparison.differences.values())
    assert "not distinguishable" in comparison.verdict


def test_the_verdict_says_plainly_when_the_baseline_wins() -> None:
    prefixes, risks = sample(3, num_sequences=300)
    noise = np.random.default_rng(0).random(len(risks))

    verdict = evaluate(prefixes, {"network": noise, "gradient_boosting": risks}, 200, seed=1).verdict

    assert verdict.startswith("gradient_boosting ranks better than network by 0.")


def test_pieces_of_resamples_give_the_same_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    prefixes, risks = sample(5)
    whole = evaluate(prefixes, {"a": risks, "b": 1 - risks}, 150, seed=2)

    monkeypatch.setattr(evaluation, "_LARGEST_WEIGHT_MATRIX", 1_000)

    in_pieces = evaluate(prefixes, {"a": risks, "b": 1 - risks}, 150, seed=2)
    for name, interval in whole.differences.items():
        assert astuple(in_pieces.differences[name]) == pytest.approx(astuple(interval))
