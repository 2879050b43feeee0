from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.sequences import Vocabulary
from training.config import DataConfig
from training.eventlog import EventLog, read_event_log
from training.prefixes import cut_prefixes, longest_scored_prefix

SAMPLE = Path(__file__).parents[2] / "training" / "sample" / "itsm_sla_breach_6k.csv.gz"


def two_sequences() -> EventLog:
    minute = 60_000_000
    return EventLog(
        sequence_ids=np.array(["a", "b"], dtype=object),
        labels=np.array([1, 0], np.int8),
        offsets=np.array([0, 3, 4]),
        event_types=np.array(["open", "wait", "call", "open"], dtype=object),
        times_microseconds=np.array([0, 5, 65, 70]) * minute,
        has_calendar_time=True,
    )


def test_every_event_gives_the_history_up_to_it_scored_at_it() -> None:
    prefixes = cut_prefixes(two_sequences())

    assert [prefixes.history(index, 50) for index in range(len(prefixes))] == [
        (["open"], [0.0]),
        (["open", "wait"], [5.0, 0.0]),
        (["open", "wait", "call"], [65.0, 60.0, 0.0]),
        (["open"], [0.0]),
    ]
    assert prefixes.labels.tolist() == [1, 1, 1, 0]
    assert prefixes.sequences.tolist() == [0, 0, 0, 1]


def test_prefixes_longer_than_asked_for_are_left_out() -> None:
    assert cut_prefixes(two_sequences(), longest=2).lengths.tolist() == [1, 2, 1]


@given(max_events=st.integers(1, 5))
def test_a_history_cut_by_itself_encodes_as_one_cut_by_the_encoder(max_events: int) -> None:
    prefixes = cut_prefixes(two_sequences())
    vocabulary = Vocabulary(["open", "call"])

    encoded = prefixes.encoded(vocabulary, max_events)

    whole = prefixes.encoded(vocabulary, 50)
    for row, length in enumerate(prefixes.lengths):
        kept = min(length, max_events)
        assert encoded.event_ids[row, :kept].tolist() == whole.event_ids[row, length - kept : length].tolist()
        assert (
            encoded.elapsed_minutes[row, :kept].tolist() == whole.elapsed_minutes[row, length - kept : length].tolist()
        )


def test_the_sample_is_scored_up_to_twelve_events() -> None:
    log = read_event_log(SAMPLE, DataConfig(path=SAMPLE.name))

    assert longest_scored_prefix(log, limit=40) == 12
    assert longest_scored_prefix(log, limit=5) == 5
