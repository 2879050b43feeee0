"""One connection to the HTTP server.

Connection    uvicorn's, with one send an answer, and an end that loses none
"""

import asyncio
from typing import Any, cast

from service.head_limit import LimitedHead

_HEAD_END = b"\r\n\r\n"
# A socket closed over unread bytes resets the connection, and many clients then never see the answer.
_LINGER_SECONDS = 5


class Connection(LimitedHead):
    """A connection whose answers leave in one send: head and body apart are two packets, and a tenth of a request.

    A client that is refused while it is still sending gets its answer: the rest of its body is thrown away for a while
    before the connection ends.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        self._outgoing = _HeadWithBody(transport)
        super().connection_made(cast("asyncio.Transport", self._outgoing))

    def on_headers_complete(self) -> None:
        """A body may follow."""
        self._outgoing.is_receiving = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of a request is here."""
        self._outgoing.all_has_come()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on to the next request; an answer to HEAD has no body to wait for."""
        self._outgoing.flush()
        super().on_response_complete()
        if self.transport.is_closing():
            self.flow.resume_reading()


class _HeadWithBody:
    """A transport that keeps an answer's head until its body comes, as ASGI asks of a server.

    Attributes:
        is_receiving: Whether more of a request is to come.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.is_receiving = False
        self._transport = transport
        self._head = b""
        self._end: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(_HEAD_END) and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
            return
        self._transport.write(data)

    def close(self) -> None:
        self.flush()
        if not self.is_receiving or self._transport.is_closing():
            self._transport.close()
        elif self._end is None:
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._end = asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)

    def is_closing(self) -> bool:
        return self._end is not None or self._transport.is_closing()

    def all_has_come(self) -> None:
        self.is_receiving = False
        if self._end is not None:
            self._end.cancel()
            self._transport.close()

    def flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever a transport has
        return getattr(self._transport, name)
