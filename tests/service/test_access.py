import asyncio
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.types import Message

from service.access import read_body
from service.errors import BodyTooLargeError, ClientGoneError, UnsupportedEncodingError

LIMIT = 10


class Upload:
    """A request that arrives in pieces, and counts those that were asked for."""

    def __init__(self, *pieces: bytes | None, **headers: str) -> None:
        self._pieces: Iterator[bytes | None] = iter(pieces)
        self._num_left = len(pieces)
        self.num_read = 0
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        self.request = Request({"type": "http", "method": "POST", "headers": raw}, self._receive)

    async def _receive(self) -> Message:
        self.num_read += 1
        self._num_left -= 1
        piece = next(self._pieces)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": self._num_left > 0}


def _read(upload: Upload) -> bytes:
    return asyncio.run(read_body(upload.request, LIMIT))


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
