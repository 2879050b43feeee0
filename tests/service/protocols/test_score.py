import asyncio
import json
import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydantic import TypeAdapter
from starlette.types import Message

from models.repository import Repository
from service.app import create_app
from service.entrance import Entrance
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.metrics import Metrics
from service.protocols.score import _MANY
from service.reading import LARGE_BODY_BYTES
from service.schemas import ScoreAnswer
from service.settings import Settings
from tests.service.conftest import MAX_EVENTS, Service, StartService
from tests.service.live_models import live_model

SOUND: dict[str, Any] = {"event_types": ["Opened/Phone", "New/P3"], "elapsed_minutes": [6, 0]}
TIME = "2016-03-01T01:36:00Z"
STAGES = ("read", "validate", "respond")


def _score(client: httpx.Client, *sequences: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post("/v1/score", json={"sequences": sequences})
    assert answer.status_code == 200, answer.text
    scores: list[dict[str, Any]] = answer.json()["scores"]
    return scores


def _history(random: np.random.Generator, length: int) -> dict[str, Any]:
    event_types = random.choice(["Opened/Phone", "New/P3", "Assigned/P2", "7", "never seen"], length).tolist()
    gaps = random.integers(0, 500, length).tolist()
    return {"event_types": event_types, "elapsed_minutes": [sum(gaps[k + 1 :]) for k in range(length)]}


def _timed(history: dict[str, Any]) -> dict[str, Any]:
    last = datetime(2016, 3, 1, 9, 3, tzinfo=UTC)
    times = [(last - timedelta(minutes=minutes)).isoformat() for minutes in history["elapsed_minutes"]]
    return {"events": [{"type": kind, "time": time} for kind, time in zip(history["event_types"], times, strict=True)]}


def test_the_golden_examples_come_back(client: httpx.Client, repository: Path) -> None:
    manifest = Repository(repository).open("tiny").manifest

    scores = _score(
        client,
        *(
            {"event_types": example.event_types, "elapsed_minutes": example.elapsed_minutes}
            for example in manifest.golden_examples
        ),
    )

    for score, example in zip(scores, manifest.golden_examples, strict=True):
        assert score["risk"] == pytest.approx(example.risk, abs=1e-6)
        assert score["auxiliary_risk"] == pytest.approx(example.auxiliary_risk, abs=1e-6)


def test_an_answer_is_the_documented_one(client: httpx.Client) -> None:
    answer = client.post("/v1/score", json={"model": "tiny", "sequences": [{"id": "INC0000468", **SOUND}, SOUND]})

    TypeAdapter(ScoreAnswer).validate_json(answer.content, strict=True, extra="forbid")
    assert answer.headers["content-type"] == "application/json"
    assert (answer.json()["model"], answer.json()["version"]) == ("tiny", 1)
    assert [score["id"] for score in answer.json()["scores"]] == ["INC0000468", None]


def test_a_score_does_not_depend_on_its_form_its_mates_or_its_padding(client: httpx.Client) -> None:
    random = np.random.default_rng(5)
    histories = [_history(random, length) for length in [*range(1, 12), 1, 30, 2, 8]]

    together = _score(client, *histories)
    timed = _score(client, *map(_timed, histories))
    alone = [_score(client, history)[0] for history in histories]

    assert timed == together
    for one, among_others in zip(alone, together, strict=True):
        assert one["risk"] == pytest.approx(among_others["risk"], abs=1e-6)
        assert one["auxiliary_risk"] == pytest.approx(among_others["auxiliary_risk"], abs=1e-6)


def test_a_longer_history_keeps_its_latest_events_and_says_so(client: httpx.Client) -> None:
    history = _history(np.random.default_rng(6), MAX_EVENTS + 5)
    latest = {field: values[-MAX_EVENTS:] for field, values in history.items()}

    long, short = _score(client, history, latest)

    assert (long["events_used"], long["events_truncated"]) == (MAX_EVENTS, 5)
    assert (short["events_used"], short["events_truncated"]) == (MAX_EVENTS, 0)
    assert long["risk"] == short["risk"]


def test_unknown_event_types_are_scored_and_counted(client: httpx.Client) -> None:
    def counted() -> float:
        lines = client.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith("seqrisk_unknown_events_total ")).split()[1])

    before = counted()
    scores = _score(client, {"event_types": ["x", "New/P3", 10**40], "elapsed_minutes": [2, 1, 0]}, SOUND)

    assert [score["unknown_events"] for score in scores] == [2, 0]
    assert counted() - before == 2


def test_stages_are_counted_as_they_end_in_a_refused_request_too(client: httpx.Client) -> None:
    def counted() -> dict[str, float]:
        lines = [line.split() for line in client.get("/metrics").text.splitlines() if "stage_seconds_count{" in line]
        return {stage: float(count) for name, count in lines for stage in STAGES if f'"{stage}"' in name}

    before = counted()
    assert client.post("/v1/score", json={"sequences": []}).status_code == 422
    refused = counted()
    _score(client, SOUND)
    answered = counted()

    assert {stage: refused[stage] - before[stage] for stage in STAGES} == {"read": 1, "validate": 0, "respond": 0}
    assert {stage: answered[stage] - refused[stage] for stage in STAGES} == {"read": 1, "validate": 1, "respond": 1}


def test_an_integer_event_type_is_its_decimal_text(client: httpx.Client) -> None:
    as_integer, as_text = _score(
        client, {"event_types": [7], "elapsed_minutes": [0]}, {"event_types": ["7"], "elapsed_minutes": [0]}
    )

    assert as_integer == as_text
    assert as_integer["unknown_events"] == 0


def test_no_request_compiles_anything(client: httpx.Client) -> None:
    def compiled() -> str:
        return next(line for line in client.get("/metrics").text.splitlines() if line.startswith("seqrisk_compiles"))

    before = compiled()
    for length in range(1, 31):
        _score(client, *[_history(np.random.default_rng(length), length)] * (length % 20 + 1))

    assert compiled() == before


def _one(**sequence: object) -> dict[str, Any]:
    return {"sequences": [sequence]}


def _minutes(*minutes: object) -> dict[str, Any]:
    return _one(event_types=["a"] * len(minutes), elapsed_minutes=minutes)


def _events(*times: object, **more: object) -> dict[str, Any]:
    return _one(events=[{"type": "a", "time": time} for time in times], **more)


FUTURE = "2999-01-01T00:00:00Z"

# what is wrong: body, status, code, pointer, part of the message
BAD_BODIES: dict[str, tuple[object, int, str, str, str]] = {
    "empty body": (b"", 400, "malformed_json", "", "EOF"),
    "cut short": (b'{"sequences": [', 400, "malformed_json", "", "EOF"),
    "not UTF-8": (b'{"model": "\xff"}', 400, "malformed_json", "", "Expected JSON in UTF-8"),
    "UTF-16": ('{"sequences": []}'.encode("utf-16"), 400, "malformed_json", "", "Expected JSON in UTF-8"),
    "single quotes": (b"{'sequences': []}", 400, "malformed_json", "", "Expected JSON"),
    "text after it": (b'{"sequences": []} {}', 400, "malformed_json", "", "trailing characters"),
    "nested too deep": (b"[" * 5000 + b"]" * 5000, 400, "malformed_json", "", "recursion limit"),
    "5000 digits": (b'{"sequences": [%s]}' % (b"1" * 5000), 400, "malformed_json", "", "number out of range"),
    "a lone surrogate": (b'{"model": "\\ud800"}', 400, "malformed_json", "", "Expected JSON"),
    "an array": ([], 422, "invalid_request", "", "Expected an object"),
    "null": (None, 422, "invalid_request", "", "Expected an object. Received: null"),
    "no sequences field": ({}, 422, "invalid_request", "", "Expected the field `sequences`"),
    "no sequences": ({"sequences": []}, 422, "invalid_request", "/sequences", "at least 1 element"),
    "sequences an object": ({"sequences": {}}, 422, "invalid_request", "/sequences", "Expected an array"),
    "a sequence a number": ({"sequences": [SOUND, 3]}, 422, "invalid_request", "/sequences/1", "Expected an object"),
    "too many sequences": ({"sequences": [SOUND] * 21}, 422, "invalid_request", "/sequences", "at most 20 sequences"),
    "unknown field of the request": (
        {"sequences": [SOUND], "modle": "tiny"}, 422, "invalid_request", "/modle", "Did you mean `model`?",
    ),
    "unknown field of a sequence": (
        _one(**SOUND, elapsed=[1]), 422, "invalid_request", "/sequences/0/elapsed", "Expected only the fields",
    ),
    "unknown field of an event": (
        _one(events=[{"type": "a", "time": TIME, "a/b": 1}]),
        422, "invalid_request", "/sequences/0/events/0/a~1b", "Expected only the fields `type`, `time`",
    ),
    "model a number": ({"model": 1, "sequences": [SOUND]}, 422, "invalid_request", "/model", "Expected a string"),
    "unknown model": ({"model": "other", "sequences": [SOUND]}, 404, "unknown_model", "/model", "'tiny'"),
    "id a number": (_one(**SOUND, id=1), 422, "invalid_request", "/sequences/0/id", "Expected a string"),
    "id too long": (_one(**SOUND, id="x" * 257), 422, "invalid_request", "/sequences/0/id", "at most 256 characters"),
    "neither form": (_one(id="x"), 422, "invalid_request", "/sequences/0", "Received: neither"),
    "half a form": (_one(event_types=["a"]), 422, "invalid_request", "/sequences/0", "Received: only one of them"),
    "both forms": (
        _one(**SOUND, events=[{"type": "a", "time": TIME}]), 422, "invalid_request", "/sequences/0", "both forms",
    ),
    "as_of beside minutes": (
        _one(**SOUND, as_of=TIME), 422, "invalid_request", "/sequences/0/as_of", "only with `events`",
    ),
    "empty sequence": (_minutes(), 422, "invalid_request", "/sequences/0/event_types", "at least 1 element"),
    "no events": (_events(), 422, "invalid_request", "/sequences/0/events", "at least 1 element"),
    "too many events": (_minutes(*[0] * 31), 422, "invalid_request", "/sequences/0/event_types", "at most 30 events"),
    "too many timed events": (
        _events(*[TIME] * 31), 422, "invalid_request", "/sequences/0/events", "at most 30 events",
    ),
    "unequal lengths": (
        _one(event_types=["a", "b"], elapsed_minutes=[0]),
        422, "invalid_request", "/sequences/0/elapsed_minutes", "so 2. Received: 1",
    ),
    "event type a boolean": (
        _one(event_types=["a", True], elapsed_minutes=[1, 0]),
        422, "invalid_request", "/sequences/0/event_types/1", "a string or an integer. Received: true",
    ),
    "event type a float": (
        _one(event_types=[1.0], elapsed_minutes=[0]),
        422, "invalid_request", "/sequences/0/event_types/0", "a string or an integer. Received: 1.0",
    ),
    "event type null": (
        _one(event_types=[None], elapsed_minutes=[0]),
        422, "invalid_request", "/sequences/0/event_types/0", "Received: null",
    ),
    "event type too long": (
        _one(event_types=["x" * 257], elapsed_minutes=[0]),
        422, "invalid_request", "/sequences/0/event_types/0", "at most 256 characters. Received: 257",
    ),
    "minutes a string": (
        _minutes("5", 0), 422, "invalid_request", "/sequences/0/elapsed_minutes/0", "Expected a number",
    ),
    "minutes a boolean": (
        _minutes(1, False), 422, "invalid_request", "/sequences/0/elapsed_minutes/1", "Expected a number",
    ),
    "minutes null": (_minutes(None), 422, "invalid_request", "/sequences/0/elapsed_minutes/0", "Expected a number"),
    "minutes a number": (
        _one(event_types=["a"], elapsed_minutes=0),
        422, "invalid_request", "/sequences/0/elapsed_minutes", "Expected an array",
    ),
    "negative": (_minutes(-1.5), 422, "invalid_request", "/sequences/0/elapsed_minutes/0", "not negative"),
    "increasing": (
        _minutes(3, 5, 0), 422, "invalid_request", "/sequences/0/elapsed_minutes/1", "Received: 5.0 after 3.0",
    ),
    "NaN": (_minutes(float("nan")), 422, "invalid_request", "/sequences/0/elapsed_minutes/0", "a finite number"),
    "infinite": (
        _minutes(float("inf"), 0), 422, "invalid_request", "/sequences/0/elapsed_minutes/0", "a finite number",
    ),
    "1e400": (
        b'{"sequences": [{"event_types": ["a"], "elapsed_minutes": [1e400]}]}',
        422, "invalid_request", "/sequences/0/elapsed_minutes/0", "a finite number",
    ),
    "infinite as float32": (_minutes(1e39, 0), 422, "invalid_request", "/sequences/0/elapsed_minutes/0", "at most"),
    "absurd": (
        _minutes(26_820_000, 0), 422, "invalid_request", "/sequences/0/elapsed_minutes/0", "seconds or milliseconds",
    ),
    "scoring after the last event": (
        _minutes(5, 1), 422, "invalid_request", "/sequences/0/elapsed_minutes/1", "not trained to score between events",
    ),
    "naive time": (_events("2016-03-01T01:36:00"), 422, "invalid_request", "/sequences/0/events/0/time", "with a zone"),
    "no time": (_events("yesterday"), 422, "invalid_request", "/sequences/0/events/0/time", "ISO-8601"),
    "a day": (_events("2016-03-01"), 422, "invalid_request", "/sequences/0/events/0/time", "with a zone"),
    "Unix time": (_events(1456796160), 422, "invalid_request", "/sequences/0/events/0/time", "Expected a string"),
    "Unix time as text": (_events("1456796160"), 422, "invalid_request", "/sequences/0/events/0/time", "ISO-8601"),
    "missing time": (
        _one(events=[{"type": "a"}]), 422, "invalid_request", "/sequences/0/events/0", "Expected the field `time`",
    ),
    "unordered times": (
        _events(TIME, "2016-03-01T01:35:59Z"),
        422, "invalid_request", "/sequences/0/events/1/time", "oldest first",
    ),
    "future time": (
        _events(TIME, FUTURE), 422, "invalid_request", "/sequences/0/events/1/time", "a time that has come",
    ),
    "absurdly old time": (
        _events("1970-01-01T00:00:00Z", TIME),
        422, "invalid_request", "/sequences/0/events/0/time", "at most 100000 minutes",
    ),
    "as_of before the last event": (
        _events(TIME, as_of="2016-03-01T01:35:00Z"),
        422, "invalid_request", "/sequences/0/as_of", "no earlier than the last event",
    ),
    "as_of after the last event": (
        _events(TIME, as_of="2016-03-01T01:37:00Z"),
        422, "invalid_request", "/sequences/0/as_of", "not trained to score between events",
    ),
    "as_of naive": (_events(TIME, as_of="2016-03-01T01:36:00"), 422, "invalid_request", "/sequences/0/as_of", "zone"),
    "body too large": (b" " * 20_001, 413, "body_too_large", "", "at most 20000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_BODIES)
def test_bad_input_is_refused_with_its_place_and_a_way_out(client: httpx.Client, what: str) -> None:
    body, status, code, pointer, message = BAD_BODIES[what]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    answer = client.post("/v1/score", content=content)

    assert answer.headers["content-type"] == "application/json"
    envelope = answer.json()
    assert set(envelope) == {"error", "code", "details"}
    assert (answer.status_code, envelope["code"]) == (status, code)
    assert message in envelope["error"]
    if status != 413:
        assert envelope["details"][0]["pointer"] == pointer


def test_one_answer_names_every_bad_sequence(client: httpx.Client) -> None:
    bad = {"event_types": ["a"], "elapsed_minutes": [-1]}

    envelope = client.post("/v1/score", json={"sequences": [SOUND, bad, SOUND, bad]}).json()

    assert [fault["pointer"] for fault in envelope["details"]] == [
        "/sequences/1/elapsed_minutes/0",
        "/sequences/3/elapsed_minutes/0",
    ]
    assert envelope["error"].startswith("The request has 2 faults.")


def test_a_chunked_body_is_refused_once_it_is_too_large(client: httpx.Client) -> None:
    answer = client.post("/v1/score", content=(b" " * 5_000 for _ in range(10)))

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert len(_score(client, SOUND)) == 1


def test_a_client_that_asks_first_need_not_send_a_body_too_large(service: Service) -> None:
    address = httpx.URL(service.address())
    with socket.create_connection((address.host, address.port or 80), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/score HTTP/1.1\r\nHost: s\r\nContent-Length: 20001\r\nExpect: 100-continue\r\n\r\n"
        )

        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_a_compressed_body_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/score", content=b"\x1f\x8b", headers={"content-encoding": "gzip"})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_encoding")


def test_a_client_that_leaves_midway_disturbs_nobody(service: Service, client: httpx.Client) -> None:
    address = httpx.URL(service.address())
    with socket.create_connection((address.host, address.port or 80), timeout=30) as connection:
        connection.sendall(b"POST /v1/score HTTP/1.1\r\nHost: s\r\nContent-Length: 100\r\n\r\n{")

    assert len(_score(client, SOUND)) == 1
    assert "Traceback" not in service.errors.read_text()


def test_a_large_body_is_answered_like_small_ones(start_service: StartService, repository: Path) -> None:
    service = start_service(SEQRISK_REPOSITORY=str(repository))
    service.expect_output(r"(is ready)")
    random = np.random.default_rng(8)
    histories = [_history(random, int(length)) for length in random.integers(1, 500, 300)]
    bad = [*histories[:-1], {"event_types": ["a"], "elapsed_minutes": [-1]}]
    with httpx.Client(base_url=service.address(), timeout=60) as client:
        together = _score(client, *histories)
        apart = [score for start in range(0, 300, 10) for score in _score(client, *histories[start : start + 10])]
        refusal = client.post("/v1/score", json={"sequences": bad})

    assert len(json.dumps(histories)) > 10 * LARGE_BODY_BYTES
    for one, other in zip(together, apart, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    assert refusal.json()["details"][0]["pointer"] == "/sequences/299/elapsed_minutes/0"


def test_an_answer_that_a_thread_writes_is_that_of_the_loop(start_service: StartService, repository: Path) -> None:
    service = start_service(SEQRISK_REPOSITORY=str(repository), SEQRISK_MAX_SEQUENCES="2000")
    service.expect_output(r"(is ready)")
    histories = [SOUND, {"event_types": ["New/P3"], "elapsed_minutes": [0]}] * 510
    with httpx.Client(base_url=service.address(), timeout=60) as client:
        together = _score(client, *histories)
        apart = _score(client, *histories[:2])

    assert len(histories) > _MANY
    for one, other in zip(together, apart * 510, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_a_client_may_name_its_own_time(client: httpx.Client) -> None:
    def code(milliseconds: str) -> tuple[int, str]:
        headers = {"X-Request-Timeout-Ms": milliseconds}
        answer = client.post("/v1/score", json={"sequences": [SOUND] * 20}, headers=headers)
        return answer.status_code, answer.json().get("code", "scored")

    assert code("60000") == (200, "scored")
    assert code("soon") == (400, "invalid_header")


def test_a_body_that_trickles_in_is_answered_408_at_the_deadline(service: Service) -> None:
    address = httpx.URL(service.address())
    with socket.create_connection((address.host, address.port or 80), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/score HTTP/1.1\r\nHost: s\r\nContent-Length: 100\r\nX-Request-Timeout-Ms: 100\r\n\r\n{"
        )

        answer = b"".join(iter(lambda: connection.recv(1000), b""))

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"slow_body"' in answer
    assert b"connection: close" in answer


def test_a_client_that_has_gone_never_reaches_the_model(repository: Path) -> None:
    metrics, settings = Metrics(), Settings()
    lineup, calls = LineUp(settings, metrics), list[int]()
    is_running, may_run = threading.Event(), threading.Event()

    def hold() -> None:
        calls.append(1)
        is_running.set()
        may_run.wait()

    async def leave_while_waiting() -> None:
        manifest = Repository(repository).open("tiny").manifest
        lineup._follower.champion = live_model(manifest, version=1, before=hold)
        app = create_app(settings, lineup, metrics, Lifecycle())
        stays, leaves = (_Connection(app, leaves=leaves) for leaves in (False, True))
        first = asyncio.ensure_future(stays.request())
        await asyncio.to_thread(is_running.wait)
        await leaves.request()
        may_run.set()
        await first
        await lineup._follower.champion.drain()
        assert stays.status == 200

    asyncio.run(leave_while_waiting())

    assert len(calls) == 1
    rejects = {"route": "/v1/score", "code": "client_gone"}
    assert metrics.registry.get_sample_value("seqrisk_rejects_total", rejects) == 1


class _Connection:
    """A client that sends one request and then stays, or leaves."""

    def __init__(self, app: Entrance, *, leaves: bool) -> None:
        self._app = app
        self._leaves = leaves
        self._has_sent = False
        self.status = 0

    async def request(self) -> None:
        await self._app(
            {"type": "http", "method": "POST", "path": "/v1/score", "headers": []}, self._receive, self._send
        )

    async def _receive(self) -> Message:
        if not self._has_sent:
            self._has_sent = True
            return {"type": "http.request", "body": json.dumps({"sequences": [SOUND]}).encode()}
        if not self._leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.status = message.get("status", self.status)
