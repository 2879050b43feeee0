"""The fixed (batch, time) shapes a model is compiled for."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np

from models.manifest import Manifest

_BATCH_SIZES = (1, 8, 32, 128, 512, 2_048)

# Half of all histories are padded to the first or second length, and one in a hundred to the last.
_LEVELS = (0.1, 0.5, 0.9, 0.99)
# In steps, so that a little drift between versions leaves the lengths, and the programs compiled for them, alone.
_TIME_STEPS = tuple(sorted({step << power for step in (2, 3) for power in range(1, 16)}))
# A length this close below the next one saves less than its compilation costs.
_LEAST_RATIO = 1.5
# A call has a cost of its own, which short histories make the most of it: they go in batches so many times larger.
_WIDER = 4


@dataclass(frozen=True, slots=True)
class Buckets:
    """Pairs of a padded length in `times` and a batch size in `batches`; both ascend.

    Attributes:
        times: The last is the longest history.
        batches: Those of every length, and behind them those of short ones alone.
        max_cells: Most events, padding included, in a batch beyond the smallest; None for as many as there are.
    """

    times: tuple[int, ...]
    batches: tuple[int, ...]
    max_cells: int | None = None

    @classmethod
    def for_model(cls, manifest: Manifest, max_batch: int) -> "Buckets":
        """Padded lengths near the quantiles of a model's histories, and batch sizes up to `max_batch`.

        Lengths up to a quarter of the longest have batches four times as large, too. Each bucket costs a compilation at
        start-up, so there are few, where the histories are.
        """
        quantiles = manifest.reference.length_quantiles
        times = [manifest.max_events]
        for length in sorted(np.interp(_LEVELS, quantiles.levels, quantiles.values), reverse=True):
            time = _TIME_STEPS[bisect_left(_TIME_STEPS, length)]
            if time * _LEAST_RATIO <= times[-1]:
                times.append(time)
        batches = [size for size in _BATCH_SIZES if size < max_batch]
        return cls(tuple(reversed(times)), (*batches, max_batch, _WIDER * max_batch), max_batch * manifest.max_events)

    def __len__(self) -> int:
        return len(self.shapes)

    def batches_of(self, time: int) -> tuple[int, ...]:
        """The batch sizes of a padded length in `times`."""
        if self.max_cells is None:
            return self.batches
        return self.batches[: max(1, bisect_right(self.batches, self.max_cells // time))]

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Every (batch, time), the most expensive to compile and run first."""
        return tuple((batch, time) for time in reversed(self.times) for batch in reversed(self.batches_of(time)))

    @property
    def max_batch(self) -> int:
        """Most sequences in one call, whatever their lengths."""
        return self.batches_of(self.max_time)[-1]

    @property
    def max_time(self) -> int:
        """Longest padded length."""
        return self.times[-1]

    def time_index(self, length: int) -> int:
        """Index into `times` of the shortest padded length that holds `length` events.

        Raises:
            ValueError: No bucket is that long.
        """
        index = bisect_left(self.times, length)
        if index == len(self.times):
            raise ValueError(f"Expected at most {self.max_time} events, the longest bucket. Received: {length}.")
        return index

    def time_for(self, length: int) -> int:
        """The shortest padded length that holds `length` events; raises as `time_index` does."""
        return self.times[self.time_index(length)]

    def batch_for(self, rows: int, time: int) -> int:
        """The smallest batch size of a padded length in `times` that holds `rows` sequences.

        Raises:
            ValueError: No bucket is that large.
        """
        batches = self.batches_of(time)
        index = bisect_left(batches, rows)
        if index == len(batches):
            raise ValueError(f"Expected at most {batches[-1]} sequences, the largest bucket. Received: {rows}.")
        return batches[index]
