"""The rules of one history: from either form of a sequence to event types and elapsed minutes.

Rules            what a sequence must obey
read_history     a sequence as sent -> event types and elapsed minutes
check_num_events, check_minutes    the rules of the form without times
latest_accepted  what counts as the future
"""

from collections.abc import KeysView, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from models.further_inputs import FurtherInput
from models.manifest import Manifest
from models.sequences import EventType, elapsed_minutes
from service.broken_rule import BrokenRuleError
from service.faults import unknown_field
from service.schemas import EventBody, SequenceBody
from service.settings import Settings
from service.times import in_future, microseconds, read_time, read_times

_EVERY_SEQUENCE_FIELD = SequenceBody.__annotations__.keys()
_EVERY_EVENT_FIELD = EventBody.__annotations__.keys()
# Of a model that is told of types and times alone.
_SEQUENCE_FIELDS = {field: None for field in _EVERY_SEQUENCE_FIELD if field != "attributes"}.keys()
_EVENT_FIELDS = {field: None for field in _EVERY_EVENT_FIELD if field != "attributes"}.keys()

History = tuple[list[EventType], list[float]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a sequence must obey: the service's limits, and what the model was trained for."""

    max_sequence_events: int
    max_clock_skew_seconds: float
    max_events: int
    max_elapsed_minutes: float
    scores_between_events: bool
    further: tuple[FurtherInput, ...] = ()

    @classmethod
    def of(cls, settings: Settings, manifest: Manifest) -> "Rules":
        """The rules of one model behind one service."""
        return cls(
            max_sequence_events=settings.max_sequence_events,
            max_clock_skew_seconds=settings.max_clock_skew_seconds,
            max_events=manifest.max_events,
            max_elapsed_minutes=manifest.max_elapsed_minutes,
            scores_between_events=manifest.scores_between_events,
            further=manifest.further_inputs,
        )

    @property
    def has_clock(self) -> bool:
        """Whether the model is told hour and weekday."""
        return any(one.kind == "clock" for one in self.further)


def read_history(sequence: SequenceBody, rules: Rules, now: datetime) -> History:
    """Bring a sequence that satisfies the schema into the one form the model takes, checking every rule.

    Args:
        sequence: Either form.
        rules: What it must obey.
        now: What event times are compared with.

    Returns:
        Event types, oldest first, and as many elapsed minutes.

    Raises:
        BrokenRuleError: At the first rule it breaks.
    """
    if not sequence.keys() <= _SEQUENCE_FIELDS:
        _refuse_unknown(sequence, _EVERY_SEQUENCE_FIELD if rules.further else _SEQUENCE_FIELDS, "")
    if "events" not in sequence:
        return _from_minutes(sequence, rules)
    if "event_types" in sequence or "elapsed_minutes" in sequence:
        raise BrokenRuleError(
            "", "Expected either `events`, or `event_types` with `elapsed_minutes`. Received: both forms at once."
        )
    return _from_times(sequence, rules, now)


def latest_accepted(rules: Rules, now: datetime) -> int:
    """The moment from which on a time is in the future, in microseconds since 1970: clocks may differ a little."""
    return microseconds(now) + round(rules.max_clock_skew_seconds * 1e6)


def check_num_events(place: str, num_events: int, rules: Rules) -> None:
    """Raises BrokenRuleError at `place` for more events than one sequence may have."""
    if num_events > rules.max_sequence_events:
        raise BrokenRuleError(
            place,
            f"Expected at most {rules.max_sequence_events} events. Received: {num_events}. "
            f"Send the latest; the model uses {rules.max_events}.",
        )


def check_minutes(minutes: list[float], num_events: int, rules: Rules) -> None:
    """Check what `elapsed_minutes` that satisfy the schema must obey.

    Args:
        minutes: Of one sequence.
        num_events: How many there must be, at least one.
        rules: What they must obey.

    Raises:
        BrokenRuleError: At the first rule they break.
    """
    if len(minutes) != num_events:
        raise BrokenRuleError(
            "/elapsed_minutes",
            f"Expected one elapsed time an event, so {num_events}. Received: {len(minutes)}.",
        )
    # Sorting what is sorted is one quick pass; only a fault is worth looking for element by element.
    if minutes != sorted(minutes, reverse=True):
        position = next(k for k, (before, after) in enumerate(pairwise(minutes), start=1) if after > before)
        raise BrokenRuleError(
            f"/elapsed_minutes/{position}",
            "Expected elapsed minutes that never increase (oldest event first). "
            f"Received: {minutes[position]} after {minutes[position - 1]}.",
        )
    if minutes[-1] != 0 and not rules.scores_between_events:
        raise BrokenRuleError(
            f"/elapsed_minutes/{len(minutes) - 1}",
            "Expected 0 for the last event: the model was not trained to score between events. "
            f"Received: {minutes[-1]}. Count the minutes up to the last event.",
        )
    _check_largest("/elapsed_minutes/{}", minutes, rules, "Were seconds or milliseconds sent as minutes?")


def _refuse_unknown(given: Mapping[str, object], known: KeysView[str], place: str) -> None:
    if not given.keys() <= known:
        field, message = unknown_field(given, known)
        raise BrokenRuleError(f"{place}{field}", message)


def _from_minutes(sequence: SequenceBody, rules: Rules) -> History:
    if "event_types" not in sequence or "elapsed_minutes" not in sequence:
        given = "only one of them" if "event_types" in sequence or "elapsed_minutes" in sequence else "neither"
        raise BrokenRuleError(
            "", f"Expected `event_types` with `elapsed_minutes`, or `events` with times. Received: {given}."
        )
    if sequence.get("as_of") is not None and not rules.has_clock:
        raise BrokenRuleError(
            "/as_of",
            "Expected `as_of` only with `events`: elapsed minutes already end at the scoring moment. Received: both.",
        )
    event_types, minutes = sequence["event_types"], sequence["elapsed_minutes"]
    check_num_events("/event_types", len(event_types), rules)
    check_minutes(minutes, len(event_types), rules)
    return event_types, minutes


def _from_times(sequence: SequenceBody, rules: Rules, now: datetime) -> History:
    events = sequence["events"]
    check_num_events("/events", len(events), rules)
    for position, event in enumerate(events):
        if len(event) != len(_EVENT_FIELDS):
            _refuse_unknown(event, _EVERY_EVENT_FIELD if rules.further else _EVENT_FIELDS, f"/events/{position}")

    times = read_times(events)
    if times != sorted(times):
        position = next(k for k, (before, after) in enumerate(pairwise(times), start=1) if after < before)
        raise BrokenRuleError(
            f"/events/{position}/time",
            "Expected events in order of time, oldest first. "
            f"Received: {events[position]['time']} after {events[position - 1]['time']}.",
        )
    latest = latest_accepted(rules, now)
    if times[-1] > latest:
        raise in_future(f"/events/{len(times) - 1}/time", events[-1]["time"], now)
    scored_at = _read_as_of(sequence, times[-1], rules)
    if scored_at > latest:
        raise in_future("/as_of", str(sequence.get("as_of")), now)

    minutes: list[float] = elapsed_minutes(np.array(times, np.int64), scored_at).tolist()
    _check_largest("/events/{}/time", minutes, rules, "Is the date right?")
    return [event["type"] for event in events], minutes


def _read_as_of(sequence: SequenceBody, last_event: int, rules: Rules) -> int:
    """The scoring moment in microseconds since 1970."""
    as_of = sequence.get("as_of")
    if as_of is None:
        return last_event
    scored_at = read_time("/as_of", as_of)
    last_time = sequence["events"][-1]["time"]
    if scored_at < last_event:
        raise BrokenRuleError(
            "/as_of",
            f"Expected a scoring moment no earlier than the last event, {last_time}. Received: {as_of}. "
            "Leave out the events after it.",
        )
    if scored_at > last_event and not rules.scores_between_events:
        raise BrokenRuleError(
            "/as_of",
            f"Expected the last event's time, {last_time}, or no `as_of`: the model was not trained to score between "
            f"events. Received: {as_of}.",
        )
    return scored_at


def _check_largest(place: str, minutes: list[float], rules: Rules, hint: str) -> None:
    """The oldest event the model uses bounds all later ones; what is truncated may be as old as it likes."""
    position = max(0, len(minutes) - rules.max_events)
    if minutes[position] > rules.max_elapsed_minutes:
        raise BrokenRuleError(
            place.format(position),
            f"Expected at most {rules.max_elapsed_minutes:.12g} minutes before the scoring moment, the longest the "
            f"model takes. Received: {minutes[position]:.12g}. {hint}",
        )
