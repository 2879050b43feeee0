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
_OF_LABELS = {"risk", "auxiliary_risk", "further_risks"}

Forward = Callable[[dict[str, NDArray[np.float32]]], dict[str, keras.KerasTensor]]


@dataclass(frozen=True, slots=True)
class Logits:
    """What a network says of labels, before calibration.

    Attributes:
        risk: float64 (prefix,).
        auxiliary_risk: float64 (prefix,).
        further_risks: float64 (prefix, labels - 1), those of the labels after the first.
    """

    risk: NDArray[np.float64]
    auxiliary_risk: NDArray[np.float64]
    further_risks: NDArray[np.float64]


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

        def forward(tensors: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            # What is told of next events is left out, and so not computed: it has a number for every event type.
            outputs = network(tensors, training=False)
            return {name: outputs[name] for name in outputs if name in _OF_LABELS}

        self._forward = tf.function(forward, input_signature=[signature])

    def __call__(self) -> Logits:
        """Logits of every prefix, in order."""
        return _score(self._forward, self.buckets)


def _score(forward: Forward, buckets: Sequence[AskedBucket]) -> Logits:
    num_prefixes = sum(len(bucket.prefixes) for bucket in buckets)
    found: dict[str, NDArray[np.float64]] = {}
    for bucket in buckets:
        for first in range(0, bucket.num_rows, _BATCH_SIZE):
            outputs = forward(bucket.encoded.take(slice(first, first + _BATCH_SIZE)).tensors)
            asked = np.flatnonzero((bucket.rows >= first) & (bucket.rows < first + _BATCH_SIZE))
            rows, steps, prefixes = bucket.rows[asked] - first, bucket.steps[asked], bucket.prefixes[asked]
            for output in _OF_LABELS & outputs.keys():
                values = keras.ops.convert_to_numpy(outputs[output])
                into = found.setdefault(output, np.empty((num_prefixes, values.shape[-1])))
                into[prefixes] = values[rows, steps] if values.ndim == 3 else values[rows]
    further = found.get("further_risks", np.empty((num_prefixes, 0)))
    return Logits(found["risk"][:, 0], found["auxiliary_risk"][:, 0], further)
