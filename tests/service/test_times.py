from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.broken_rule import BrokenRuleError
from service.schemas import EventBody
from service.times import in_future, microseconds, read_time, read_times


@given(st.datetimes(), st.integers(-23, 23))
def test_a_time_is_exact_to_the_microsecond_whatever_its_zone(time: datetime, hours: int) -> None:
    there = time.replace(tzinfo=UTC, year=2016).astimezone(timezone(timedelta(hours=hours)))

    assert timedelta(microseconds=read_time("", there.isoformat())) == there - datetime.fromtimestamp(0, UTC)
    assert read_times([EventBody(type="a", time=there.isoformat())]) == [microseconds(there)]


@pytest.mark.parametrize(
    ("time", "expected"), [("soon", "an ISO-8601 time with a zone"), ("2016-03-01T09:03:00", "could be any of them")]
)
def test_the_event_whose_time_is_none_is_named(time: str, expected: str) -> None:
    with pytest.raises(BrokenRuleError, match=expected) as raised:
        read_times([EventBody(type="a", time="2016-03-01T09:03:00Z"), EventBody(type="a", time=time)])

    assert raised.value.place == "/events/1/time"


def test_a_time_in_the_future_is_told_with_the_time_here() -> None:
    broken = in_future("/as_of", "2030-01-01T00:00:00Z", datetime(2020, 1, 1, tzinfo=UTC))

    assert "it is 2020-01-01T00:00:00+00:00 here. Received: 2030-01-01T00:00:00Z" in broken.message
