"""What is let in: a body's encoding and its size, decided while it is read, and the time its answer may take."""

from collections.abc import Callable, Mapping

from starlette.types import Receive

from service.errors import (
    BodyTooLargeError,
    ClientGoneError,
    InvalidHeaderError,
    UnsupportedEncodingError,
)

_MOST_DIGITS = 9
MOST_MILLISECONDS = 10**_MOST_DIGITS - 1

# Names in lower case, as ASGI has them.
Headers = Mapping[bytes, bytes]


def read_deadline(headers: Headers, longest_seconds: float, now: float) -> float:
    """When an answer is worth nothing any more, on the clock of `now`: a client may shorten the service's own time.

    Raises:
        InvalidHeaderError: `X-Request-Timeout-Ms` is there, and is no positive integer.
    """
    text = headers.get(b"x-request-timeout-ms")
    if text is None:
        return now + longest_seconds
    # The parser leaves white space behind a value, of which it is no part (RFC 9110, section 5.5).
    text = text.rstrip(b" \t")
    if not (text.isdigit() and len(text) <= _MOST_DIGITS and int(text) > 0):
        raise InvalidHeaderError(
            "Expected a positive number of milliseconds in X-Request-Timeout-Ms, such as 250. "
            f"Received: {_shown(text)!r}."
        )
    return now + min(longest_seconds, int(text) / 1000)


async def read_body(receive: Receive, headers: Headers, max_body_bytes: int, count: Callable[[int], None]) -> bytes:
    """Read a request's body, and no more of it than is allowed.

    A declared length decides before a byte is read, so that a client which asks first (`Expect: 100-continue`) need
    not send it.

    Args:
        receive: Gives its pieces.
        headers: Of the request.
        max_body_bytes: Longest accepted body.
        count: Told the bytes of each piece; may refuse it (`Intake.arriving`).

    Raises:
        UnsupportedEncodingError: The body is compressed.
        BodyTooLargeError: It is declared, or turns out, longer than `max_body_bytes`.
        ClientGoneError: The connection closed before its end.
    """
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.strip().lower() not in {b"identity", b""}:
        raise UnsupportedEncodingError(
            f"Expected a plain body. Received: Content-Encoding {_shown(encoding)}. Send it uncompressed."
        )
    # The HTTP parser has refused anything but digits here.
    if int(headers.get(b"content-length", b"0")) > max_body_bytes:
        raise too_large(max_body_bytes, _shown(headers[b"content-length"]))

    chunks: list[bytes] = []
    num_bytes = 0
    is_complete = False
    while not is_complete:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError(f"Expected a whole body. Received: {num_bytes} bytes, then the end.")
        chunks.append(message.get("body", b""))
        num_bytes += len(chunks[-1])
        if num_bytes > max_body_bytes:
            raise too_large(max_body_bytes, "more")
        count(len(chunks[-1]))
        is_complete = not message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _shown(value: bytes) -> str:
    return value[:20].decode("latin-1")


def too_large(max_body_bytes: int, size: str) -> BodyTooLargeError:
    """The refusal of a body of this `size`."""
    return BodyTooLargeError(
        f"Expected a body of at most {max_body_bytes} bytes. Received: {size}. Split it into several requests."
    )
