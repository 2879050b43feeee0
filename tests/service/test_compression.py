import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.compression import inflate
from service.errors import BodyTooLargeError, MalformedEncodingError, UnsupportedEncodingError

BODY = b'{"inputs": []}' * 20
# Without the time of day, which would be in the tests' names.
ZIPPED = gzip.compress(BODY, mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"", BODY),
        (b"identity", BODY),
        (b"gzip", ZIPPED),
        (b" GZip ", ZIPPED),
        (b"deflate", zlib.compress(BODY)),
    ],
)
def test_a_body_comes_out_as_it_was(encoding: bytes, body: bytes) -> None:
    assert inflate(body, encoding, len(BODY)) == BODY


@pytest.mark.parametrize("encoding", [b"br", b"gzip, gzip", b"zstd", b"x" * 10_000, b"\xff"])
def test_another_encoding_is_refused(encoding: bytes) -> None:
    with pytest.raises(UnsupportedEncodingError, match="gzip or deflate"):
        inflate(BODY, encoding, 1_000)


def test_a_bomb_is_refused_before_it_grows() -> None:
    bomb = gzip.compress(bytes(50_000_000))

    with pytest.raises(BodyTooLargeError, match="at most 1000 bytes"):
        inflate(bomb, b"gzip", 1_000)


def test_a_body_one_byte_too_long_is_refused() -> None:
    assert inflate(gzip.compress(bytes(1_000)), b"gzip", 1_000) == bytes(1_000)
    with pytest.raises(BodyTooLargeError):
        inflate(gzip.compress(bytes(1_001)), b"gzip", 1_000)


@pytest.mark.parametrize("body", [BODY, ZIPPED[:-1], ZIPPED + b"x", zlib.compress(BODY), b"\x1f\x8b"])
def test_what_is_not_what_its_header_says_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedEncodingError, match="gzip"):
        inflate(body, b"gzip", 1_000)


@given(st.binary(max_size=100), st.sampled_from([b"gzip", b"deflate"]), st.binary(max_size=12))
def test_any_bytes_come_out_or_are_refused(body: bytes, encoding: bytes, head: bytes) -> None:
    try:
        plain = inflate(head + body, encoding, 1_000)
    except (MalformedEncodingError, BodyTooLargeError):
        return
    assert len(plain) <= 1_000
