from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.sequences import Vocabulary
from tests.training.histories import log_of
from training.eventlog import EventLog
from training.rows import NOT_YET

DAY = 86_400_000_000


@given(moment=st.integers(-10, 120))
def test_before_a_moment_nothing_later_is_known(moment: int) -> None:
    log = EventLog(
        sequence_ids=np.array(["a", "b", "c"], dtype=object),
        labels=np.array([0, 1, 0], np.int8),
        offsets=np.array([0, 2, 3, 6]),
        event_types=np.array(list("uvwxyz"), dtype=object),
        times_microseconds=np.array([0, 90, 10, 20, 30, 100]),
        has_calendar_time=True,
    )

    known = log.before(moment)

    assert known.event_types.tolist() == log.event_types[log.times_microseconds < moment].tolist()
    assert known.num_sequences == int((log.starts_microseconds < moment).sum())
    assert (known.lengths > 0).all()
    assert known.offsets[-1] == known.num_events


def test_ids_of_all_events_are_those_of_the_vocabulary() -> None:
    log = log_of([["login", "pay"], ["pay", "007"]])

    assert log.event_ids(Vocabulary(["pay", "login"])).tolist() == [3, 2, 2, 1]


def test_before_a_moment_later_labels_are_not_known_either() -> None:
    log = EventLog(
        sequence_ids=np.array(["a", "b"], dtype=object),
        labels=np.array([1, 1], np.int8),
        offsets=np.array([0, 1, 2]),
        event_types=np.array(["x", "x"], dtype=object),
        times_microseconds=np.array([0, 1]) * DAY,
        has_calendar_time=True,
        label_times_microseconds=np.array([5, 9]) * DAY,
    )

    assert log.before(6 * DAY).sequence_ids.tolist() == ["a"]

    within_horizon = replace(log, label_horizon_microseconds=DAY).before(6 * DAY)
    assert within_horizon.labels.tolist() == [1, 0]
    assert within_horizon.label_times_microseconds is not None
    assert within_horizon.label_times_microseconds.tolist() == [5 * DAY, NOT_YET]
    assert within_horizon.observed_until == 6 * DAY
