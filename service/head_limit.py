"""The longest head of a request: httptools keeps whatever a client sends, as long as its blank line does not come.

LimitedHead       uvicorn's connection, with a limit
MAX_HEAD_BYTES    the limit
"""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.errors import HeadTooLargeError
from service.schemas import ErrorAnswer

# As much as uvicorn allows where it parses itself, and eight times what others do.
MAX_HEAD_BYTES = 65_536

_REFUSAL = HeadTooLargeError(
    f"Expected at most {MAX_HEAD_BYTES} bytes before the body. Received: more. Send fewer or shorter headers."
)


class LimitedHead(HttpToolsProtocol):
    """A connection that ends once a client sends too much of which neither a head nor a body comes."""

    _fruitless_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Parse what has come."""
        self._fruitless_bytes += len(data)
        super().data_received(data)
        if self._fruitless_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        """A head is whole; a body may follow, and what follows the body counts anew."""
        self._fruitless_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body, which has limits of its own."""
        self._fruitless_bytes = 0
        super().on_body(body)

    def _refuse(self) -> None:
        # Behind an answer that is still to come, a second one would be taken for its part; at first there is no cycle.
        if getattr(self.cycle, "response_complete", True):
            content = ErrorAnswer(error=_REFUSAL.message, code=_REFUSAL.code, details=[]).model_dump_json().encode()
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(content)
            self.transport.write(STATUS_LINE[_REFUSAL.status] + head + content)
        self.transport.close()
