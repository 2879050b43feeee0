from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.sequences import Vocabulary, encode
from service.histories import Rules
from service.rows import OnDemand, Rows

VOCABULARY = Vocabulary("abcd")
RULES = Rules(
    max_sequence_events=100,
    max_clock_skew_seconds=300,
    max_events=4,
    max_elapsed_minutes=1_000,
    scores_between_events=False,
)

lengths = st.lists(st.integers(1, 7), min_size=1, max_size=6)


def _rows(lengths: list[int], padding: int) -> tuple[Rows, list[list[str]], list[list[float]]]:
    """Sound rows, each with some padding behind it, and the same as histories."""
    random = np.random.default_rng(sum(lengths))
    types = [random.choice([*"abcd", "other"], length).tolist() for length in lengths]
    minutes = [[float(length - 1 - k) for k in range(length)] for length in lengths]
    ids = [[*VOCABULARY.ids(row), *[0] * padding] for row in types]
    padded = [[*row, *[7.0] * padding] for row in minutes]
    widths = np.array([len(row) for row in ids], np.int64)
    flat_ids, flat_minutes = (np.array([*chain.from_iterable(cells)]) for cells in (ids, padded))
    return Rows.of(flat_ids, flat_minutes, widths), types, minutes


@given(lengths, st.integers(0, 2))
def test_rows_are_encoded_as_the_histories_they_are(lengths: list[int], padding: int) -> None:
    rows, types, minutes = _rows(lengths, padding)

    ours, theirs = rows.encode(4), encode(types, minutes, VOCABULARY, 4)

    for field in ("event_ids", "elapsed_minutes", "events_used", "events_truncated", "unknown_events"):
        mine, expected = getattr(ours, field), getattr(theirs, field)
        assert mine.dtype == expected.dtype
        assert mine.tolist() == expected.tolist()


@given(lengths, st.integers(0, 2))
def test_sound_rows_are_not_at_fault(lengths: list[int], padding: int) -> None:
    rows, _, _ = _rows(lengths, padding)

    assert rows.at_fault(VOCABULARY.size, RULES).tolist() == []


def test_the_events_of_a_row_end_where_its_padding_begins() -> None:
    rows = Rows.of(np.array([2, 3, 0, 4]), np.array([1.0, 0, 9, 0]), np.array([3, 1]))

    assert rows.lengths.tolist() == [2, 1]
    assert rows.elapsed_minutes[rows.events(0)].tolist() == [1, 0]
    assert rows.event_ids[rows.events(1)].tolist() == [4]


def test_elements_are_made_when_asked_for() -> None:
    made: list[int] = []

    def make(place: int) -> int:
        made.append(place)
        return place * 10

    squares = OnDemand(4, make)

    assert (len(squares), squares[-1], squares[1:3]) == (4, 30, [10, 20])
    assert made == [3, 1, 2]
