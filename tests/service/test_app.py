import asyncio
import json
import re

import httpx
import pytest

from service.app import create_app
from service.entrance import Entrance
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.metrics import Metrics
from service.schemas import ErrorAnswer
from service.settings import Settings

MODEL = "/v1/models/{name}"
TARGETS = (MODEL, f"{MODEL}/versions/{{version}}", f"{MODEL}/labels/{{label}}")
PATHS = {"/v1/score", "/v1/models", *TARGETS, "/livez", "/readyz", "/metrics", "/ping", "/invocations"} | {
    target + rest for target in TARGETS for rest in (":predict", "/metadata")
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def app(metrics: Metrics) -> Entrance:
    """The application before its model begins to load."""
    settings = Settings(max_sequences=77, max_sequence_events=99)
    return create_app(settings, LineUp(settings, metrics), metrics, Lifecycle())


def _request(
    app: Entrance, method: str, path: str, content: bytes = b"", headers: dict[str, str] | None = None
) -> httpx.Response:
    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(request())


def _refused(answer: httpx.Response) -> tuple[int, str]:
    envelope = ErrorAnswer.model_validate_json(answer.content, strict=True, extra="forbid")
    return answer.status_code, envelope.code


@pytest.mark.parametrize("path", ["/nowhere", "/v1/score/", "/v1/nowhere", "/docs/nowhere", "/%00", "/\u00e9"])
def test_a_wrong_path_is_refused_in_the_envelope(app: Entrance, path: str) -> None:
    assert _refused(_request(app, "GET", path)) == (404, "unknown_path")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/score", "POST"),
        ("DELETE", "/v1/score", "POST"),
        ("POST", "/v1/models", "GET"),
        ("PUT", "/livez", "GET"),
        ("NONSENSE", "/readyz", "GET"),
    ],
)
def test_a_wrong_method_is_refused_with_the_right_one(app: Entrance, method: str, path: str, allowed: str) -> None:
    answer = _request(app, method, path)

    assert _refused(answer) == (405, "wrong_method")
    assert answer.headers["allow"] == allowed
    assert allowed in answer.json()["error"]


def test_a_model_that_is_not_loaded_answers_503_and_when_to_try_again(app: Entrance) -> None:
    for answer in (_request(app, "GET", "/readyz"), _request(app, "POST", "/v1/score", content=b"{")):
        assert _refused(answer) == (503, "not_ready")
        assert int(answer.headers["retry-after"]) > 0
    assert _refused(_request(app, "GET", "/v1/models/any")) == (503, "not_ready")
    assert _request(app, "GET", "/v1/models").json() == {"models": []}


def test_the_process_is_alive_whatever_the_model_does(app: Entrance) -> None:
    assert _request(app, "GET", "/livez").status_code == 200


def test_an_unexpected_failure_tells_nothing_about_the_inside(app: Entrance) -> None:
    @app.app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("password=hunter2")

    answer = _request(app, "GET", "/broken")

    assert _refused(answer) == (500, "internal_error")
    assert answer.headers["connection"] == "close"
    assert "hunter2" not in answer.text


def test_a_parameter_the_framework_refuses_comes_in_the_envelope(app: Entrance) -> None:
    @app.app.get("/page/{number}")
    async def read_page(number: int) -> int:
        return number

    answer = _request(app, "GET", "/page/one")

    assert _refused(answer) == (422, "invalid_request")
    assert answer.json()["details"][0]["pointer"] == "/path/number"


def test_refusals_are_counted_by_route_and_code(app: Entrance, metrics: Metrics) -> None:
    for path in ("/a", "/b", "/readyz"):
        _request(app, "GET", path)

    def counted(route: str, code: str) -> float | None:
        return metrics.registry.get_sample_value("seqrisk_rejects_total", {"route": route, "code": code})

    assert counted("other", "unknown_path") == 2
    assert counted("/readyz", "not_ready") == 1


def test_the_root_leads_a_browser_to_the_documentation(app: Entrance) -> None:
    answer = _request(app, "GET", "/", headers={"accept": "text/html,*/*;q=0.8"})

    assert answer.headers["location"] == "/docs"
    assert _request(app, "GET", "/docs").status_code == 200


def test_the_root_tells_anyone_else_that_the_process_is_alive(app: Entrance) -> None:
    assert _request(app, "GET", "/").json() == {"status": "alive"}


def test_every_reference_of_the_openapi_document_leads_somewhere(app: Entrance) -> None:
    document = _request(app, "GET", "/openapi.json").json()

    references = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)))
    assert references == set(document["components"]["schemas"])


def test_the_openapi_document_shows_request_answer_and_refusals(app: Entrance) -> None:
    document = _request(app, "GET", "/openapi.json").json()
    schemas = document["components"]["schemas"]
    score = document["paths"]["/v1/score"]["post"]

    assert {path for path in document["paths"] if not path.startswith("/v2")} == PATHS
    assert score["requestBody"]["required"] is True
    assert schemas["ScoreRequest"]["examples"][0]["sequences"]
    assert schemas["ScoreRequest"]["properties"]["sequences"]["maxItems"] == 77
    assert schemas["SequenceBody"]["properties"]["events"]["maxItems"] == 99
    shown = {
        status: answer["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
        for status, answer in score["responses"].items()
    }
    assert shown.pop("200") == "ScoreAnswer"
    assert set(shown) == {"400", "404", "408", "413", "415", "422", "500", "503", "504", "default"}
    assert set(shown.values()) == {"ErrorAnswer"}
