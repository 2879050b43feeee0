"""One pass: a sequence is read once and answered after each of its events, instead of once for every prefix.

A causal network's answer after event k of a sequence is its answer to the prefix that ends there, so that all prefixes
of a sequence share one row. A prefix keeps a row of its own, and is answered at the row's last event, if

    it is longer than max_events     its history starts anew later than the sequence does
    its event is asked about twice   at the event and in the silence after it, each with a label of its own

A network that is not causal is given a row for every prefix, and answers once a row.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from models.sequences import EncodedBatch, Vocabulary
from training.batches import encode_buckets
from training.known_targets import Targets, missing
from training.prefixes import Prefixes


@dataclass(frozen=True, slots=True)
class AskedBucket:
    """Rows of similar length, and where in them prefixes are answered.

    Attributes:
        encoded: The rows, (row, time).
        prefixes: int64 (asked,), indices of the prefixes answered here.
        rows: int64 (asked,), the row of each.
        steps: int64 (asked,), the place of its last event in the row.
    """

    encoded: EncodedBatch
    prefixes: NDArray[np.int64]
    rows: NDArray[np.int64]
    steps: NDArray[np.int64]

    @property
    def num_rows(self) -> int:
        """Rows to be read."""
        return len(self.encoded.event_ids)

    def targets(self, known: Targets, *, is_per_event: bool) -> dict[str, NDArray[Any]]:
        """Targets in the shape of a network's outputs, (row, time, width) or (row, width); missing where none is asked.

        Args:
            known: Of `training.known_targets`, (prefix, width) each, of all prefixes.
            is_per_event: Whether the outputs have a time axis.
        """
        axes = self.encoded.event_ids.shape if is_per_event else (self.num_rows,)
        places = (self.rows, self.steps) if is_per_event else (self.rows,)
        targets = {}
        for name, target in known.items():
            targets[name] = np.full((*axes, target.shape[1]), missing(target.dtype), target.dtype)
            targets[name][places] = target[self.prefixes]
        return targets


def is_per_event(network: keras.Model) -> bool:
    """Whether a network answers after every event: of `build_network(…, is_per_event=True)`."""
    return len(network.output["risk"].shape) == 3


def ask(network: keras.Model, prefixes: Prefixes, vocabulary: Vocabulary, max_events: int) -> list[AskedBucket]:
    """The rows that `network` must read to answer every prefix exactly once, in buckets by length.

    Args:
        network: Of `build_network`.
        prefixes: What is asked.
        vocabulary: The network's.
        max_events: Longest history used.
    """
    if is_per_event(network):
        read, row_of = _shared_rows(prefixes, max_events)
    else:
        read = row_of = np.arange(len(prefixes))
    steps = np.minimum(prefixes.lengths, max_events) - 1
    buckets = []
    for indices, encoded in encode_buckets(prefixes.take(read), vocabulary, max_events):
        place = np.full(len(read), -1)
        place[indices] = np.arange(len(indices))
        asked = np.flatnonzero(place[row_of] >= 0)
        buckets.append(AskedBucket(encoded, asked, place[row_of[asked]], steps[asked]))
    return buckets


def _shared_rows(prefixes: Prefixes, max_events: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Prefixes that are read, int64 (row,), and the row that answers each prefix, int64 (prefix,)."""
    short = np.flatnonzero(prefixes.lengths <= max_events)
    ends = prefixes.sequences[short] * (max_events + 1) + prefixes.lengths[short]
    _, firsts = np.unique(ends, return_index=True)
    # By sequence, then by length: the last one of a sequence holds all the others.
    sharing = short[firsts]
    sequences = prefixes.sequences[sharing]
    is_longest = np.append(sequences[1:] != sequences[:-1], True)[: len(sharing)]
    longest = sharing[is_longest]

    row_of = np.full(len(prefixes), -1)
    row_of[sharing] = np.cumsum(is_longest) - is_longest
    alone = np.flatnonzero(row_of < 0)
    row_of[alone] = len(longest) + np.arange(len(alone))
    return np.concatenate([longest, alone]), row_of
