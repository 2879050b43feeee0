"""One version, ready to score: it lets its memory go when nobody needs it."""

import asyncio
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.further_inputs import FurtherInputs, FurtherValues
from models.manifest import Manifest
from models.sequences import UNKNOWN_ID, EncodedBatch, EventType, Vocabulary, encode
from service.batcher import Batcher, Run, Scores
from service.buckets import Buckets
from service.statistics import Statistics


class LiveModel:
    """One version, loaded, verified and warm. A `with` block holds it: until its end, scores are not refused.

    Args:
        manifest: Its manifest.
        run: The model, as the batcher calls it.
        buckets: The shapes `run` takes.
        batcher: Scores with `run`.
        statistics: Told of every call; by default of none.
    """

    def __init__(
        self, manifest: Manifest, run: Run, buckets: Buckets, batcher: Batcher, statistics: Statistics | None = None
    ) -> None:
        self.manifest = manifest
        self.statistics = statistics or Statistics()
        self.vocabulary = Vocabulary(manifest.vocabulary)
        self.further = FurtherInputs(manifest.further_inputs)
        self._run = run
        self._buckets = buckets
        self._batcher = batcher
        self._num_holders = 0
        self._is_free = asyncio.Event()

    def __enter__(self) -> Self:
        self._num_holders += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._num_holders -= 1
        if self._num_holders == 0:
            self._is_free.set()

    @property
    def num_waiting(self) -> int:
        """Sequences waiting for it."""
        return self._batcher.num_waiting

    def encode(
        self,
        event_types: Sequence[Sequence[EventType]],
        elapsed_minutes: Sequence[Sequence[float]],
        further: Sequence[FurtherValues] = (),
    ) -> EncodedBatch:
        """Histories as this version takes them; without `further`, its further inputs are at their defaults."""
        batch = encode(
            event_types, elapsed_minutes, self.vocabulary, self.manifest.max_events, time=self._time(event_types)
        )
        if not self.further.declared:
            return batch
        return self.further.complete(batch, further or [{}] * len(event_types))

    def _time(self, event_types: Sequence[Sequence[EventType]]) -> int | None:
        """What they are padded to: as calls are, which then need not pad them; a single one is too small to matter."""
        if len(event_types) == 1:
            return None
        return self._buckets.time_for(min(max(map(len, event_types)), self.manifest.max_events))

    async def score(self, batch: EncodedBatch, deadline: float | None) -> Scores:
        """Score encoded histories; arguments and errors are those of `Batcher.score`."""
        return await self._batcher.score(batch, deadline)

    def risks(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Score in the calling thread, one call after the other, beside all that wait.

        Returns:
            Risks, float32 (batch,).
        """
        answers = []
        for start in range(0, len(batch.events_used), self._buckets.max_batch):
            rows = slice(start, start + self._buckets.max_batch)
            num_rows = len(batch.events_used[rows])
            time = self._buckets.time_for(int(batch.events_used[rows].max()))
            shape = (self._buckets.batch_for(num_rows, time), time)
            width = min(time, batch.event_ids.shape[1])
            arrays = []
            for tensor in batch.tensors.values():
                arrays.append(np.zeros(shape[: tensor.ndim], tensor.dtype))
                if tensor.ndim == 2:
                    arrays[-1][:num_rows, :width] = tensor[rows, :width]
                else:
                    arrays[-1][:num_rows] = tensor[rows]
            # A model never meets a sequence without events.
            arrays[0][num_rows:, 0] = UNKNOWN_ID
            answers.append(self._run(*arrays)[0][:num_rows])
        return np.concatenate(answers)

    async def drain(self) -> None:
        """Wait for those who hold it, answer what was accepted, accept nothing more, end its threads."""
        while self._num_holders:
            self._is_free.clear()
            await self._is_free.wait()
        await self._batcher.drain()
