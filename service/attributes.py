"""Attributes: what a client says of a sequence and its events beside types and times, to a model that is told more.

read_attributes    a sequence as sent -> values of the model's further inputs
attributes_of      such values -> fields of a sequence
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from models.further_inputs import (
    LARGEST_NUMBER,
    SCORED_MINUTE_OF_WEEK,
    FurtherInput,
    FurtherValue,
    FurtherValues,
    minute_of_week,
)
from service.broken_rule import BrokenRuleError
from service.faults import pointer, received, unknown_field
from service.histories import Rules, latest_accepted
from service.schemas import MAX_TEXT_LENGTH, SequenceBody
from service.times import in_future, read_time

_Given = Mapping[str, Any]

_SOME_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)


def read_attributes(sequence: SequenceBody, num_events: int, rules: Rules, now: datetime) -> FurtherValues:
    """Check what is said beside types and times, by name.

    Args:
        sequence: Either form; it satisfies the schema and `service.histories.read_history`.
        num_events: Its events.
        rules: Among them the model's further inputs.
        now: What the scoring moment is compared with.

    Returns:
        A value of each input per sequence, one an event of each per event; None, or nothing, where it is to be the
        default.

    Raises:
        BrokenRuleError: At the first rule they break.
    """
    has_times = "events" in sequence
    per_event = [one for one in rules.further if one.per == "event"]
    of_sequence = [one for one in rules.further if one.per == "sequence" and one.kind != "clock"]
    given: _Given = sequence.get("attributes") or {}
    _refuse_unknown(given, of_sequence if has_times else [*of_sequence, *per_event], "/attributes")

    values: dict[str, Any] = {}
    for one in of_sequence:
        values[one.name] = _value(one, given, "")
    for one in () if has_times else per_event:
        values[one.name] = _column(one, given, num_events)
    if has_times:
        values |= _of_events(per_event, [event.get("attributes") or {} for event in sequence["events"]])
    for one in rules.further:
        if one.kind == "clock":
            values[one.name] = _minute_of_week(one, sequence, rules, now)
    return values


def attributes_of(values: FurtherValues) -> dict[str, object]:
    """Fields that say `values` of a sequence with elapsed minutes; the scoring moment lies in some week."""
    fields: dict[str, object] = {}
    attributes = {name: told for name, told in values.items() if name != SCORED_MINUTE_OF_WEEK}
    if attributes:
        fields["attributes"] = attributes
    minutes = values.get(SCORED_MINUTE_OF_WEEK)
    if isinstance(minutes, int | float):
        fields["as_of"] = (_SOME_MONDAY + timedelta(minutes=minutes)).isoformat()
    return fields


def _of_events(inputs: list[FurtherInput], events: list[_Given]) -> dict[str, list[FurtherValue | None]]:
    for position, given in enumerate(events):
        if given:
            _refuse_unknown(given, inputs, f"/events/{position}/attributes")
    return {
        one.name: [_value(one, given, f"/events/{position}") for position, given in enumerate(events)] for one in inputs
    }


def _column(one: FurtherInput, given: _Given, num_events: int) -> list[FurtherValue | None] | None:
    """Values of an input per event, as an array beside the event types."""
    column = given.get(one.name)
    if column is None:
        _refuse_if_required(one, given, "")
        return None
    place = f"/attributes{pointer(one.name)}"
    if not isinstance(column, list):
        raise BrokenRuleError(
            place, f"Expected an array with a value an event, so {num_events}. Received: {received(column)}."
        )
    if len(column) != num_events:
        raise BrokenRuleError(place, f"Expected one value an event, so {num_events}. Received: {len(column)}.")
    for position, value in enumerate(column):
        if value is not None or one.default is None:
            _check(one, value, f"{place}/{position}")
    return column


def _value(one: FurtherInput, given: _Given, parent: str) -> FurtherValue | None:
    value: FurtherValue | None = given.get(one.name)
    if value is None:
        _refuse_if_required(one, given, parent)
    else:
        _check(one, value, f"{parent}/attributes{pointer(one.name)}")
    return value


def _refuse_if_required(one: FurtherInput, given: _Given, parent: str) -> None:
    """Refuse to leave out an input that has no default; pointing at what is not there would lead nowhere."""
    if one.default is None:
        raise BrokenRuleError(
            f"{parent}/attributes" if given else parent,
            f"Expected the attribute `{one.name}`, which has no default. Received: no such attribute.",
        )


def _check(one: FurtherInput, value: object, place: str) -> None:
    if one.kind == "categorical":
        is_right = type(value) is int or (isinstance(value, str) and len(value) <= MAX_TEXT_LENGTH)
    else:
        # NaN compares false.
        is_right = isinstance(value, int | float) and type(value) is not bool and abs(value) <= LARGEST_NUMBER
    if not is_right:
        raise BrokenRuleError(place, f"{_expected(one)}. Received: {received(value)}.")


def _expected(one: FurtherInput) -> str:
    if one.kind == "categorical":
        return f"Expected a category, a string of at most {MAX_TEXT_LENGTH} characters or an integer, as `{one.name}`"
    unit = f" of {one.unit}" if one.unit else ""
    return f"Expected a number{unit}, of at most {LARGEST_NUMBER:g}, as `{one.name}`"


def _minute_of_week(one: FurtherInput, sequence: SequenceBody, rules: Rules, now: datetime) -> float | None:
    """What the clock says at the scoring moment."""
    as_of = sequence.get("as_of")
    if as_of is not None:
        scored_at = read_time("/as_of", as_of)
        if scored_at > latest_accepted(rules, now):
            raise in_future("/as_of", as_of, now)
    elif "events" in sequence:
        scored_at = read_time("", sequence["events"][-1]["time"])
    elif one.default is None:
        raise BrokenRuleError(
            "",
            "Expected the scoring moment as `as_of`, such as 2016-03-01T09:03:00Z: the model is told hour and weekday, "
            "and has no default. Received: no such field.",
        )
    else:
        return None
    return float(np.float32(minute_of_week(scored_at)))


def _refuse_unknown(given: _Given, known: list[FurtherInput], place: str) -> None:
    names = [one.name for one in known]
    if not given.keys() <= set(names):
        field, message = unknown_field(given, names)
        raise BrokenRuleError(f"{place}{field}", message)
