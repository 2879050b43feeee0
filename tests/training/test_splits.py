from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from training.data_config import DataConfig, SplitConfig
from training.eventlog import EventLog
from training.log_reading import read_event_log
from training.rows import EventLogError
from training.splits import PARTS, Losses, _entities, cut_in_two, split_by_time

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
    assert split.joint.times_microseconds.max() < split.calibration.times_microseconds.min()
    assert set(split.joint.sequence_ids) >= {*split.fit.sequence_ids, *split.validation.sequence_ids}
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


def test_a_share_that_divides_no_sequence_leaves_the_odd_one_to_the_test_part() -> None:
    # As in the benchmark of Teinemaa et al.: the first ⌊0.8 n⌋ sequences train.
    assert split_by_time(synthetic(seed=1, num_sequences=102), SplitConfig(test_share=0.2)).test.num_sequences == 21


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


def with_entities(log: EventLog, num_entities: int, seed: int) -> EventLog:
    entities = np.random.default_rng(seed).integers(0, num_entities, log.num_sequences)
    return replace(log, entities=entities.astype(str).astype(object))


@given(seed=st.integers(0, 10_000), num_entities=st.integers(50, 500))
def test_no_part_shares_an_entity_with_a_later_one(seed: int, num_entities: int) -> None:
    log = with_entities(synthetic(seed, 100), num_entities, seed)
    try:
        split = split_by_time(log, SplitConfig())
    except EventLogError:
        assume(False)

    entities = {name: set(getattr(split, name).entities) for name in (*PARTS, "training")}
    for index, name in enumerate(PARTS):
        for later in PARTS[index + 1 :]:
            assert not entities[name] & entities[later]
    assert not entities["training"] & entities["test"]
    assert not _entities(split.joint) & (entities["calibration"] | entities["test"])
    assert split.test.num_sequences == 20
    alone = split_by_time(replace(log, entities=None), SplitConfig())
    for name in PARTS:
        dropped = getattr(alone, name).num_sequences - getattr(split, name).num_sequences
        assert split.losses[name].num_shared == dropped


def test_what_a_part_loses_is_counted() -> None:
    log = EventLog(
        sequence_ids=np.array(list("abcdefgh"), dtype=object),
        labels=np.array([0, 1] * 4, np.int8),
        offsets=np.array([0, 3, 4, 5, 6, 7, 8, 9, 10]),
        event_types=np.full(10, "x", dtype=object),
        times_microseconds=np.array([0, 1, 15, 10, 20, 20, 30, 30, 40, 40]),
        has_calendar_time=True,
    )
    config = SplitConfig(test_share=0.25, validation_share=0.33, calibration_share=0.33)

    split = split_by_time(log, config)

    assert split.fit.event_types.tolist() == ["x"] * 4
    assert split.losses["fit"] == Losses()

    late = replace(log, times_microseconds=np.array([0, 1, 25, 10, 20, 20, 30, 30, 40, 40]))
    assert split_by_time(late, config).losses["fit"] == Losses(num_events=1)


def test_overlap_is_kept_when_it_is_asked_for() -> None:
    log = with_entities(synthetic(seed=1, num_sequences=100), 50, seed=1)

    split = split_by_time(log, SplitConfig(overlap="keep"))

    assert sum(getattr(split, name).num_events for name in PARTS) == log.num_events
    assert set(split.losses.values()) == {Losses()}


def test_a_label_that_came_after_the_part_is_not_learnt_from() -> None:
    log = synthetic(seed=1, num_sequences=100)
    # Every other label of either class comes at once, the others at the very end.
    known = np.where(np.arange(100) % 4 < 2, log.starts_microseconds, 10_000)

    split = split_by_time(replace(log, label_times_microseconds=known), SplitConfig())

    for name in PARTS[:3]:
        part: EventLog = getattr(split, name)
        assert part.label_times_microseconds is not None
        assert part.label_times_microseconds.max() < split.test.starts_microseconds[0]
    assert split.test.num_sequences == 20
    assert split.losses["fit"].num_sequences >= 25


def by_hand(log: EventLog) -> EventLog:
    values = np.where(np.arange(log.num_sequences) % 3 == 0, "b", "a").astype(object)
    return replace(log, split_values=values)


def test_a_column_may_say_which_sequences_are_for_testing() -> None:
    log = by_hand(synthetic(seed=1, num_sequences=120))

    split = split_by_time(log, SplitConfig(test_values=("b",)))

    assert split.test.split_values is not None
    assert set(split.test.split_values) == {"b"}
    assert split.test.num_events == log.where(np.arange(120) % 3 == 0).num_events
    assert split.training.sequence_ids.tolist() == [name for name in log.sequence_ids if int(name) % 3]
    for earlier, later in pairwise((split.fit, split.validation, split.calibration)):
        assert earlier.times_microseconds.max() < later.times_microseconds.min()


def test_sequences_without_a_common_origin_are_dealt_out_whole_and_always_alike() -> None:
    log = replace(by_hand(synthetic(seed=1, num_sequences=120)), has_common_origin=False)

    split, again = (split_by_time(log, SplitConfig(test_values=("b",))) for _ in range(2))

    names = [set(getattr(split, name).sequence_ids) for name in PARTS]
    assert sum(map(len, names)) == len(set().union(*names)) == 120
    assert sum(getattr(split, name).num_events for name in PARTS) == log.num_events
    assert set(split.joint.sequence_ids) == {*split.fit.sequence_ids, *split.validation.sequence_ids}
    assert split.fit.sequence_ids.tolist() == again.fit.sequence_ids.tolist()
    assert split.fit.sequence_ids.tolist() != split.training.sequence_ids[: split.fit.num_sequences].tolist()


def test_a_column_that_names_no_test_sequence_is_refused_with_its_values() -> None:
    with pytest.raises(EventLogError, match=r"test in data.split_column.*Received: a, b.*split.test_values"):
        split_by_time(by_hand(synthetic(seed=1, num_sequences=30)), SplitConfig())


@given(seed=st.integers(0, 10_000), has_common_origin=st.booleans())
def test_a_part_that_is_cut_again_keeps_the_rules(seed: int, has_common_origin: bool) -> None:
    entities = np.array([f"e{number}" for number in np.random.default_rng(seed).integers(0, 30, 40)], object)
    log = replace(synthetic(seed, 40), entities=entities, has_common_origin=has_common_origin)
    try:
        earlier, later = cut_in_two(log, 0.25, SplitConfig())
    except EventLogError:
        assume(False)

    assert later.num_sequences == 10
    assert not set(earlier.sequence_ids) & set(later.sequence_ids)
    assert not _entities(earlier) & _entities(later)
    assert not has_common_origin or earlier.times_microseconds.max() < later.times_microseconds.min()
    kept, _ = cut_in_two(log, 0.25, SplitConfig(overlap="keep"))
    assert kept.num_sequences == 30


def test_a_part_cut_again_needs_both_labels_on_both_sides() -> None:
    log = replace(synthetic(seed=1, num_sequences=40), labels=(np.arange(40) < 30).astype(np.int8))

    with pytest.raises(EventLogError, match=r"in the earlier part of the fit part\. .* tune\.validation_share"):
        cut_in_two(log, 0.25, SplitConfig())
