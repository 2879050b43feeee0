import asyncio
import gc
import io
import json
import os
import pickle
import signal
import struct
import weakref
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from service.errors import InvalidRequestError, ServiceError, UnexpectedError
from service.histories import Rules
from service.reader import Reader, serve_pipe
from service.score_request import read_score_request

RULES = Rules(
    max_sequence_events=1_000,
    max_clock_skew_seconds=300,
    max_events=50,
    max_elapsed_minutes=1e6,
    scores_between_events=False,
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOUND = json.dumps(
    {"sequences": [{"id": str(k), "event_types": ["a", k], "elapsed_minutes": [k, 0]} for k in range(50)]}
).encode()
BAD = b'{"sequences": [{"event_types": ["a"], "elapsed_minutes": [-1]}]}'


def test_a_body_is_read_as_in_this_process() -> None:
    async def read() -> object:
        reader = Reader()
        try:
            return await reader.read(SOUND, RULES, 100, NOW)
        finally:
            await reader.close()

    assert asyncio.run(read()) == read_score_request(SOUND, RULES, 100, NOW)


def test_what_is_wrong_with_a_body_is_told_as_in_this_process() -> None:
    async def read() -> None:
        reader = Reader()
        try:
            await reader.read(BAD, RULES, 100, NOW)
        finally:
            await reader.close()

    with pytest.raises(InvalidRequestError) as here:
        read_score_request(BAD, RULES, 100, NOW)
    with pytest.raises(InvalidRequestError) as elsewhere:
        asyncio.run(read())
    assert elsewhere.value.message == here.value.message
    assert elsewhere.value.details == here.value.details


def test_whoever_stops_waiting_leaves_the_right_answer_to_the_next() -> None:
    async def read() -> object:
        reader = Reader()
        try:
            first = asyncio.ensure_future(reader.read(SOUND, RULES, 100, NOW))
            await asyncio.sleep(0.01)
            first.cancel()
            other = SOUND.replace(b'"a"', b'"b"')
            return (await reader.read(other, RULES, 100, NOW)).event_types[0]
        finally:
            await reader.close()

    assert asyncio.run(read()) == ["b", 0]


def test_the_death_of_the_process_fails_one_request_and_another_is_started() -> None:
    async def read() -> int:
        reader = Reader()
        try:
            await reader.read(SOUND, RULES, 100, NOW)
            assert reader.pid is not None
            os.kill(reader.pid, signal.SIGKILL)
            with pytest.raises(ServiceError):
                await reader.read(SOUND, RULES, 100, NOW)
            return len((await reader.read(SOUND, RULES, 100, NOW)).ids)
        finally:
            await reader.close()

    assert asyncio.run(read()) == 50


def test_the_process_ends_with_its_owner() -> None:
    question = pickle.dumps((read_score_request, SOUND, RULES, 100, NOW))
    answers = io.BytesIO()

    serve_pipe(io.BytesIO(struct.pack("!Q", len(question)) + question), answers)

    (num_bytes,) = struct.unpack("!Q", answers.getvalue()[:8])
    assert len(pickle.loads(answers.getvalue()[8 : 8 + num_bytes]).ids) == 50


def test_a_failure_over_one_body_is_answered_and_the_next_is_read() -> None:
    questions = [pickle.dumps((function, *arguments)) for function, *arguments in ((divmod, 1, 0), (divmod, 7, 2))]
    answers = io.BytesIO()

    serve_pipe(io.BytesIO(b"".join(struct.pack("!Q", len(packed)) + packed for packed in questions)), answers)

    answers.seek(0)
    failed, sound = (pickle.loads(answers.read(*struct.unpack("!Q", answers.read(8)))) for _ in questions)
    assert isinstance(failed, UnexpectedError)
    assert "ZeroDivisionError" in failed.__notes__[0]
    assert sound == (3, 1)


def test_a_failure_is_logged_by_the_owner_beside_the_request_and_the_client_is_told_nothing_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def read() -> None:
        reader = Reader()
        try:
            await reader.call(divmod, 1, 0)
        finally:
            await reader.close()

    with pytest.raises(UnexpectedError) as raised:
        asyncio.run(read())

    assert "ivision" not in raised.value.message
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith("A large body could not be read.\nTraceback")
    assert "ZeroDivisionError" in line


class _Body:
    """What a weak reference can be had of."""


def test_a_body_that_is_refused_leaves_with_its_refusal() -> None:
    bodies = list[weakref.ref[_Body]]()

    async def read(reader: Reader) -> None:
        body = _Body()
        bodies.append(weakref.ref(body))
        await reader.read(BAD, RULES, 100, NOW)

    async def refuse() -> bool:
        reader = Reader()
        try:
            with suppress(InvalidRequestError):
                await read(reader)
            await asyncio.sleep(0.001)
            return bodies[0]() is None
        finally:
            await reader.close()

    gc.disable()
    try:
        assert asyncio.run(refuse())
    finally:
        gc.enable()
