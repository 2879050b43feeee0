"""A model that is told more than types and times, asked through every protocol: one history has one risk."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.entrance import Entrance
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.metrics import Metrics
from service.settings import Settings
from service.versions import ModelStatus
from tests.service.told_models import INPUTS, told_model

TYPES, MINUTES = ["7", "New/P3", "7"], [65.0, 5.0, 0.0]
# Of a Tuesday, 09:00 in UTC.
AS_OF = "2016-03-01T09:00:00Z"
CLOCK = 1_440 + 540
EVENT_TIMES = ["2016-03-01T07:55:00Z", "2016-03-01T08:55:00Z", AS_OF]
AMOUNTS, CHANNELS = [1.5, -2, 30], ["web", "7", "fax"]

COLUMNS = {
    "event_types": TYPES,
    "elapsed_minutes": MINUTES,
    "as_of": AS_OF,
    "attributes": {"amount": AMOUNTS, "channel": CHANNELS, "age": 33, "country": "DE"},
}
TIMES = {
    "events": [
        {"type": event_type, "time": time, "attributes": {"amount": amount, "channel": channel}}
        for event_type, time, amount, channel in zip(TYPES, EVENT_TIMES, AMOUNTS, CHANNELS, strict=True)
    ],
    "attributes": {"age": 33, "country": "DE"},
}
ROW = {
    "event_types": TYPES,
    "elapsed_minutes": MINUTES,
    "amount": AMOUNTS,
    "channel": [2, 3, 1],
    "age": 33,
    "country": "DE",
    "scored_minute_of_week": CLOCK,
}
TENSORS = [
    {"name": "event_types", "shape": [1, 3], "datatype": "BYTES", "data": TYPES},
    {"name": "elapsed_minutes", "shape": [1, 3], "datatype": "FP32", "data": MINUTES},
    {"name": "amount", "shape": [1, 3], "datatype": "FP32", "data": AMOUNTS},
    {"name": "channel", "shape": [1, 3], "datatype": "BYTES", "data": CHANNELS},
    {"name": "age", "shape": [1, 1], "datatype": "FP32", "data": [33]},
    {"name": "country", "shape": [1], "datatype": "INT32", "data": [2]},
    {"name": "scored_minute_of_week", "shape": [1], "datatype": "FP32", "data": [CLOCK]},
]


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def app(loop: asyncio.Runner) -> Entrance:
    settings, metrics = Settings(), Metrics()
    lineup = LineUp(settings, metrics)

    async def start() -> Entrance:
        lineup._follower.champion = model = told_model()
        lineup._follower.status = ModelStatus("tiny", 1, "ready", "", model.manifest)
        return create_app(settings, lineup, metrics, Lifecycle())

    return loop.run(start())


@pytest.fixture
def ask(app: Entrance, loop: asyncio.Runner) -> Any:  # noqa: ANN401
    def asked(path: str, content: object = None) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await (client.get(path) if content is None else client.post(path, json=content))

        return loop.run(send())

    return asked


def risk_of(told: dict[str, Any]) -> float:
    """What the model itself says, told by hand."""
    model = told_model()
    return float(model.risks(model.encode([TYPES], [MINUTES], [told]))[0])


def risk_in(answer: httpx.Response) -> float:
    assert answer.status_code == 200, answer.text
    match answer.json():
        case {"scores": [{"risk": risk}]} | {"predictions": [{"risk": risk}]}:
            return float(risk)
        case {"outputs": {"risk": [risk]}}:
            return float(risk)
        case {"outputs": [{"data": [risk]}, *_]}:
            return float(risk)
    raise AssertionError(answer.text)


WAYS: dict[str, tuple[str, Any]] = {
    "columns": ("/v1/score", {"sequences": [COLUMNS]}),
    "times": ("/v1/score", {"sequences": [TIMES]}),
    "instances": ("/v1/models/tiny:predict", {"instances": [ROW]}),
    "inputs": ("/v1/models/tiny:predict", {"inputs": {name: [value] for name, value in ROW.items()}}),
    "SageMaker": ("/invocations", {"instances": [ROW]}),
    "open inference": ("/v2/models/tiny/infer", {"inputs": TENSORS}),
}
WAYS_OF_OLD: dict[str, tuple[str, Any]] = {
    "columns": ("/v1/score", {"sequences": [{"event_types": TYPES, "elapsed_minutes": MINUTES}]}),
    "instances": ("/v1/models/tiny:predict", {"instances": [{"event_types": TYPES, "elapsed_minutes": MINUTES}]}),
    "open inference": ("/v2/models/tiny/infer", {"inputs": TENSORS[:2]}),
}


@pytest.mark.parametrize("way", WAYS)
def test_one_history_has_one_risk(ask: Any, way: str) -> None:  # noqa: ANN401
    told = {"amount": AMOUNTS, "channel": CHANNELS, "age": 33, "country": "DE", "scored_minute_of_week": CLOCK}

    assert risk_in(ask(*WAYS[way])) == pytest.approx(risk_of(told), abs=1e-6)


@pytest.mark.parametrize("way", WAYS_OF_OLD)
def test_a_client_that_knows_types_and_times_alone_still_works(ask: Any, way: str) -> None:  # noqa: ANN401
    assert risk_in(ask(*WAYS_OF_OLD[way])) == pytest.approx(risk_of({}), abs=1e-6)


def test_sequences_with_and_without_attributes_share_a_request(ask: Any) -> None:  # noqa: ANN401
    plain = {"event_types": TYPES, "elapsed_minutes": MINUTES}

    scores = ask("/v1/score", {"sequences": [plain, COLUMNS] * 20}).json()["scores"]

    risks = [score["risk"] for score in scores]
    assert risks == [risk_in(ask(*WAYS_OF_OLD["columns"])), risk_in(ask(*WAYS["columns"]))] * 20


def test_a_large_body_is_read_elsewhere_alike(ask: Any) -> None:  # noqa: ANN401
    answer = ask("/v1/score", {"sequences": [COLUMNS] * 600})

    assert len(json.dumps(COLUMNS)) * 600 > 100_000
    assert {score["risk"] for score in answer.json()["scores"]} == {risk_in(ask(*WAYS["columns"]))}


@pytest.mark.parametrize(
    ("path", "content", "status", "pointer"),
    [
        (
            "/v1/score",
            {"sequences": [COLUMNS, COLUMNS | {"attributes": {"age": 1e39}}]},
            422,
            "/sequences/1/attributes/age",
        ),
        ("/v1/models/tiny:predict", {"instances": [ROW | {"amount": [1, 2, "3"]}]}, 400, "/instances/0/amount/2"),
        ("/v1/models/tiny:predict", {"instances": [ROW | {"size": 1}]}, 400, "/instances/0"),
        ("/v2/models/tiny/infer", {"inputs": [*TENSORS[:4], TENSORS[4] | {"data": [1e39]}]}, 400, "/age/0"),
    ],
)
def test_what_is_wrong_is_pointed_at(ask: Any, path: str, content: object, status: int, pointer: str) -> None:  # noqa: ANN401
    answer = ask(path, content)

    assert (answer.status_code, answer.json()["details"][0]["pointer"]) == (status, pointer)


def test_what_it_is_told_can_be_asked_for(ask: Any) -> None:  # noqa: ANN401
    described = ask("/v1/models/tiny").json()["description"]["further_inputs"]
    tensorflow = ask("/v1/models/tiny/metadata").json()["metadata"]["signature_def"]["signature_def"]
    triton = ask("/v2/models/tiny").json()["inputs"]
    config = {one["name"]: one["optional"] for one in ask("/v2/models/tiny/config").json()["input"]}

    names = [one.name for one in INPUTS]
    assert [one["name"] for one in described] == names
    signature = tensorflow["serving_default"]["inputs"]
    assert {name: (signature[name]["dtype"], len(signature[name]["tensor_shape"]["dim"])) for name in names} == {
        "amount": ("DT_FLOAT", 2),
        "channel": ("DT_INT32", 2),
        "age": ("DT_FLOAT", 1),
        "country": ("DT_INT32", 1),
        "scored_minute_of_week": ("DT_FLOAT", 1),
    }
    assert {one["name"]: (one["datatype"], len(one["shape"])) for one in triton[2:]} == {
        "amount": ("FP32", 2),
        "channel": ("INT32", 2),
        "age": ("FP32", 1),
        "country": ("INT32", 1),
        "scored_minute_of_week": ("FP32", 1),
    }
    assert all(config[name] for name in names)
