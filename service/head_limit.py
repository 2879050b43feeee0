"""What of a head ends a connection: httptools keeps whatever a client sends, as long as its blank line does not come.

LimitedHead       uvicorn's connection, with a limit, and without other protocols
MAX_HEAD_BYTES    the limit
"""

import asyncio
from typing import TYPE_CHECKING, Any, cast

from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.errors import HeadTooLargeError, MalformedHttpError, ServiceError
from service.plain_parser import PlainParser
from service.schemas import ErrorAnswer

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

# As much as uvicorn allows where it parses itself, and eight times what others do.
MAX_HEAD_BYTES = 65_536

_TOO_LARGE = HeadTooLargeError(
    f"Expected at most {MAX_HEAD_BYTES} bytes before the body. Received: more. Send fewer or shorter headers."
)
_MALFORMED = MalformedHttpError(
    "Expected a request in the form of HTTP/1.1. Received: another one. Look at its first line, headers and length."
)


class LimitedHead(HttpToolsProtocol):
    """A connection that ends once a client sends too much of which neither a head nor a body comes."""

    _fruitless_bytes = 0
    _is_refused = False

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.parser = PlainParser(self)
        # As uvicorn: what follows a request that ends the connection is no fault of that request.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, up to what is refused."""
        if self._is_refused:
            return
        self._fruitless_bytes += len(data)
        super().data_received(data)
        if self._fruitless_bytes > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)

    def send_400_response(self, _: str) -> None:
        """What has come is no HTTP; uvicorn calls it."""
        self._refuse(_MALFORMED)

    def on_headers_complete(self) -> None:
        """A head is whole; a body may follow, and what follows the body counts anew."""
        self._fruitless_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body, which has limits of its own."""
        self._fruitless_bytes = 0
        super().on_body(body)

    def _refuse(self, refusal: ServiceError) -> None:
        """Answer with `refusal` in its turn, and end the connection."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        # At first there is no cycle, whatever its annotation says.
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                # The answer to a whole request is still to come, and another one would be taken for it.
                cycle.keep_alive = False
                return
            if self.pipeline:
                self.pipeline[0] = (cycle, cast("ASGI3Application", _Refusal(refusal)))
                return
            cycle.disconnected = True
            cycle.message_event.set()
        if cycle is None or cycle.response_complete or not cycle.response_started:
            head = b"".join(b"%s: %s\r\n" % header for header in _headers(_content(refusal)))
            self.transport.write(STATUS_LINE[refusal.status] + head + b"\r\n" + _content(refusal))
        self.transport.close()


class _Refusal:
    """An application that answers with the same refusal, whatever it is asked."""

    def __init__(self, refusal: ServiceError) -> None:
        self._refusal = refusal

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        content = _content(self._refusal)
        await send({"type": "http.response.start", "status": self._refusal.status, "headers": _headers(content)})
        await send({"type": "http.response.body", "body": content})


def _content(refusal: ServiceError) -> bytes:
    return ErrorAnswer(error=refusal.message, code=refusal.code, details=[]).model_dump_json().encode()


def _headers(content: bytes) -> list[tuple[bytes, bytes]]:
    length = str(len(content)).encode()
    return [(b"content-type", b"application/json"), (b"content-length", length), (b"connection", b"close")]
