"""Why a request is not let in: errors as those of `errors.py`, of who asks rather than of what is asked."""

from http import HTTPStatus

from service.errors import ServiceError


class MissingKeyError(ServiceError):
    """A key is needed, and there is none."""

    status = HTTPStatus.UNAUTHORIZED
    code = "missing_key"
    challenge = 'Bearer realm="seqrisk"'


class WrongKeyError(ServiceError):
    """The key is not in the file of keys, or no longer."""

    status = HTTPStatus.UNAUTHORIZED
    code = "wrong_key"
    challenge = 'Bearer realm="seqrisk", error="invalid_token"'


class ForbiddenError(ServiceError):
    """The key is right, and may do something else."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    challenge = 'Bearer realm="seqrisk", error="insufficient_scope"'


class RateLimitedError(ServiceError):
    """The key's sequences came faster than its rate; each error says when there will be room."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limited"
    retry_after_seconds = 1


class ConcurrencyLimitedError(ServiceError):
    """As many requests of the key are being answered as may be."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "concurrency_limited"
    retry_after_seconds = 1
