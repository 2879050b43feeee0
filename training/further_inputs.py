"""Further inputs, fitted: which categories there are and how large numbers are, learnt from the fit part alone.

FittedInput          a declared input, and what standardises its numbers
fit_inputs           the fit part -> fitted inputs
with_inputs          a log, or every part of a split, as the network takes its columns
values_of            one prefix' values in the user's terms
tabular              the same columns for models that know no sequences
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.further_inputs import FurtherInput, FurtherInputs, FurtherValues, minute_of_week
from models.sequences import FIRST_EVENT_TYPE_ID, EncodedBatch
from training.columns import Column
from training.eventlog import EventLog
from training.input_config import InputConfig, Transform
from training.prefixes import Prefixes
from training.rows import EventLogError
from training.splits import PARTS, Split

_UNKNOWN_CATEGORY = "never seen in training"


@dataclass(frozen=True, slots=True)
class FittedInput:
    """A further input as the network takes it.

    Attributes:
        declared: As the manifest declares it.
        transform: f, of numbers.
        mean: Of f(x) in the fit part.
        scale: Standard deviation of f(x) in the fit part; 1 for numbers that do not vary.
    """

    declared: FurtherInput
    transform: Transform = "none"
    mean: float = 0.0
    scale: float = 1.0


def fit_inputs(log: EventLog, inputs: Sequence[InputConfig], min_count: int) -> tuple[FittedInput, ...]:
    """Learn what the network must know of its inputs.

    Args:
        log: The fit part.
        inputs: Which there are.
        min_count: Categories seen less often are unknown.

    Raises:
        EventLogError: A categorical input has no category that is frequent enough.
    """
    return tuple(_fitted(log, one, min_count) for one in inputs)


def with_inputs(log: EventLog, fitted: Sequence[FittedInput]) -> EventLog:
    """The log with the columns of `fitted` as the network takes them: categories become ids."""
    inputs = FurtherInputs([one.declared for one in fitted])
    columns = {
        one.name: Column(one.per, np.array(inputs.ids(one.name, log.columns[one.name].values.tolist()), np.int32))
        for one in inputs.declared
        if one.kind == "categorical"
    }
    return replace(log, columns={**log.columns, **columns})


def split_with_inputs(split: Split, fitted: Sequence[FittedInput]) -> Split:
    """`with_inputs` of every part."""
    if not fitted:
        return split
    return Split(
        training=with_inputs(split.training, fitted),
        joint=with_inputs(split.joint, fitted),
        **{name: with_inputs(getattr(split, name), fitted) for name in PARTS},
        losses=split.losses,
    )


def values_of(prefixes: Prefixes, index: int, max_events: int, fitted: Sequence[FittedInput]) -> FurtherValues:
    """Values of the prefix at `index`, of its latest `max_events` events, as a client would send them."""
    log, sequence = prefixes.log, int(prefixes.sequences[index])
    end = int(log.offsets[sequence] + prefixes.lengths[index])
    events = slice(max(int(log.offsets[sequence]), end - max_events), end)
    values: dict[str, Any] = {}
    for one in (fitted_input.declared for fitted_input in fitted):
        if one.kind == "clock":
            values[one.name] = float(np.float32(minute_of_week(int(prefixes.asked_microseconds[index]))))
            continue
        column = log.columns[one.name].take(slice(sequence, sequence + 1), events).values.tolist()
        told = [_category(one, category_id) for category_id in column] if one.kind == "categorical" else column
        values[one.name] = tuple(told) if one.per == "event" else told[0]
    return values


def tabular(encoded: EncodedBatch) -> tuple[NDArray[np.float32], list[bool]]:
    """What models that know no sequences are told of the further inputs: the same, at the scoring moment.

    Columns in the order of `encoded.further`: of an input per sequence its value; of a number per event its latest,
    mean and largest; of a category per event its latest.

    Args:
        encoded: Without the clock, which is told as a category.

    Returns:
        float32 (batch, columns), and of each column whether it holds ids of categories.
    """
    columns: list[NDArray[Any]] = []
    are_categories: list[bool] = []
    rows, last = np.arange(len(encoded.events_used)), encoded.events_used - 1
    is_event = np.arange(encoded.event_ids.shape[1]) < encoded.events_used[:, None]
    for values in encoded.further.values():
        is_category = values.dtype == np.int32
        if values.ndim == 1:
            told = [values]
        elif is_category:
            told = [values[rows, last]]
        else:
            mean = values.sum(axis=1, where=is_event) / encoded.events_used
            told = [values[rows, last], mean, values.max(axis=1, where=is_event, initial=-np.inf)]
        columns += told
        are_categories += [is_category] * len(told)
    shape = (len(rows), len(columns))
    return np.array(columns, np.float32).T.reshape(shape), are_categories


def _fitted(log: EventLog, one: InputConfig, min_count: int) -> FittedInput:
    if one.kind == "clock":
        return FittedInput(one.declared())
    values = log.columns[one.name].values
    if one.kind == "numeric":
        numbers = transformed(values.astype(np.float64), one.transform)
        scale = float(numbers.std())
        return FittedInput(one.declared(), one.transform, float(numbers.mean()), scale if scale > 0 else 1.0)
    counts = Counter(values.tolist())
    frequent = sorted(
        (category for category, count in counts.items() if count >= min_count),
        key=lambda category: (-counts[category], category),
    )
    if not frequent:
        raise EventLogError(
            f"Expected a category seen at least {min_count} times in the fit part for the input {one.name}. "
            "Received: none. Give a longer log, lower vocabulary.min_count or leave the input out."
        )
    return FittedInput(one.declared(tuple(frequent)))


def transformed(numbers: NDArray[np.float64], transform: Transform) -> NDArray[np.float64]:
    """f(x): x itself, or sign(x) log(1 + |x|)."""
    return numbers if transform == "none" else np.sign(numbers) * np.log1p(np.abs(numbers))


def _category(one: FurtherInput, category_id: int) -> str:
    if category_id >= FIRST_EVENT_TYPE_ID:
        return one.categories[category_id - FIRST_EVENT_TYPE_ID]
    unknown = _UNKNOWN_CATEGORY
    while unknown in one.categories:
        unknown += "!"
    return unknown
