"""Compressed bodies, and no more of them than is allowed."""

import zlib

from service.access import too_large
from service.errors import MalformedEncodingError, UnsupportedEncodingError

# What zlib calls each format (https://docs.python.org/3/library/zlib.html#zlib.decompressobj).
_WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}


def inflate(body: bytes, encoding: bytes, max_bytes: int) -> bytes:
    """The plain body. No more than `max_bytes` is ever unpacked.

    Args:
        body: As it came.
        encoding: The header `Content-Encoding`; empty for a plain body.
        max_bytes: Longest accepted plain body.

    Raises:
        UnsupportedEncodingError: It is compressed in a way that is not known here, or twice.
        BodyTooLargeError: It is longer.
        MalformedEncodingError: It is not what `encoding` says.
    """
    encoding = encoding.strip().lower()
    if encoding in {b"", b"identity"} or not body:
        return body
    if encoding not in _WINDOW_BITS:
        raise UnsupportedEncodingError(
            "Expected Content-Encoding gzip or deflate, or a plain body. "
            f"Received: {encoding[:20].decode('latin-1')!r}. Send it uncompressed."
        )
    inflator = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        plain = inflator.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise _malformed(encoding, str(error)) from error
    if len(plain) > max_bytes:
        raise too_large(max_bytes, "more, once unpacked")
    if not inflator.eof:
        raise _malformed(encoding, "an end before its end")
    # A second part may follow in gzip; who sends thousands of empty ones is up to no good.
    if inflator.unused_data:
        raise _malformed(encoding, "more after its end")
    return plain


def _malformed(encoding: bytes, reason: str) -> MalformedEncodingError:
    return MalformedEncodingError(f"Expected a body compressed with {encoding.decode()}. Received: {reason}.")
