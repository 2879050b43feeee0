"""What every request passes on its way in and out: its id, its counts, its errors, and the shortest way to its route.

DirectRoute    a documented route that is called without the framework's machinery
Entrance       the ASGI application in front of FastAPI
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter

from fastapi import FastAPI
from fastapi.routing import APIRoute
from prometheus_client import Counter, Histogram
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.errors import ServiceError, UnexpectedError
from service.guard import Admission, Guard
from service.lifecycle import Lifecycle
from service.logs import REQUEST_ID
from service.metrics import Metrics
from service.refusals import Refusals, route_template
from service.request_ids import RequestIds

OTHER_METHOD = "other"

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

logger = logging.getLogger(__name__)


class DirectRoute(APIRoute):
    """A route without path parameters whose endpoint takes the request and returns the response, bytes for bytes.

    FastAPI documents it. The search for it and the injection of what it does not ask for, half of a small request's
    cost, are left out: `Entrance` finds it by its path.
    """


class Entrance:
    """The service's ASGI application: FastAPI, and what holds for every request to it.

    Every answer carries `X-Request-Id`, the client's own if it sent a usable one. Once the process is to stop, every
    answer also asks its client to leave the connection.

    Args:
        app: FastAPI, which answers all but the direct routes.
        direct_routes: Called here.
        metrics: Where requests are counted.
        refusals: Turns errors of direct routes into answers.
        lifecycle: Says when the process is to stop.
        headers: Of every answer, beside its own.
        guard: Says who is let in; None for everybody.
    """

    def __init__(
        self,
        app: FastAPI,
        *,
        direct_routes: Iterable[DirectRoute],
        metrics: Metrics,
        refusals: Refusals,
        lifecycle: Lifecycle,
        headers: Iterable[tuple[bytes, bytes]] = (),
        guard: Guard | None = None,
    ) -> None:
        self.app = app
        self._routes = {(method, route.path): route for route in direct_routes for method in route.methods or ()}
        self._refusals = refusals
        self._lifecycle = lifecycle
        self._headers = tuple(headers)
        self._guard = guard
        self._counts = _Counts(metrics)
        self._num_inside = 0
        metrics.requests_in_flight.set_function(lambda: self._num_inside)
        self._request_ids = RequestIds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started_at = perf_counter()
        request_id = self._request_ids.of(scope["headers"])
        REQUEST_ID.set(request_id.decode())
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own_headers = message.get("headers", ())
                message["headers"] = headers = [*own_headers, (b"x-request-id", request_id), *self._headers]
                if self._lifecycle.is_stopping and (b"connection", b"close") not in headers:
                    headers.append((b"connection", b"close"))
            await send(message)

        self._num_inside += 1
        admission: Admission | None = None
        try:
            route = self._routes.get((scope["method"], scope["path"]))
            if route is not None:
                scope["route"] = route
            if self._guard is not None:
                admission = self._guard.enter(scope)
            if route is None:
                await self.app(scope, receive, send_with_id)
            else:
                await self._call(route.endpoint, scope, receive, send_with_id)
        except ServiceError as refusal:
            # The guard's: those of routes are answered where they are raised.
            await self._refusals.answer(scope, refusal)(scope, receive, send_with_id)
        finally:
            if admission is not None:
                admission.leave()
            self._num_inside -= 1
            seconds = perf_counter() - started_at
            self._counts.add(route_template(scope), scope["method"], status, seconds)
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("%s %r: %d in %.1f ms", scope["method"], scope["path"], status, seconds * 1e3)

    async def _call(
        self, endpoint: Callable[[Request], Awaitable[Response]], scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            response = await endpoint(Request(scope, receive))
        except ServiceError as error:
            response = self._refusals.answer(scope, error)
        except Exception:
            await self._refusals.answer(scope, unexpected())(scope, receive, send)
            # The server logs its trace.
            raise
        await response(scope, receive, send)


def unexpected() -> ServiceError:
    """What a client is told of a failure that is nobody's business outside."""
    return UnexpectedError()


class _Counts:
    """Requests by route, method and class of status. Looking a label up costs as much as two observations."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._bound: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def add(self, route: str, method: str, status: int, seconds: float) -> None:
        key = (route, method if method in KNOWN_METHODS else OTHER_METHOD, status // 100)
        if key not in self._bound:
            requests = self._metrics.requests.labels(route, key[1], f"{key[2]}xx")
            self._bound[key] = (requests, self._metrics.request_seconds.labels(route))
        counter, histogram = self._bound[key]
        counter.inc()
        histogram.observe(seconds)
