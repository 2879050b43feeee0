import asyncio
import json
import logging
from collections.abc import Mapping

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response

from service.entrance import DirectRoute, Entrance
from service.errors import OverloadedError
from service.lifecycle import Lifecycle
from service.logs import REQUEST_ID
from service.metrics import Metrics
from service.refusals import Refusals


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def lifecycle() -> Lifecycle:
    return Lifecycle()


@pytest.fixture
def entrance(metrics: Metrics, lifecycle: Lifecycle) -> Entrance:
    router = APIRouter(route_class=DirectRoute)

    @router.post("/direct")
    async def direct(request: Request) -> Response:
        match await request.body():
            case b"overload":
                raise OverloadedError("Full.", "turn")
            case b"trouble":
                raise RuntimeError("password=hunter2")
            case _:
                return Response(str(REQUEST_ID.get()))

    app = FastAPI()
    app.include_router(router)

    @app.get("/greet/{name}")
    async def greet(name: str) -> str:
        if name == "trouble":
            raise RuntimeError("on purpose")
        return str(REQUEST_ID.get())

    routes = [route for route in router.routes if isinstance(route, DirectRoute)]
    refusals = Refusals(metrics)
    return Entrance(app, direct_routes=routes, metrics=metrics, refusals=refusals, lifecycle=lifecycle)


def _request(
    entrance: Entrance,
    method: str,
    path: str,
    content: bytes = b"",
    headers: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
) -> httpx.Response:
    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(entrance, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(request())


def _count(metrics: Metrics, **labels: str) -> float | None:
    return metrics.registry.get_sample_value("seqrisk_requests_total", labels)


@pytest.mark.parametrize(("method", "path"), [("POST", "/direct"), ("GET", "/greet/ada")])
def test_a_request_keeps_its_clients_id_inside_and_out(entrance: Entrance, method: str, path: str) -> None:
    answer = _request(entrance, method, path, headers={"X-Request-Id": "order-66"})

    assert answer.headers["x-request-id"] == "order-66"
    assert answer.text.strip('"') == "order-66"


def test_requests_without_an_id_get_one_each(entrance: Entrance) -> None:
    ids = {_request(entrance, "POST", "/direct").headers["x-request-id"] for _ in range(5)}

    assert len(ids) == 5


@pytest.mark.parametrize("unfit", [b"", b"two words", b"x" * 129, b"\xc3\xa9", b"a\tb"])
def test_an_id_that_could_break_a_log_is_replaced(entrance: Entrance, unfit: bytes) -> None:
    answer = _request(entrance, "POST", "/direct", headers={b"X-Request-Id": unfit})

    assert answer.headers["x-request-id"] not in {"", unfit.decode()}


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/nowhere", b"", 404),
        ("GET", "/direct", b"", 405),
        ("GET", "/greet/trouble", b"", 500),
        ("POST", "/direct", b"overload", 503),
        ("POST", "/direct", b"trouble", 500),
    ],
)
def test_every_error_has_an_id_too(entrance: Entrance, method: str, path: str, content: bytes, status: int) -> None:
    answer = _request(entrance, method, path, content, {"X-Request-Id": "order-66"})

    assert (answer.status_code, answer.headers["x-request-id"]) == (status, "order-66")


def test_errors_of_a_direct_route_come_in_the_envelope(entrance: Entrance, metrics: Metrics) -> None:
    overloaded = _request(entrance, "POST", "/direct", b"overload")
    trouble = _request(entrance, "POST", "/direct", b"trouble")

    assert json.loads(overloaded.content)["code"] == "overloaded"
    assert json.loads(trouble.content)["code"] == "internal_error"
    assert "hunter2" not in trouble.text
    rejects = {"route": "/direct", "code": "overloaded"}
    assert metrics.registry.get_sample_value("seqrisk_rejects_total", rejects) == 1


def test_every_answer_carries_the_headers_of_all(metrics: Metrics, lifecycle: Lifecycle) -> None:
    entrance = Entrance(
        FastAPI(),
        direct_routes=[],
        metrics=metrics,
        refusals=Refusals(metrics),
        lifecycle=lifecycle,
        headers=[(b"cache-control", b"no-store")],
    )

    for path in ("/openapi.json", "/nowhere"):
        assert _request(entrance, "GET", path).headers["cache-control"] == "no-store"


def test_an_unexpected_failure_reaches_the_servers_log(entrance: Entrance) -> None:
    async def request() -> None:
        transport = httpx.ASGITransport(entrance)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            await client.post("/direct", content=b"trouble")

    with pytest.raises(RuntimeError, match="hunter2"):
        asyncio.run(request())


def test_who_met_an_unexpected_failure_is_told_that_the_connection_ends(entrance: Entrance) -> None:
    assert _request(entrance, "POST", "/direct", b"trouble").headers["connection"] == "close"
    assert "connection" not in _request(entrance, "POST", "/direct", b"overload").headers


def test_while_it_stops_every_answer_asks_its_client_to_go_elsewhere(entrance: Entrance, lifecycle: Lifecycle) -> None:
    before = _request(entrance, "POST", "/direct")
    lifecycle.stop()
    answers = [_request(entrance, "POST", "/direct", content) for content in (b"", b"overload")]

    assert "connection" not in before.headers
    assert [answer.headers["connection"] for answer in answers] == ["close", "close"]


def test_requests_are_counted_by_template_method_and_class_of_status(entrance: Entrance, metrics: Metrics) -> None:
    for name in ("ada", "grace"):
        _request(entrance, "GET", f"/greet/{name}")
    _request(entrance, "POST", "/direct")
    _request(entrance, "GET", "/greet/trouble")

    assert _count(metrics, route="/greet/{name}", method="GET", status="2xx") == 2
    assert _count(metrics, route="/direct", method="POST", status="2xx") == 1
    assert _count(metrics, route="/greet/{name}", method="GET", status="5xx") == 1
    assert metrics.registry.get_sample_value("seqrisk_request_seconds_count", {"route": "/greet/{name}"}) == 3


def test_what_clients_invent_makes_no_new_label(entrance: Entrance, metrics: Metrics) -> None:
    for number in range(5):
        _request(entrance, f"VERB{number}", f"/invented/{number}")

    assert _count(metrics, route="other", method="other", status="4xx") == 5


def test_requests_in_flight_are_those_that_are_not_answered(metrics: Metrics, lifecycle: Lifecycle) -> None:
    seen: list[float | None] = []
    app = FastAPI()

    @app.get("/")
    async def look() -> None:
        seen.append(metrics.registry.get_sample_value("seqrisk_requests_in_flight"))

    entrance = Entrance(app, direct_routes=[], metrics=metrics, refusals=Refusals(metrics), lifecycle=lifecycle)
    _request(entrance, "GET", "/")

    assert seen == [1]
    assert metrics.registry.get_sample_value("seqrisk_requests_in_flight") == 0


def test_a_debug_line_names_request_and_status(entrance: Entrance, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "service.entrance"):
        _request(entrance, "POST", "/direct", b"overload")

    assert "POST '/direct': 503" in caplog.text
