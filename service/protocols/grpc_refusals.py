"""Errors as gRPC's answers."""

from http import HTTPStatus

import grpc

from service.errors import ServiceError

CODES = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.UNPROCESSABLE_ENTITY: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# What gRPC's clients that try again look at (gRFC A6).
RETRY_AFTER = "grpc-retry-pushback-ms"
# Beyond this, a message repeats too much of what was sent for a header.
_MAX_MESSAGE_CHARACTERS = 1_000


async def refuse(
    context: grpc.aio.ServicerContext, error: ServiceError, trailers: tuple[tuple[str, str], ...] = ()
) -> None:
    """Answer with `error`, in gRPC's words, and `trailers` beside its own.

    Raises:
        grpc.aio.AbortError: What gRPC waits for.
    """
    if error.retry_after_seconds is not None:
        trailers = (*trailers, (RETRY_AFTER, str(error.retry_after_seconds * 1000)))
    code = CODES.get(error.status, grpc.StatusCode.INTERNAL)
    await context.abort(code, error.message[:_MAX_MESSAGE_CHARACTERS], trailers)
