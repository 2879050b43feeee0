import asyncio
import threading
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.app import create_app
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.metrics import Metrics
from service.settings import Settings
from service.versions import ModelStatus
from tests.service.conftest import StartService
from tests.service.live_models import live_model, manifest


def test_the_process_is_alive(client: httpx.Client) -> None:
    answer = client.get("/livez")

    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


def test_a_verified_and_warm_model_is_ready(client: httpx.Client) -> None:
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_a_service_that_is_to_stop_is_not_ready_but_alive() -> None:
    lifecycle, metrics, settings = Lifecycle(), Metrics(), Settings()
    app = create_app(settings, LineUp(settings, metrics), metrics, lifecycle)
    lifecycle.stop()

    async def ask(path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.get(path)

    ready, alive = asyncio.run(ask("/readyz")), asyncio.run(ask("/livez"))

    assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
    assert "stopping" in ready.json()["error"]
    assert alive.status_code == 200
    assert ready.headers["connection"] == alive.headers["connection"] == "close"


def test_a_model_that_is_to_stop_is_not_ready_whoever_asks_but_answers() -> None:
    lifecycle, metrics, settings = Lifecycle(), Metrics(), Settings(repository="/nowhere", poll_seconds=0)
    lineup = LineUp(settings, metrics)
    lineup._follower.champion = live_model(manifest(), version=1)
    lineup._follower.status = ModelStatus("tiny", 1, "ready", "", manifest())
    app = create_app(settings, lineup, metrics, lifecycle)

    async def ask(method: str, path: str, **more: object) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.request(method, path, **more)  # type: ignore[arg-type]

    async def ask_all() -> list[httpx.Response]:
        paths = ("/v2/models/tiny/ready", "/v2/models/tiny/versions/1/ready", "/v1/models/tiny")
        before = [await ask("GET", path) for path in paths]
        lifecycle.stop()
        sequences = [{"event_types": ["7"], "elapsed_minutes": [0]}]
        scores = await ask("POST", "/v1/score", json={"sequences": sequences})
        return [*before, *[await ask("GET", path) for path in paths], scores]

    *states, scores = asyncio.run(ask_all())

    assert [answer.status_code for answer in states] == [200, 200, 200, 503, 503, 200]
    assert (states[2].json()["ready"], states[5].json()["ready"]) == (True, False)
    assert scores.status_code == 200


def test_metrics_are_prometheus_text(client: httpx.Client) -> None:
    answer = client.get("/metrics")

    samples = {
        sample.name: sample for family in text_string_to_metric_families(answer.text) for sample in family.samples
    }
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert samples["seqrisk_model_ready"].value == 1
    assert samples["seqrisk_model_info"].labels == {"name": "tiny", "version": "1"}
    assert samples["seqrisk_compiles_total"].value > 0
    assert samples["process_resident_memory_bytes"].value > 0


def test_prometheus_may_ask_for_openmetrics(client: httpx.Client) -> None:
    answer = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("version", ["abc", "2.abc", ""])
@pytest.mark.parametrize("kind", ["text/plain", "application/openmetrics-text"])
def test_metrics_are_there_for_who_asks_for_a_version_that_is_none(
    client: httpx.Client, kind: str, version: str
) -> None:
    answer = client.get("/metrics", headers={"accept": f"{kind}; version={version}"})

    assert answer.status_code == 200
    assert "seqrisk_model_ready 1.0" in answer.text


def test_the_loop_turns_while_metrics_are_written() -> None:
    metrics, settings = Metrics(), Settings()
    app = create_app(settings, LineUp(settings, metrics), metrics, Lifecycle())
    turned = threading.Event()
    # Written once the loop has turned: on the loop itself, it would not.
    metrics.waiting_bytes.set_function(lambda: float(turned.wait(30)))

    async def ask() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            asking = asyncio.create_task(client.get("/metrics"))
            asyncio.get_running_loop().call_later(0.05, turned.set)
            return (await asking).text

    assert "seqrisk_waiting_bytes 1.0" in asyncio.run(ask())


def test_the_port_is_open_while_the_model_loads(start_service: StartService, repository: Path) -> None:
    starting = start_service(SEQRISK_REPOSITORY=str(repository))
    with httpx.Client(base_url=starting.address(), timeout=60) as client:
        alive, ready, score = client.get("/livez"), client.get("/readyz"), client.post("/v1/score", content=b"{}")

    assert alive.status_code == 200
    for answer in (ready, score):
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert answer.json()["error"].startswith("Expected a verified and warm model. Received: loading. ")
        assert int(answer.headers["retry-after"]) > 0
