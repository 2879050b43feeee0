"""Traces, taken by a real receiver of OTLP over HTTP."""

import asyncio
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from service.entrance import DirectRoute, Entrance
from service.errors import OverloadedError
from service.lifecycle import Lifecycle
from service.metrics import Metrics
from service.refusals import Refusals
from service.tracing import BODY_READ, Traced
from tests.service.conftest import STOP_SECONDS, StartService

ROOT = Path(__file__).parents[2]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


class Collector:
    """A receiver of OTLP over HTTP; `hold` keeps it from answering until it is set."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resource: dict[str, str] = {}
        self.hold = Event()
        self.hold.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                collector.hold.wait()
                if self.path == "/v1/traces":
                    collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for part in request.resource_spans:
            self.resource = {entry.key: entry.value.string_value for entry in part.resource.attributes}
            self.spans += [span for scope in part.scope_spans for span in scope.spans]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = Thread(target=collector.server.serve_forever, args=(0.01,))
    thread.start()
    yield collector
    collector.hold.set()
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


@pytest.fixture
def traced(collector: Collector) -> Iterator[Traced]:
    router = APIRouter(route_class=DirectRoute)

    @router.post("/direct")
    async def direct(request: Request) -> Response:
        if await request.body() == b"overload":
            raise OverloadedError("Full.", "turn")
        return Response()

    app = FastAPI()
    app.include_router(router)

    @app.get("/greet/{name}")
    async def greet(name: str) -> str:
        if name == "trouble":
            raise RuntimeError("password=hunter2")
        return name

    metrics = Metrics()
    direct_routes = [route for route in router.routes if isinstance(route, DirectRoute)]
    entrance = Entrance(
        app, direct_routes=direct_routes, metrics=metrics, refusals=Refusals(metrics), lifecycle=Lifecycle()
    )
    traced = Traced(entrance, collector.endpoint)
    yield traced
    traced.close()


def ask(app: Traced, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
    async def request() -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            await client.request(method, path, content=content, headers=headers)

    asyncio.run(request())


def attributes(span: Span) -> dict[str, str | int]:
    told: dict[str, str | int] = {}
    for entry in span.attributes:
        match entry.value.WhichOneof("value"):
            case "int_value":
                told[entry.key] = entry.value.int_value
            case "array_value":
                (told[entry.key],) = (value.string_value for value in entry.value.array_value.values)
            case _:
                told[entry.key] = entry.value.string_value
    return told


def test_a_request_is_a_span_by_the_semantic_conventions(traced: Traced, collector: Collector) -> None:
    ask(traced, "GET", "/greet/ada?secret=1", headers={"X-Request-Id": "order-66", "User-Agent": "curl/8"})
    traced.close()

    (span,) = collector.spans
    assert (span.name, span.kind, span.status.code) == (
        "GET /greet/{name}",
        Span.SpanKind.SPAN_KIND_SERVER,
        Status.StatusCode.STATUS_CODE_UNSET,
    )
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.response.header.x-request-id": "order-66",
        "http.response.status_code": 200,
        "http.route": "/greet/{name}",
        "network.peer.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "url.path": "/greet/ada",
        "url.scheme": "http",
        "user_agent.original": "curl/8",
    }
    assert span.end_time_unix_nano > span.start_time_unix_nano
    assert not span.parent_span_id
    assert collector.resource["service.name"] == "seqrisk"


def test_a_direct_route_is_named_and_says_when_its_body_had_come(traced: Traced, collector: Collector) -> None:
    ask(traced, "POST", "/direct", b"{}")
    traced.close()

    (span,) = collector.spans
    assert span.name == "POST /direct"
    assert [event.name for event in span.events] == [BODY_READ]


def test_a_callers_trace_goes_on(traced: Traced, collector: Collector) -> None:
    ask(traced, "POST", "/direct", headers={"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "bank=7"})
    traced.close()

    (span,) = collector.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, CALLER, "bank=7")


def test_what_its_caller_does_not_sample_is_not_sent(traced: Traced, collector: Collector) -> None:
    ask(traced, "POST", "/direct", headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
    traced.close()

    assert collector.spans == []


@pytest.mark.parametrize("traceparent", ["", "nonsense", f"00-{'0' * 32}-{CALLER}-01"])
def test_a_traceparent_that_means_nothing_begins_a_trace(
    traced: Traced, collector: Collector, traceparent: str
) -> None:
    ask(traced, "POST", "/direct", headers={"traceparent": traceparent})
    traced.close()

    (span,) = collector.spans
    assert not span.parent_span_id
    assert any(span.trace_id)


@pytest.mark.parametrize(
    ("asked", "status", "fault"),
    [
        (("POST", "/direct", b"overload"), 503, "503"),
        (("GET", "/greet/trouble"), 500, "RuntimeError"),
        (("GET", "/nowhere"), 404, None),
    ],
)
def test_only_what_is_the_services_fault_is_an_error(
    traced: Traced, collector: Collector, asked: tuple[str, str], status: int, fault: str | None
) -> None:
    ask(traced, *asked)
    traced.close()

    (span,) = collector.spans
    told = attributes(span)
    assert (told["http.response.status_code"], told.get("error.type")) == (status, fault)
    assert (span.status.code == Status.StatusCode.STATUS_CODE_ERROR) == (fault is not None)
    assert b"hunter2" not in span.SerializeToString()


def test_what_clients_invent_makes_no_new_name(traced: Traced, collector: Collector) -> None:
    ask(traced, "BREW", "/coffee")
    traced.close()

    (span,) = collector.spans
    assert span.name == "HTTP"
    assert attributes(span)["http.request.method"] == "_OTHER"
    assert attributes(span)["http.request.method_original"] == "BREW"


def test_a_collector_that_does_not_answer_does_not_hold_up_the_end(traced: Traced, collector: Collector) -> None:
    collector.hold.clear()
    ask(traced, "POST", "/direct")

    traced.close()

    assert collector.spans == []


def test_the_service_sends_its_spans_before_it_ends_and_logs_their_trace(
    start_service: StartService, repository: Path, collector: Collector
) -> None:
    service = start_service(
        SEQRISK_REPOSITORY=str(repository), SEQRISK_TRACING_ENDPOINT=collector.endpoint, SEQRISK_LOG_LEVEL="debug"
    )
    httpx.get(f"{service.address()}/livez", headers={"traceparent": f"00-{TRACE}-{CALLER}-01"}, timeout=60)

    assert service.stop() == 0
    (span,) = collector.spans
    assert (span.name, span.trace_id.hex()) == ("GET /livez", TRACE)
    lines = [json.loads(line) for line in service.errors.read_text().splitlines()]
    (line,) = (line for line in lines if line["logger"] == "service.entrance")
    assert line["message"].startswith("GET '/livez': 200")
    assert line["trace_id"] == TRACE


def test_without_the_setting_nothing_of_it_is_imported() -> None:
    program = "import sys, service.__main__; print(*sys.modules)"

    imported = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True, text=True)

    names = imported.stdout.split()
    assert "service.app" in names
    # FastAPI itself takes the bare interface along, which sends nothing.
    assert [name for name in names if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))] == []


def test_without_the_extra_it_stops_and_names_extra_and_setting() -> None:
    program = "import sys; sys.modules['opentelemetry.sdk'] = None; import service.__main__ as m; m.commands(['serve'])"
    environment = {**os.environ, "SEQRISK_PORT": "0", "SEQRISK_TRACING_ENDPOINT": "http://127.0.0.1:1/v1/traces"}

    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=STOP_SECONDS,
    )

    assert ended.returncode == 2
    assert "SEQRISK_TRACING_ENDPOINT" in ended.stderr
    assert "extra `tracing`" in ended.stderr
    assert "Traceback" not in ended.stderr
