"""Metrics: how well risks rank and how true they are, for many weightings of the same histories at once.

RankedRisks   histories sorted by risk once; ROC AUC within strata, average precision and lift for any weights
Deviations    Brier score and calibration error for any weights
weighted_roc_auc   the weighted ROC AUC of histories, from their risks

Weights are whole numbers, (resample, owner): how often each owner of histories (an entity, a sequence) was drawn. A
history counts as often as its owner.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.int64]
Weights = NDArray[np.int32]

NUM_CALIBRATION_BINS = 15


@dataclass(frozen=True, slots=True)
class RankedRisks:
    """Histories of either class in ascending order of risk, stratum by stratum; equal risks share a rank.

    Attributes:
        strata: int64 (stratum,), values of the strata that hold both classes; the other histories are left out.
        positives: int64 (positive,), owner of each history with label 1.
        negatives: int64 (negative,), owner of each with label 0.
        positive_edges: int64 (stratum + 1,), stratum i holds the positives `positive_edges[i]:positive_edges[i + 1]`.
        negative_edges: int64 (stratum + 1,), and these negatives.
        negatives_below: int64 (positive,), negatives before the first one of this stratum with this or a higher risk.
        negatives_up_to: int64 (positive,), negatives before the first one of this stratum with a higher risk.
        positives_below: int64 (positive,), the same for positives.
    """

    strata: IndexArray
    positives: IndexArray
    negatives: IndexArray
    positive_edges: IndexArray
    negative_edges: IndexArray
    negatives_below: IndexArray
    negatives_up_to: IndexArray
    positives_below: IndexArray

    @classmethod
    def of(cls, labels: FloatArray, risks: FloatArray, owners: IndexArray, strata: IndexArray) -> "RankedRisks":
        """Sort histories.

        Args:
            labels: float64 (prefix,), 0 or 1.
            risks: float64 (prefix,).
            owners: int64 (prefix,), columns of the weights.
            strata: int64 (prefix,), histories are compared with those of equal stratum only.
        """
        has_both = np.intersect1d(strata[labels == 1], strata[labels == 0])
        kept = np.flatnonzero(np.isin(strata, has_both))
        order = kept[np.lexsort((risks[kept], strata[kept]))]
        is_new = (np.diff(risks[order]) != 0) | (np.diff(strata[order]) != 0)
        rank = np.concatenate([[0], np.cumsum(is_new)]) if len(order) else order
        is_positive = labels[order] == 1
        of_positive, of_negative = rank[is_positive], rank[~is_positive]
        firsts = np.append(rank[np.searchsorted(strata[order], has_both)], len(order))
        return cls(
            strata=has_both,
            positives=owners[order[is_positive]],
            negatives=owners[order[~is_positive]],
            positive_edges=np.searchsorted(of_positive, firsts),
            negative_edges=np.searchsorted(of_negative, firsts),
            negatives_below=np.searchsorted(of_negative, of_positive, "left"),
            negatives_up_to=np.searchsorted(of_negative, of_positive, "right"),
            positives_below=np.searchsorted(of_positive, of_positive, "left"),
        )

    def weighed(self, weights: Weights) -> "WeighedRisks":
        """The same histories, each counting as often as its owner was drawn."""
        return WeighedRisks(self, weights)


class WeighedRisks:
    """Ranked risks under weights; every figure is float64 (resample, …), NaN where a class has no weight.

    Args:
        ranked: The histories.
        weights: (resample, owner).
    """

    def __init__(self, ranked: RankedRisks, weights: Weights) -> None:
        self._ranked = ranked
        self._positives = np.take(weights, ranked.positives, axis=1)
        self._up_positives = _cumulated(self._positives)
        self._up_negatives = _cumulated(np.take(weights, ranked.negatives, axis=1))
        self._below = np.take(self._up_negatives, ranked.negatives_below, axis=1)

    def class_weights(self) -> tuple[FloatArray, FloatArray]:
        """Weight of label 1 and of label 0 in each stratum, each (resample, stratum)."""
        positives = np.diff(self._up_positives[:, self._ranked.positive_edges], axis=1)
        negatives = np.diff(self._up_negatives[:, self._ranked.negative_edges], axis=1)
        return positives.astype(np.float64), negatives.astype(np.float64)

    def roc_auc(self) -> FloatArray:
        """Probability that a positive has the higher risk than a negative of its stratum, ties counting half.

        Returns:
            float64 (resample, stratum).
        """
        ranked = self._ranked
        if not len(ranked.strata):
            return np.empty((len(self._positives), 0))
        counts = np.diff(ranked.positive_edges)
        outside = np.repeat(self._up_negatives[:, ranked.negative_edges[:-1]], counts, axis=1)
        up_to = np.take(self._up_negatives, ranked.negatives_up_to, axis=1)
        # Twice the number of pairs won: whole numbers are exact, however they are added up.
        won = self._positives * (self._below + up_to - 2 * outside)
        of_stratum = np.add.reduceat(won, ranked.positive_edges[:-1], axis=1, dtype=np.int64)
        positives, negatives = self.class_weights()
        return _ratio(of_stratum / 2, positives * negatives)

    def average_precision(self) -> FloatArray:
        """Sum over thresholds of the gain in recall times the precision; for strata of one value only.

        Returns:
            float64 (resample,); the share of label 1 for a random order.
        """
        num_positives, num_negatives = self._up_positives[:, -1:], self._up_negatives[:, -1:]
        found = num_positives - np.take(self._up_positives, self._ranked.positives_below, axis=1)
        flagged = found + num_negatives - self._below
        precision = np.divide(found, flagged, out=np.zeros(found.shape), where=flagged > 0)
        return _ratio(np.einsum("ij,ij->i", self._positives, precision), num_positives[:, 0])

    def lift(self, share: float) -> FloatArray:
        """How many times as many positives the riskiest `share` holds as as many drawn at random would.

        Where equal risks straddle the cut, they count in proportion: nothing tells them apart.

        Returns:
            float64 (resample,), for strata of one value only.
        """
        ranked = self._ranked
        # Ascending edges between distinct risks of positives, as numbers of positives and of negatives below them.
        positives_at = np.concatenate([[0], np.repeat(ranked.positives_below, 2), [len(ranked.positives)]])
        negatives_at = np.stack([ranked.negatives_below, ranked.negatives_up_to], axis=1).ravel()
        negatives_at = np.concatenate([[0], negatives_at, [len(ranked.negatives)]])
        positives_at[2:-1:2] = np.searchsorted(ranked.positives_below, ranked.positives_below, "right")
        num_positives = self._up_positives[:, -1].astype(np.float64)
        total = num_positives + self._up_negatives[:, -1]
        left_out = (1 - share) * total

        rows = np.arange(len(total))
        low, high = np.zeros(len(total), np.int64), np.full(len(total), len(positives_at) - 1)
        while (high - low > 1).any():
            middle = (low + high) // 2
            below = self._up_positives[rows, positives_at[middle]] + self._up_negatives[rows, negatives_at[middle]]
            is_below = below <= left_out
            low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
        positives_low, positives_high = (self._up_positives[rows, positives_at[edge]] for edge in (low, high))
        negatives_low, negatives_high = (self._up_negatives[rows, negatives_at[edge]] for edge in (low, high))
        width = positives_high + negatives_high - positives_low - negatives_low
        position = np.divide(left_out - positives_low - negatives_low, width, out=np.zeros(len(total)), where=width > 0)
        found = num_positives - positives_low - position * (positives_high - positives_low)
        return _ratio(found, share * num_positives)


@dataclass(frozen=True, slots=True)
class Deviations:
    """How far risks are from what happened, summed up by owner.

    Attributes:
        num_prefixes: float64 (owner,).
        squared: float64 (owner,), sum of (risk - label)^2.
        surplus: float64 (owner, bin), sum of label - risk in each of the calibration bins.
    """

    num_prefixes: FloatArray
    squared: FloatArray
    surplus: FloatArray

    @classmethod
    def of(cls, labels: FloatArray, risks: FloatArray, owners: IndexArray, num_owners: int) -> "Deviations":
        """Sum up; arguments as for `RankedRisks.of`."""
        cells = owners * NUM_CALIBRATION_BINS + calibration_bins(risks)
        surplus = np.bincount(cells, labels - risks, num_owners * NUM_CALIBRATION_BINS).astype(np.float64)
        return cls(
            num_prefixes=np.bincount(owners, minlength=num_owners).astype(np.float64),
            squared=np.bincount(owners, (risks - labels) ** 2, num_owners).astype(np.float64),
            surplus=surplus.reshape(num_owners, NUM_CALIBRATION_BINS),
        )

    def brier(self, weights: Weights) -> FloatArray:
        """Mean squared error of the risk, float64 (resample,); 0 is perfect (Brier 1950, Monthly Weather Review 78)."""
        counts = weights.astype(np.float64)
        return _ratio(counts @ self.squared, counts @ self.num_prefixes)

    def expected_calibration_error(self, weights: Weights) -> FloatArray:
        """Mean |share of label 1 - mean risk| over the bins, by their prefixes, float64 (resample,); 0 is perfect."""
        counts = weights.astype(np.float64)
        return _ratio(np.abs(counts @ self.surplus).sum(axis=1), counts @ self.num_prefixes)


def calibration_bins(risks: FloatArray) -> IndexArray:
    """The calibration bin of each history by its risk, ascending from 0, int64 (prefix,).

    Bins hold equally many histories. Equal risks share one, however many they are: nothing but the order of rows could
    tell them apart.
    """
    cuts = np.arange(NUM_CALIBRATION_BINS) * len(risks) // NUM_CALIBRATION_BINS
    return np.searchsorted(np.unique(np.sort(risks)[cuts]), risks, "right") - 1


def weighted_mean_roc_auc(weighed: WeighedRisks) -> FloatArray:
    """ROC AUC within strata, averaged by their prefixes, float64 (resample,); strata with one class are skipped.

    With strata of equal length the measure of Teinemaa et al. 2019, ACM TKDD 13(2): a model does not earn it by telling
    long histories from short.
    """
    positives, negatives = weighed.class_weights()
    of_strata = weighed.roc_auc()
    mass = np.where(np.isnan(of_strata), 0.0, positives + negatives)
    return _ratio((np.nan_to_num(of_strata) * mass).sum(axis=1), mass.sum(axis=1))


def weighted_roc_auc(labels: FloatArray, risks: FloatArray, weights: NDArray[Any], strata: IndexArray) -> FloatArray:
    """ROC AUC among histories of the same stratum, averaged by their number; NaN where no stratum has both classes.

    Args:
        labels: float64 (prefix,), 0 or 1.
        risks: float64 (prefix,).
        weights: (resample, prefix), whole numbers: how often each history counts.
        strata: int64 (prefix,), of `Prefixes.strata`: lengths, or all the same.

    Returns:
        float64 (resample,).
    """
    ranked = RankedRisks.of(labels, risks, np.arange(len(labels)), strata)
    return weighted_mean_roc_auc(ranked.weighed(weights.astype(np.int32)))


def _cumulated(weights: Weights) -> Weights:
    """Sums of the first 0, 1, 2, … columns, (resample, column + 1)."""
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1), weights.dtype)
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> FloatArray:
    """Their quotient, NaN where the denominator is 0."""
    quotient = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=quotient, where=np.asarray(denominator > 0))
