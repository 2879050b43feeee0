"""Slices: parts of the test period by what its sequences have in common, to see where a model is good."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.sequences import FIRST_EVENT_TYPE_ID
from training.further_inputs import FittedInput
from training.prefixes import Prefixes

OTHERS = "(others)"

_MOST_VALUES = 12


def slice_values(prefixes: Prefixes, further: Sequence[FittedInput] = ()) -> dict[str, NDArray[np.object_]]:
    """What each history is put with, object (prefix,), by what it is cut by.

    `month` is the calendar month (UTC) of the moment scored, for logs with dates; `first_event_type` the type of the
    sequence's first event; any other the input of that name, where it is one category a sequence. Rare values stand
    together as "(others)".

    Args:
        prefixes: The histories, their categories as ids.
        further: The inputs.
    """
    log = prefixes.log
    values = {"first_event_type": _frequent(log.event_types[log.offsets[prefixes.sequences]])}
    for one in (fitted.declared for fitted in further):
        if one.kind == "categorical" and one.per == "sequence":
            names = np.array([OTHERS] * FIRST_EVENT_TYPE_ID + list(one.categories), object)
            values[one.name] = _frequent(names[log.columns[one.name].values[prefixes.sequences]])
    if log.has_calendar_time:
        months = prefixes.asked_microseconds.astype("datetime64[us]").astype("datetime64[M]")
        values["month"] = months.astype(str).astype(object)
    return values


def each_slice(values: NDArray[np.object_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each value with the histories that have it, bool (prefix,); ascending, "(others)" last."""
    for value in sorted(set(values.tolist()), key=lambda value: (value == OTHERS, value)):
        yield value, values == value


def _frequent(values: NDArray[np.object_]) -> NDArray[np.object_]:
    """The values, all but the most frequent ones replaced by "(others)"."""
    distinct, counts = np.unique(values.astype(str), return_counts=True)
    if len(distinct) <= _MOST_VALUES:
        return values
    kept = set(distinct[np.argsort(-counts, kind="stable")[: _MOST_VALUES - 1]].tolist())
    return np.array([value if value in kept else OTHERS for value in values.tolist()], object)
