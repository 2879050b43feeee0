"""The rules of one history: from either form of a sequence to event types and elapsed minutes.

Rules              what a sequence must obey
BrokenRuleError    what it broke, and where
read_history       a sequence as sent -> event types and elapsed minutes
check_num_events, check_minutes    the rules of the form without times
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from itertools import pairwise

import numpy as np

from models.manifest import Manifest
from models.sequences import EventType, elapsed_minutes
from service.errors import Fault
from service.faults import pointer, received
from service.schemas import MAX_TEXT_LENGTH, EventBody, SequenceBody
from service.settings import Settings

_SEQUENCE_FIELDS = SequenceBody.__annotations__.keys()
_EVENT_FIELDS = EventBody.__annotations__.keys()

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)

History = tuple[list[EventType], list[float]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a sequence must obey: the service's limits, and what the model was trained for."""

    max_sequence_events: int
    max_clock_skew_seconds: float
    max_events: int
    max_elapsed_minutes: float
    scores_between_events: bool

    @classmethod
    def of(cls, settings: Settings, manifest: Manifest) -> "Rules":
        """The rules of one model behind one service."""
        return cls(
            max_sequence_events=settings.max_sequence_events,
            max_clock_skew_seconds=settings.max_clock_skew_seconds,
            max_events=manifest.max_events,
            max_elapsed_minutes=manifest.max_elapsed_minutes,
            scores_between_events=manifest.scores_between_events,
        )


class BrokenRuleError(Exception):
    """A sequence breaks a rule.

    Args:
        place: JSON pointer from the sequence to the fault.
        message: What was expected, what was received.
    """

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


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
        fault = unknown_field(sequence, _SEQUENCE_FIELDS)
        raise BrokenRuleError(fault.pointer, fault.message)
    if "events" not in sequence:
        return _from_minutes(sequence, rules)
    if "event_types" in sequence or "elapsed_minutes" in sequence:
        raise BrokenRuleError(
            "", "Expected either `events`, or `event_types` with `elapsed_minutes`. Received: both forms at once."
        )
    return _from_times(sequence, rules, now)


def unknown_field(given: Mapping[str, object], known: Collection[str]) -> Fault:
    """The fault of an object with a field that is not ours; a name too long to repeat is not pointed at."""
    name = next(name for name in given if name not in known)
    is_short = len(name) <= MAX_TEXT_LENGTH
    # Comparing names takes seconds once one of them is as long as a body may be.
    nearest = get_close_matches(name, known, n=1) if is_short else []
    hint = f" Did you mean `{nearest[0]}`?" if nearest else ""
    expected = ", ".join(f"`{field}`" for field in known)
    place = pointer(name) if is_short else ""
    return Fault(place, f"Expected only the fields {expected}. Received: {received(name)}.{hint}")


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


def _from_minutes(sequence: SequenceBody, rules: Rules) -> History:
    if "event_types" not in sequence or "elapsed_minutes" not in sequence:
        given = "only one of them" if "event_types" in sequence or "elapsed_minutes" in sequence else "neither"
        raise BrokenRuleError(
            "", f"Expected `event_types` with `elapsed_minutes`, or `events` with times. Received: {given}."
        )
    if sequence.get("as_of") is not None:
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
            fault = unknown_field(event, _EVENT_FIELDS)
            raise BrokenRuleError(f"/events/{position}{fault.pointer}", fault.message)

    times = _read_times(events)
    if times != sorted(times):
        position = next(k for k, (before, after) in enumerate(pairwise(times), start=1) if after < before)
        raise BrokenRuleError(
            f"/events/{position}/time",
            "Expected events in order of time, oldest first. "
            f"Received: {events[position]['time']} after {events[position - 1]['time']}.",
        )
    latest = _microseconds(now) + round(rules.max_clock_skew_seconds * 1e6)
    if times[-1] > latest:
        raise _in_future(f"/events/{len(times) - 1}/time", events[-1]["time"], now)
    scored_at = _read_as_of(sequence, times[-1], rules)
    if scored_at > latest:
        raise _in_future("/as_of", str(sequence.get("as_of")), now)

    minutes: list[float] = elapsed_minutes(np.array(times, np.int64), scored_at).tolist()
    _check_largest("/events/{}/time", minutes, rules, "Is the date right?")
    return [event["type"] for event in events], minutes


def _read_as_of(sequence: SequenceBody, last_event: int, rules: Rules) -> int:
    """The scoring moment in microseconds since 1970."""
    as_of = sequence.get("as_of")
    if as_of is None:
        return last_event
    scored_at = _read_time("/as_of", as_of)
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


def _read_times(events: list[EventBody]) -> list[int]:
    """Event times in microseconds since 1970, exact."""
    try:
        return [(datetime.fromisoformat(event["time"]) - _EPOCH) // _MICROSECOND for event in events]
    except (ValueError, TypeError):
        return [_read_time(f"/events/{position}/time", event["time"]) for position, event in enumerate(events)]


def _read_time(place: str, time: str) -> int:
    try:
        return _microseconds(datetime.fromisoformat(time))
    except ValueError as error:
        expected = "Expected an ISO-8601 time with a zone, such as 2016-03-01T09:03:00Z"
        raise BrokenRuleError(place, f"{expected}. Received: {received(time)}.") from error
    except TypeError as error:
        raise BrokenRuleError(
            place,
            f"Expected a time with a zone, such as 2016-03-01T09:03:00Z or 2016-03-01T10:03:00+01:00. "
            f"Received: {received(time)}, which could be any of them.",
        ) from error


def _microseconds(time: datetime) -> int:
    """Raises TypeError for a time without a zone: it cannot be subtracted from one with."""
    return (time - _EPOCH) // _MICROSECOND


def _check_largest(place: str, minutes: list[float], rules: Rules, hint: str) -> None:
    """The oldest event the model uses bounds all later ones; what is truncated may be as old as it likes."""
    position = max(0, len(minutes) - rules.max_events)
    if minutes[position] > rules.max_elapsed_minutes:
        raise BrokenRuleError(
            place.format(position),
            f"Expected at most {rules.max_elapsed_minutes:.12g} minutes before the scoring moment, the longest the "
            f"model takes. Received: {minutes[position]:.12g}. {hint}",
        )


def _in_future(place: str, time: str, now: datetime) -> BrokenRuleError:
    return BrokenRuleError(
        place, f"Expected a time that has come; it is {now.isoformat(timespec='seconds')} here. Received: {time}."
    )
