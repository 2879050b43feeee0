import pytest

from models.sequences import EventType
from service.broken_rule import BrokenRuleError
from service.histories import Rules
from service.tensor_faults import check_row

RULES = Rules(
    max_sequence_events=5,
    max_clock_skew_seconds=300,
    max_events=3,
    max_elapsed_minutes=1_000,
    scores_between_events=False,
)
SIZE = 6


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("event_ids", [2, 1, 5]),
        ("event_ids", [2, 5, 0]),
        ("event_types", ["a", 7, "b"]),
        ("event_types", ["a", "b", ""]),
    ],
)
def test_a_sound_row_passes_with_padding_or_without(name: str, events: list[EventType]) -> None:
    minutes = [2.0, 0.0, 99.0] if not events[-1] else [2.0, 1.0, 0.0]

    check_row(name, events, minutes, SIZE, RULES)


@pytest.mark.parametrize(
    ("events", "minutes", "place", "message"),
    [
        ([0, 0], [0, 0], "/event_ids", "at least one event"),
        ([2] * 6, [0] * 6, "/event_ids", "at most 5 events. Received: 6"),
        ([0, 2], [0, 0], "/event_ids/0", "padding, 0, only after the last event"),
        ([2, 6], [0, 0], "/event_ids/1", "from 1 (unknown) to 5"),
        ([2, -1], [0, 0], "/event_ids/1", "Received: -1"),
        ([2, 10**400], [0, 0], "/event_ids/1", "Received: 1000"),
        ([2, 2], [float("nan"), 0], "/elapsed_minutes/0", "a finite number"),
        ([2, 2], [-1, 0], "/elapsed_minutes/0", "not negative"),
        ([2, 2], [1e10, 0], "/elapsed_minutes/0", "seconds or milliseconds"),
        ([2, 2], [10**400, 0], "/elapsed_minutes/0", "Expected"),
        ([2, 2], [1_001, 0], "/elapsed_minutes/0", "at most 1000 minutes"),
        ([2, 2], [1, 2], "/elapsed_minutes/1", "Received: 2 after 1"),
        ([2, 2], [2, 1], "/elapsed_minutes/1", "Expected 0 for the last event"),
    ],
)  # fmt: skip
def test_the_first_broken_rule_is_told_with_its_place(
    events: list[EventType], minutes: list[float], place: str, message: str
) -> None:
    with pytest.raises(BrokenRuleError) as raised:
        check_row("event_ids", events, minutes, SIZE, RULES)

    assert raised.value.place == place
    assert message in raised.value.message


def test_padding_among_event_types_is_the_empty_one() -> None:
    with pytest.raises(BrokenRuleError) as raised:
        check_row("event_types", ["a", "", "b"], [2, 1, 0], SIZE, RULES)

    assert raised.value.place == "/event_types/1"
