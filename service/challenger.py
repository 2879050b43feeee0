"""The challenger: a version that is compared with the champion, and may answer a few of its customers.

is_canary     whether a sequence is one of those
Challenger    scores what the champion has answered, off everyone's way
"""

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

from models.manifest import Band
from models.sequences import EncodedBatch, EventType
from service.agreement import Agreement
from service.batcher import Scores
from service.errors import ModelFaultError, ServiceError
from service.live_model import LiveModel
from service.metrics import Metrics
from service.settings import Settings

logger = logging.getLogger(__name__)

# A second's work or so: what waits longer than that is better dropped.
_MOST_WAITING_REQUESTS = 64


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
    """Histories, and what the champion answered: risks float32 (batch,)."""

    event_types: Sequence[Sequence[EventType]]
    elapsed_minutes: Sequence[Sequence[float]]
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
        self._thread = threading.Thread(target=self._work, name="challenger", daemon=True)
        self._thread.start()
        metrics.challenger_rank_correlation.set_function(self.agreement.rank_correlation)

    @property
    def version(self) -> int:
        """Its number."""
        return self.model.manifest.version

    def answers(self, sequence_id: str | None, elapsed_minutes: Sequence[float]) -> bool:
        """Whether it answers for a sequence that the champion takes."""
        share = self._settings.canary_share
        return share > 0 and is_canary(sequence_id, share) and self._takes(elapsed_minutes)

    async def answer(
        self,
        event_types: Sequence[Sequence[EventType]],
        elapsed_minutes: Sequence[Sequence[float]],
        deadline: float | None,
    ) -> tuple[EncodedBatch, Scores]:
        """Score canaries; errors are those of `Batcher.score`."""
        batch = self.model.encode(event_types, elapsed_minutes)
        scores = await self.model.score(batch, deadline)
        self._metrics.canary_sequences.inc(len(event_types))
        return batch, scores

    def count_fallback(self, num_sequences: int, error: ServiceError) -> None:
        """Take note that the champion answers for canaries, because of `error`."""
        self._metrics.canary_fallbacks.labels(error.code).inc(num_sequences)
        if isinstance(error, ModelFaultError):
            logger.error("The challenger failed over canaries, and the champion answers for them.", exc_info=error)

    def compare(
        self,
        champion: LiveModel,
        event_types: Sequence[Sequence[EventType]],
        elapsed_minutes: Sequence[Sequence[float]],
        risks: NDArray[np.float32],
    ) -> None:
        """Score, some time later, what the champion has answered; never waits, and drops it where someone would.

        Args:
            champion: Who answered.
            event_types: Of each sequence.
            elapsed_minutes: Aligned with `event_types`.
            risks: The champion's, float32 (batch,).
        """
        if random.random() >= self._settings.shadow_share:  # noqa: S311  a sample, not a secret
            return
        if champion.num_waiting:
            self._metrics.challenger_drops.inc()
            return
        try:
            self._jobs.put_nowait(_Job(event_types, elapsed_minutes, risks, champion.manifest.bands))
        except Full:
            self._metrics.challenger_drops.inc()

    async def drain(self) -> None:
        """End the comparison, answer canaries that were accepted, accept nothing more."""
        with suppress(Empty):
            while True:
                self._jobs.get_nowait()
        self._jobs.put_nowait(None)
        self._metrics.challenger_rank_correlation.set_function(lambda: math.nan)
        await self.model.drain()

    def _takes(self, elapsed_minutes: Sequence[float]) -> bool:
        """Whether a sequence that the champion takes is one for it, too: with more events, it looks further back."""
        manifest = self.model.manifest
        return elapsed_minutes[max(0, len(elapsed_minutes) - manifest.max_events)] <= manifest.max_elapsed_minutes

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not all(map(self._takes, job.elapsed_minutes)):
                self._metrics.challenger_drops.inc()
                continue
            try:
                risks = self.model.risks(self.model.encode(job.event_types, job.elapsed_minutes))
                self.agreement.observe(job.risks, job.bands, risks, self.model.manifest.bands)
            except Exception:
                self._metrics.challenger_errors.inc()
                logger.exception("The challenger failed over a request that the champion has answered.")
