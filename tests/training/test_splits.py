from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from training.config import DataConfig, SplitConfig
from training.eventlog import EventLog, EventLogError, read_event_log
from training.splits import split_by_time

SAMPLE = Path(__file__).parents[2] / "training" / "sample" / "itsm_sla_breach_6k.csv.gz"


def synthetic(seed: int, num_sequences: int) -> EventLog:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 6, num_sequences)
    starts = np.sort(generator.integers(0, 50, num_sequences))
    times = [
        np.sort(start + np.append(0, generator.integers(0, 30, n - 1)))
        for start, n in zip(starts, lengths, strict=True)
    ]
    return EventLog(
        sequence_ids=np.arange(num_sequences).astype(str).astype(object),
        labels=(np.arange(num_sequences) % 2).astype(np.int8),
        offsets=np.append(0, np.cumsum(lengths)),
        event_types=np.full(lengths.sum(), "x", dtype=object),
        times_microseconds=np.concatenate(times),
        has_calendar_time=True,
    )


@given(seed=st.integers(0, 10_000), num_sequences=st.integers(20, 60))
def test_no_part_shares_a_sequence_or_a_moment_with_a_later_one(seed: int, num_sequences: int) -> None:
    log = synthetic(seed, num_sequences)
    try:
        split = split_by_time(log, SplitConfig())
    except EventLogError:
        assume(False)

    for earlier, later in pairwise((split.fit, split.validation, split.calibration, split.test)):
        assert earlier.times_microseconds.max() < later.times_microseconds.min()
        assert not set(earlier.sequence_ids) & set(later.sequence_ids)
    assert split.training.times_microseconds.max() < split.test.times_microseconds.min()
    assert set(split.fit.sequence_ids) <= set(split.training.sequence_ids)


def test_the_test_period_keeps_whole_sequences() -> None:
    log = synthetic(seed=1, num_sequences=100)

    test = split_by_time(log, SplitConfig(test_share=0.25)).test

    assert test.sequence_ids.tolist() == log.sequence_ids[75:].tolist()
    assert test.lengths.tolist() == log.lengths[75:].tolist()


def test_the_sample_is_split_as_its_protocol_says() -> None:
    log = read_event_log(SAMPLE, DataConfig(path=SAMPLE.name))

    split = split_by_time(log, SplitConfig())

    assert (log.num_sequences, split.test.num_sequences, int(split.test.labels.sum())) == (6_000, 1_200, 298)
    assert split.training.num_sequences == 4_800
    assert split.training.num_events == 23_240
    assert np.datetime64(int(split.test.starts_microseconds[0]), "us") == np.datetime64("2016-05-11T09:25:00")


@pytest.mark.parametrize("num_sequences", [2, 3, 7])
@pytest.mark.parametrize("test_share", [0.01, 0.5])
def test_a_log_too_short_to_split_is_refused(num_sequences: int, test_share: float) -> None:
    with pytest.raises(EventLogError, match="Give a longer log"):
        split_by_time(synthetic(1, num_sequences), SplitConfig(test_share=test_share))


def test_a_part_of_one_class_is_refused_by_name() -> None:
    log = synthetic(seed=1, num_sequences=100)
    labels = np.where(np.arange(100) < 80, log.labels, 0).astype(np.int8)
    one_sided = EventLog(
        log.sequence_ids, labels, log.offsets, log.event_types, log.times_microseconds, has_calendar_time=True
    )

    with pytest.raises(EventLogError, match=r"both classes in the test part. Received: 20 sequences, 0 of them"):
        split_by_time(one_sided, SplitConfig())
