"""Samples: every figure of risks for every resample of the test period.

Candidate        a model's risks of one seed for some of the histories, sorted and summed up once
sample_figures   candidates, a bootstrap -> figures of each, by metric
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.bootstrap import Bootstrap
from training.metrics import Deviations, FloatArray, IndexArray, RankedRisks, Weights, weighted_mean_roc_auc
from training.results import CALIBRATION_ERROR, MAIN_METRIC

LIFT_SHARES = {"lift_at_1_percent": 0.01, "lift_at_5_percent": 0.05, "lift_at_10_percent": 0.1}


@dataclass(frozen=True, slots=True)
class Histories:
    """What was scored.

    Attributes:
        labels: float64 (prefix,), 0 or 1.
        strata: int64 (prefix,), what they are ranked within: of `Prefixes.strata`.
        owners: int64 (prefix,), whose it is: what the bootstrap draws.
    """

    labels: FloatArray
    strata: IndexArray
    owners: IndexArray

    def where(self, is_chosen: NDArray[np.bool_]) -> "Histories":
        """Some of them, marked in `is_chosen`, bool (prefix,)."""
        return Histories(self.labels[is_chosen], self.strata[is_chosen], self.owners[is_chosen])


@dataclass(slots=True)
class Candidate:
    """Risks of one model and seed, and their figures as they come.

    Args:
        histories: What was scored.
        risks: float64 (prefix,).
        num_owners: Columns of the weights.
        has_lift: Whether lift is wanted, too.
    """

    histories: Histories
    risks: FloatArray
    num_owners: int
    has_lift: bool = True
    by_metric: dict[str, list[FloatArray]] = field(default_factory=dict)
    by_stratum: list[FloatArray] = field(default_factory=list)
    _within: RankedRisks = field(init=False)
    _pooled: RankedRisks = field(init=False)
    _deviations: Deviations = field(init=False)

    def __post_init__(self) -> None:
        labels, owners, strata = self.histories.labels, self.histories.owners, self.histories.strata
        self._within = RankedRisks.of(labels, self.risks, owners, strata)
        self._pooled = RankedRisks.of(labels, self.risks, owners, np.zeros_like(strata))
        self._deviations = Deviations.of(labels, self.risks, owners, self.num_owners)

    @property
    def strata(self) -> IndexArray:
        """Strata with both classes, int64 (stratum,)."""
        return self._within.strata

    def add(self, weights: Weights) -> None:
        """Compute the figures of some resamples, int32 (resample, owner)."""
        self._add("brier", self._deviations.brier(weights))
        self._add(CALIBRATION_ERROR, self._deviations.expected_calibration_error(weights))
        if not len(self.strata):
            return
        within, pooled = self._within.weighed(weights), self._pooled.weighed(weights)
        self.by_stratum.append(within.roc_auc())
        self._add(MAIN_METRIC, weighted_mean_roc_auc(within))
        self._add("roc_auc_pooled", pooled.roc_auc()[:, 0])
        self._add("average_precision", pooled.average_precision())
        if self.has_lift:
            for name, share in LIFT_SHARES.items():
                self._add(name, pooled.lift(share))

    def _add(self, metric: str, figures: FloatArray) -> None:
        self.by_metric.setdefault(metric, []).append(figures)


@dataclass(frozen=True, slots=True)
class Sampled:
    """Figures of one model.

    Attributes:
        by_metric: float64 (1 + resample, seed) each; metrics that need both classes are missing without them.
        strata: int64 (stratum,).
        by_stratum: ROC AUC within each stratum, float64 (1 + resample, seed, stratum).
    """

    by_metric: dict[str, FloatArray]
    strata: IndexArray
    by_stratum: FloatArray


def sample_figures(
    scored: Sequence[tuple[Histories, FloatArray]], bootstrap: Bootstrap, *, has_lift: bool = True
) -> list[Sampled]:
    """Figures of models, or of one model on different histories.

    Args:
        scored: For each the histories, and its risks for them, float64 (seed, prefix).
        bootstrap: The resamples, the same for all.
        has_lift: Whether lift is wanted, too.
    """
    of_each: list[list[Candidate]] = []
    for histories, risks in scored:
        # Models without a random part say the same for every seed: once is enough.
        distinct = risks[:1] if (risks == risks[0]).all() else risks
        of_each.append([Candidate(histories, row, bootstrap.num_owners, has_lift) for row in distinct])
    candidates = [candidate for of_model in of_each for candidate in of_model]
    for weights in bootstrap.weights(max(len(candidate.risks) for candidate in candidates)):
        for candidate in candidates:
            candidate.add(weights)
    return [_joined(of_model, bootstrap.num_seeds) for of_model in of_each]


def _joined(candidates: Sequence[Candidate], num_seeds: int) -> Sampled:
    first = candidates[0]

    def of_seeds(columns: list[FloatArray]) -> FloatArray:
        return np.stack(columns if len(columns) == num_seeds else columns * num_seeds, axis=1)

    return Sampled(
        by_metric={
            metric: of_seeds([np.concatenate(candidate.by_metric[metric]) for candidate in candidates])
            for metric in first.by_metric
        },
        strata=first.strata,
        by_stratum=of_seeds([np.concatenate(candidate.by_stratum) for candidate in candidates])
        if len(first.strata)
        else np.empty((0, num_seeds, 0)),
    )
