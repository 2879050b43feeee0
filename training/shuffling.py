"""Shuffling: histories in random order, to learn what order is worth."""

from dataclasses import replace

import numpy as np

from training.columns import Column
from training.prefixes import Prefixes


def shuffle_order(prefixes: Prefixes, max_events: int, seed: tuple[int, int]) -> Prefixes:
    """The same prefixes with their events in random order, while times, moments and labels stay in their places.

    The permutation of EBES (Osin et al. 2025, arXiv 2410.03399, §5), for histories to train as well as to test. Each
    prefix becomes a sequence of its own: events of a whole sequence, shuffled, would show the future to its beginnings.
    The event that follows a prefix still follows it: it may be what is to be foretold.

    Args:
        prefixes: Histories; of each the latest `max_events` events are kept, as a network reads no others.
        max_events: The network's longest history.
        seed: Seed of the order.
    """
    log = prefixes.log
    num_events = np.minimum(prefixes.lengths, max_events)
    ends = log.offsets[prefixes.sequences] + prefixes.lengths
    has_follower = ends < log.offsets[prefixes.sequences + 1]
    offsets = np.concatenate([[0], np.cumsum(num_events + has_follower)])
    rows = np.repeat(np.arange(len(prefixes)), num_events + has_follower)
    events = (ends - num_events)[rows] + np.arange(offsets[-1]) - offsets[rows]
    # Above every place in the order that is drawn.
    places = np.where(events == ends[rows], 1.0, np.random.default_rng(seed).random(len(events)))
    shuffled = events[np.lexsort((places, rows))]
    own_sequences = replace(
        log,
        sequence_ids=log.sequence_ids[prefixes.sequences],
        labels=log.labels[prefixes.sequences],
        offsets=offsets,
        event_types=log.event_types[shuffled],
        times_microseconds=log.times_microseconds[events],
        columns={
            name: Column(column.per, column.values[prefixes.sequences if column.per == "sequence" else shuffled])
            for name, column in log.columns.items()
        },
        further_labels={name: labels[prefixes.sequences] for name, labels in log.further_labels.items()},
        label_times_microseconds=None,
        entities=None,
        split_values=None,
        was_unordered=None,
    )
    return replace(prefixes, log=own_sequences, sequences=np.arange(len(prefixes)), lengths=num_events)
