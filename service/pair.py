"""Who answers one request: the champion and, if there is one, the challenger.

Part    what one version answered
Pair    both versions, held until the request is answered
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Self

import numpy as np

from models.manifest import Manifest
from models.sequences import EncodedBatch
from service.batcher import Scores
from service.challenger import Challenger
from service.errors import ServiceError
from service.live_model import LiveModel
from service.score_request import Histories


@dataclass(frozen=True, slots=True)
class Part:
    """What one version answered.

    Attributes:
        manifest: Of the version.
        places: Where its sequences stand in the request.
        batch: These sequences, encoded for the version.
        scores: The answer, aligned with `places`.
    """

    manifest: Manifest
    places: Sequence[int]
    batch: EncodedBatch
    scores: Scores


class Pair:
    """The versions that answer one request, whatever is swapped meanwhile. A `with` block holds both.

    Args:
        champion: Answers.
        challenger: Answers for canaries, as long as it can, and is compared with the champion over the rest.
    """

    def __init__(self, champion: LiveModel, challenger: Challenger | None) -> None:
        self.champion = champion
        self._challenger = challenger

    def __enter__(self) -> Self:
        self.champion.__enter__()
        if self._challenger is not None:
            self._challenger.model.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.champion.__exit__(*error)
        if self._challenger is not None:
            self._challenger.model.__exit__(*error)

    async def score(self, histories: Histories, batch: EncodedBatch, deadline: float | None) -> list[Part]:
        """Score a request; each sequence has its answer from one version.

        Args:
            histories: The request's sequences.
            batch: All of them, encoded for the champion.
            deadline: When to give up, in seconds of `time.monotonic()`.

        Returns:
            The champion's part, the challenger's, or both in that order.

        Raises:
            ServiceError: As `Batcher.score` of the champion, for the whole request.
        """
        places = range(len(histories.ids))
        if self._challenger is None:
            return [await self._score_as_champion(histories, places, batch, deadline)]
        canaries = self._challenger.canaries(histories)
        if not canaries:
            return [await self._score_as_champion(histories, places, batch, deadline)]
        theirs = self._score_canaries(self._challenger, histories, canaries, batch, deadline)
        rest = sorted(set(places).difference(canaries))
        if not rest:
            return [await theirs]
        beside = asyncio.create_task(theirs)
        try:
            parts = [await self._score_as_champion(histories, rest, batch, deadline), await beside]
        finally:
            # Where the champion fails, so does the request, and nobody waits for the canaries.
            beside.cancel()
        return parts if parts[1].manifest is not self.champion.manifest else [_whole(parts, batch)]

    async def _score_as_champion(
        self, histories: Histories, places: Sequence[int], whole: EncodedBatch, deadline: float | None
    ) -> Part:
        batch = whole if len(places) == len(histories.ids) else whole.take(np.array(places))
        scores = await self.champion.score(batch, deadline)
        if self._challenger is not None:
            self._challenger.compare(self.champion, histories, places, num_events(whole), scores.risk)
        return Part(self.champion.manifest, places, batch, scores)

    async def _score_canaries(
        self,
        challenger: Challenger,
        histories: Histories,
        places: Sequence[int],
        whole: EncodedBatch,
        deadline: float | None,
    ) -> Part:
        """The challenger's part; the champion's where the challenger is overloaded, too slow or at fault."""
        try:
            # The other half is the champion's, if it comes to that.
            half = None if deadline is None else (monotonic() + deadline) / 2
            theirs, scores = await challenger.answer(histories, places, num_events(whole), half)
        except ServiceError as error:
            challenger.count_fallback(len(places), error)
            return await self._score_as_champion(histories, places, whole, deadline)
        return Part(challenger.model.manifest, places, theirs, scores)


def _whole(parts: Sequence[Part], batch: EncodedBatch) -> Part:
    """The parts of one version as one; `batch` has all their sequences."""
    places = np.concatenate([np.array(part.places) for part in parts])
    risk, auxiliary_risk = np.empty(len(places), np.float32), np.empty(len(places), np.float32)
    risk[places] = np.concatenate([part.scores.risk for part in parts])
    auxiliary_risk[places] = np.concatenate([part.scores.auxiliary_risk for part in parts])
    return Part(parts[0].manifest, range(len(places)), batch, Scores(risk, auxiliary_risk))


def num_events(batch: EncodedBatch) -> int:
    """Events of its histories, truncated ones included."""
    return int(batch.events_used.sum()) + int(batch.events_truncated.sum())
