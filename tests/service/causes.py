"""What brings about each answer that the OpenAPI document shows, whichever route gives it.

make_app, loading, with_model    applications
ask, post                        requests to them
COMMON                           a status, what happened -> how to bring it about on a route that scores
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cache
from typing import Any

import httpx

from models.repository import Repository
from service.app import create_app
from service.entrance import Entrance
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.live_model import LiveModel
from service.metrics import Metrics
from service.settings import DEFAULT_REPOSITORY, Settings
from service.versions import ModelStatus
from tests.service.live_models import live_model

Answer = Coroutine[Any, Any, httpx.Response]
# From a path that scores, and a body it takes.
Cause = Callable[[str, Any], Answer]

_OWN = "/v1/score"
_SOUND = {"sequences": [{"event_types": ["a"], "elapsed_minutes": [0]}]}
# Waiting for the model, it keeps other bodies from being read.
_MANY = {"sequences": _SOUND["sequences"] * 600}
_BUSY = Settings(max_waiting_sequences=1_000)


def default_model(before: Callable[[], object] = int) -> LiveModel:
    """What the examples talk of, with another network."""
    return live_model(Repository(DEFAULT_REPOSITORY).open("sla-breach").manifest, version=1, before=before)


def make_app(champion: LiveModel | None, settings: Settings | None = None, *, is_stopping: bool = False) -> Entrance:
    """The application, with this model loaded or none."""
    settings = settings or Settings()
    metrics, lifecycle = Metrics(), Lifecycle()
    lineup = LineUp(settings, metrics)
    lineup._follower.champion = champion
    if champion is not None:
        lineup._follower.status = ModelStatus(champion.manifest.name, 1, "ready", "", champion.manifest)
    if is_stopping:
        lifecycle.stop()
    return create_app(settings, lineup, metrics, lifecycle)


@cache
def loading() -> Entrance:
    """An application that has no model yet."""
    return make_app(None)


@cache
def with_model() -> Entrance:
    """One that is ready."""
    return make_app(default_model())


async def ask(app: Entrance, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401  httpx'
    """The answer of an application."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return await client.request(method, path, **more)


async def post(app: Entrance, path: str, content: Any, **headers: str) -> httpx.Response:  # noqa: ANN401  JSON, bytes
    """The answer to a body."""
    kind = "json" if isinstance(content, dict) else "content"
    return await ask(app, "POST", path, **{kind: content}, headers=headers)


async def _slow_body(path: str, _: Any) -> httpx.Response:  # noqa: ANN401  JSON
    async def stream() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    return await post(with_model(), path, stream(), **{"X-Request-Timeout-Ms": "50"})


async def _failing_model(path: str, sound: Any) -> httpx.Response:  # noqa: ANN401  JSON
    def fail() -> None:
        raise ValueError("the model failed")

    return await post(make_app(default_model(fail)), path, sound)


async def _failing_service(path: str, sound: Any) -> httpx.Response:  # noqa: ANN401  JSON
    broken = default_model()
    del broken.vocabulary
    return await post(make_app(broken), path, sound)


async def _held(then: Callable[[Entrance], Answer]) -> httpx.Response:
    """An answer while the model is busy for as long as it takes."""
    may_run = threading.Event()
    app = make_app(default_model(may_run.wait), _BUSY)
    try:
        return await then(app)
    finally:
        may_run.set()


def _overloaded(path: str, sound: Any) -> Answer:  # noqa: ANN401  JSON
    async def then(app: Entrance) -> httpx.Response:
        waiting = [asyncio.create_task(post(app, _OWN, content)) for content in (_MANY, _SOUND)]
        await asyncio.sleep(_BUSY.max_turn_seconds + 0.6)
        answer = await post(app, path, sound)
        for task in waiting:
            task.cancel()
        return answer

    return _held(then)


def _too_late(path: str, sound: Any) -> Answer:  # noqa: ANN401  JSON
    return _held(lambda app: post(app, path, sound, **{"X-Request-Timeout-Ms": "50"}))


COMMON: dict[tuple[str, str], Cause] = {
    ("408", "a slow body"): _slow_body,
    ("413", "a long body"): lambda path, _: post(with_model(), path, b" " * 8_000_001),
    ("500", "the model"): _failing_model,
    ("500", "the service"): _failing_service,
    ("503", "not ready"): lambda path, sound: post(loading(), path, sound),
    ("503", "overloaded"): _overloaded,
    ("504", "the time ran out"): _too_late,
    ("default", "another method"): lambda path, _: ask(loading(), "PUT", path),
}
