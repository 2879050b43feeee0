import asyncio
import re
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from service import metrics as metrics_module
from service.metrics import Metrics, RequestMetrics

OPERATORS_PAGE = Path(metrics_module.__file__).parent / "README.md"


async def _greet(request: Request) -> PlainTextResponse:
    if request.path_params["name"] == "trouble":
        raise RuntimeError("on purpose")
    return PlainTextResponse("hello")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def application(metrics: Metrics) -> Starlette:
    application = Starlette(routes=[Route("/greet/{name}", _greet, methods=["GET"])])
    application.add_middleware(RequestMetrics, metrics=metrics)
    return application


def _request(application: Starlette, method: str, path: str) -> None:
    async def request() -> None:
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            await client.request(method, path)

    asyncio.run(request())


def _count(metrics: Metrics, **labels: str) -> float | None:
    return metrics.registry.get_sample_value("seqrisk_requests_total", labels)


def test_requests_are_counted_by_template_method_and_class_of_status(metrics: Metrics, application: Starlette) -> None:
    for name in ("ada", "grace"):
        _request(application, "GET", f"/greet/{name}")

    assert _count(metrics, route="/greet/{name}", method="GET", status="2xx") == 2
    assert metrics.registry.get_sample_value("seqrisk_request_seconds_count", {"route": "/greet/{name}"}) == 2


def test_a_crash_counts_as_5xx(metrics: Metrics, application: Starlette) -> None:
    _request(application, "GET", "/greet/trouble")

    assert _count(metrics, route="/greet/{name}", method="GET", status="5xx") == 1


def test_what_clients_invent_makes_no_new_label(metrics: Metrics, application: Starlette) -> None:
    for number in range(5):
        _request(application, f"VERB{number}", f"/invented/{number}")

    assert _count(metrics, route="other", method="other", status="4xx") == 5


def test_two_services_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()

    first.sequences.inc()

    assert second.registry.get_sample_value("seqrisk_sequences_total") == 0


def test_names_follow_prometheus_rules() -> None:
    registry = CollectorRegistry()
    Metrics(registry)

    families = list(text_string_to_metric_families(generate_latest(registry).decode()))

    ours = [family for family in families if not family.name.startswith(("python_", "process_"))]
    assert ours
    assert all(re.fullmatch(r"seqrisk_[a-z_]+", family.name) and family.documentation.endswith(".") for family in ours)


def test_the_operators_page_lists_every_metric_with_its_labels() -> None:
    rows = re.findall(r"^\| `(seqrisk_\w+)` \|([^|]*)\|", OPERATORS_PAGE.read_text(), flags=re.MULTILINE)
    declared = {}
    for metric in vars(Metrics()).values():
        if hasattr(metric, "describe") and not isinstance(metric, CollectorRegistry):
            suffix = "_total" if metric._type == "counter" else ""
            declared[metric._name + suffix] = set(metric._labelnames)

    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == declared
