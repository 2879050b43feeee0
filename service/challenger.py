"""The challenger: a version that is compared with the champion, and may answer a few of its customers.

is_canary     whether a sequence is one of those
Challenger    scores what the champion has answered, off everyone's way
"""

import asyncio
import logging
import math
import random
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from queue import Empty, Full, Queue

import numpy as np
from numpy.typing import NDArray

from models.further_inputs import FurtherValues
from models.manifest import Band
from models.sequences import EncodedBatch, EventType
from service.agreement import Agreement
from service.batcher import Scores
from service.errors import ModelFaultError, ServiceError
from service.live_model import LiveModel
from service.metrics import Metrics
from service.niceness import BESIDE_TRAFFIC, be_nice
from service.score_request import Histories
from service.settings import Settings

logger = logging.getLogger(__name__)

# A second's work or so: what waits longer than that is better dropped.
_MOST_WAITING_REQUESTS = 64
# About 100 MB, where each event is an object of its own.
_MOST_WAITING_EVENTS = 1_000_000
# Encoding so many takes about a millisecond.
_FEW_EVENTS = 10_000


def is_canary(sequence_id: str | None, share: float) -> bool:
    """Whether the challenger answers for a sequence: always the same for one id, and for `share` of all ids.

    A larger share keeps the ids of a smaller one. A sequence without an id could not be told again: it never is.
    """
    if sequence_id is None:
        return False
    # A JSON string may hold half of a surrogate pair.
    digest = blake2b(sequence_id.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) < share * 2**64


@dataclass(frozen=True, slots=True)
class _Job:
    """A request, and what the champion answered to the sequences at `places`: risks float32 (batch,)."""

    histories: Histories
    places: Sequence[int]
    num_events: int
    risks: NDArray[np.float32]
    bands: Sequence[Band]


class Challenger:
    """A version that is compared with the champion; a thread of its own scores what the champion has answered.

    Args:
        model: The version. Canaries are scored by its batcher.
        settings: The shares of requests compared and of sequences answered.
        metrics: Where the comparison is told.
    """

    def __init__(self, model: LiveModel, settings: Settings, metrics: Metrics) -> None:
        self.model = model
        self.agreement = Agreement(metrics)
        self._settings = settings
        self._metrics = metrics
        self._jobs: Queue[_Job | None] = Queue(_MOST_WAITING_REQUESTS)
        # Those of the request at work included. The lock guards the sum.
        self._num_events = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="challenger", daemon=True)
        self._thread.start()
        metrics.challenger_rank_correlation.set_function(self.agreement.rank_correlation)

    @property
    def version(self) -> int:
        """Its number."""
        return self.model.manifest.version

    def canaries(self, histories: Histories) -> list[int]:
        """The places of the sequences that it answers for, of a request that the champion takes."""
        share = self._settings.canary_share
        if not share:
            return []
        return [
            place
            for place, sequence_id in enumerate(histories.ids)
            if is_canary(sequence_id, share) and self._takes(histories.elapsed_minutes[place])
        ]

    async def answer(
        self, histories: Histories, places: Sequence[int], num_events: int, deadline: float | None
    ) -> tuple[EncodedBatch, Scores]:
        """Score the canaries at `places` of a request with `num_events`; errors are those of `Batcher.score`."""
        if num_events > _FEW_EVENTS:
            # In a thread, which takes turns with the event loop.
            batch = await asyncio.to_thread(self._encode, histories, places)
        else:
            batch = self._encode(histories, places)
        scores = await self.model.score(batch, deadline)
        self._metrics.canary_sequences.inc(len(places))
        return batch, scores

    def count_fallback(self, num_sequences: int, error: ServiceError) -> None:
        """Take note that the champion answers for canaries, because of `error`."""
        self._metrics.canary_fallbacks.labels(error.code).inc(num_sequences)
        if isinstance(error, ModelFaultError):
            logger.error("The challenger failed over canaries, and the champion answers for them.", exc_info=error)

    def compare(
        self,
        champion: LiveModel,
        histories: Histories,
        places: Sequence[int],
        num_events: int,
        risks: NDArray[np.float32],
    ) -> None:
        """Score, some time later, what the champion has answered; never waits, and drops it where someone would.

        Args:
            champion: Who answered.
            histories: The whole request.
            places: Of the sequences it answered.
            num_events: Of the whole request, which is kept until it is compared.
            risks: The champion's, float32 (batch,), aligned with `places`.
        """
        if random.random() >= self._settings.shadow_share:  # noqa: S311  a sample, not a secret
            return
        if champion.num_waiting or not self._has_room(num_events):
            self._metrics.challenger_drops.inc()
            return
        try:
            self._jobs.put_nowait(_Job(histories, places, num_events, risks, champion.manifest.bands))
        except Full:
            self._metrics.challenger_drops.inc()
            return
        with self._lock:
            self._num_events += num_events

    async def drain(self) -> None:
        """End the comparison, answer canaries that were accepted, accept nothing more."""
        with suppress(Empty):
            while True:
                self._jobs.get_nowait()
        self._jobs.put_nowait(None)
        self._metrics.challenger_rank_correlation.set_function(lambda: math.nan)
        await self.model.drain()

    def _has_room(self, num_events: int) -> bool:
        """Whether so many more events may wait; a request alone always may."""
        return not self._num_events or self._num_events + num_events <= _MOST_WAITING_EVENTS

    def _encode(self, histories: Histories, places: Sequence[int]) -> EncodedBatch:
        return self.model.encode(*_at(histories, places))

    def _takes(self, elapsed_minutes: Sequence[float]) -> bool:
        """Whether a sequence that the champion takes is one for it, too: with more events, it looks further back."""
        manifest = self.model.manifest
        return elapsed_minutes[max(0, len(elapsed_minutes) - manifest.max_events)] <= manifest.max_elapsed_minutes

    def _work(self) -> None:
        be_nice(BESIDE_TRAFFIC)
        while (job := self._jobs.get()) is not None:
            try:
                self._compare(job)
            except Exception:
                self._metrics.challenger_errors.inc()
                logger.exception("The challenger failed over a request that the champion has answered.")
            with self._lock:
                self._num_events -= job.num_events

    def _compare(self, job: _Job) -> None:
        # Here, in its thread, what came as tensors becomes histories: that takes far longer than to keep them.
        event_types, elapsed_minutes, further = _at(job.histories, job.places)
        if not all(map(self._takes, elapsed_minutes)):
            self._metrics.challenger_drops.inc()
            return
        risks = self.model.risks(self.model.encode(event_types, elapsed_minutes, further))
        # NaN compares false.
        if not ((risks >= 0) & (risks <= 1)).all():
            raise ValueError(f"Expected risks from 0 to 1 of the challenger. Received: {risks}.")
        self.agreement.observe(job.risks, job.bands, risks, self.model.manifest.bands)


def _at(
    histories: Histories, places: Sequence[int]
) -> tuple[Sequence[Sequence[EventType]], Sequence[Sequence[float]], Sequence[FurtherValues]]:
    """Event types, elapsed minutes and what else is known of the sequences at `places`."""
    return (
        [histories.event_types[place] for place in places],
        [histories.elapsed_minutes[place] for place in places],
        [histories.further[place] for place in places] if histories.further else (),
    )
