"""Batches: rows of similar length, in a few fixed shapes and shuffled anew for every epoch.

Padding costs as much as an event. Rows are put into buckets by length, each bucket padded to its own longest, and a
batch is drawn from one bucket. All batches of a bucket have the same shape, so that a compiled step fits all of them,
and come in short runs: calling a step costs more than most steps do, and a run is called once.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.sequences import EncodedBatch, Vocabulary
from training.known_targets import Targets, count_known, missing
from training.prefixes import Prefixes

LONGEST_RUN = 8
"""Steps a call. Twice as many save hardly more, and an epoch has the fewer runs to shuffle."""

# Shorter ones would cost a shape each and save hardly a step.
_SHORTEST_BUCKET = 4


def encode_buckets(
    prefixes: Prefixes, vocabulary: Vocabulary, max_events: int
) -> list[tuple[NDArray[np.int64], EncodedBatch]]:
    """Group prefixes by length and encode each group: 1-4, 5-8, 9-16, … events.

    Returns:
        For each bucket the indices of its prefixes, int64 (bucket,), and their arrays, (bucket, time).
    """
    bucket = np.ceil(np.log2(np.clip(prefixes.lengths, _SHORTEST_BUCKET, max(max_events, _SHORTEST_BUCKET))))
    chosen = [np.flatnonzero(bucket == value) for value in np.unique(bucket)]
    event_ids = prefixes.log.event_ids(vocabulary)
    return [(indices, prefixes.take(indices).encoded_from(event_ids, max_events)) for indices in chosen]


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's rows.

    Attributes:
        tensors: The network's inputs by name, (row, time) or (row,).
        targets: Of `training.known_targets`, by name, (row, time, width) or (row, width); missing where none is asked.
    """

    tensors: dict[str, NDArray[Any]]
    targets: dict[str, NDArray[Any]]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, and events of the longest."""
        rows, time = self.tensors["event_ids"].shape
        return rows, time

    @property
    def num_known(self) -> dict[str, int]:
        """Of each target how many are known."""
        return {name: count_known(target) for name, target in self.targets.items()}


class Batches:
    """The batches of every epoch.

    A batch holds as many rows of a bucket as answer about `batch_size` prefixes together. What is missing to the
    bucket's shape is filled with rows of the same batch, of which nothing is asked: a row of padding alone is what some
    kernels refuse.

    Args:
        buckets: Rows, and their targets in the shape of `Batch.targets`.
        batch_size: Labels asked a step.
        seed: Seed of the order, with the epoch's number: any epoch can be drawn without those before it.
    """

    def __init__(self, buckets: Sequence[tuple[EncodedBatch, Targets]], batch_size: int, seed: int) -> None:
        self._buckets = buckets
        self._seed = seed
        num_known = [{name: count_known(target) for name, target in targets.items()} for _, targets in buckets]
        self.num_known = {name: sum(of_bucket[name] for of_bucket in num_known) for name in num_known[0]}
        self.num_asked = self.num_known["label"]
        self._num_batches = [
            min(-(-of_bucket["label"] // batch_size), len(encoded.event_ids))
            for of_bucket, (encoded, _) in zip(num_known, buckets, strict=True)
        ]

    @property
    def num_batches(self) -> int:
        """Steps an epoch."""
        return sum(self._num_batches)

    @property
    def mean_known(self) -> dict[str, float]:
        """Of each target how many are known a step, on average; of the label as many as prefixes are asked about."""
        return {name: number / self.num_batches for name, number in self.num_known.items()}

    @property
    def shapes(self) -> dict[tuple[int, int], int]:
        """Of each shape of batches how many an epoch has."""
        shapes: Counter[tuple[int, int]] = Counter()
        for number, (encoded, _) in zip(self._num_batches, self._buckets, strict=True):
            shapes[self._rows_a_batch(encoded, number), encoded.event_ids.shape[1]] += number
        return shapes

    def epoch(self, number: int, first: int = 0) -> Iterator[list[Batch]]:
        """The batches of epoch `number`, counted from 0, in runs of one shape each.

        Args:
            number: The epoch's.
            first: How many batches are passed over: those of the first runs.
        """
        generator = np.random.default_rng((self._seed, number))
        runs = []
        for bucket, num_batches in enumerate(self._num_batches):
            order = generator.permutation(len(self._buckets[bucket][0].event_ids))
            drawn = np.array_split(order, num_batches)
            runs += [(bucket, drawn[at : at + LONGEST_RUN]) for at in range(0, num_batches, LONGEST_RUN)]
        num_passed = 0
        for index in generator.permutation(len(runs)):
            bucket, drawn = runs[index]
            if num_passed >= first:
                yield [self._batch(bucket, rows) for rows in drawn]
            num_passed += len(drawn)

    def _batch(self, bucket: int, rows: NDArray[np.int64]) -> Batch:
        encoded, of_rows = self._buckets[bucket]
        num_missing = self._rows_a_batch(encoded, self._num_batches[bucket]) - len(rows)
        filled = np.append(rows, rows[:num_missing])
        targets = {name: target[filled] for name, target in of_rows.items()}
        for target in targets.values():
            target[len(rows) :] = missing(target.dtype)
        return Batch(encoded.take(filled).tensors, targets)

    @staticmethod
    def _rows_a_batch(encoded: EncodedBatch, num_batches: int) -> int:
        return -(-len(encoded.event_ids) // num_batches)
