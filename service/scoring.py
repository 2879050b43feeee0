"""What every tensor protocol does with a request, between its own reading and its own writing.

TensorRequest    what a protocol has read
Scoring          admission, body, deadline, model and counts in one place
count_scored     what was scored, for the metrics
shown            risks as an answer shows them
"""

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from models.sequences import EncodedBatch
from service.access import Headers, read_body, read_deadline
from service.compression import inflate
from service.intake import Intake
from service.limits import charge
from service.lineup import LineUp
from service.metrics import Metrics
from service.pair import Pair, Part
from service.reader import Reader
from service.reading import LARGE_BODY_BYTES, elsewhere
from service.settings import Settings
from service.stay import Stay
from service.tensors import Tensors, read_tensors

# Far finer than float32 tells apart near 0.5, and short to read.
_RISK_DECIMALS = 8
# Up to so many numbers, Python is done before NumPy has begun.
_FEW = 8


class TensorRequest(Protocol):
    """What a protocol has read of a request."""

    @property
    def tensors(self) -> Tensors:
        """What is to be scored."""

    @property
    def timeout_seconds(self) -> float | None:
        """How long its client waits; None if that is not said."""


Asked = TypeVar("Asked", bound=TensorRequest)


class Scoring:
    """Scores the requests of tensor protocols as those of our own are scored.

    Args:
        settings: What a request may carry.
        lineup: Who answers.
        metrics: Where requests are counted.
        intake: Whose turn it is.
        reader: Reads large bodies.
    """

    def __init__(self, settings: Settings, lineup: LineUp, metrics: Metrics, intake: Intake, reader: Reader) -> None:
        self._settings = settings
        self._lineup = lineup
        self._metrics = metrics
        self._intake = intake
        self._reader = reader
        self._observe_read, self._observe_validate, self._observe_respond = (
            metrics.stage_seconds.labels(stage).observe for stage in ("read", "validate", "respond")
        )

    async def answer(
        self,
        request: Request,
        parse: Callable[..., Asked],
        write: Callable[[Asked, Part], Response],
        choose: Callable[[], Pair] | None = None,
    ) -> Response:
        """Answer a request over HTTP.

        Args:
            request: Its body has not been read.
            parse: From the plain body to what is asked; of a model that is told more, its further inputs are handed
                over as `further`. A function of a module, or a `functools.partial` of one: for large bodies it is
                called in another process.
            write: From that and its scores to the answer.
            choose: Who answers; by default whoever answers our own protocol.

        Raises:
            ServiceError: Whatever keeps it from being answered.
        """
        arrived_at = monotonic()
        headers: Headers = dict(request.scope["headers"])
        deadline = read_deadline(headers, self._settings.request_timeout_seconds, arrived_at)
        self.refuse_if_full()
        with Stay(request.receive, deadline) as stay:
            body = await self._receive(request, headers)
            stay.body_has_come()
            read_at = monotonic()
            self._observe_read(read_at - arrived_at)
            with (choose or self._lineup.pair)() as pair:
                further = pair.champion.manifest.further_inputs
                asked = await self.read(body, partial(parse, further=further) if further else parse, deadline)
                if asked.timeout_seconds is not None:
                    deadline = min(deadline, arrived_at + asked.timeout_seconds)
                part = await self.score(asked.tensors, pair, deadline, since=read_at, num_bytes=len(body))
        scored_at = monotonic()
        response = write(asked, part)
        self._observe_respond(monotonic() - scored_at)
        return response

    def refuse_if_full(self) -> None:
        """Refuse a request before its body is read.

        Raises:
            NotReadyError: Nobody could answer it.
            OverloadedError: Too much is waiting.
        """
        self._lineup.champion()
        self._intake.refuse_if_full()

    async def read(self, body: bytes, parse: Callable[..., Asked], deadline: float) -> Asked:
        """Read a body: a small one on the event loop, in turn; a large one elsewhere.

        Args:
            body: As it came, unpacked.
            parse: As for `answer`.
            deadline: When to give up, in seconds of `time.monotonic()`.

        Raises:
            OverloadedError: Too much is waiting.
            DeadlineExceededError: It took too long.
            ServiceError: As `parse`.
        """
        if len(body) <= LARGE_BODY_BYTES:
            await self._intake.turn(len(body), deadline)
            return parse(body)
        async with elsewhere(self._intake, len(body), deadline):
            return await self._reader.call(parse, body)

    async def score(self, tensors: Tensors, pair: Pair, deadline: float, *, since: float, num_bytes: int) -> Part:
        """Check and score tensors.

        Args:
            tensors: As they came.
            pair: Who answers, held by the caller.
            deadline: When to give up, in seconds of `time.monotonic()`.
            since: When all of the request had come, in the same seconds; turn and parsing are a part of validating it.
            num_bytes: Of the body they came in; the checks of a large one leave the event loop to others.

        Raises:
            InvalidTensorsError: They break a rule.
            ServiceError: As `Batcher.score`.
        """
        if num_bytes > LARGE_BODY_BYTES:
            histories, batch = await asyncio.to_thread(read_tensors, tensors, pair.champion, self._settings)
        else:
            histories, batch = read_tensors(tensors, pair.champion, self._settings)
        charge(len(batch.events_used))
        self._observe_validate(monotonic() - since)
        # One part: rows have no ids, so none is a canary.
        (part,) = await pair.score(histories, batch, deadline)
        count_scored(part.batch, self._metrics)
        return part

    async def _receive(self, request: Request, headers: Headers) -> bytes:
        """The body, unpacked."""
        max_bytes = self._settings.max_body_bytes
        encoding = headers.get(b"content-encoding", b"")
        plain = {name: value for name, value in headers.items() if name != b"content-encoding"}
        with self._intake.arriving() as count:
            body = await read_body(request.receive, plain, max_bytes, count)
            return await asyncio.to_thread(inflate, body, encoding, max_bytes) if encoding else body


def count_scored(batch: EncodedBatch, metrics: Metrics) -> None:
    """Count what was scored."""
    metrics.sequences.inc(len(batch.events_used))
    metrics.events.inc(sum(batch.events_used.tolist()))
    if num_unknown := sum(batch.unknown_events.tolist()):
        metrics.unknown_events.inc(num_unknown)
    if num_truncated := sum(batch.events_truncated.tolist()):
        metrics.truncated_events.inc(num_truncated)


def shown(risks: NDArray[np.float32]) -> list[float]:
    """Risks as an answer shows them."""
    if len(risks) <= _FEW:
        return [round(risk, _RISK_DECIMALS) for risk in risks.tolist()]
    rounded: list[float] = risks.astype(np.float64).round(_RISK_DECIMALS).tolist()
    return rounded
