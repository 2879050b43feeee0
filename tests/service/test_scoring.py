import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from service.app import create_app
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.metrics import Metrics
from service.reading import LARGE_BODY_BYTES
from service.scoring import shown
from service.settings import Settings
from tests.service.live_models import live_model, manifest

PREDICT = "/v1/models/tiny:predict"


@asynccontextmanager
async def _service() -> AsyncIterator[tuple[Metrics, httpx.AsyncClient]]:
    metrics, settings = Metrics(), Settings(repository="/nowhere", poll_seconds=0)
    lineup = LineUp(settings, metrics)
    lineup._follower.status = replace(lineup._follower.status, name="tiny")
    lineup._follower.champion = live_model(manifest(), version=1)
    app = create_app(settings, lineup, metrics, Lifecycle())
    transport = httpx.ASGITransport(app)
    # The process that reads large bodies ends with the application.
    async with (
        app.app.router.lifespan_context(app.app),
        httpx.AsyncClient(transport=transport, base_url="http://s") as client,
    ):
        yield metrics, client


def _rows(lengths: list[int]) -> dict[str, Any]:
    return {"instances": [{"event_ids": [1] * length, "elapsed_minutes": [0] * length} for length in lengths]}


def test_a_large_body_is_answered_like_small_ones() -> None:
    lengths = np.random.default_rng(3).integers(1, 300, 250).tolist()
    large, bad = _rows(lengths), _rows(lengths)
    bad["instances"][150]["elapsed_minutes"][0] = -1

    async def ask() -> tuple[list[httpx.Response], httpx.Response, httpx.Response]:
        async with _service() as (_, client):
            apart = [await client.post(PREDICT, json=_rows(lengths[start : start + 5])) for start in range(0, 250, 5)]
            return apart, await client.post(PREDICT, json=large), await client.post(PREDICT, json=bad)

    apart, together, refused = asyncio.run(ask())

    assert len(json.dumps(large)) > LARGE_BODY_BYTES
    predictions = [one for answer in apart for one in answer.json()["predictions"]]
    assert together.json()["predictions"] == predictions
    assert refused.json()["details"][0]["pointer"] == "/instances/150/elapsed_minutes/0"


def test_what_is_scored_is_counted() -> None:
    async def ask() -> Metrics:
        async with _service() as (metrics, client):
            await client.post(PREDICT, json=_rows([3, 10]))
            return metrics

    metrics = asyncio.run(ask())

    def counted(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"seqrisk_{name}", labels)

    assert counted("sequences_total") == 2
    assert counted("events_total") == 3 + 8
    assert counted("unknown_events_total") == 3 + 8
    assert counted("truncated_events_total") == 2
    assert counted("requests_total", route="/v1/models/{name}:predict", method="POST", status="2xx") == 1
    for stage in ("read", "turn", "validate", "respond"):
        assert counted("stage_seconds_count", stage=stage) == 1


def test_waiting_for_the_turn_is_a_part_of_validating() -> None:
    async def ask() -> Metrics:
        async with _service() as (metrics, client):
            # Many at once: some wait for the others' slices of the event loop.
            await asyncio.gather(*(client.post(PREDICT, json=_rows([300] * 5)) for _ in range(12)))
            return metrics

    metrics = asyncio.run(ask())

    turn, validate = (
        metrics.registry.get_sample_value("seqrisk_stage_seconds_sum", {"stage": stage})
        for stage in ("turn", "validate")
    )
    assert turn is not None
    assert validate is not None
    assert validate > turn > 0


def test_a_client_may_name_its_own_time() -> None:
    async def ask(milliseconds: str) -> httpx.Response:
        async with _service() as (_, client):
            return await client.post(PREDICT, json=_rows([1]), headers={"X-Request-Timeout-Ms": milliseconds})

    assert asyncio.run(ask("60000")).status_code == 200
    assert asyncio.run(ask("soon")).json()["code"] == "invalid_header"


@pytest.mark.parametrize("length", [1, 100])
def test_risks_are_shown_with_eight_decimals(length: int) -> None:
    assert shown(np.array([0, 1, 0.41, 1e-30] * length, np.float32)) == [0, 1, 0.41, 0] * length
