"""Requests as HTTP/1.1 has them, whatever other protocol they propose: a server may ignore that, and this one does.

PlainParser    httptools', which would take the body behind a proposal (`Upgrade: h2c`) for the next request
"""

from typing import Protocol

from httptools import HttpParserUpgrade, HttpRequestParser


class Parsed(Protocol):
    """Who is told of what is parsed, and keeps the head at hand."""

    url: bytes
    headers: list[tuple[bytes, bytes]]

    @property
    def parser(self) -> HttpRequestParser:
        """By which it is told."""

    def on_message_begin(self) -> None:
        """A request begins."""

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""

    def on_headers_complete(self) -> None:
        """The head is whole."""

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""

    def on_message_complete(self) -> None:
        """The request is whole."""


class PlainParser(HttpRequestParser):
    """Parses requests; of one that proposes another protocol the head is parsed once more, without the proposal.

    Args:
        protocol: Told of what is parsed; a head that is to come once more only begins twice.
    """

    def __init__(self, protocol: Parsed) -> None:
        super().__init__(_Callbacks(protocol))
        self._protocol = protocol

    def feed_data(self, data: bytes | bytearray | memoryview) -> None:  # type: ignore[override]  # nobody has arrays
        """Parse what has come.

        Raises:
            HttpParserError: It is no HTTP, or asks for a tunnel.
        """
        rest = data
        while rest:
            try:
                super().feed_data(rest)
            except HttpParserUpgrade as proposal:
                rest = memoryview(rest)[proposal.args[0] :]
            else:
                return
            super().feed_data(self._head_without_proposal())

    def _head_without_proposal(self) -> bytes:
        target = self._protocol.url
        lines = [b"%s %s HTTP/%s" % (self.get_method(), target, self.get_http_version().encode())]
        lines += [b"%s: %s" % (name, value) for name, value in self._protocol.headers if name.lower() != b"upgrade"]
        return b"\r\n".join((*lines, b"", b""))


class _Callbacks:
    """Of a protocol, silent about the end of what is to come once more."""

    def __init__(self, protocol: Parsed) -> None:
        self._protocol = protocol
        self.on_message_begin = protocol.on_message_begin
        self.on_url = protocol.on_url
        self.on_header = protocol.on_header
        self.on_body = protocol.on_body

    def on_headers_complete(self) -> None:
        parser = self._protocol.parser
        if not parser.should_upgrade():
            self._protocol.on_headers_complete()
        elif parser.get_method() == b"CONNECT":
            raise ValueError("Expected a request to this service. Received: one for a tunnel.")

    def on_message_complete(self) -> None:
        if not self._protocol.parser.should_upgrade():
            self._protocol.on_message_complete()
