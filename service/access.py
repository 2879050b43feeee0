"""What is let in: a body's encoding and its size, decided while it is read."""

from starlette.requests import ClientDisconnect, Request

from service.errors import BodyTooLargeError, ClientGoneError, UnsupportedEncodingError


async def read_body(request: Request, max_body_bytes: int) -> bytes:
    """Read a request's body, and no more of it than is allowed.

    A declared length decides before a byte is read, so that a client which asks first (`Expect: 100-continue`) need
    not send it.

    Raises:
        UnsupportedEncodingError: The body is compressed.
        BodyTooLargeError: It is declared, or turns out, longer than `max_body_bytes`.
        ClientGoneError: The connection closed before its end.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() not in {"identity", ""}:
        raise UnsupportedEncodingError(
            f"Expected a plain body. Received: Content-Encoding {encoding[:40]}. Send it uncompressed."
        )
    # The HTTP parser has refused anything but digits here.
    if int(request.headers.get("content-length", "0")) > max_body_bytes:
        raise _too_large(max_body_bytes, request.headers["content-length"][:20])

    chunks: list[bytes] = []
    num_bytes = 0
    try:
        async for chunk in request.stream():
            num_bytes += len(chunk)
            if num_bytes > max_body_bytes:
                raise _too_large(max_body_bytes, "more")
            if chunk:
                chunks.append(chunk)
    except ClientDisconnect as error:
        raise ClientGoneError(f"Expected a whole body. Received: {num_bytes} bytes, then the end.") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(max_body_bytes: int, size: str) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"Expected a body of at most {max_body_bytes} bytes. Received: {size}. Split it into several requests."
    )
