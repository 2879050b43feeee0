"""The OpenAPI document says what the service does: every example in it is what really comes and goes."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from models.repository import Repository
from service.app import create_app
from service.entrance import Entrance
from service.examples import ANSWERS, REQUESTS
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.live_model import LiveModel
from service.metrics import Metrics
from service.schemas import SCORE_REQUEST
from service.settings import DEFAULT_REPOSITORY, Settings
from service.versions import ModelStatus
from tests.service.live_models import live_model

ROOT = Path(__file__).parents[2]
SOUND = {"event_types": ["a"], "elapsed_minutes": [0]}
# Waiting for the model, it keeps other bodies from being read.
MANY = {"sequences": [SOUND] * 600}
BUSY = Settings(max_waiting_sequences=1_000)

Answer = Coroutine[Any, Any, httpx.Response]


def _default_model(before: Callable[[], object] = int) -> LiveModel:
    """What the examples talk of, with another network."""
    return live_model(Repository(DEFAULT_REPOSITORY).open("sla-breach").manifest, version=1, before=before)


def _app(champion: LiveModel | None, settings: Settings | None = None, *, is_stopping: bool = False) -> Entrance:
    settings = settings or Settings()
    metrics, lifecycle = Metrics(), Lifecycle()
    lineup = LineUp(settings, metrics)
    lineup._champion = champion
    if champion is not None:
        lineup._status = ModelStatus(champion.manifest.name, 1, "ready", "", champion.manifest)
    if is_stopping:
        lifecycle.stop()
    return create_app(settings, lineup, metrics, lifecycle)


@cache
def _document() -> dict[str, Any]:
    return _loading().app.openapi()


@cache
def _loading() -> Entrance:
    return _app(None)


@cache
def _ready() -> Entrance:
    return _app(_default_model())


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """One event loop for the applications that tests share."""
    with asyncio.Runner() as runner:
        yield runner


async def _request(app: Entrance, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401  httpx'
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        return await client.request(method, path, **more)


async def _post(app: Entrance, content: Any, **headers: str) -> httpx.Response:  # noqa: ANN401  JSON, bytes, a stream
    kind = "json" if isinstance(content, dict) else "content"
    return await _request(app, "POST", "/v1/score", **{kind: content}, headers=headers)


async def _slow_body() -> httpx.Response:
    async def stream() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    return await _post(_ready(), stream(), **{"X-Request-Timeout-Ms": "50"})


async def _failing_model() -> httpx.Response:
    def fail() -> None:
        raise ValueError("the model failed")

    return await _post(_app(_default_model(fail)), {"sequences": [SOUND]})


async def _failing_service() -> httpx.Response:
    broken = _default_model()
    del broken.vocabulary
    return await _post(_app(broken), {"sequences": [SOUND]})


async def _held(then: Callable[[Entrance], Answer]) -> httpx.Response:
    """An answer while the model is busy for as long as it takes."""
    may_run = threading.Event()
    app = _app(_default_model(may_run.wait), BUSY)
    try:
        return await then(app)
    finally:
        may_run.set()


async def _overloaded(app: Entrance) -> httpx.Response:
    waiting = [asyncio.create_task(_post(app, content)) for content in (MANY, {"sequences": [SOUND]})]
    await asyncio.sleep(BUSY.max_turn_seconds + 0.2)
    answer = await _post(app, {"sequences": [SOUND]})
    for task in waiting:
        task.cancel()
    return answer


async def _too_late(app: Entrance) -> httpx.Response:
    return await _post(app, {"sequences": [SOUND]}, **{"X-Request-Timeout-Ms": "50"})


SEVERAL_FAULTS = {
    "sequences": [
        {"event_types": ["a", "b"], "elapsed_minutes": [0]},
        {"events": [{"type": "a", "time": "2016-03-01T01:36:00"}]},
    ]
}
UNORDERED = {"sequences": [{"event_types": ["a"] * 3, "elapsed_minutes": [3, 5, 0]}]}

# What brings about each answer that the document shows.
CAUSES: dict[tuple[str, str, str], Callable[[], Answer]] = {
    ("/v1/score", "400", "not JSON"): lambda: _post(_ready(), b'{"sequences": ['),
    ("/v1/score", "400", "a header"): lambda: _post(_ready(), {}, **{"X-Request-Timeout-Ms": "soon"}),
    ("/v1/score", "404", "another model"): lambda: _post(_ready(), {"model": "other", "sequences": [SOUND]}),
    ("/v1/score", "408", "a slow body"): _slow_body,
    ("/v1/score", "413", "a long body"): lambda: _post(_ready(), b" " * 8_000_001),
    ("/v1/score", "415", "a compressed body"): lambda: _post(_ready(), b"\x0b", **{"Content-Encoding": "br"}),
    ("/v1/score", "422", "the schema"): lambda: _post(_ready(), {}),
    ("/v1/score", "422", "a rule of time"): lambda: _post(_ready(), UNORDERED),
    ("/v1/score", "422", "several faults"): lambda: _post(_ready(), SEVERAL_FAULTS),
    ("/v1/score", "500", "the model"): _failing_model,
    ("/v1/score", "500", "the service"): _failing_service,
    ("/v1/score", "503", "not ready"): lambda: _post(_loading(), {}),
    ("/v1/score", "503", "overloaded"): lambda: _held(_overloaded),
    ("/v1/score", "504", "the time ran out"): lambda: _held(_too_late),
    ("/v1/score", "default", "another method"): lambda: _request(_loading(), "PUT", "/v1/score"),
    ("/v1/models/{name}", "404", "another model"): lambda: _request(_ready(), "GET", "/v1/models/other"),
    ("/v1/models/{name}", "503", "not known yet"): lambda: _request(_loading(), "GET", "/v1/models/other"),
    ("/livez", "200", "alive"): lambda: _request(_loading(), "GET", "/livez"),
    ("/readyz", "200", "ready"): lambda: _request(_ready(), "GET", "/readyz"),
    ("/readyz", "503", "not ready"): lambda: _request(_loading(), "GET", "/readyz"),
    ("/readyz", "503", "stopping"): lambda: _request(_app(None, is_stopping=True), "GET", "/readyz"),
}
SHOWN = {
    (path, status, name): value
    for path, statuses in ANSWERS.items()
    for status, answers in statuses.items()
    for name, value in answers.items()
}
SCORES = ("/v1/score", "200", "scores")


@pytest.mark.parametrize("cause", CAUSES, ids=" ".join)
def test_an_answer_shown_is_the_one_that_comes(cause: tuple[str, str, str], loop: asyncio.Runner) -> None:
    path, status, _ = cause

    answer = loop.run(CAUSES[cause]())

    documented = _document()["paths"][path].values()
    assert answer.json() == SHOWN[cause]
    assert status in {str(answer.status_code), "default"}
    for operation in documented:
        assert {name.lower() for name in operation["responses"][status]["headers"]} <= {*answer.headers}


def test_every_answer_shown_is_compared() -> None:
    assert {*SHOWN} == {*CAUSES, SCORES}


def test_every_documented_refusal_of_a_score_is_shown() -> None:
    responses = _document()["paths"]["/v1/score"]["post"]["responses"]

    assert all(response["content"]["application/json"]["examples"] for response in responses.values())


def test_the_scores_shown_are_those_of_the_readme() -> None:
    """Which another test compares with the default model."""
    readme = (ROOT / "README.md").read_text()
    sent, came = re.findall(r"-d '({.*?})'", readme, re.DOTALL)[0], re.findall(r"```json\n(.*?)```", readme, re.DOTALL)

    assert json.loads(sent) == REQUESTS["both forms"]
    assert SHOWN[SCORES] in [json.loads(block) for block in came if "scores" in block]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_shown_is_accepted(name: str, loop: asyncio.Runner) -> None:
    answer = loop.run(_post(_ready(), REQUESTS[name]))

    assert answer.status_code == 200, answer.text


def test_the_document_is_openapi() -> None:
    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(_document())] == []


def test_examples_fit_the_schemas_they_stand_beside() -> None:
    document, num_examples = _document(), 0

    for methods in document["paths"].values():
        for operation in methods.values():
            bodies = [
                *operation["responses"].values(),
                *([operation["requestBody"]] if "requestBody" in operation else []),
            ]
            for media in (media for body in bodies for media in body.get("content", {}).values()):
                schema = media.get("schema", {}) | {"components": document["components"]}
                for example in media.get("examples", {}).values():
                    jsonschema_rs.Draft202012Validator(schema).validate(example["value"])
                    num_examples += 1

    assert num_examples >= len(SHOWN) + len(REQUESTS)


def test_limits_are_those_of_the_settings() -> None:
    settings = Settings(max_sequences=77, max_sequence_events=99, max_body_bytes=12_345, request_timeout_seconds=2.5)
    document = _app(None, settings).app.openapi()
    schemas = document["components"]["schemas"]

    assert schemas["ScoreRequest"]["properties"]["sequences"]["maxItems"] == 77
    for form in ("events", "event_types", "elapsed_minutes"):
        assert schemas["SequenceBody"]["properties"][form]["maxItems"] == 99
    described = document["paths"]["/v1/score"]["post"]["requestBody"]["description"]
    assert "12345 bytes" in described
    assert "2.5 s" in described
    assert schemas["ScoreRequest"]["properties"].keys() == SCORE_REQUEST.json_schema()["properties"].keys()


def test_every_answer_names_its_request_and_every_503_when_to_try_again() -> None:
    for methods in _document()["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                assert "X-Request-Id" in response["headers"]
                assert ("Retry-After" in response["headers"]) == (status == "503")


def test_headers_of_requests_are_documented_where_they_matter() -> None:
    paths = _document()["paths"]
    told = {
        path: {parameter["$ref"].split("/")[-1] for parameter in operation["parameters"] if "$ref" in parameter}
        for path in paths
        for operation in paths[path].values()
    }

    assert told["/v1/score"] == {"RequestId", "RequestTimeout"}
    assert told["/livez"] == {"RequestId"}
