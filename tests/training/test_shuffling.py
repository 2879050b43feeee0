from dataclasses import replace

import numpy as np

from models.sequences import Vocabulary
from tests.training.histories import random_log
from training.columns import Column
from training.prefixes import cut_prefixes
from training.shuffling import shuffle_order

VOCABULARY = Vocabulary(["login", "pay", "browse"])


def test_shuffled_histories_hold_the_same_events_at_the_same_times_in_another_order() -> None:
    prefixes = cut_prefixes(random_log(1, 60))

    shuffled = shuffle_order(prefixes, max_events=10, seed=(1, 0))

    before, after = (some.encoded(VOCABULARY, 10) for some in (prefixes, shuffled))
    assert np.array_equal(np.sort(before.event_ids), np.sort(after.event_ids))
    assert np.array_equal(before.elapsed_minutes, after.elapsed_minutes)
    assert not np.array_equal(before.event_ids, after.event_ids)
    assert np.array_equal(prefixes.labels, shuffled.labels)


def test_no_event_comes_from_before_the_latest_ones_that_a_network_reads() -> None:
    prefixes = cut_prefixes(random_log(1, 60))

    before, after = (some.encoded(VOCABULARY, 2) for some in (prefixes, shuffle_order(prefixes, 2, seed=(1, 0))))

    assert np.array_equal(np.sort(before.event_ids), np.sort(after.event_ids))


def test_what_is_told_of_an_event_moves_with_it() -> None:
    log = random_log(1, 60)
    is_pay = (log.event_types == "pay").astype(np.float32)
    log = replace(log, columns={"amount": Column("event", is_pay)})

    encoded = shuffle_order(cut_prefixes(log), 10, seed=(1, 0)).encoded(VOCABULARY, 10)

    assert np.array_equal(encoded.further["amount"] == 1, encoded.event_ids == VOCABULARY.ids(["pay"])[0])
