"""Scoring prefixes with a network in memory."""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from models.sequences import Vocabulary
from training.batches import encode_buckets
from training.prefixes import Prefixes

_BATCH_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Logits:
    """Both outputs of a network before calibration, each float64 (prefix,)."""

    risk: NDArray[np.float64]
    auxiliary_risk: NDArray[np.float64]


def score(network: keras.Model, prefixes: Prefixes, vocabulary: Vocabulary, max_events: int) -> Logits:
    """Logits of every prefix, in order."""
    logits = Logits(np.empty(len(prefixes)), np.empty(len(prefixes)))
    for indices, encoded in encode_buckets(prefixes, vocabulary, max_events):
        for first in range(0, len(indices), _BATCH_SIZE):
            rows = slice(first, first + _BATCH_SIZE)
            outputs = network(
                {"event_ids": encoded.event_ids[rows], "elapsed_minutes": encoded.elapsed_minutes[rows]},
                training=False,
            )
            logits.risk[indices[rows]] = keras.ops.convert_to_numpy(outputs["risk"])[:, 0]
            logits.auxiliary_risk[indices[rows]] = keras.ops.convert_to_numpy(outputs["auxiliary_risk"])[:, 0]
    return logits
