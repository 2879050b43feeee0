from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.broken_rule import BrokenRuleError
from service.histories import Rules, read_history
from service.schemas import SEQUENCE, SequenceBody

NOW = datetime(2020, 1, 1, tzinfo=UTC)
RULES = Rules(
    max_sequence_events=100,
    max_clock_skew_seconds=300,
    max_events=8,
    max_elapsed_minutes=10_000,
    scores_between_events=False,
)
BETWEEN = replace(RULES, scores_between_events=True)

microsecond_gaps = st.lists(st.integers(0, 60_000_000), min_size=1, max_size=20)


def _timed(times: list[datetime], **more: str) -> SequenceBody:
    events = [{"type": "a", "time": time.isoformat()} for time in times]
    return SEQUENCE.validate_python({"events": events, **more})


def _elapsed(minutes: list[float]) -> SequenceBody:
    return {"event_types": ["a"] * len(minutes), "elapsed_minutes": minutes}


def _broken(sequence: SequenceBody, rules: Rules = RULES) -> BrokenRuleError:
    with pytest.raises(BrokenRuleError) as raised:
        read_history(sequence, rules, NOW)
    return raised.value


@given(microsecond_gaps)
def test_times_become_the_minutes_before_the_last_event(gaps: list[int]) -> None:
    times = [NOW - timedelta(days=1)]
    for gap in gaps:
        times.append(times[-1] + timedelta(microseconds=gap))

    _, minutes = read_history(_timed(times), RULES, NOW)

    assert minutes == [(times[-1] - time) / timedelta(minutes=1) for time in times]


@given(microsecond_gaps)
def test_both_forms_of_a_history_are_read_alike(gaps: list[int]) -> None:
    times = [NOW - timedelta(days=1)]
    for gap in gaps:
        times.append(times[-1] + timedelta(microseconds=gap))
    timed = read_history(_timed(times), RULES, NOW)

    assert read_history(_elapsed(timed[1]), RULES, NOW) == timed


def test_the_zone_of_a_time_does_not_matter() -> None:
    moment = NOW - timedelta(hours=1)
    east = timezone(timedelta(hours=5, minutes=30))

    _, minutes = read_history(_timed([moment, moment.astimezone(east)]), RULES, NOW)

    assert minutes == [0, 0]


def test_a_sentinel_date_far_in_the_past_is_no_overflow() -> None:
    broken = _broken(_timed([datetime(1, 1, 1, tzinfo=UTC), NOW]))

    assert broken.place == "/events/0/time"


def test_as_of_the_last_event_is_the_default() -> None:
    times = [NOW - timedelta(hours=2), NOW - timedelta(hours=1)]

    assert read_history(_timed(times, as_of=times[-1].isoformat()), RULES, NOW) == read_history(
        _timed(times), RULES, NOW
    )


def test_a_model_trained_for_it_scores_after_the_last_event() -> None:
    times = [NOW - timedelta(hours=2), NOW - timedelta(hours=1)]

    assert read_history(_timed(times, as_of=NOW.isoformat()), BETWEEN, NOW)[1] == [120, 60]
    assert read_history(_elapsed([120.0, 60.0]), BETWEEN, NOW)[1] == [120, 60]


def test_a_model_not_trained_for_it_refuses_to_score_after_the_last_event() -> None:
    times = [NOW - timedelta(hours=2), NOW - timedelta(hours=1)]

    assert _broken(_timed(times, as_of=NOW.isoformat())).place == "/as_of"
    assert _broken(_elapsed([120.0, 60.0])).place == "/elapsed_minutes/1"


def test_a_scoring_moment_before_the_last_event_is_refused() -> None:
    times = [NOW - timedelta(hours=2), NOW - timedelta(hours=1)]

    assert _broken(_timed(times, as_of=times[0].isoformat()), BETWEEN).place == "/as_of"


@pytest.mark.parametrize(("seconds", "accepted"), [(299, True), (301, False)])
def test_a_clock_may_run_ahead_a_little(seconds: int, accepted: bool) -> None:
    sequence = _timed([NOW, NOW + timedelta(seconds=seconds)])

    if accepted:
        assert len(read_history(sequence, RULES, NOW)[1]) == 2
    else:
        assert _broken(sequence).place == "/events/1/time"


def test_a_scoring_moment_in_the_future_is_refused() -> None:
    future = (NOW + timedelta(hours=1)).isoformat()

    assert _broken(_timed([NOW], as_of=future), BETWEEN).place == "/as_of"


def test_only_events_the_model_uses_have_to_be_young_enough() -> None:
    old = [20_000.0] * 3

    assert read_history(_elapsed([*old, *[5.0] * 7, 0.0]), RULES, NOW)[1][0] == 20_000
    assert _broken(_elapsed([*old, *[5.0] * 6, 0.0])).place == "/elapsed_minutes/2"


@given(st.lists(st.floats(0, 10_000), min_size=2, max_size=30))
def test_minutes_are_accepted_exactly_if_they_never_increase(minutes: list[float]) -> None:
    minutes = [*minutes, 0.0]
    increases = [k for k in range(1, len(minutes)) if minutes[k] > minutes[k - 1]]

    if increases:
        assert _broken(_elapsed(minutes)).place == f"/elapsed_minutes/{increases[0]}"
    else:
        assert read_history(_elapsed(minutes), RULES, NOW) == (["a"] * len(minutes), minutes)


@pytest.mark.parametrize(
    "time",
    [
        "2016-03-01",
        "1456796160",
        "",
        "yesterday",
        "2016-03-01T01:36:60Z",
        "2016-02-30T01:36:00Z",
        "\uff12016-03-01T00:00:00Z",
    ],
)
def test_what_is_no_moment_is_refused_with_an_example(time: str) -> None:
    broken = _broken({"events": [{"type": "a", "time": time}]})

    assert broken.place == "/events/0/time"
    assert "such as 2016-03-01T09:03:00Z" in broken.message


@pytest.mark.parametrize(
    "time",
    ["2016-03-01T01:36:00Z", "2016-03-01T01:36Z", "2016-03-01 01:36:00.123456789+05:30", "20160301T013600Z"],
)
def test_iso_8601_is_accepted_in_its_usual_forms(time: str) -> None:
    assert read_history({"events": [{"type": "a", "time": time}]}, RULES, NOW) == (["a"], [0.0])
