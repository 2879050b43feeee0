"""Errors as HTTP answers: the one envelope."""

from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Scope

from service.errors import OverloadedError, ServiceError
from service.metrics import Metrics
from service.schemas import ErrorAnswer, FaultBody

# Paths that no route of ours has, and FastAPI's own pages.
OTHER_ROUTE = "other"


class Refusals:
    """Turns errors into answers, and counts them.

    Args:
        metrics: Where they are counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def answer(self, scope: Scope, error: ServiceError, headers: Mapping[str, str] | None = None) -> Response:
        """The envelope of `error`, with `headers` and its own."""
        count_refusal(self._metrics, route_template(scope), error)
        headers = dict(headers or {})
        if error.retry_after_seconds is not None:
            headers["Retry-After"] = str(error.retry_after_seconds)
        if error.challenge is not None:
            headers["WWW-Authenticate"] = error.challenge
        if error.closes_connection:
            headers["Connection"] = "close"
        details = [FaultBody(pointer=fault.pointer, message=fault.message) for fault in error.details]
        envelope = ErrorAnswer(error=error.message, code=error.code, details=details)
        return Response(envelope.model_dump_json(), error.status, headers, "application/json")


def count_refusal(metrics: Metrics, route: str, error: ServiceError) -> None:
    """Count an answer of `error`."""
    metrics.rejects.labels(route, error.code).inc()
    if isinstance(error, OverloadedError):
        metrics.overloads.labels(error.reason).inc()


def route_template(scope: Scope) -> str:
    """The path template that matched, such as `/v1/models/{name}`: a closed set, whatever clients ask for."""
    route = scope.get("route")
    return getattr(route, "path", OTHER_ROUTE)
