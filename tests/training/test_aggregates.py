import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.training.architectures import EVERY_AGGREGATE, GARBAGE
from training.aggregates import RunningAggregates, at_last_event, running_maximum

NUM_IDS = 5
AT_EVERY_EVENT = RunningAggregates(EVERY_AGGREGATE, NUM_IDS, is_per_event=True)
AT_THE_END = RunningAggregates((*EVERY_AGGREGATE, "since_last"), NUM_IDS, is_per_event=False)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_aggregates_are_those_of_the_events_so_far(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    time = max(lengths) + data.draw(st.integers(0, 3))
    ids, gaps, elapsed = np.zeros((len(lengths), time), np.int32), *np.zeros((2, len(lengths), time), np.float32)
    elapsed[:] = np.resize(GARBAGE, elapsed.shape)
    for row, length in enumerate(lengths):
        ids[row, :length] = data.draw(arrays.arrays(np.int32, length, elements=st.integers(1, NUM_IDS - 1)))
        gaps[row, 1:length] = data.draw(arrays.arrays(np.float32, length - 1, elements=st.floats(0, 2**16, width=32)))
        elapsed[row, :length] = np.cumsum(gaps[row, :length][::-1])[::-1]
        elapsed[row, length - 1] = 7

    per_event = AT_EVERY_EVENT(*map(tf.constant, (ids, gaps, elapsed, ids > 0))).numpy()
    at_the_end = AT_THE_END(*map(tf.constant, (ids, gaps, elapsed, ids > 0))).numpy()

    for row, length in enumerate(lengths):
        for n in range(1, length + 1):
            so_far = gaps[row, :n].astype(float)
            mean = so_far[1:].mean() if n > 1 else 0
            counts = [(ids[row, :n] == event_id).sum() for event_id in range(1, NUM_IDS)]
            expected = np.log1p([*counts, n, so_far.sum(), so_far[-1], so_far.max(), mean])
            assert per_event[row, n - 1] == pytest.approx(expected, abs=1e-5)
        assert at_the_end[row, :-1] == pytest.approx(per_event[row, length - 1], rel=1e-6, abs=1e-6)
        assert at_the_end[row, -1] == pytest.approx(np.log(8))


@pytest.mark.parametrize("num_steps", [1, 2, 3, 64, 1000])
def test_the_running_maximum_is_right_for_any_number_of_steps(num_steps: int) -> None:
    values = np.random.default_rng(0).exponential(size=(2, num_steps, 3)).astype(np.float32)

    assert running_maximum(tf.constant(values)).numpy().tolist() == np.maximum.accumulate(values, 1).tolist()


def test_the_value_at_the_last_event_is_found_whatever_stands_behind_it() -> None:
    values = tf.constant([[[1.0], [2.0], [np.nan]], [[3.0], [np.inf], [np.nan]], [[4.0], [5.0], [6.0]]])
    mask = tf.constant([[True, True, False], [True, False, False], [True, True, True]])

    assert at_last_event(values, mask).numpy().tolist() == [[2], [3], [6]]
