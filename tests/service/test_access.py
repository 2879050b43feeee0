import asyncio
from collections.abc import Iterator

import pytest
from starlette.types import Message

from service.access import read_body, read_deadline
from service.errors import BodyTooLargeError, ClientGoneError, InvalidHeaderError, UnsupportedEncodingError

LIMIT = 10


class Upload:
    """A request that arrives in pieces, and counts those that were asked for."""

    def __init__(self, *pieces: bytes | None, **headers: str) -> None:
        self._pieces: Iterator[bytes | None] = iter(pieces)
        self._num_left = len(pieces)
        self.num_read = 0
        self.counted: list[int] = []
        self.headers = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}

    async def receive(self) -> Message:
        self.num_read += 1
        self._num_left -= 1
        piece = next(self._pieces)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": self._num_left > 0}


def _read(upload: Upload) -> bytes:
    return asyncio.run(read_body(upload.receive, upload.headers, LIMIT, upload.counted.append))


@pytest.mark.parametrize("pieces", [(b"",), (b"0123456789",), (b"01234", b"56789"), (b"0", b"", b"1")])
def test_a_body_within_the_limit_arrives_whole(pieces: tuple[bytes, ...]) -> None:
    assert _read(Upload(*pieces)) == b"".join(pieces)


def test_a_declared_length_above_the_limit_is_refused_unread() -> None:
    upload = Upload(b"x" * 11, content_length="11")

    with pytest.raises(BodyTooLargeError, match="at most 10 bytes"):
        _read(upload)
    assert upload.num_read == 0


def test_an_undeclared_length_is_refused_at_the_first_piece_too_many() -> None:
    upload = Upload(b"x" * 6, b"x" * 6, b"x" * 6)

    with pytest.raises(BodyTooLargeError):
        _read(upload)
    assert upload.num_read == 2


def test_each_piece_is_counted_as_it_comes() -> None:
    upload = Upload(b"01234", b"", b"56")
    _read(upload)

    assert upload.counted == [5, 0, 2]


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, identity"])
def test_a_compressed_body_is_refused_unread(encoding: str) -> None:
    upload = Upload(b"x", content_encoding=encoding)

    with pytest.raises(UnsupportedEncodingError, match="uncompressed"):
        _read(upload)
    assert upload.num_read == 0


def test_a_body_declared_plain_is_read() -> None:
    assert _read(Upload(b"x", content_encoding="Identity")) == b"x"


def test_a_client_that_leaves_midway_is_no_fault_of_the_service() -> None:
    with pytest.raises(ClientGoneError) as raised:
        _read(Upload(b"x", None))
    assert raised.value.status < 500


@pytest.mark.parametrize(("text", "seconds"), [(b"250", 0.25), (b"0001", 0.001), (b"5000", 5), (b"999999999", 5)])
def test_a_client_may_shorten_the_time_and_not_lengthen_it(text: bytes, seconds: float) -> None:
    assert read_deadline({b"x-request-timeout-ms": text}, longest_seconds=5, now=100) == 100 + seconds


def test_without_the_header_the_services_own_time_holds() -> None:
    assert read_deadline({}, longest_seconds=5, now=100) == 105


@pytest.mark.parametrize(
    "text", [b"", b"0", b"-5", b"1.5", b"soon", b"1e3", b" 5", b"+5", b"9" * 5000, "\u0665".encode(), b"\xb2"]
)
def test_a_time_that_is_no_positive_integer_is_refused_by_the_name_of_its_header(text: bytes) -> None:
    with pytest.raises(InvalidHeaderError, match="X-Request-Timeout-Ms") as raised:
        read_deadline({b"x-request-timeout-ms": text}, longest_seconds=5, now=100)
    assert raised.value.status == 400
