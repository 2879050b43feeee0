import numpy as np
import pytest

from training.eventlog import EventLog
from training.rows import EventLogError
from training.vocabulary import build_vocabulary


def log_of(*event_types: str) -> EventLog:
    return EventLog(
        sequence_ids=np.array(["a"], dtype=object),
        labels=np.array([1], np.int8),
        offsets=np.array([0, len(event_types)]),
        event_types=np.array(event_types, dtype=object),
        times_microseconds=np.arange(len(event_types)),
        has_calendar_time=True,
    )


def test_frequent_types_come_first_and_rare_ones_not_at_all() -> None:
    log = log_of("rare", "pay", "login", "pay", "browse", "login", "pay", "browse")

    assert build_vocabulary(log, min_count=2).event_types == ("pay", "browse", "login")


def test_a_log_of_rare_types_only_is_refused() -> None:
    with pytest.raises(EventLogError, match=r"at least 3 times.*lower vocabulary\.min_count"):
        build_vocabulary(log_of("pay", "pay", "login"), min_count=3)
