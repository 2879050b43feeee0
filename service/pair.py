"""Who answers one request: the champion and, if there is one, the challenger.

Part    what one version answered
Pair    both versions, held until the request is answered
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from models.manifest import Manifest
from models.sequences import EncodedBatch, EventType
from service.batcher import Scores
from service.challenger import Challenger
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
        challenger: Answers for canaries, and is compared with the champion over the rest.
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
            ServiceError: As `Batcher.score`, for the whole request.
        """
        places = range(len(histories.ids))
        if self._challenger is None:
            return [await self._score_as_champion(histories, places, batch, deadline)]
        canaries = [place for place in places if self._challenger.answers(histories.ids[place])]
        if not canaries:
            return [await self._score_as_champion(histories, places, batch, deadline)]
        theirs = _score_as_challenger(self._challenger, histories, canaries, deadline)
        rest = sorted(set(places).difference(canaries))
        if not rest:
            return [await theirs]
        ours = self._score_as_champion(histories, rest, _rows(batch, rest), deadline)
        return [*await asyncio.gather(ours, theirs)]

    async def _score_as_champion(
        self, histories: Histories, places: Sequence[int], batch: EncodedBatch, deadline: float | None
    ) -> Part:
        scores = await self.champion.score(batch, deadline)
        if self._challenger is not None:
            self._challenger.compare(self.champion, *_at(histories, places), scores.risk)
        return Part(self.champion.manifest, places, batch, scores)


async def _score_as_challenger(
    challenger: Challenger, histories: Histories, places: Sequence[int], deadline: float | None
) -> Part:
    batch, scores = await challenger.answer(*_at(histories, places), deadline)
    return Part(challenger.model.manifest, places, batch, scores)


def _at(histories: Histories, places: Sequence[int]) -> tuple[Sequence[Sequence[EventType]], Sequence[Sequence[float]]]:
    """Event types and elapsed minutes of the sequences at `places`."""
    return [histories.event_types[place] for place in places], [histories.elapsed_minutes[place] for place in places]


def _rows(batch: EncodedBatch, places: Sequence[int]) -> EncodedBatch:
    rows = np.array(places)
    return EncodedBatch(
        event_ids=batch.event_ids[rows],
        elapsed_minutes=batch.elapsed_minutes[rows],
        events_used=batch.events_used[rows],
        events_truncated=batch.events_truncated[rows],
        unknown_events=batch.unknown_events[rows],
    )
