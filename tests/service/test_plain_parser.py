import httptools
import pytest

from service.plain_parser import PlainParser

HEAD = b"POST /x HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n%s\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUPGRADE: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
# What a body must never become.
SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: here\r\n\r\n"
REQUEST = HEAD % (len(SMUGGLED), H2C) + SMUGGLED


class Requests:
    """Keeps the requests that a parser tells of: target, names of headers, body."""

    def __init__(self) -> None:
        self.whole: list[tuple[bytes, set[bytes], bytes]] = []
        self.parser = PlainParser(self)

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        assert self.body == b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole.append((self.url, {name for name, _ in self.headers}, self.body))


@pytest.mark.parametrize("piece_bytes", [1, 7, 10_000])
@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0"])
def test_a_proposal_of_another_protocol_is_passed_over_and_the_body_stays_a_body(
    protocol: bytes, piece_bytes: int
) -> None:
    content = REQUEST.replace(b"h2c", protocol) * 3
    requests = Requests()

    for start in range(0, len(content), piece_bytes):
        requests.parser.feed_data(content[start : start + piece_bytes])

    names = {b"host", b"content-length", b"connection", b"http2-settings"}
    assert requests.whole == [(b"/x", names, SMUGGLED)] * 3


def test_a_body_in_chunks_behind_a_proposal_stays_a_body() -> None:
    requests = Requests()
    head = b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n%s\r\n" % H2C

    requests.parser.feed_data(head)
    requests.parser.feed_data(b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED))

    assert [(url, body) for url, _, body in requests.whole] == [(b"/x", SMUGGLED)]


def test_a_tunnel_is_no_request() -> None:
    requests = Requests()

    with pytest.raises(httptools.HttpParserError):
        requests.parser.feed_data(b"CONNECT here:80 HTTP/1.1\r\nHost: here\r\n\r\n" + SMUGGLED)

    assert requests.whole == []
