import asyncio
from http import HTTPStatus

import grpc
import pytest

from service.errors import ModelFaultError, ServiceError
from service.key_errors import ConcurrencyLimitedError, MissingKeyError
from service.protocols.grpc_refusals import refuse


class Context:
    """Keeps what it is told to abort with."""

    def __init__(self) -> None:
        self.aborted: tuple[object, ...] = ()

    async def abort(self, *arguments: object) -> None:
        self.aborted = arguments


@pytest.mark.parametrize(
    ("error", "code", "trailers"),
    [
        (MissingKeyError("No key."), grpc.StatusCode.UNAUTHENTICATED, ()),
        (ConcurrencyLimitedError("Wait."), grpc.StatusCode.RESOURCE_EXHAUSTED, (("grpc-retry-pushback-ms", "1000"),)),
        (ModelFaultError("Broken."), grpc.StatusCode.INTERNAL, ()),
    ],
)
def test_an_error_has_its_code_and_says_when_to_try_again(
    error: ServiceError, code: grpc.StatusCode, trailers: tuple[object, ...]
) -> None:
    context = Context()
    asyncio.run(refuse(context, error))

    assert context.aborted == (code, error.message, trailers)


def test_other_trailers_stand_beside_its_own() -> None:
    context = Context()
    asyncio.run(refuse(context, ConcurrencyLimitedError("Wait."), (("x-request-id", "INC1"),)))

    assert context.aborted[2] == (("x-request-id", "INC1"), ("grpc-retry-pushback-ms", "1000"))


def test_a_long_message_is_cut() -> None:
    context = Context()
    asyncio.run(refuse(context, ServiceError("x" * 5_000)))

    assert context.aborted[1] == "x" * 1_000
    assert ServiceError.status == HTTPStatus.INTERNAL_SERVER_ERROR
