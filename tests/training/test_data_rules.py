from dataclasses import replace

import numpy as np
import pytest

from training.data_config import SplitConfig
from training.data_rules import Finding, find_oddities
from training.eventlog import EventLog
from training.rows import NOT_YET
from training.splits import Losses, split_by_time

NOW = 1_000_000_000


def sound_log(num_sequences: int = 100) -> EventLog:
    """Two events a sequence, of two types, and nothing odd."""
    generator = np.random.default_rng(0)
    return EventLog(
        sequence_ids=np.array([f"s{number}" for number in range(num_sequences)], dtype=object),
        labels=generator.permutation(np.arange(num_sequences) % 2).astype(np.int8),
        offsets=np.arange(num_sequences + 1) * 2,
        event_types=np.array(["open", "close"] * num_sequences, dtype=object),
        times_microseconds=np.repeat(np.arange(num_sequences) * 100, 2) + np.tile([0, 50], num_sequences),
        has_calendar_time=True,
    )


def findings(log: EventLog, now: int = NOW, min_count: int = 2) -> dict[str, Finding]:
    found = find_oddities(log, split_by_time(log, SplitConfig()), min_count, now)
    return {finding.rule: finding for finding in found}


def with_type(log: EventLog, event_type: str, events: list[int]) -> EventLog:
    event_types = log.event_types.copy()
    event_types[events] = event_type
    return replace(log, event_types=event_types)


def test_nothing_is_found_in_a_sound_log() -> None:
    assert findings(sound_log()) == {}


def test_events_of_the_future_are_counted_with_their_places() -> None:
    found = findings(sound_log(), now=9_899)

    assert list(found) == ["future_event"]
    assert found["future_event"].count == 2
    assert found["future_event"].examples == ("'open' in sequence 's99'", "'close' in sequence 's99'")


def test_numbers_have_no_future() -> None:
    assert "future_event" not in findings(replace(sound_log(), has_calendar_time=False), now=0)


def test_events_that_came_with_the_label_or_after_it_are_told() -> None:
    log = sound_log()
    known = log.starts_microseconds + np.where(np.arange(100) < 7, 50, 60)

    assert findings(replace(log, label_times_microseconds=known))["event_at_or_after_label"].count == 7


def test_open_outcomes_are_told() -> None:
    log = sound_log()
    known = np.where(np.arange(100) == 99, NOT_YET, log.starts_microseconds + 60)

    found = findings(replace(log, label_times_microseconds=known))["undecided_label"]

    assert (found.count, found.examples) == (1, ("'s99'",))


@pytest.mark.parametrize("label", [0, 1])
def test_a_type_seen_with_one_label_only_is_told_when_it_is_no_luck(label: int) -> None:
    log = sound_log()
    of_label = (np.flatnonzero(log.labels == label) * 2 + 1).tolist()

    found = findings(with_type(log, "decided", of_label[:40]))["telling_event_type"]

    assert found.examples == ("'decided' in 40 sequences",)
    assert f"label {label} only" in found.message
    assert "telling_event_type" not in findings(with_type(log, "decided", of_label[:10]))


def test_a_period_of_one_label_is_told() -> None:
    log = sound_log(400)
    labels = log.labels.copy()
    labels[40:80] = 0

    assert findings(replace(log, labels=labels))["constant_label"].examples == ("tenth 2 only label 0",)


def test_repeated_events_are_told_even_with_another_between_them() -> None:
    log = sound_log(100)
    three = replace(
        log,
        offsets=np.arange(101) * 3,
        event_types=np.array(["open", "close", "open"] * 100, dtype=object),
        times_microseconds=np.repeat(np.arange(100) * 100, 3) + np.tile([0, 0, 50], 100),
    )
    assert "duplicate_event" not in findings(three)

    times = three.times_microseconds.copy()
    times[2] = 0

    found = findings(replace(three, times_microseconds=times))["duplicate_event"]
    assert (found.count, found.examples) == (1, ("'open' in sequence 's0'",))


def test_sequences_with_unordered_rows_are_told() -> None:
    found = findings(replace(sound_log(), was_unordered=np.arange(100) < 4))["unordered_rows"]

    assert (found.count, found.severity) == (4, "note")
    assert found.examples == ("'s0'", "'s1'", "'s2'")


def test_sequences_dropped_for_their_entity_are_counted() -> None:
    log = sound_log()
    split = split_by_time(log, SplitConfig())
    lossy = replace(split, losses={"fit": Losses(num_shared=3), "calibration": Losses(num_shared=1)})

    [found] = find_oddities(log, lossy, 2, NOW)

    assert (found.rule, found.count) == ("entity_in_two_parts", 4)


def test_rare_and_new_types_are_told() -> None:
    found = findings(with_type(with_type(sound_log(), "seldom", [3]), "late", [190, 192]))

    assert found["rare_event_type"].examples == ("'seldom'",)
    assert found["event_type_only_in_test"].examples == ("'late'",)
    assert "1, 5.0% of its events" in found["event_type_only_in_test"].message


def test_warnings_come_before_notes() -> None:
    log = replace(sound_log(), was_unordered=np.arange(100) < 4)

    assert [finding.severity for finding in findings(log, now=0).values()] == ["warning", "note"]


def test_further_labels_that_teach_nothing_are_told() -> None:
    log, nan = sound_log(), np.nan
    alternating = (np.arange(100) % 2).astype(np.float32)
    late = np.where(np.arange(100) < 90, nan, alternating).astype(np.float32)

    found = findings(replace(log, further_labels={"sound": alternating, "late": late}))

    assert list(found) == ["constant_further_label"]
    assert found["constant_further_label"].examples == ("'late'",)
