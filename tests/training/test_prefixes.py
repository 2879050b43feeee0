from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.sequences import EncodedBatch, Vocabulary, encode
from training.data_config import DataConfig
from training.eventlog import EventLog
from training.log_reading import read_event_log
from training.prefixes import Prefixes, cut_prefixes, longest_scored_prefix
from training.rows import NOT_YET, EventLogError

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


def random_log(seed: int, num_sequences: int = 30) -> EventLog:
    """Sequences with labels that became known at some time, or never, before, within and after their events."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 6, num_sequences)
    starts = np.sort(generator.integers(0, 1_000, num_sequences))
    times = np.concatenate(
        [
            np.sort(start + np.append(0, generator.integers(0, 400, n - 1)))
            for start, n in zip(starts, lengths, strict=True)
        ]
    )
    labels = generator.integers(0, 2, num_sequences).astype(np.int8)
    known = starts + generator.integers(0, 900, num_sequences)
    known[(labels == 0) & (generator.random(num_sequences) < 0.5)] = NOT_YET
    return EventLog(
        sequence_ids=np.arange(num_sequences).astype(str).astype(object),
        labels=labels,
        offsets=np.append(0, np.cumsum(lengths)),
        event_types=generator.choice(np.array(["open", "wait", "call"], dtype=object), len(times)),
        times_microseconds=times,
        has_calendar_time=True,
        label_times_microseconds=known,
    )


def cut(log: EventLog, between_events: float = 0.0, seed: int = 0) -> Prefixes:
    try:
        return cut_prefixes(log, between_events=between_events, seed=seed)
    except EventLogError:
        assume(False)
        raise


seeds = st.integers(0, 10_000)
horizons = st.none() | st.integers(1, 600)


@given(seed=seeds, horizon=horizons, moment=st.integers(100, 2_000))
@settings(max_examples=100, deadline=None)
def test_no_prefix_holds_an_event_or_a_label_from_its_future(seed: int, horizon: int | None, moment: int) -> None:
    log = replace(random_log(seed), label_horizon_microseconds=horizon).before(moment)
    prefixes = cut(log, 0.5, seed)

    assert log.label_times_microseconds is not None
    known = log.label_times_microseconds[prefixes.sequences]
    for index, asked in enumerate(prefixes.asked_microseconds):
        first = log.offsets[prefixes.sequences[index]]
        times = log.times_microseconds[first : first + prefixes.lengths[index]]
        assert times.max() <= asked < min(known[index], moment)
        later = log.times_microseconds[first + prefixes.lengths[index] : log.offsets[prefixes.sequences[index] + 1]]
        is_tie = len(later) and later.min() == times.max() == asked
        assert is_tie or not len(later) or asked < later.min()
        decided = known[index] if horizon is None else min(known[index], asked + horizon)
        assert decided < moment


@given(seed=seeds, horizon=horizons, moment=st.integers(100, 2_000))
@settings(max_examples=100, deadline=None)
def test_labels_are_what_would_have_been_answered_later(seed: int, horizon: int | None, moment: int) -> None:
    whole = replace(random_log(seed), label_horizon_microseconds=horizon)
    prefixes = cut(whole.before(moment))
    assert whole.label_times_microseconds is not None
    known = zip(whole.sequence_ids, whole.label_times_microseconds, whole.labels, strict=True)
    outcomes = {name: time for name, time, label in known if label}

    for sequence, asked, label in zip(prefixes.sequences, prefixes.asked_microseconds, prefixes.labels, strict=True):
        outcome = outcomes.get(prefixes.log.sequence_ids[sequence], np.inf)
        assert label == float(outcome <= (np.inf if horizon is None else asked + horizon) and outcome < np.inf)


@given(seed=seeds)
@settings(max_examples=50, deadline=None)
def test_changing_the_future_changes_no_prefix_of_the_past(seed: int) -> None:
    log = replace(random_log(seed), label_horizon_microseconds=200)
    moment = 700
    altered_types = np.where(log.times_microseconds < moment, log.event_types, "leak")
    assert log.label_times_microseconds is not None
    altered_labels = np.where(log.label_times_microseconds < moment, log.labels, 1 - log.labels).astype(np.int8)
    altered = replace(log, event_types=altered_types, labels=altered_labels)
    vocabulary = Vocabulary(["open", "wait", "call"])

    honest, tempted = (cut(version.before(moment), 0.5, seed) for version in (log, altered))

    assert honest.labels.tolist() == tempted.labels.tolist()
    for one, other in zip(
        arrays_of(honest.encoded(vocabulary, 10)), arrays_of(tempted.encoded(vocabulary, 10)), strict=True
    ):
        assert one.tolist() == other.tolist()


def arrays_of(encoded: EncodedBatch) -> list[NDArray[Any]]:
    return [*encoded.tensors.values(), encoded.events_used, encoded.events_truncated, encoded.unknown_events]


@given(seed=seeds, max_events=st.integers(1, 7))
@settings(max_examples=50, deadline=None)
def test_prefixes_encode_as_the_one_encoder_encodes_their_histories(seed: int, max_events: int) -> None:
    prefixes = cut(random_log(seed), 0.5, seed)
    vocabulary = Vocabulary(["call", "open"])
    histories = [prefixes.history(index, 50) for index in range(len(prefixes))]

    encoded = prefixes.encoded(vocabulary, max_events)

    expected = encode([types for types, _ in histories], [minutes for _, minutes in histories], vocabulary, max_events)
    assert [array.tolist() for array in arrays_of(encoded)] == [array.tolist() for array in arrays_of(expected)]
    assert [array.dtype for array in arrays_of(encoded)] == [array.dtype for array in arrays_of(expected)]


def test_between_events_the_same_history_is_older() -> None:
    prefixes = cut_prefixes(two_sequences(), between_events=1.0, seed=3)

    # The two silences that ended with an event: of five minutes and of sixty.
    assert prefixes.lengths.tolist() == [1, 1, 2, 2, 3, 1]
    types, minutes = prefixes.history(3, 50)
    assert types == ["open", "wait"]
    assert 0 < minutes[-1] < 60
    assert minutes[0] - minutes[-1] == pytest.approx(5)
    assert prefixes.labels.tolist() == [1, 1, 1, 1, 1, 0]


def test_the_last_silence_lasts_until_the_label_was_known() -> None:
    minute = 60_000_000
    log = replace(two_sequences(), label_times_microseconds=np.array([100, 90]) * minute)

    drawn = [cut_prefixes(log, between_events=1.0, seed=seed).asked_microseconds for seed in range(50)]

    assert {len(moments) for moments in drawn} == {8}
    last = np.array([moments[-1] for moments in drawn]) / minute
    assert 70 < last.min() < 72
    assert 85 < last.max() < 90


def test_moments_between_events_take_the_seed_and_leave_those_at_events_alone() -> None:
    log = read_event_log(SAMPLE, DataConfig(path=SAMPLE.name))
    one, same, other = (cut_prefixes(log, 12, between_events=0.5, seed=seed) for seed in (1, 1, 2))

    assert one.asked_microseconds.tolist() == same.asked_microseconds.tolist()
    assert one.asked_microseconds.tolist() != other.asked_microseconds.tolist()
    at_events = cut_prefixes(log, 12)
    pairs = set(zip(one.sequences.tolist(), one.asked_microseconds.tolist(), strict=True))
    assert set(zip(at_events.sequences.tolist(), at_events.asked_microseconds.tolist(), strict=True)) <= pairs
    assert len(at_events) < len(one) < 1.5 * len(at_events)


def test_whole_histories_are_one_a_sequence_and_never_cut_short() -> None:
    prefixes = cut_prefixes(two_sequences(), longest=2, histories="whole")

    assert prefixes.lengths.tolist() == [3, 1]
    assert prefixes.labels.tolist() == [1, 0]


def test_histories_are_ranked_within_their_length_and_whole_ones_with_each_other() -> None:
    chosen = np.array([1, 0])

    assert cut_prefixes(two_sequences()).take(chosen).strata.tolist() == [2, 1]
    assert cut_prefixes(two_sequences(), histories="whole").take(chosen).strata.tolist() == [0, 0]


def test_a_horizon_longer_than_the_log_leaves_nothing_to_ask() -> None:
    log = replace(two_sequences(), label_times_microseconds=np.full(2, NOT_YET), label_horizon_microseconds=10**12)

    with pytest.raises(EventLogError, match=r"an answer that was known in time. Received: none of 4"):
        cut_prefixes(log)
