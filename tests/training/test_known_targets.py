from dataclasses import replace

import numpy as np
import pytest

from models.sequences import PADDING_ID, Vocabulary
from tests.training.architectures import ARCHITECTURES
from tests.training.histories import random_log
from training.data_config import SplitConfig
from training.eventlog import EventLog
from training.known_targets import TARGET_OF, count_known, known_targets, missing
from training.losses import network_losses
from training.network import build_network
from training.one_pass import ask
from training.prefixes import Prefixes, cut_prefixes
from training.shuffling import shuffle_order
from training.splits import split_by_time

VOCABULARY = Vocabulary(["login", "pay"])
OUTPUTS = ("risk", "auxiliary_risk", "next_event", "minutes_to_next_event")


@pytest.fixture(scope="module", params=["at_events", "between_events", "cut_short"])
def prefixes(request: pytest.FixtureRequest, log: EventLog) -> Prefixes:
    some = log.sequences(0, 60)
    if request.param == "between_events":
        return cut_prefixes(some, between_events=0.7, seed=1)
    return cut_prefixes(some, 3 if request.param == "cut_short" else None)


def test_what_follows_is_the_next_event_of_the_sequence_and_how_long_after_the_moment_asked(prefixes: Prefixes) -> None:
    expected_ids, expected_minutes = [], []
    log = prefixes.log
    for sequence, length, asked in zip(prefixes.sequences, prefixes.lengths, prefixes.asked_microseconds, strict=True):
        first, end = log.offsets[sequence : sequence + 2]
        types, times = log.event_types[first:end].tolist(), log.times_microseconds[first:end].tolist()
        if length < len(types):
            expected_ids.append(VOCABULARY.ids([types[length]])[0])
            expected_minutes.append((times[length] - int(asked)) / 60_000_000)
        else:
            expected_ids.append(PADDING_ID)
            expected_minutes.append(np.nan)

    targets = known_targets(OUTPUTS, prefixes, VOCABULARY)

    assert {name: target.shape for name, target in targets.items()} == dict.fromkeys(targets, (len(prefixes), 1))
    assert targets["next_event"][:, 0].tolist() == expected_ids
    assert targets["next_event"].dtype == np.int32
    np.testing.assert_allclose(targets["minutes_to_next_event"][:, 0], expected_minutes, rtol=1e-6)
    assert np.nanmin(targets["minutes_to_next_event"]) >= 0
    assert np.array_equal(targets["label"][:, 0], prefixes.labels)
    assert count_known(targets["next_event"]) == np.count_nonzero(expected_ids)
    assert count_known(targets["minutes_to_next_event"]) == np.count_nonzero(expected_ids)


def test_no_target_comes_from_after_the_cut(log: EventLog) -> None:
    split = split_by_time(log, SplitConfig())
    cut_at = int(split.validation.starts_microseconds[0])
    in_whole_log = dict(zip(log.sequence_ids.tolist(), log.lengths.tolist(), strict=True))
    is_cut = np.array([in_whole_log[name] for name in split.fit.sequence_ids.tolist()]) > split.fit.lengths
    assert is_cut.any()

    prefixes = cut_prefixes(split.fit)
    targets = known_targets(OUTPUTS, prefixes, VOCABULARY)

    is_last = prefixes.lengths == split.fit.lengths[prefixes.sequences]
    is_last_before_cut = is_last & is_cut[prefixes.sequences]
    assert (targets["next_event"][is_last_before_cut] == PADDING_ID).all()
    assert np.isnan(targets["minutes_to_next_event"][is_last_before_cut]).all()
    followed_at = prefixes.asked_microseconds + targets["minutes_to_next_event"][:, 0].astype(np.float64) * 60_000_000
    # To the precision of float32 minutes.
    assert np.nanmax(followed_at) < cut_at + 1_000_000
    assert (targets["next_event"][~is_last] != PADDING_ID).all()


def test_further_labels_are_those_of_the_sequence_and_missing_where_it_has_none() -> None:
    log = random_log(1, 3)
    further = {"a": np.array([1.0, np.nan, 0.0], np.float32), "b": np.array([np.nan, 0.0, 1.0], np.float32)}
    prefixes = cut_prefixes(replace(log, further_labels=further))

    targets = known_targets(["risk", "further_risks"], prefixes, VOCABULARY)

    expected = [[[1.0, np.nan], [np.nan, 0.0], [0.0, 1.0]][sequence] for sequence in prefixes.sequences]
    np.testing.assert_array_equal(targets["further_labels"], np.array(expected, np.float32))
    assert count_known(targets["further_labels"]) == np.count_nonzero(~np.isnan(expected))


def test_a_shuffled_history_is_still_followed_by_what_followed_it(log: EventLog) -> None:
    further = {"a": (np.arange(log.num_sequences) % 2).astype(np.float32)}
    prefixes = cut_prefixes(replace(log, further_labels=further).sequences(0, 60))

    expected = known_targets([*OUTPUTS, "further_risks"], prefixes, VOCABULARY)
    found = known_targets([*OUTPUTS, "further_risks"], shuffle_order(prefixes, 4, seed=(1, 0)), VOCABULARY)

    for name, target in expected.items():
        np.testing.assert_array_equal(found[name], target)


@pytest.mark.parametrize("is_per_event", [False, True])
@pytest.mark.parametrize("name", ["labels", "next_event", "minutes_to_next_event"])
def test_a_target_stands_where_its_prefix_is_answered_and_nowhere_else(
    log: EventLog, name: str, is_per_event: bool
) -> None:
    config = ARCHITECTURES[name]
    further = {column: (np.arange(log.num_sequences) % 3 == 0).astype(np.float32) for column in ("a", "b")}
    prefixes = cut_prefixes(replace(log, further_labels=further).sequences(0, 20))
    network = build_network(config, VOCABULARY.size, 0.0, is_per_event=is_per_event)
    known = known_targets(network_losses(config), prefixes, VOCABULARY)

    num_known = dict.fromkeys(known, 0)
    for bucket in ask(network, prefixes, VOCABULARY, max_events=4):
        shaped = bucket.targets(known, is_per_event=is_per_event)
        for target, values in shaped.items():
            num_known[target] += count_known(values)
            places = (bucket.rows, bucket.steps) if is_per_event else (bucket.rows,)
            np.testing.assert_array_equal(values[places], known[target][bucket.prefixes])

    assert num_known == {target: count_known(values) for target, values in known.items()}
    assert set(num_known) == {TARGET_OF[output] for output in network_losses(config)}


def test_what_is_missing_is_no_number_and_of_ids_padding() -> None:
    assert np.isnan(missing(np.dtype(np.float32)))
    assert missing(np.dtype(np.int32)) == PADDING_ID
