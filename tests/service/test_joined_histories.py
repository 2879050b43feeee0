from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sequences import Vocabulary, encode
from service.broken_rule import BrokenRuleError
from service.histories import Rules, read_history
from service.joined_histories import JoinedHistories
from service.schemas import SequenceBody

NOW = datetime(2020, 1, 1, tzinfo=UTC)
RULES = Rules(
    max_sequence_events=6,
    max_clock_skew_seconds=300,
    max_events=3,
    max_elapsed_minutes=50,
    scores_between_events=False,
)
BETWEEN = Rules(
    max_sequence_events=6,
    max_clock_skew_seconds=300,
    max_events=3,
    max_elapsed_minutes=50,
    scores_between_events=True,
)
TIMED: SequenceBody = {"events": [{"type": "a", "time": "2016-03-01T09:03:00Z"}]}

# Mostly sound, so that often all of a few are.
minutes = st.lists(st.sampled_from([60.0, 50, 9, 9, 3, 0]), min_size=1, max_size=7).map(
    lambda some: [*sorted(some[1:], reverse=True), 0.0]
)
odd_minutes = minutes | st.lists(st.sampled_from([60.0, 9, 0]), min_size=1, max_size=4)
sequences = st.builds(
    lambda one, extra, num_events: {
        "event_types": ["a", "b", 7, "c", "d", "e", "f", "g"][: num_events or len(one)],
        "elapsed_minutes": one,
        **extra,
    },
    odd_minutes,
    st.sampled_from([{}] * 6 + [{"id": "x"}, {"id": None}, {"as_of": None}, {"of": 1}]),
    st.sampled_from([None] * 9 + [1]),
)


@given(st.lists(sequences, min_size=1, max_size=4), st.sampled_from([RULES, BETWEEN]))
def test_they_are_joined_where_each_by_itself_would_be_accepted(given_sequences: list[Any], rules: Rules) -> None:
    try:
        alone = [read_history(sequence, rules, NOW) for sequence in given_sequences]
    except BrokenRuleError:
        assert JoinedHistories.of(given_sequences, rules) is None
        return

    joined = JoinedHistories.of(given_sequences, rules)

    if joined is None:
        assert any("as_of" in sequence for sequence in given_sequences)
        return
    assert [*zip(joined.event_types, joined.elapsed_minutes, strict=True)] == alone


@pytest.mark.parametrize("other", [TIMED, {"event_types": ["a"]}, {"id": "x", **TIMED}])
def test_other_forms_are_left_to_others(other: SequenceBody) -> None:
    sound: SequenceBody = {"event_types": ["a"], "elapsed_minutes": [0]}

    assert JoinedHistories.of([sound], RULES) is not None
    assert JoinedHistories.of([sound, other], RULES) is None


def test_joined_minutes_are_encoded_as_lists_are() -> None:
    vocabulary = Vocabulary(("a", "b"))
    bodies: list[SequenceBody] = [
        {"event_types": ["a", "c", "b", "a"], "elapsed_minutes": [60, 9, 3, 0]},
        {"event_types": ["b"], "elapsed_minutes": [0]},
    ]
    joined = JoinedHistories.of(bodies, RULES)
    assert joined is not None

    for max_events in (3, 4):
        batch = encode(joined.event_types, joined.elapsed_minutes, vocabulary, max_events)
        lists = encode(joined.event_types, [*joined.elapsed_minutes], vocabulary, max_events)
        for name, array in lists.tensors.items():
            np.testing.assert_array_equal(batch.tensors[name], array)
