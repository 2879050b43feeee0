"""One class a meaning, with its HTTP status and its machine word.

`refusals.py` makes HTTP answers of them, `head_limit.py` of those that are no request yet, and
`protocols/grpc_refusals.py` answers of gRPC.

ServiceError
    status 4xx   the caller's fault; what a key does not let it do is in `key_errors.py`
    status 503   nobody's fault; try again
    status 504   nobody's fault; the time ran out
    status 500   the artifact's or the service's fault
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, Literal, Self

OverloadReason = Literal["waiting_bytes", "turn", "waiting_sequences", "draining"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request.

    Attributes:
        pointer: JSON pointer (RFC 6901) into the body; empty for the whole body.
        message: What was expected, what was received.
    """

    pointer: str
    message: str


class ServiceError(Exception):
    """An answer other than success.

    Args:
        message: One sentence for people: what was expected, what was received, the way out.
        details: Every fault found, where there are places to point at.
    """

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "internal_error"
    retry_after_seconds: int | None = None
    closes_connection: ClassVar[bool] = False
    challenge: ClassVar[str | None] = None

    def __init__(self, message: str, details: tuple[Fault, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class UnexpectedError(ServiceError):
    """A failure that nobody has a word for."""

    # The server ends the connection over it: who is not told sends the next request into a connection half closed.
    closes_connection = True

    def __init__(self, message: str = "The service failed over this request; its log says why.") -> None:
        super().__init__(message)


class MalformedJsonError(ServiceError):
    """The body is not JSON."""

    status = HTTPStatus.BAD_REQUEST
    code = "malformed_json"


class MalformedHttpError(ServiceError):
    """What came is no request of HTTP."""

    status = HTTPStatus.BAD_REQUEST
    code = "malformed_http"
    closes_connection = True


class InvalidHeaderError(ServiceError):
    """A header of ours has a value that means nothing."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid_header"


class SlowBodyError(ServiceError):
    """The body was not complete when the request's time ran out; the rest of it is not waited for."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "slow_body"
    closes_connection = True


class InvalidRequestError(ServiceError):
    """The body is JSON but breaks the schema, a limit or an event-time rule."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid_request"


class InvalidTensorsError(InvalidRequestError):
    """The tensors of a request break a limit or an event-time rule; their protocols call that a bad request."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid_tensors"


class WrongElementError(InvalidTensorsError):
    """A tensor holds something of another type.

    Args:
        message: What was expected, what was received.
        details: The places.
        tensor: Name of the tensor.
        element: The first that is wrong.
    """

    def __init__(self, message: str, details: tuple[Fault, ...], tensor: str, element: object) -> None:
        super().__init__(message, details)
        self.tensor = tensor
        self.element = element

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """For another process: exceptions are otherwise made anew from their message alone."""
        return type(self), (self.message, self.details, self.tensor, self.element)


class BodyTooLargeError(ServiceError):
    """The body is longer than the service accepts."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "body_too_large"
    # Else the rest of it would be read, however long it is.
    closes_connection = True


class HeadTooLargeError(ServiceError):
    """Request line and headers are longer than the service accepts."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "head_too_large"
    closes_connection = True


class UnsupportedEncodingError(ServiceError):
    """The body is compressed or otherwise encoded."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_encoding"


class MalformedEncodingError(ServiceError):
    """The body is not compressed in the way its header says."""

    status = HTTPStatus.BAD_REQUEST
    code = "malformed_encoding"


class ClientGoneError(ServiceError):
    """The connection closed before the answer was there; nobody reads this one, the metrics count it."""

    status = HTTPStatus.BAD_REQUEST
    code = "client_gone"


class UnknownPathError(ServiceError):
    """No such path."""

    status = HTTPStatus.NOT_FOUND
    code = "unknown_path"


class WrongMethodError(ServiceError):
    """The path exists, but not with this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "wrong_method"


class MalformedPathError(ServiceError):
    """A path in TensorFlow Serving's form asks for what it does not know, or what the model cannot do."""

    status = HTTPStatus.BAD_REQUEST
    code = "malformed_path"


class UnknownModelError(ServiceError):
    """No such model, or no such version of it, is served here."""

    status = HTTPStatus.NOT_FOUND
    code = "unknown_model"


class ModelControlError(ServiceError):
    """Which versions are loaded is the operator's to say, not a client's."""

    status = HTTPStatus.FORBIDDEN
    code = "model_control"


class NotReadyError(ServiceError):
    """The model is still being loaded, verified or warmed, or could not be; or the service is about to stop."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "not_ready"
    retry_after_seconds = 5


class OverloadedError(ServiceError):
    """More is waiting than the service lets wait, or whoever was to answer is being drained.

    Args:
        message: As of every error.
        reason: What there is too much of.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "overloaded"
    retry_after_seconds = 1

    def __init__(self, message: str, reason: OverloadReason) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...], dict[str, object]]:
        """For another process, as of the other error that is made of more than its message."""
        return type(self), (self.message, self.reason), vars(self)


class DeadlineExceededError(ServiceError):
    """The request's time ran out before the model answered."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "deadline_exceeded"


class ModelFaultError(ServiceError):
    """The model failed or answered something that is no probability: the artifact is at fault, not the request."""

    code = "model_fault"
