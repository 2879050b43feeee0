"""Times as clients write them: ISO-8601 with a zone, exact to the microsecond.

read_times      of all events of a sequence
read_time       of one place
microseconds    of a `datetime`
in_future       what is said of a time that has not come
"""

from datetime import UTC, datetime, timedelta

from service.broken_rule import BrokenRuleError
from service.faults import received
from service.schemas import EventBody

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)


def read_times(events: list[EventBody]) -> list[int]:
    """Event times in microseconds since 1970.

    Raises:
        BrokenRuleError: At the first that is no time, or has no zone.
    """
    try:
        return [(datetime.fromisoformat(event["time"]) - _EPOCH) // _MICROSECOND for event in events]
    except (ValueError, TypeError):
        return [read_time(f"/events/{position}/time", event["time"]) for position, event in enumerate(events)]


def read_time(place: str, time: str) -> int:
    """A time in microseconds since 1970.

    Raises:
        BrokenRuleError: At `place`: it is no time, or has no zone.
    """
    try:
        return microseconds(datetime.fromisoformat(time))
    except ValueError as error:
        expected = "Expected an ISO-8601 time with a zone, such as 2016-03-01T09:03:00Z"
        raise BrokenRuleError(place, f"{expected}. Received: {received(time)}.") from error
    except TypeError as error:
        raise BrokenRuleError(
            place,
            f"Expected a time with a zone, such as 2016-03-01T09:03:00Z or 2016-03-01T10:03:00+01:00. "
            f"Received: {received(time)}, which could be any of them.",
        ) from error


def microseconds(time: datetime) -> int:
    """Microseconds since 1970; raises TypeError for a time without a zone, which cannot be subtracted from one with."""
    return (time - _EPOCH) // _MICROSECOND


def in_future(place: str, time: str, now: datetime) -> BrokenRuleError:
    """The fault of a time at `place` that is later than `now`."""
    return BrokenRuleError(
        place, f"Expected a time that has come; it is {now.isoformat(timespec='seconds')} here. Received: {time}."
    )
