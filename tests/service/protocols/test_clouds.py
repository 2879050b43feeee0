"""What Vertex AI and SageMaker expect of a container; their scores are compared in test_one_risk.py."""

import asyncio
from typing import Any

import httpx
import pytest

from models.sequences import Vocabulary
from service.app import create_app
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.metrics import Metrics
from service.schemas import ErrorAnswer
from service.settings import Settings
from tests.service.conftest import VOCABULARY
from tests.service.live_models import live_model, manifest

HEALTH = "/v1/endpoints/11/deployedModels/22"
TYPES, MINUTES = ["Opened/Phone", "New/P3", "never seen"], [447.5, 6, 0]
IDS = Vocabulary(VOCABULARY).ids(TYPES)
ROW: dict[str, Any] = {"event_ids": IDS, "elapsed_minutes": MINUTES}


def test_sagemaker_pings_and_gets_an_empty_answer(client: httpx.Client) -> None:
    answer = client.get("/ping")

    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("content_type", ["application/json", "text/csv", "application/x-anything", None])
def test_sagemaker_may_send_any_content_type(client: httpx.Client, content_type: str | None) -> None:
    request = client.build_request("POST", "/invocations", json={"instances": [ROW]})
    del request.headers["content-type"]
    if content_type is not None:
        request.headers["content-type"] = content_type

    answer = client.send(request)

    assert answer.status_code == 200
    assert 0 <= answer.json()["predictions"][0]["risk"] <= 1


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "JSON Parse error: The document is empty"),
        (b"1,2,3", 400, "Is not object"),
        (b'{"instances":[{"event_ids":[2],"elapsed_minutes":[NaN]}]}', 400, "a finite number"),
        (b'{"instances":[{"event_ids":[1.0],"elapsed_minutes":[0]}]}', 400, "is not of expected type: int32"),
        (b" " * 20_001, 413, "at most 20000 bytes"),
    ],
)
def test_what_is_wrong_with_an_invocation_is_told_in_the_envelope(
    client: httpx.Client, body: bytes, status: int, error: str
) -> None:
    answer = client.post("/invocations", content=body)

    refusal = ErrorAnswer.model_validate_json(answer.content, strict=True, extra="forbid")
    assert answer.status_code == status
    assert error in refusal.error


def test_without_vertex_ai_there_are_no_routes_of_its_own(client: httpx.Client) -> None:
    assert client.get(HEALTH).status_code == 404


def test_a_model_that_is_not_ready_or_about_to_stop_is_not_healthy() -> None:
    async def ask(*, is_loaded: bool, is_stopping: bool) -> list[int]:
        metrics, lifecycle = Metrics(), Lifecycle()
        settings = Settings(vertex_health_route="/health", vertex_predict_route="/predict")
        lineup = LineUp(settings, metrics)
        if is_loaded:
            lineup._follower.champion = live_model(manifest(), version=1)
        if is_stopping:
            lifecycle.stop()
        transport = httpx.ASGITransport(create_app(settings, lineup, metrics, lifecycle))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return [(await client.get(path)).status_code for path in ("/ping", "/health")]

    assert asyncio.run(ask(is_loaded=True, is_stopping=False)) == [200, 200]
    assert asyncio.run(ask(is_loaded=False, is_stopping=False)) == [503, 503]
    assert asyncio.run(ask(is_loaded=True, is_stopping=True)) == [503, 503]
