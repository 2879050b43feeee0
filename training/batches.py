"""Batches: encoded prefixes in shuffled batches of similar length.

Padding costs as much as an event. Prefixes are put into buckets by length, each bucket padded to its own longest, and a
batch is drawn from one bucket.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.sequences import EncodedBatch, Vocabulary
from training.prefixes import Prefixes


def encode_buckets(
    prefixes: Prefixes, vocabulary: Vocabulary, max_events: int
) -> list[tuple[NDArray[np.int64], EncodedBatch]]:
    """Group prefixes by length and encode each group: 1, 2, 3-4, 5-8, 9-16, … events.

    Returns:
        For each bucket the indices of its prefixes, int64 (bucket,), and their arrays, (bucket, time).
    """
    bucket = np.ceil(np.log2(np.minimum(prefixes.lengths, max_events)))
    chosen = [np.flatnonzero(bucket == value) for value in np.unique(bucket)]
    event_ids = prefixes.log.event_ids(vocabulary)
    return [(indices, prefixes.take(indices).encoded_from(event_ids, max_events)) for indices in chosen]


def shuffled_batches(
    prefixes: Prefixes, vocabulary: Vocabulary, max_events: int, batch_size: int, seed: int
) -> tf.data.Dataset:
    """One pass over the prefixes in batches of (inputs, labels), shuffled anew, by `seed`, each time it is iterated."""
    labels = prefixes.labels
    buckets = [
        (encoded, labels[indices, None]) for indices, encoded in encode_buckets(prefixes, vocabulary, max_events)
    ]
    generator = np.random.default_rng(seed)

    def batches() -> Iterator[Any]:
        drawn = []
        for encoded, bucket_labels in buckets:
            order = generator.permutation(len(bucket_labels))
            num_batches = -(-len(order) // batch_size)
            drawn += [(encoded, bucket_labels, rows) for rows in np.array_split(order, num_batches)]
        for index in generator.permutation(len(drawn)):
            encoded, bucket_labels, rows = drawn[index]
            inputs = {"event_ids": encoded.event_ids[rows], "elapsed_minutes": encoded.elapsed_minutes[rows]}
            yield inputs, {"risk": bucket_labels[rows], "auxiliary_risk": bucket_labels[rows]}

    label = tf.TensorSpec((None, 1), tf.float32)
    signature = (
        {
            "event_ids": tf.TensorSpec((None, None), tf.int32),
            "elapsed_minutes": tf.TensorSpec((None, None), tf.float32),
        },
        {"risk": label, "auxiliary_risk": label},
    )
    num_batches = sum(-(-len(bucket_labels) // batch_size) for _, bucket_labels in buckets)
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(num_batches)).prefetch(2)
