"""From a body to arrays: small bodies on the event loop, in turn; large ones elsewhere, so that nobody waits.

Reading      reads the bodies of our own protocol
elsewhere    what holds for every large body
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic

from models.sequences import EncodedBatch
from service.errors import DeadlineExceededError
from service.histories import Rules
from service.intake import Intake
from service.live_model import LiveModel
from service.reader import Reader
from service.score_request import Histories, read_score_request
from service.settings import Settings

# Reading one of this size takes about two milliseconds; handing it to a process takes half of one.
LARGE_BODY_BYTES = 100_000


class Reading:
    """Reads, checks and encodes the bodies of requests for scores.

    Args:
        settings: What a request may carry.
        intake: Whose turn it is.
        reader: Reads large bodies.
    """

    def __init__(self, settings: Settings, intake: Intake, reader: Reader) -> None:
        self._settings = settings
        self._intake = intake
        self._reader = reader

    async def read(self, body: bytes, model: LiveModel, deadline: float) -> tuple[Histories, EncodedBatch]:
        """Read a body for `model` before `deadline`, in seconds of `time.monotonic()`.

        Raises:
            OverloadedError: Too many bodies are waiting.
            DeadlineExceededError: Its turn did not come in time, or it took too long.
            MalformedJsonError: It is not JSON.
            InvalidRequestError: It is, but breaks the schema or a rule.
        """
        if len(body) > LARGE_BODY_BYTES:
            return await self._read_elsewhere(body, model, deadline)
        await self._intake.turn(len(body), deadline)
        histories = read_score_request(body, *self._limits(model))
        return histories, _encode(histories, model)

    async def _read_elsewhere(self, body: bytes, model: LiveModel, deadline: float) -> tuple[Histories, EncodedBatch]:
        async with elsewhere(self._intake, len(body), deadline):
            histories = await self._reader.read(body, *self._limits(model))
            # In a thread, which takes turns with the event loop.
            return histories, await asyncio.to_thread(_encode, histories, model)

    def _limits(self, model: LiveModel) -> tuple[Rules, int, datetime]:
        return Rules.of(self._settings, model.manifest), self._settings.max_sequences, datetime.now(UTC)


@asynccontextmanager
async def elsewhere(intake: Intake, num_bytes: int, deadline: float) -> AsyncIterator[None]:
    """A block in which others than the event loop read a body of `num_bytes`.

    Raises:
        OverloadedError: Too many bodies are waiting.
        DeadlineExceededError: It took beyond `deadline`, in seconds of `time.monotonic()`.
    """
    try:
        with intake.held(num_bytes):
            async with asyncio.timeout(deadline - monotonic()):
                yield
    except TimeoutError as error:
        raise DeadlineExceededError(
            "Expected to read the body before the request's deadline. Received: a body that takes longer. "
            "Allow more time, or send fewer sequences at once."
        ) from error


def _encode(histories: Histories, model: LiveModel) -> EncodedBatch:
    return model.encode(histories.event_types, histories.elapsed_minutes, histories.further)
