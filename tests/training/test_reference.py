import numpy as np
import pytest

from models.sequences import Vocabulary
from training.eventlog import EventLog
from training.prefixes import cut_prefixes
from training.reference import reference_statistics

MINUTE = 60_000_000


def log_of(offsets: list[int], event_types: list[str], minutes: list[int]) -> EventLog:
    return EventLog(
        sequence_ids=np.arange(len(offsets) - 1).astype(str).astype(object),
        labels=np.zeros(len(offsets) - 1, np.int8),
        offsets=np.array(offsets),
        event_types=np.array(event_types, dtype=object),
        times_microseconds=np.array(minutes) * MINUTE,
        has_calendar_time=True,
    )


def test_shares_lengths_and_gaps_are_those_of_the_histories_a_service_sees() -> None:
    prefixes = cut_prefixes(log_of([0, 2, 3], ["open", "wait", "odd"], [0, 30, 40]))

    statistics = reference_statistics(prefixes, np.array([0.0, 0.31, 1.0]), Vocabulary(["open", "wait"]), 10)

    # The histories are [open], [open, wait] and [odd].
    assert statistics.event_type_shares == {"open": 0.5, "wait": 0.25}
    assert statistics.unknown_share == 0.25
    assert (statistics.length_quantiles.values[0], statistics.length_quantiles.values[-1]) == (1, 2)
    assert set(statistics.gap_minutes_quantiles.values) == {30}
    assert statistics.risk_histogram.shares[0] == pytest.approx(1 / 3)
    assert statistics.risk_histogram.shares[6] == pytest.approx(1 / 3)
    assert statistics.risk_histogram.shares[-1] == pytest.approx(1 / 3)


def test_histories_of_single_events_have_gaps_of_nothing() -> None:
    prefixes = cut_prefixes(log_of([0, 1], ["open"], [0]))

    statistics = reference_statistics(prefixes, np.array([0.5]), Vocabulary(["open"]), 10)

    assert set(statistics.gap_minutes_quantiles.values) == {0}
