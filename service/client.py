"""A typed client: event sequences in, risks out, however many there are.

Client         one request after the other
AsyncClient    the same calls, several requests at a time

It needs httpx (`pip install '.[client]'`), and neither TensorFlow nor FastAPI. What is sent and what comes back
are the types of `service.schemas`:

    with Client("http://127.0.0.1:8080") as client:
        answer = client.score([{"event_types": ["Opened/Phone", "New/P3"], "elapsed_minutes": [441, 0]}])
        print(answer["scores"][0]["risk"])
"""

import asyncio
from collections.abc import Iterable, Mapping
from time import monotonic, sleep
from typing import Self

import httpx
from pydantic import TypeAdapter

from service.exchange import Exchange, ScoringError, merged, read, score_exchanges
from service.schemas import ModelAnswer, ModelsAnswer, ScoreAnswer, SequenceBody

__all__ = ["AsyncClient", "Client", "ScoringError"]

TIMEOUT_SECONDS = 30.0
# Well inside what the service takes by default, and small enough that its cores share the work.
MAX_SEQUENCES = 256
MAX_BODY_BYTES = 1_000_000
MAX_CONCURRENT = 4

_MODELS_ANSWER = TypeAdapter(ModelsAnswer)


class Client:
    """Asks the service, one request after the other. To be closed, or used in a `with` block.

    Overload, restarts and lost connections are waited out while there is time: scoring changes nothing, so asking
    again does no harm. What the service refuses is raised at once.

    Args:
        url: Of the service, such as `http://127.0.0.1:8080`.
        timeout_seconds: For all answers to one call.
        max_sequences: Most in one request; more are sent in several.
        max_body_bytes: Longest request, unless one sequence alone is longer.
        api_key: Sent along, where the service asks for one.
        headers: Sent along.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        max_sequences: int = MAX_SEQUENCES,
        max_body_bytes: int = MAX_BODY_BYTES,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=url, headers=_with_key(headers, api_key))
        self._timeout_seconds = timeout_seconds
        self._max_sequences = max_sequences
        self._max_body_bytes = max_body_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def score(self, sequences: Iterable[SequenceBody], *, model: str | None = None) -> ScoreAnswer:
        """Score any number of sequences, in either form and both; the scores come in the same order.

        Raises:
            ScoringError: The service refused one of them, failed, or took too long: then there is no answer at all.
        """
        deadline = monotonic() + self._timeout_seconds
        exchanges = score_exchanges(sequences, model, deadline, self._max_sequences, self._max_body_bytes)
        return merged([self._answer(exchange) for exchange in exchanges])

    def models(self) -> list[ModelAnswer]:
        """What is served: versions, what they were trained for, what a request may carry.

        Raises:
            ScoringError: There is no answer.
        """
        exchange = Exchange("GET", "/v1/models", monotonic() + self._timeout_seconds)
        return read(_MODELS_ANSWER, self._answer(exchange)).models

    def wait_until_ready(self, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Wait until the model is verified and warm.

        Raises:
            ScoringError: It was not in time; the message says why.
        """
        self._answer(Exchange("GET", "/readyz", monotonic() + timeout_seconds))

    def close(self) -> None:
        """Leave the service's connections."""
        self._http.close()

    def _answer(self, exchange: Exchange) -> httpx.Response:
        while exchange.answer is None:
            sleep(exchange.pause_seconds)
            request = exchange.request(self._http)
            try:
                exchange.settle(self._http.send(request))
            except httpx.RequestError as failure:
                exchange.settle(failure)
        return exchange.answer


class AsyncClient:
    """As `Client`, with several requests at a time. To be closed, or used in an `async with` block.

    Args:
        url: Of the service, such as `http://127.0.0.1:8080`.
        timeout_seconds: For all answers to one call.
        max_sequences: Most in one request; more are sent in several.
        max_body_bytes: Longest request, unless one sequence alone is longer.
        max_concurrent: Most requests of one call at a time.
        api_key: Sent along, where the service asks for one.
        headers: Sent along.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        max_sequences: int = MAX_SEQUENCES,
        max_body_bytes: int = MAX_BODY_BYTES,
        max_concurrent: int = MAX_CONCURRENT,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=url, headers=_with_key(headers, api_key))
        self._timeout_seconds = timeout_seconds
        self._max_sequences = max_sequences
        self._max_body_bytes = max_body_bytes
        self._max_concurrent = max_concurrent

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def score(self, sequences: Iterable[SequenceBody], *, model: str | None = None) -> ScoreAnswer:
        """As `Client.score`."""
        deadline = monotonic() + self._timeout_seconds
        exchanges = score_exchanges(sequences, model, deadline, self._max_sequences, self._max_body_bytes)
        answers = dict[int, httpx.Response]()

        async def work() -> None:
            # Of one iterator: each takes what no other has taken.
            for exchange in exchanges:
                answers[exchange.start] = await self._answer(exchange)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._max_concurrent):
                    group.create_task(work())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed.exceptions[0].__cause__
        return merged([answers[start] for start in sorted(answers)])

    async def models(self) -> list[ModelAnswer]:
        """As `Client.models`."""
        exchange = Exchange("GET", "/v1/models", monotonic() + self._timeout_seconds)
        return read(_MODELS_ANSWER, await self._answer(exchange)).models

    async def wait_until_ready(self, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """As `Client.wait_until_ready`."""
        await self._answer(Exchange("GET", "/readyz", monotonic() + timeout_seconds))

    async def aclose(self) -> None:
        """Leave the service's connections."""
        await self._http.aclose()

    async def _answer(self, exchange: Exchange) -> httpx.Response:
        while exchange.answer is None:
            await asyncio.sleep(exchange.pause_seconds)
            request = exchange.request(self._http)
            try:
                exchange.settle(await self._http.send(request))
            except httpx.RequestError as failure:
                exchange.settle(failure)
        return exchange.answer


def _with_key(headers: Mapping[str, str] | None, api_key: str | None) -> dict[str, str]:
    return dict(headers or {}) | ({} if api_key is None else {"Authorization": f"Bearer {api_key}"})
