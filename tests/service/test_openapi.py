"""The OpenAPI document says what the service does: every example in it is what really comes and goes."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from service.examples import ANSWERS, REQUESTS
from service.schemas import SCORE_REQUEST
from service.settings import Settings
from service.tensor_examples import tensor_answers
from tests.service.causes import COMMON, Answer, ask, loading, make_app, post, with_model

ROOT = Path(__file__).parents[2]
OWN = "/v1/score"
TENSORS = ("event_ids", "event_types", "elapsed_minutes")
SOUND = {"event_types": ["a"], "elapsed_minutes": [0]}


@cache
def _document() -> dict[str, Any]:
    return loading().app.openapi()


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """One event loop for the applications that tests share."""
    with asyncio.Runner() as runner:
        yield runner


SEVERAL_FAULTS = {
    "sequences": [
        {"event_types": ["a", "b"], "elapsed_minutes": [0]},
        {"events": [{"type": "a", "time": "2016-03-01T01:36:00"}]},
    ]
}
UNORDERED = {"sequences": [{"event_types": ["a"] * 3, "elapsed_minutes": [3, 5, 0]}]}

# What brings about each answer that the document shows.
CAUSES: dict[tuple[str, str, str], Callable[[], Answer]] = {
    (OWN, "400", "not JSON"): lambda: post(with_model(), OWN, b'{"sequences": ['),
    (OWN, "400", "a header"): lambda: post(with_model(), OWN, {}, **{"X-Request-Timeout-Ms": "soon"}),
    (OWN, "404", "another model"): lambda: post(with_model(), OWN, {"model": "other", "sequences": [SOUND]}),
    (OWN, "415", "a compressed body"): lambda: post(with_model(), OWN, b"\x0b", **{"Content-Encoding": "br"}),
    (OWN, "422", "the schema"): lambda: post(with_model(), OWN, {}),
    (OWN, "422", "a rule of time"): lambda: post(with_model(), OWN, UNORDERED),
    (OWN, "422", "several faults"): lambda: post(with_model(), OWN, SEVERAL_FAULTS),
    **{(OWN, *what): partial(cause, OWN, {"sequences": [SOUND]}) for what, cause in COMMON.items()},
    ("/v1/models/{name}", "404", "another model"): lambda: ask(with_model(), "GET", "/v1/models/other"),
    ("/v1/models/{name}", "503", "not known yet"): lambda: ask(loading(), "GET", "/v1/models/other"),
    ("/livez", "200", "alive"): lambda: ask(loading(), "GET", "/livez"),
    ("/readyz", "200", "ready"): lambda: ask(with_model(), "GET", "/readyz"),
    ("/readyz", "503", "not ready"): lambda: ask(loading(), "GET", "/readyz"),
    ("/readyz", "503", "stopping"): lambda: ask(make_app(None, is_stopping=True), "GET", "/readyz"),
}
SHOWN = {
    (path, status, name): value
    for path, statuses in ANSWERS.items()
    for status, answers in statuses.items()
    for name, value in answers.items()
}
SCORES = (OWN, "200", "scores")


@pytest.mark.parametrize("cause", CAUSES, ids=" ".join)
def test_an_answer_shown_is_the_one_that_comes(cause: tuple[str, str, str], loop: asyncio.Runner) -> None:
    path, status, _ = cause

    answer = loop.run(CAUSES[cause]())

    documented = _document()["paths"][path].values()
    assert answer.json() == SHOWN[cause]
    assert status in {str(answer.status_code), "default"}
    for operation in documented:
        assert {name.lower() for name in operation["responses"][status]["headers"]} <= {*answer.headers}


def test_every_answer_shown_is_compared() -> None:
    assert {*SHOWN} == {*CAUSES, SCORES}


def test_every_documented_refusal_of_a_score_is_shown() -> None:
    responses = _document()["paths"]["/v1/score"]["post"]["responses"]

    assert all(response["content"]["application/json"]["examples"] for response in responses.values())


def test_the_scores_shown_are_those_of_the_readme() -> None:
    """Which another test compares with the default model."""
    readme = (ROOT / "README.md").read_text()
    sent, came = re.findall(r"-d '({.*?})'", readme, re.DOTALL)[0], re.findall(r"```json\n(.*?)```", readme, re.DOTALL)

    assert json.loads(sent) == REQUESTS["both forms"]
    assert SHOWN[SCORES] in [json.loads(block) for block in came if "scores" in block]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_shown_is_accepted(name: str, loop: asyncio.Runner) -> None:
    answer = loop.run(post(with_model(), OWN, REQUESTS[name]))

    assert answer.status_code == 200, answer.text


def test_the_document_is_openapi() -> None:
    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(_document())] == []


def test_examples_fit_the_schemas_they_stand_beside() -> None:
    document, num_examples = _document(), 0

    for methods in document["paths"].values():
        for operation in methods.values():
            bodies = [
                *operation["responses"].values(),
                *([operation["requestBody"]] if "requestBody" in operation else []),
            ]
            for media in (media for body in bodies for media in body.get("content", {}).values()):
                schema = media.get("schema", {}) | {"components": document["components"]}
                for example in media.get("examples", {}).values():
                    jsonschema_rs.Draft202012Validator(schema).validate(example["value"])
                    num_examples += 1

    of_tensors = [answers for statuses in tensor_answers(None).values() for answers in statuses.values()]
    assert num_examples >= len(SHOWN) + len(REQUESTS) + sum(map(len, of_tensors))


def test_limits_are_those_of_the_settings() -> None:
    settings = Settings(max_sequences=77, max_sequence_events=99, max_body_bytes=12_345, request_timeout_seconds=2.5)
    document = make_app(None, settings).app.openapi()
    schemas = document["components"]["schemas"]

    assert schemas["ScoreRequest"]["properties"]["sequences"]["maxItems"] == 77
    for form in ("events", "event_types", "elapsed_minutes"):
        assert schemas["SequenceBody"]["properties"][form]["maxItems"] == 99
    assert schemas["PredictBody"]["properties"]["instances"]["maxItems"] == 77
    assert {schemas["Columns"]["properties"][tensor]["maxItems"] for tensor in TENSORS} == {77}
    for path in (OWN, "/v1/models/{name}:predict", "/invocations", "/v2/models/{name}/infer"):
        described = document["paths"][path]["post"]["requestBody"]["description"]
        assert "12345 bytes" in described
        assert "2.5 s" in described
    assert schemas["ScoreRequest"]["properties"].keys() == SCORE_REQUEST.json_schema()["properties"].keys()


def test_every_answer_names_its_request_and_every_503_when_to_try_again() -> None:
    for methods in _document()["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                assert "X-Request-Id" in response["headers"]
                assert ("Retry-After" in response["headers"]) == (status == "503")


def test_headers_of_requests_are_documented_where_they_matter() -> None:
    paths = _document()["paths"]
    told = {
        path: {parameter["$ref"].split("/")[-1] for parameter in operation["parameters"] if "$ref" in parameter}
        for path in paths
        for operation in paths[path].values()
    }

    assert told["/v1/score"] == {"RequestId", "RequestTimeout"}
    assert told["/livez"] == {"RequestId"}
