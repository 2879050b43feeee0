"""Both clients, asking the service itself, and a server that answers as it is told."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from service.client import AsyncClient, Client, ScoringError
from service.schemas import ScoreAnswer, SequenceBody
from tests.service.conftest import Service

SOUND: SequenceBody = {"event_types": ["Opened/Phone", "New/P3"], "elapsed_minutes": [6, 0]}
TIMED: SequenceBody = {
    "events": [
        {"type": "Opened/Phone", "time": "2016-03-01T01:36:00Z"},
        {"type": "New/P3", "time": "2016-03-01T01:42:00Z"},
    ]
}

Score = Callable[..., ScoreAnswer]


@dataclass
class Scripted:
    """An HTTP server that answers what it is told, then scores every sequence 0.5.

    Attributes:
        script: Status and headers of the next answers; None hangs up instead.
        requests: Headers and bodies that came.
        meet: Called by every request before its answer.
    """

    script: list[tuple[int, dict[str, str]] | None] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    meet: Callable[[], object] = int
    url: str = ""


def _scores(body: bytes) -> dict[str, Any]:
    sequences = json.loads(body)["sequences"]
    score = {"risk": 0.5, "auxiliary_risk": 0.5, "events_used": 1, "events_truncated": 0, "unknown_events": 0}
    return {"model": "m", "version": 1, "scores": [{"id": one.get("id"), **score} for one in sequences]}


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    told = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            told.requests.append((dict(self.headers), body))
            told.meet()
            step = told.script.pop(0) if told.script else (200, {})
            if step is None:
                self.close_connection = True
                return
            status, headers = step
            text = json.dumps(
                _scores(body) if status == 200 and body else {"error": "No.", "code": "no", "details": []}
            )
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def _score_async(
    url: str,
    sequences: list[SequenceBody],
    model: str | None = None,
    **options: Any,  # noqa: ANN401  those of the client
) -> ScoreAnswer:
    async def score() -> ScoreAnswer:
        async with AsyncClient(url, **options) as client:
            return await client.score(sequences, model=model)

    return asyncio.run(score())


def _score_sync(
    url: str,
    sequences: list[SequenceBody],
    model: str | None = None,
    **options: Any,  # noqa: ANN401  those of the client
) -> ScoreAnswer:
    with Client(url, **options) as client:
        return client.score(sequences, model=model)


@pytest.fixture(params=[_score_sync, _score_async], ids=["sync", "async"])
def score(request: pytest.FixtureRequest) -> Score:
    """A call of either client."""
    score: Score = request.param
    return score


def test_scores_are_those_of_the_service_in_either_form(service: Service, client: httpx.Client, score: Score) -> None:
    plain = client.post("/v1/score", json={"sequences": [SOUND, TIMED]}).json()

    assert score(service.address(), [SOUND, TIMED], model="tiny") == plain


def test_any_number_of_sequences_come_back_in_order(service: Service, score: Score) -> None:
    histories: list[SequenceBody] = [
        {"id": str(number), "event_types": ["New/P3"] * (1 + number % 8), "elapsed_minutes": [0] * (1 + number % 8)}
        for number in range(150)
    ]

    answer = score(service.address(), histories, max_sequences=20)

    assert [one["id"] for one in answer["scores"]] == [str(number) for number in range(150)]
    assert [one["events_used"] for one in answer["scores"]] == [1 + number % 8 for number in range(150)]
    assert (answer["model"], answer["version"]) == ("tiny", 1)


def test_long_sequences_are_spread_over_bodies_the_service_takes(service: Service, score: Score) -> None:
    long: SequenceBody = {"event_types": ["x" * 200] * 20, "elapsed_minutes": [0] * 20}

    answer = score(service.address(), [long] * 15, max_body_bytes=20_000)

    assert len(answer["scores"]) == 15


def test_a_refusal_names_the_sequence_among_all(service: Service, score: Score) -> None:
    bad: SequenceBody = {"event_types": ["a"], "elapsed_minutes": [-1]}

    with pytest.raises(ScoringError, match="not negative") as raised:
        score(service.address(), [*[SOUND] * 33, bad, SOUND], max_sequences=10)

    assert (raised.value.status, raised.value.code) == (422, "invalid_request")
    assert [fault.pointer for fault in raised.value.details] == ["/sequences/33/elapsed_minutes/0"]
    assert raised.value.request_id


@pytest.mark.parametrize(
    ("sequences", "model", "code"),
    [
        ([], None, "invalid_request"),
        ([SOUND], "other", "unknown_model"),
        ([{"event_types": ["a"], "elapsed_minutes": [float("nan")]}], None, "invalid_request"),
    ],
)
def test_what_is_wrong_is_the_services_to_say(
    service: Service, score: Score, sequences: list[SequenceBody], model: str | None, code: str
) -> None:
    with pytest.raises(ScoringError) as raised:
        score(service.address(), sequences, model)

    assert raised.value.code == code


def test_the_served_model_says_what_a_request_may_carry(service: Service) -> None:
    async def ask() -> list[Any]:
        async with AsyncClient(service.address()) as client:
            await client.wait_until_ready()
            return await client.models()

    with Client(service.address()) as client:
        client.wait_until_ready()
        (model,) = client.models()

    assert (model.name, model.state, model.limits.max_sequences) == ("tiny", "ready", 20)
    assert asyncio.run(ask()) == [model]


@pytest.mark.parametrize("status", [503, 429])
def test_an_overloaded_service_is_asked_again_when_it_said(scripted: Scripted, score: Score, status: int) -> None:
    scripted.script = [(status, {"Retry-After": "1"}), None]

    answer = score(scripted.url, [SOUND], timeout_seconds=60)

    first, second, third = (int(headers["X-Request-Timeout-Ms"]) for headers, _ in scripted.requests)
    assert len(answer["scores"]) == 1
    assert second <= first - 1000
    assert third <= second
    assert len({body for _, body in scripted.requests}) == 1


@pytest.mark.parametrize("status", [400, 404, 408, 413, 422, 500, 504])
def test_a_refusal_is_not_asked_again(scripted: Scripted, score: Score, status: int) -> None:
    scripted.script = [(status, {"X-Request-Id": "r-9", "Retry-After": "0"})]

    with pytest.raises(ScoringError) as raised:
        score(scripted.url, [SOUND])

    assert (raised.value.status, raised.value.code, raised.value.request_id) == (status, "no", "r-9")
    assert len(scripted.requests) == 1


def test_overload_without_end_is_told_within_the_time(scripted: Scripted, score: Score) -> None:
    scripted.script = [(503, {})] * 1000

    with pytest.raises(ScoringError) as raised:
        score(scripted.url, [SOUND], timeout_seconds=0.5)

    assert raised.value.status == 503
    assert len(scripted.requests) > 1


def test_nobody_there_is_told_in_words(score: Score) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(ScoringError, match="nothing in") as raised:
        score(f"http://127.0.0.1:{port}", [SOUND], timeout_seconds=0.3)

    assert (raised.value.status, raised.value.code) == (None, "no_answer")


def test_readiness_is_waited_for(scripted: Scripted) -> None:
    async def wait() -> None:
        async with AsyncClient(scripted.url) as client:
            await client.wait_until_ready()

    scripted.script = [(503, {"Retry-After": "0"}), (200, {}), (503, {"Retry-After": "0"}), None, (200, {})]
    with Client(scripted.url) as client:
        client.wait_until_ready()
    asyncio.run(wait())

    assert len(scripted.requests) == 5


def test_readiness_that_does_not_come_is_told(scripted: Scripted) -> None:
    scripted.script = [(503, {"Retry-After": "5"})]

    with Client(scripted.url) as client, pytest.raises(ScoringError, match="no"):
        client.wait_until_ready(timeout_seconds=1)


def test_a_key_is_sent_along_and_its_limit_waited_for(scripted: Scripted, score: Score) -> None:
    scripted.script = [(429, {"Retry-After": "0"})]

    answer = score(scripted.url, [SOUND], api_key="seqrisk_x", headers={"X-Team": "fraud"})

    assert len(answer["scores"]) == 1
    told = [(headers["Authorization"], headers["X-Team"]) for headers, _ in scripted.requests]
    assert told == [("Bearer seqrisk_x", "fraud")] * 2


def test_headers_are_sent_along(scripted: Scripted, score: Score) -> None:
    score(scripted.url, [SOUND], headers={"Authorization": "Bearer x"})

    assert scripted.requests[0][0]["Authorization"] == "Bearer x"


def test_as_many_requests_as_allowed_are_under_way_at_once(scripted: Scripted) -> None:
    most, meeting, lock, inside = 3, threading.Barrier(3), threading.Lock(), [0, 0]

    def meet() -> None:
        with lock:
            inside[0] += 1
            inside[1] = max(inside)
        meeting.wait(60)
        with lock:
            inside[0] -= 1

    scripted.meet = meet

    answer = _score_async(scripted.url, [SOUND] * 12, max_sequences=1, max_concurrent=most)

    assert len(answer["scores"]) == 12
    assert inside == [0, most]


def test_the_client_needs_no_framework() -> None:
    frameworks = {"fastapi", "keras", "prometheus_client", "starlette", "tensorflow", "uvicorn"}
    program = f"import service.client, sys; print(sorted({frameworks} & {{*sys.modules}}))"

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert told.stdout.strip() == "[]"
