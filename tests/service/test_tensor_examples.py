"""Every example of the routes of tensor protocols is what really comes and goes."""

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from service.examples import ANSWERS
from service.schemas import ErrorAnswer
from service.tensor_examples import INFER_REQUESTS, PREDICT_REQUESTS, tensor_answers
from tests.service.causes import COMMON, Answer, ask, loading, make_app, post, with_model

NAMES = {"{name}": "sla-breach", "{version}": "1", "{label}": "stable"}
OTHERS = {"{version}": "5", "{label}": "other", "{name}": "other"}
SHOWN = {
    (path, status, name): value
    for path, statuses in tensor_answers(None).items()
    for status, answers in statuses.items()
    for name, value in answers.items()
}
SCORED = {what: value for what, value in SHOWN.items() if what[1] == "200" and "health" not in what[0]}
UNORDERED: dict[str, Any] = {"event_ids": [2, 2, 2], "elapsed_minutes": [3.0, 5.0, 0.0]}


def _path(template: str, *, of_others: bool = False) -> str:
    """The path of what is served; or with a version, else a label, else a name that is not."""
    other = next((part for part in OTHERS if part in template), "") if of_others else ""
    for part, name in NAMES.items():
        template = template.replace(part, OTHERS[part] if part == other else name)
    return template


def _broken(template: str) -> dict[str, Any]:
    """A body that breaks a rule of time."""
    if "infer" not in template:
        return {"instances": [UNORDERED]}
    datatypes = {"event_ids": "INT32", "elapsed_minutes": "FP32"}
    inputs = [
        {"name": name, "shape": [1, 3], "datatype": datatypes[name], "data": data} for name, data in UNORDERED.items()
    ]
    return {"inputs": inputs}


def _cause(template: str, status: str, name: str) -> Callable[[], Answer]:
    """What brings about an answer that the document shows."""
    path, other = _path(template), _path(template, of_others=True)
    sound = INFER_REQUESTS["a list a row"] if "infer" in template else PREDICT_REQUESTS["by row"]
    is_scoring = template.endswith((":predict", "/infer", "/invocations"))
    method = "POST" if is_scoring or "repository" in template else "GET"
    if is_scoring and (status, name) in COMMON:
        return partial(COMMON[status, name], path, sound)
    cut_short = b'{"inputs":    [' if "infer" in template else b'{"instances": ['
    others = {
        "not JSON": lambda: post(with_model(), path, cut_short),
        "neither form": lambda: post(with_model(), path, {}),
        "no inputs": lambda: post(with_model(), path, {}),
        "a rule of time": lambda: post(with_model(), path, _broken(template)),
        "another compression": lambda: post(with_model(), path, b"\x0b", **{"Content-Encoding": "br"}),
        "not ready": lambda: ask(loading(), method, path),
        "no version": lambda: ask(with_model(), method, path.replace("/1/", "/other/")),
        "alive": lambda: ask(loading(), method, path),
        "ready": lambda: ask(with_model(), method, path),
        "always": lambda: ask(loading(), method, path),
    }
    return others.get(name, lambda: ask(with_model(), method, other, **({"json": sound} if is_scoring else {})))


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """One event loop for the applications that tests share."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.mark.parametrize("what", [what for what in SHOWN if what not in SCORED], ids=" ".join)
def test_an_answer_shown_is_the_one_that_comes(what: tuple[str, str, str], loop: asyncio.Runner) -> None:
    answer = loop.run(_cause(*what)())

    assert answer.json() == SHOWN[what]
    assert what[1] in {str(answer.status_code), "default"}
    if what[1] != "200":
        ErrorAnswer.model_validate_json(answer.content, strict=True, extra="forbid")


def _without_numbers(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_numbers(one) for one in value]
    return "a number" if isinstance(value, float) else value


@pytest.mark.parametrize("what", SCORED, ids=" ".join)
def test_scores_shown_have_the_form_of_those_that_come(what: tuple[str, str, str], loop: asyncio.Runner) -> None:
    template, _, name = what
    requests = INFER_REQUESTS if "infer" in template else PREDICT_REQUESTS

    answer = loop.run(post(with_model(), _path(template), requests[name]))

    assert _without_numbers(answer.json()) == _without_numbers(SCORED[what])


@pytest.mark.parametrize("what", SCORED, ids=" ".join)
def test_scores_shown_are_those_of_the_same_history_in_our_own_protocol(what: tuple[str, str, str]) -> None:
    """Which another test compares with the default model."""
    ours: Any = ANSWERS["/v1/score"]["200"]["scores"]
    expected = {ours["scores"][0][name] for name in ("risk", "auxiliary_risk")}

    found = {round(float(number), 8) for number in _numbers(SCORED[what])}

    assert found
    assert found <= expected


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _numbers(one)


@pytest.mark.parametrize(
    ("template", "request_"),
    [
        *(("/v1/models/{name}:predict", request) for request in PREDICT_REQUESTS.values()),
        *(("/v2/models/{name}/infer", request) for request in INFER_REQUESTS.values()),
    ],
)
def test_a_request_shown_is_accepted(template: str, request_: dict[str, Any], loop: asyncio.Runner) -> None:
    answer = loop.run(post(with_model(), _path(template), request_))

    assert answer.status_code == 200, answer.text


def test_every_documented_answer_of_a_route_that_scores_is_shown() -> None:
    document = make_app(None).app.openapi()
    scoring = [path for path in document["paths"] if path.endswith((":predict", "/infer", "/invocations"))]

    assert len(scoring) == 6
    for path in scoring:
        operation = document["paths"][path]["post"]
        bodies = [operation["requestBody"], *operation["responses"].values()]
        assert all(json.dumps(body["content"]["application/json"]["examples"]) for body in bodies)
