"""Evaluation: how well risks rank and how true they are, with bootstrap intervals over sequences.

evaluate   risks of several models for the same prefixes -> Comparison
Every metric takes labels, risks and weights (resample, prefix), and gives one figure a resample.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.prefixes import Prefixes

FloatArray = NDArray[np.float64]

CONFIDENCE = 0.95
NUM_CALIBRATION_BINS = 15
_LARGEST_WEIGHT_MATRIX = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the bounds of its 95 % bootstrap interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models beside each other on the same prefixes.

    Attributes:
        figures: By model, then by metric.
        differences: The first model minus the second, by metric, resampled in pairs.
    """

    figures: dict[str, dict[str, Interval]]
    differences: dict[str, Interval]

    @property
    def verdict(self) -> str:
        """Which of the two models ranks better, in one plain sentence."""
        first, second = self.figures
        difference = self.differences["roc_auc_weighted"]
        ahead, behind = (first, second) if difference.value > 0 else (second, first)
        size = f"{abs(difference.value):.3f} in weighted ROC AUC"
        if difference.lower <= 0 <= difference.upper:
            return (
                f"{ahead} is ahead of {behind} by {size}, "
                "but the interval of the difference holds 0: they are not distinguishable."
            )
        return f"{ahead} ranks better than {behind} by {size}; the interval of the difference does not hold 0."


def evaluate(prefixes: Prefixes, risks: Mapping[str, FloatArray], resamples: int, seed: int) -> Comparison:
    """Compare two models' risks for `prefixes`.

    Args:
        prefixes: What was scored.
        risks: By model, float64 (prefix,); the difference is the first minus the second.
        resamples: Bootstrap resamples. Whole sequences are drawn, as prefixes of one sequence are not independent.
        seed: Seed of the resampling.
    """
    metrics = _metrics(prefixes.lengths)
    labels = prefixes.labels.astype(np.float64)
    samples: dict[str, dict[str, list[FloatArray]]] = {model: {name: [] for name in metrics} for model in risks}
    for weights in _resampled_weights(prefixes, resamples, seed):
        for model, of_model in risks.items():
            for name, metric in metrics.items():
                samples[model][name].append(metric(labels, of_model, weights))

    joined = {model: {name: np.concatenate(parts) for name, parts in of.items()} for model, of in samples.items()}
    first, second = joined.values()
    return Comparison(
        figures={model: {name: _interval(sample) for name, sample in of.items()} for model, of in joined.items()},
        differences={name: _interval(first[name] - second[name]) for name in metrics},
    )


def roc_auc(labels: FloatArray, risks: FloatArray, weights: FloatArray) -> FloatArray:
    """Probability that a positive has the higher risk, ties counting half; NaN where a class has no weight."""
    positives, negatives = _by_distinct_risk(labels, risks, weights)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    return np.divide((positives * below).sum(axis=1), pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def roc_auc_by_length(
    labels: FloatArray, risks: FloatArray, weights: FloatArray, lengths: NDArray[np.int64]
) -> FloatArray:
    """ROC AUC among prefixes of the same length, averaged by their number; lengths with one class only are skipped.

    The measure of Teinemaa et al. 2019, ACM TKDD 13(2): a model does not earn it by telling long prefixes from short.
    """
    total = np.zeros(len(weights))
    mass = np.zeros(len(weights))
    for length in np.unique(lengths):
        chosen = lengths == length
        of_length = roc_auc(labels[chosen], risks[chosen], weights[:, chosen])
        weight = np.where(np.isnan(of_length), 0.0, weights[:, chosen].sum(axis=1))
        total += np.nan_to_num(of_length) * weight
        mass += weight
    return np.divide(total, mass, out=np.full(len(total), np.nan), where=mass > 0)


def average_precision(labels: FloatArray, risks: FloatArray, weights: FloatArray) -> FloatArray:
    """Sum over thresholds of the gain in recall times the precision; the share of label 1 for a random order."""
    positives, negatives = _by_distinct_risk(labels, -risks, weights)
    found, flagged = np.cumsum(positives, axis=1), np.cumsum(positives + negatives, axis=1)
    precision = np.divide(found, flagged, out=np.zeros_like(found), where=flagged > 0)
    num_positives = positives.sum(axis=1)
    gained = (positives * precision).sum(axis=1)
    return np.divide(gained, num_positives, out=np.full(len(gained), np.nan), where=num_positives > 0)


def brier(labels: FloatArray, risks: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean squared error of the risk; 0 is perfect (Brier 1950, Monthly Weather Review 78)."""
    return np.asarray(weights @ (risks - labels) ** 2 / weights.sum(axis=1))


def expected_calibration_error(labels: FloatArray, risks: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean |share of label 1 - mean risk| over 15 bins by risk, of equally many prefixes each; 0 is perfect.

    Equal risks share a bin, however many they are: nothing but the order of rows could tell them apart.
    """
    order = np.argsort(risks, kind="stable")
    ascending = risks[order]
    cuts = np.arange(NUM_CALIBRATION_BINS) * len(order) // NUM_CALIBRATION_BINS
    firsts = np.unique(np.searchsorted(ascending, ascending[cuts]))
    surplus = np.add.reduceat((weights * (labels - risks))[:, order], firsts, axis=1)
    return np.asarray(np.abs(surplus).sum(axis=1) / weights.sum(axis=1))


def _metrics(lengths: NDArray[np.int64]) -> dict[str, Callable[[FloatArray, FloatArray, FloatArray], FloatArray]]:
    return {
        "roc_auc_weighted": lambda labels, risks, weights: roc_auc_by_length(labels, risks, weights, lengths),
        "roc_auc_pooled": roc_auc,
        "average_precision": average_precision,
        "brier": brier,
        "expected_calibration_error": expected_calibration_error,
    }


def _resampled_weights(prefixes: Prefixes, resamples: int, seed: int) -> Iterator[FloatArray]:
    """How often each prefix is drawn, float64 (resample, prefix), in pieces; the first row is the sample itself."""
    num_sequences = prefixes.log.num_sequences
    generator = np.random.default_rng(seed)
    most_rows = max(_LARGEST_WEIGHT_MATRIX // len(prefixes), 1)
    yield np.ones((1, len(prefixes)))
    for first in range(0, resamples, most_rows):
        num_rows = min(most_rows, resamples - first)
        drawn = generator.multinomial(num_sequences, np.full(num_sequences, 1 / num_sequences), num_rows)
        yield drawn[:, prefixes.sequences].astype(np.float64)


def _by_distinct_risk(labels: FloatArray, risks: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weight of positives and of negatives at each distinct risk, ascending, each (resample, risk)."""
    order = np.argsort(risks, kind="stable")
    ascending = risks[order]
    firsts = np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]]))
    positives = np.add.reduceat(weights[:, order] * labels[order], firsts, axis=1)
    everything = np.add.reduceat(weights[:, order], firsts, axis=1)
    return positives, everything - positives


def _interval(sample: FloatArray) -> Interval:
    """The first figure, with quantiles of the others; resamples without both classes have none and are left out."""
    tail = (1 - CONFIDENCE) / 2
    lower, upper = np.nanquantile(sample[1:], [tail, 1 - tail])
    return Interval(float(sample[0]), float(lower), float(upper))
