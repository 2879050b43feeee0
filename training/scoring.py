"""Scoring prefixes with a network in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.sequences import Vocabulary
from training.one_pass import AskedBucket, ask
from training.prefixes import Prefixes

_BATCH_SIZE = 4096

Forward = Callable[[dict[str, NDArray[np.float32]]], dict[str, keras.KerasTensor]]


@dataclass(frozen=True, slots=True)
class Logits:
    """Both outputs of a network before calibration, each float64 (prefix,)."""

    risk: NDArray[np.float64]
    auxiliary_risk: NDArray[np.float64]


def score(network: keras.Model, prefixes: Prefixes, vocabulary: Vocabulary, max_events: int) -> Logits:
    """Logits of every prefix, in order; a network that answers per event reads each sequence once."""
    return _score(partial(network, training=False), ask(network, prefixes, vocabulary, max_events))


class Scorer:
    """Scores the same prefixes again and again with a network whose weights change.

    Args:
        network: Of `build_network`.
        prefixes: What to score.
        vocabulary: The network's.
        max_events: Longest history used.
    """

    def __init__(self, network: keras.Model, prefixes: Prefixes, vocabulary: Vocabulary, max_events: int) -> None:
        self.buckets = ask(network, prefixes, vocabulary, max_events)
        signature = {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in network.input.items()}
        self._forward = tf.function(partial(network, training=False), input_signature=[signature])

    def __call__(self) -> Logits:
        """Logits of every prefix, in order."""
        return _score(self._forward, self.buckets)


def _score(forward: Forward, buckets: Sequence[AskedBucket]) -> Logits:
    num_prefixes = sum(len(bucket.prefixes) for bucket in buckets)
    logits = Logits(np.empty(num_prefixes), np.empty(num_prefixes))
    for bucket in buckets:
        for first in range(0, bucket.num_rows, _BATCH_SIZE):
            outputs = forward(bucket.encoded.take(slice(first, first + _BATCH_SIZE)).tensors)
            asked = np.flatnonzero((bucket.rows >= first) & (bucket.rows < first + _BATCH_SIZE))
            rows, steps, prefixes = bucket.rows[asked] - first, bucket.steps[asked], bucket.prefixes[asked]
            for output, into in (("risk", logits.risk), ("auxiliary_risk", logits.auxiliary_risk)):
                values = keras.ops.convert_to_numpy(outputs[output])[..., 0]
                into[prefixes] = values[rows, steps] if values.ndim == 2 else values[rows]
    return logits
