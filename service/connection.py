"""One connection to the HTTP server.

Connection    uvicorn's, with one send an answer
"""

import asyncio
from typing import Any, cast

from service.head_limit import LimitedHead

_HEAD_END = b"\r\n\r\n"


class Connection(LimitedHead):
    """A connection whose answers leave in one send: head and body apart are two packets, and a tenth of a request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        self._outgoing = _HeadWithBody(transport)
        super().connection_made(cast("asyncio.Transport", self._outgoing))

    def on_response_complete(self) -> None:
        """Go on to the next request; an answer to HEAD has no body to wait for."""
        self._outgoing.flush()
        super().on_response_complete()


class _HeadWithBody:
    """A transport that keeps an answer's head until its body comes, as ASGI asks of a server."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(_HEAD_END) and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
            return
        self._transport.write(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever a transport has
        return getattr(self._transport, name)
