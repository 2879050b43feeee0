"""Known targets: what is known of every prefix that a network's outputs learn to tell.

TARGET_OF      the target of each output
known_targets  outputs, prefixes -> targets
missing        what stands where a target is not known
count_known    how many are

A target comes from the prefixes' own log alone: of a part of a split, which ends where the next part begins, nothing
that happened later.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.sequences import MICROSECONDS_PER_MINUTE, PADDING_ID, Vocabulary
from training.prefixes import Prefixes

Targets = Mapping[str, NDArray[Any]]

TARGET_OF = {
    "risk": "label",
    "auxiliary_risk": "label",
    "further_risks": "further_labels",
    "next_event": "next_event",
    "minutes_to_next_event": "minutes_to_next_event",
}
"""By the output's name in `training.heads.apply_heads`."""


def known_targets(outputs: Iterable[str], prefixes: Prefixes, vocabulary: Vocabulary) -> dict[str, NDArray[Any]]:
    """The targets of `outputs`, by their names, each (prefix, width).

        label                  float32, the prefix's own
        further_labels         float32, those of its sequence, NaN where missing
        next_event             int32, the id of the event after its last one, padding's where there is none
        minutes_to_next_event  float32, from the moment asked to that event, NaN where there is none

    Args:
        outputs: Names of the network's outputs that learn.
        prefixes: What is asked.
        vocabulary: The network's.
    """
    wanted = dict.fromkeys(TARGET_OF[output] for output in outputs)
    return {target: _KNOWN[target](prefixes, vocabulary) for target in wanted}


def missing(dtype: np.dtype[Any]) -> float:
    """What stands where a target is not known: NaN, and for ids padding."""
    return np.nan if np.issubdtype(dtype, np.floating) else PADDING_ID


def count_known(target: NDArray[Any]) -> int:
    """How many of its numbers are known."""
    is_missing = np.isnan(target) if np.issubdtype(target.dtype, np.floating) else target == PADDING_ID
    return target.size - int(np.count_nonzero(is_missing))


def _label(prefixes: Prefixes, _: Vocabulary) -> NDArray[np.float32]:
    return prefixes.labels[:, None]


def _further_labels(prefixes: Prefixes, _: Vocabulary) -> NDArray[np.float32]:
    return np.stack(list(prefixes.log.further_labels.values()), axis=1)[prefixes.sequences]


def _next_event(prefixes: Prefixes, vocabulary: Vocabulary) -> NDArray[np.int32]:
    events, is_there = _followers(prefixes)
    ids = prefixes.log.event_ids(vocabulary)
    return np.where(is_there, ids[events], np.int32(PADDING_ID))[:, None]


def _minutes_to_next_event(prefixes: Prefixes, _: Vocabulary) -> NDArray[np.float32]:
    events, is_there = _followers(prefixes)
    minutes = (prefixes.log.times_microseconds[events] - prefixes.asked_microseconds) / MICROSECONDS_PER_MINUTE
    return np.where(is_there, minutes, np.nan).astype(np.float32)[:, None]


def _followers(prefixes: Prefixes) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Of each prefix the log's event after its last one, int64 (prefix,), and whether there is one: else any event."""
    log = prefixes.log
    events = log.offsets[prefixes.sequences] + prefixes.lengths
    is_there = events < log.offsets[prefixes.sequences + 1]
    return np.where(is_there, events, 0), is_there


_KNOWN = {
    "label": _label,
    "further_labels": _further_labels,
    "next_event": _next_event,
    "minutes_to_next_event": _minutes_to_next_event,
}
