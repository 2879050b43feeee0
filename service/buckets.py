"""The fixed (batch, time) shapes a model is compiled for."""

from bisect import bisect_left
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


@dataclass(frozen=True, slots=True)
class Buckets:
    """Every pair of a padded length in `times` and a batch size in `batches`; both ascend.

    A longest history and a fullest batch always fit: the last entries are the model's and the operator's limits.
    """

    times: tuple[int, ...]
    batches: tuple[int, ...]

    @classmethod
    def for_model(cls, manifest: Manifest, max_batch: int) -> "Buckets":
        """Padded lengths near the quantiles of a model's histories, and batch sizes up to `max_batch`.

        Each bucket costs a compilation at start-up, so there are few, where the histories are.
        """
        quantiles = manifest.reference.length_quantiles
        times = [manifest.max_events]
        for length in sorted(np.interp(_LEVELS, quantiles.levels, quantiles.values), reverse=True):
            time = _TIME_STEPS[bisect_left(_TIME_STEPS, length)]
            if time * _LEAST_RATIO <= times[-1]:
                times.append(time)
        batches = [size for size in _BATCH_SIZES if size < max_batch]
        return cls(times=tuple(reversed(times)), batches=(*batches, max_batch))

    def __len__(self) -> int:
        return len(self.times) * len(self.batches)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Every (batch, time), the most expensive to compile and run first."""
        return tuple((batch, time) for time in reversed(self.times) for batch in reversed(self.batches))

    @property
    def max_batch(self) -> int:
        """Most sequences in one call."""
        return self.batches[-1]

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

    def batch_for(self, rows: int) -> int:
        """The smallest batch size that holds `rows` sequences.

        Raises:
            ValueError: No bucket is that large.
        """
        index = bisect_left(self.batches, rows)
        if index == len(self.batches):
            raise ValueError(f"Expected at most {self.max_batch} sequences, the largest bucket. Received: {rows}.")
        return self.batches[index]
