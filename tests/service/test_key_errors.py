import pytest

from service.errors import ServiceError
from service.key_errors import (
    ConcurrencyLimitedError,
    ForbiddenError,
    MissingKeyError,
    RateLimitedError,
    WrongKeyError,
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MissingKeyError, 401),
        (WrongKeyError, 401),
        (ForbiddenError, 403),
        (RateLimitedError, 429),
        (ConcurrencyLimitedError, 429),
    ],
)
def test_a_challenge_comes_with_every_401_as_http_asks_and_never_with_a_429(
    error: type[ServiceError], status: int
) -> None:
    assert error.status == status
    assert (error.challenge is not None) == (status != 429)
    assert (error.retry_after_seconds is not None) == (status == 429)
