"""Reference statistics: the training period as a service sees traffic, for live traffic to be compared with."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.further_inputs import FurtherInput
from models.manifest import Histogram, Quantiles, ReferenceStatistics
from models.sequences import FIRST_EVENT_TYPE_ID, PADDING_ID, UNKNOWN_ID, Vocabulary
from training.batches import encode_buckets
from training.further_inputs import FittedInput
from training.prefixes import Prefixes

_LEVELS = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
_NUM_RISK_BINS = 20


def reference_statistics(
    prefixes: Prefixes,
    risks: NDArray[np.float64],
    vocabulary: Vocabulary,
    max_events: int,
    further: Sequence[FittedInput] = (),
) -> ReferenceStatistics:
    """Describe scored histories and their risks.

    Args:
        prefixes: Histories as they would have been sent, one an event of the training period.
        risks: Their calibrated risks, float64 (prefix,).
        vocabulary: The model's.
        max_events: Events used of a history.
        further: The model's further inputs.
    """
    buckets = encode_buckets(prefixes, vocabulary, max_events)
    counts = np.zeros(vocabulary.size)
    gaps = []
    told: dict[str, list[NDArray[Any]]] = {one.declared.name: [] for one in further}
    for _, encoded in buckets:
        for name, values in encoded.further.items():
            told[name].append(values[encoded.event_ids != PADDING_ID] if values.ndim == 2 else values)
        counts += np.bincount(encoded.event_ids.ravel(), minlength=vocabulary.size)
        is_gap = encoded.event_ids[:, 1:] != PADDING_ID
        gaps.append((encoded.elapsed_minutes[:, :-1] - encoded.elapsed_minutes[:, 1:])[is_gap])
    counts[PADDING_ID] = 0
    shares = counts / counts.sum()

    edges = np.arange(_NUM_RISK_BINS + 1) / _NUM_RISK_BINS
    in_bins, _ = np.histogram(risks, edges)
    return ReferenceStatistics(
        event_type_shares=dict(zip(vocabulary.event_types, shares[FIRST_EVENT_TYPE_ID:].tolist(), strict=True)),
        unknown_share=float(shares[UNKNOWN_ID]),
        length_quantiles=_quantiles(prefixes.lengths),
        gap_minutes_quantiles=_quantiles(np.concatenate(gaps)),
        risk_histogram=Histogram(edges=tuple(edges.tolist()), shares=tuple((in_bins / len(risks)).tolist())),
        number_quantiles={
            one.declared.name: _quantiles(np.concatenate(told[one.declared.name]))
            for one in further
            if one.declared.kind != "categorical"
        },
        category_shares={
            one.declared.name: _shares(one.declared, np.concatenate(told[one.declared.name]))
            for one in further
            if one.declared.kind == "categorical"
        },
    )


def _shares(declared: FurtherInput, ids: NDArray[np.int32]) -> dict[str, float]:
    counts = np.bincount(ids, minlength=len(declared.categories) + FIRST_EVENT_TYPE_ID)
    return dict(zip(declared.categories, (counts[FIRST_EVENT_TYPE_ID:] / len(ids)).tolist(), strict=True))


def _quantiles(values: NDArray[np.int64] | NDArray[np.float32]) -> Quantiles:
    # A log of single events has no gaps: they are all taken as 0.
    at_levels = np.quantile(values.astype(np.float64), _LEVELS) if len(values) else np.zeros(len(_LEVELS))
    return Quantiles(levels=_LEVELS, values=tuple(at_levels.tolist()))
