"""Short ways through the framework, whose search and injection cost more than scoring a short history.

PlainRoute       a documented route that is called without injection
GuardedRouter    a router that requests to other paths pass by at once
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Receive, Scope, Send


class PlainRoute(APIRoute):
    """A route whose endpoint takes the request and what its one dependency makes of the path, and returns a response.

    FastAPI documents both. What it would do beside calling them, nobody here asks for.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401  FastAPI's own
        super().__init__(path, endpoint, **options)
        (dependency,) = self.dependant.dependencies
        self._asked_for = cast("Callable[..., Awaitable[Any]]", dependency.call)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to this path."""
        if scope["method"] not in (self.methods or ()):
            # The framework refuses it.
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive)
        asked = await self._asked_for(request, **scope["path_params"])
        response = await self.endpoint(request, asked)
        await response(scope, receive, send)


class GuardedRouter(APIRouter):
    """A router that requests to other paths pass by at once: FastAPI tries each route of each router otherwise, twice.

    Args:
        paths: What every path of a route begins with, one of them each.
        **options: Those of FastAPI's router.
    """

    def __init__(self, *, paths: Iterable[str], **options: Any) -> None:  # noqa: ANN401  FastAPI's own
        super().__init__(**options)
        self._paths = tuple(path.lower() for path in paths)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a route here is meant; its words may come in any case."""
        if not scope["path"].lower().startswith(self._paths):
            return Match.NONE, {}
        return super().matches(scope)
