"""A client that costs the machine it shares with the server as little as possible.

Answer        what came back
Connection    one keep-alive HTTP/1.1 connection
"""

import asyncio
import json
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Self, cast
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 60.0


class LostError(ConnectionError):
    """The connection ended before the answer was complete."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP status.
        body: Its body.
        closes: Whether the server asked the client to leave the connection.
        seconds: From the first byte sent to the last byte received.
    """

    status: int
    body: bytes
    closes: bool
    seconds: float

    def json(self) -> Any:  # noqa: ANN401  whatever the server says
        """The body, read."""
        return json.loads(self.body)


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._expected_bytes = 0
        self._begun_at = 0.0
        self._answer: asyncio.Future[Answer] | None = None
        self.is_open = False

    @classmethod
    async def to(cls, url: str) -> Self:
        """A connection to the server at `url`."""
        host, port = urlsplit(url).netloc.rsplit(":", 1)
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, int(port))
        return connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def get(self, path: str) -> Answer:
        """GET `path`."""
        return await self._exchange(b"GET %s HTTP/1.1\r\nhost: s\r\n\r\n" % path.encode())

    async def post(self, path: str, body: bytes) -> Answer:
        """POST `body` to `path`."""
        head = b"POST %s HTTP/1.1\r\nhost: s\r\ncontent-length: %d\r\n\r\n" % (path.encode(), len(body))
        return await self._exchange(head + body)

    def close(self) -> None:
        """Leave."""
        self._transport.close()
        self.is_open = False

    async def _exchange(self, request: bytes) -> Answer:
        self._answer = asyncio.get_running_loop().create_future()
        self._received.clear()
        self._expected_bytes = 0
        self._begun_at = perf_counter()
        if not self.is_open:
            raise LostError("The connection is closed already.")
        self._transport.write(request)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            answer = await self._answer
        if answer.closes:
            self.close()
        return answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the event loop."""
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LostError(f"The connection ended: {error}."))

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._received += data
        if not self._expected_bytes:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[:end]).lower()
            self._expected_bytes = end + 4 + int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(self._received) < self._expected_bytes or self._answer is None or self._answer.done():
            return
        head, body = bytes(self._received).split(b"\r\n\r\n", 1)
        self._answer.set_result(
            Answer(
                status=int(head[9:12]),
                body=body,
                closes=b"connection: close" in head.lower(),
                seconds=perf_counter() - self._begun_at,
            )
        )
