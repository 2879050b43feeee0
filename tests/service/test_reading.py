import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from models.manifest import Manifest
from models.sequences import EncodedBatch
from service.errors import DeadlineExceededError, InvalidRequestError, MalformedJsonError, OverloadedError
from service.intake import Intake
from service.live_model import LiveModel
from service.reader import Reader
from service.reading import LARGE_BODY_BYTES, Reading
from service.score_request import Histories
from service.settings import Settings
from tests.service.live_models import live_model

LONG = 60.0


@pytest.fixture(scope="module")
def model(repository: Path) -> Iterator[LiveModel]:
    model = live_model(Manifest.read(repository / "tiny" / "1" / "manifest.json"), version=1)
    yield model
    asyncio.run(model.drain())


def _body(num_sequences: int) -> bytes:
    sequence = {"event_types": ["New/P3", 7, "x" * 200], "elapsed_minutes": [5, 2, 0]}
    return json.dumps({"sequences": [sequence] * num_sequences}).encode()


def _read(body: bytes, model: LiveModel, *, seconds: float = LONG) -> tuple[Histories, EncodedBatch]:
    async def read() -> tuple[Histories, EncodedBatch]:
        settings, reader = Settings(), Reader()
        try:
            reading = Reading(settings, Intake(settings.max_waiting_bytes, settings.max_turn_seconds, bool), reader)
            return await reading.read(body, model, monotonic() + seconds)
        finally:
            await reader.close()

    return asyncio.run(read())


@pytest.mark.parametrize("num_sequences", [1, 2, 500])
def test_bodies_of_any_size_become_the_same_arrays(model: LiveModel, num_sequences: int) -> None:
    body = _body(num_sequences)

    histories, batch = _read(body, model)

    assert (len(body) > LARGE_BODY_BYTES) == (num_sequences == 500)
    assert histories.event_types == [["New/P3", 7, "x" * 200]] * num_sequences
    expected = model.encode(histories.event_types[:1], histories.elapsed_minutes[:1])
    time = expected.event_ids.shape[1]
    assert np.array_equal(batch.event_ids[:, :time], np.repeat(expected.event_ids, num_sequences, axis=0))
    assert not batch.event_ids[:, time:].any()
    assert batch.unknown_events.tolist() == [1] * num_sequences


@pytest.mark.parametrize("num_sequences", [1, 500])
def test_what_is_wrong_is_told_whatever_the_size(model: LiveModel, num_sequences: int) -> None:
    with pytest.raises(MalformedJsonError):
        _read(_body(num_sequences)[:-1], model)
    with pytest.raises(InvalidRequestError, match="never increase"):
        _read(_body(num_sequences).replace(b"[5, 2, 0]", b"[2, 5, 0]", 1), model)


def test_a_large_body_that_takes_longer_than_its_time_is_given_up(model: LiveModel) -> None:
    with pytest.raises(DeadlineExceededError):
        _read(_body(500), model, seconds=0.001)


def test_large_bodies_beyond_what_may_wait_are_refused(model: LiveModel) -> None:
    async def crowd() -> list[object]:
        body, reader = _body(500), Reader()
        reading = Reading(
            Settings(), Intake(max_waiting_bytes=len(body), max_turn_seconds=LONG, is_model_busy=bool), reader
        )
        try:
            reads = (reading.read(body, model, monotonic() + LONG) for _ in range(3))
            return [*await asyncio.gather(*reads, return_exceptions=True)]
        finally:
            await reader.close()

    outcomes = asyncio.run(crowd())

    assert isinstance(outcomes[0], tuple)
    assert [type(outcome) for outcome in outcomes[1:]] == [OverloadedError, OverloadedError]
