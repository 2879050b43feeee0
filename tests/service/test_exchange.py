import json
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from time import monotonic

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Fault
from service.exchange import Exchange, ScoringError, merged, score_exchanges
from service.schemas import SequenceBody

HTTP = httpx.Client(base_url="http://service")
SEQUENCE: SequenceBody = {"event_types": ["a"], "elapsed_minutes": [0]}


def _exchange(seconds: float = 60, start: int = 0) -> Exchange:
    return Exchange("POST", "/v1/score", monotonic() + seconds, b"{}", start)


def _refusal(pointer: str, **headers: str) -> httpx.Response:
    envelope = {"error": "No.", "code": "invalid_request", "details": [{"pointer": pointer, "message": "Why not."}]}
    return httpx.Response(422, json=envelope, headers=headers)


def _answer(version: int, *named: int | None) -> httpx.Response:
    score = {"id": None, "risk": 0.5, "auxiliary_risk": 0, "events_used": 1, "events_truncated": 0, "unknown_events": 0}
    scores = [score if own is None else {**score, "version": own} for own in named]
    return httpx.Response(200, json={"model": "m", "version": version, "scores": scores})


@given(
    lengths=st.lists(st.integers(1, 40), max_size=60),
    max_sequences=st.integers(1, 20),
    max_body_bytes=st.integers(1, 3000),
)
def test_requests_carry_every_sequence_in_order_within_both_limits(
    lengths: list[int], max_sequences: int, max_body_bytes: int
) -> None:
    sequences: list[SequenceBody] = [{"event_types": ["a"] * n, "elapsed_minutes": [0] * n} for n in lengths]

    exchanges = list(score_exchanges(sequences, "m", monotonic() + 60, max_sequences, max_body_bytes))

    bodies = [exchange.request(HTTP).content for exchange in exchanges]
    contents = [json.loads(body) for body in bodies]
    carried = [content["sequences"] for content in contents]
    assert [sequence for group in carried for sequence in group] == sequences
    assert all(len(group) == 1 or len(body) <= max_body_bytes for group, body in zip(carried, bodies, strict=True)) or (
        carried == [[]]
    )
    assert all(len(group) <= max_sequences for group in carried)
    assert [after.start - before.start for before, after in pairwise(exchanges)] == [len(g) for g in carried[:-1]]
    assert {content["model"] for content in contents} == {"m"}


def test_no_sequences_are_one_request_so_that_the_service_says_what_is_wrong() -> None:
    (exchange,) = score_exchanges([], None, monotonic() + 60, 10, 1000)

    assert json.loads(exchange.request(HTTP).content) == {"model": None, "sequences": []}


def test_the_service_is_told_how_much_time_is_left() -> None:
    told = int(_exchange(seconds=60).request(HTTP).headers["X-Request-Timeout-Ms"])

    assert 1 <= told <= 60_000
    assert _exchange(seconds=1e9).request(HTTP).headers["X-Request-Timeout-Ms"] == "999999999"


def test_nothing_is_sent_after_the_deadline() -> None:
    with pytest.raises(ScoringError, match="before the client's deadline") as raised:
        _exchange(seconds=0).request(HTTP)

    assert (raised.value.code, raised.value.status) == ("no_answer", None)


@pytest.mark.parametrize("status", [429, 503])
def test_the_pause_is_as_long_as_the_service_asks_and_a_little_longer_each_time(status: int) -> None:
    exchange = _exchange()
    pauses = []
    for _ in range(12):
        exchange.settle(httpx.Response(status, headers={"Retry-After": "3"}))
        pauses.append(exchange.pause_seconds)

    assert all(3 <= pause <= 3 + min(5, 0.1 * 2**number) for number, pause in enumerate(pauses))
    assert len(set(pauses)) == len(pauses)
    assert exchange.answer is None


def test_a_date_to_retry_after_is_understood() -> None:
    exchange = _exchange()
    later = datetime.now(UTC) + timedelta(seconds=20)

    exchange.settle(httpx.Response(503, headers={"Retry-After": format_datetime(later, usegmt=True)}))

    assert 10 < exchange.pause_seconds < 21


@pytest.mark.parametrize(
    "text",
    ["", "soon", "-5", "1.5", "\u00b2", "9" * 5000, "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Oct 2015 07:28:00 GMT"],
)
def test_a_time_to_retry_after_that_is_past_or_none_counts_as_now(text: str) -> None:
    exchange = _exchange()

    exchange.settle(httpx.Response(503, headers={b"retry-after": text.encode()}))

    assert 0 <= exchange.pause_seconds <= 0.1


@pytest.mark.parametrize("failure", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError])
def test_a_connection_that_failed_is_tried_again(failure: type[httpx.TransportError]) -> None:
    exchange = _exchange()

    exchange.settle(failure("lost"))

    assert exchange.pause_seconds <= 0.1
    assert exchange.request(HTTP).content == b"{}"


def test_an_address_that_is_none_is_not_tried_again() -> None:
    failure = httpx.UnsupportedProtocol("no such protocol")

    with pytest.raises(ScoringError, match="nothing in one attempt") as raised:
        _exchange().settle(failure)
    assert raised.value.__cause__ is failure


@pytest.mark.parametrize("outcome", [httpx.Response(503, headers={"Retry-After": "61"}), httpx.ConnectError("lost")])
def test_what_could_only_be_tried_too_late_is_told_now(outcome: httpx.Response | httpx.RequestError) -> None:
    exchange = _exchange(seconds=60 if isinstance(outcome, httpx.Response) else 0)

    with pytest.raises(ScoringError):
        exchange.settle(outcome)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 408, 413, 415, 422, 500, 502, 504])
def test_every_other_answer_is_told_at_once(status: int) -> None:
    with pytest.raises(ScoringError) as raised:
        _exchange().settle(httpx.Response(status, text="<html>proxy"))

    assert (raised.value.status, raised.value.code) == (status, "not_ours")
    assert "<html>proxy" in str(raised.value)


def test_a_refusal_points_at_the_callers_sequence() -> None:
    with pytest.raises(ScoringError) as raised:
        _exchange(start=40).settle(_refusal("/sequences/2/elapsed_minutes/0", **{"X-Request-Id": "r-1"}))

    assert raised.value.details == (Fault("/sequences/42/elapsed_minutes/0", "Why not."),)
    assert str(raised.value) == ("No. (422 invalid_request, request r-1)\n  /sequences/42/elapsed_minutes/0: Why not.")


@pytest.mark.parametrize("pointer", ["", "/model", "/sequences"])
def test_a_place_outside_the_sequences_stays_as_it_is(pointer: str) -> None:
    with pytest.raises(ScoringError) as raised:
        _exchange(start=40).settle(_refusal(pointer))

    assert raised.value.details[0].pointer == pointer


def test_an_error_survives_the_way_between_processes() -> None:
    error = ScoringError("No.", "invalid_request", 422, (Fault("/model", "Why not."),), "r-1")

    again = pickle.loads(pickle.dumps(error))

    assert (str(again), again.details) == (str(error), error.details)


def test_answers_of_one_version_become_one_answer() -> None:
    answer = merged([_answer(3, None, None), _answer(3, None)])

    assert (answer["model"], answer["version"], len(answer["scores"])) == ("m", 3, 3)
    assert all("version" not in score for score in answer["scores"])


def test_scores_of_several_versions_name_their_own() -> None:
    answer = merged([_answer(3, None), _answer(4, None), _answer(3, 3, 4), _answer(3, None)])

    assert answer["version"] == 3
    assert [score["version"] for score in answer["scores"]] == [3, 4, 3, 4, 3]


@pytest.mark.parametrize("content", [b"<html>", b"{}", b'{"model": "m", "version": 1, "scores": [{"risk": 2}]}'])
def test_a_success_that_holds_no_scores_is_an_error(content: bytes) -> None:
    with pytest.raises(ScoringError) as raised:
        merged([httpx.Response(200, content=content)])

    assert (raised.value.status, raised.value.code) == (200, "not_ours")
