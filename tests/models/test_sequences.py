from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sequences import (
    PADDING_ID,
    UNKNOWN_ID,
    EncodedBatch,
    EventType,
    JoinedMinutes,
    Vocabulary,
    elapsed_minutes,
    encode,
)

VOCABULARY = Vocabulary(("login", "pay", "7"))

event_type = st.one_of(st.sampled_from(["login", "pay", "7", "refund"]), st.integers(5, 9))
history = st.lists(st.tuples(event_type, st.floats(0, 1e6, width=32)), min_size=1, max_size=12)


def test_ids_start_after_padding_and_unknown() -> None:
    assert VOCABULARY.ids(["login", "pay", "7", "refund"]) == [2, 3, 4, UNKNOWN_ID]
    assert VOCABULARY.size == 5


def test_an_integer_event_type_is_its_decimal_text() -> None:
    vocabulary = Vocabulary(("7", "-3", "007"))

    assert vocabulary.ids([7, "7", -3, "-3", "007"]) == [2, 2, 3, 3, 4]


def test_text_that_only_resembles_an_integer_is_only_text() -> None:
    assert Vocabulary(("٧", "--1", "-")).ids(["٧", 7, "--1", "-"]) == [2, UNKNOWN_ID, 3, 4]  # noqa: RUF001


def test_ids_in_an_array_are_those_in_a_list() -> None:
    event_types: list[EventType] = ["login", "pay", 7, "7", "refund", 8]

    assert VOCABULARY.id_array(event_types).tolist() == VOCABULARY.ids(event_types)
    assert VOCABULARY.id_array(event_types).dtype == np.int32
    assert len(VOCABULARY.id_array([])) == 0


def test_joined_minutes_are_taken_apart_again() -> None:
    joined = JoinedMinutes(np.array([5.5, 0, 7, 1, 0]), np.array([2, 1, 2]))

    assert list(joined) == [[5.5, 0], [7], [1, 0]]
    assert joined[-1] == [1, 0]
    assert joined[1:] == [[7], [1, 0]]


def test_minutes_that_are_not_those_of_the_events_are_refused() -> None:
    for minutes in ([[1, 0], [0, 0]], [[1, 0], []], [[7], []]):
        with pytest.raises(ValueError, match="reshape"):
            encode([["login", "pay"], ["pay"]], minutes, VOCABULARY, max_events=5)


def test_histories_are_padded_on_the_right() -> None:
    batch = encode([["login"], ["pay", "refund"]], [[0], [5.5, 0]], VOCABULARY, max_events=50)

    assert batch.event_ids.tolist() == [[2, PADDING_ID], [3, UNKNOWN_ID]]
    assert batch.elapsed_minutes.tolist() == [[0, 0], [5.5, 0]]
    assert batch.unknown_events.tolist() == [0, 1]
    assert batch.event_ids.dtype == np.int32
    assert batch.elapsed_minutes.dtype == np.float32


def test_a_long_history_keeps_its_latest_events() -> None:
    batch = encode([["login", "pay", "pay"], ["login"]], [[9, 4, 0], [0]], VOCABULARY, max_events=2)

    assert batch.event_ids.tolist() == [[3, 3], [2, 0]]
    assert batch.elapsed_minutes.tolist() == [[4, 0], [0, 0]]
    assert batch.events_used.tolist() == [2, 1]
    assert batch.events_truncated.tolist() == [1, 0]


def test_an_empty_batch_has_no_rows() -> None:
    assert encode([], [], VOCABULARY, max_events=5).event_ids.shape == (0, 0)


@given(st.lists(history, min_size=1, max_size=8), st.integers(1, 12), st.integers(0, 5))
def test_every_kept_event_is_found_again(
    histories: list[list[tuple[EventType, float]]], max_events: int, spare: int
) -> None:
    event_types = [[event for event, _ in one] for one in histories]
    minutes = [[minute for _, minute in one] for one in histories]

    batch = encode(event_types, minutes, VOCABULARY, max_events, time=max_events + spare)

    assert batch.event_ids.shape == batch.elapsed_minutes.shape == (len(histories), max_events + spare)
    for row, one in enumerate(histories):
        kept = one[-max_events:]
        used = int(batch.events_used[row])
        assert used == len(kept)
        assert used + batch.events_truncated[row] == len(one)
        assert batch.event_ids[row, :used].tolist() == VOCABULARY.ids(event for event, _ in kept)
        assert batch.elapsed_minutes[row, :used].tolist() == [minute for _, minute in kept]
        assert not batch.event_ids[row, used:].any()
        assert not batch.elapsed_minutes[row, used:].any()


@given(history, st.integers(1, 12))
def test_a_history_alone_is_encoded_as_among_others(one: list[tuple[EventType, float]], max_events: int) -> None:
    event_types, minutes = [event for event, _ in one], [minute for _, minute in one]

    alone = encode([event_types], [minutes], VOCABULARY, max_events)
    doubled = encode([event_types] * 2, [minutes] * 2, VOCABULARY, max_events)

    for name in {field.name for field in fields(EncodedBatch)} - {"further"}:
        values, among_others = getattr(alone, name), getattr(doubled, name)
        assert values.dtype == among_others.dtype
        assert np.array_equal(values, among_others[:1])


@pytest.mark.parametrize("start", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, 23, 59, tzinfo=UTC)])
def test_elapsed_minutes_are_exact_however_far_from_the_origin(start: datetime) -> None:
    origin = datetime(1970, 1, 1, tzinfo=UTC)
    times = [start, start + timedelta(seconds=30), start + timedelta(minutes=447)]
    microseconds = np.array([(time - origin) // timedelta(microseconds=1) for time in times])

    assert elapsed_minutes(microseconds, int(microseconds[-1])).tolist() == [447, 446.5, 0]
