"""The Open Inference Protocol over REST: unmodified clients, and every refusal, against a running server."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from open_inference.openapi import types as published
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

from service.open_inference_schemas import InferAnswer
from service.schemas import ErrorAnswer
from tests.service.conftest import VOCABULARY, Service

EVENT_TYPES = [["Opened/Phone", "New/P3", "New/P3"], ["7", "never seen", ""]]
IDS = [[2, 3, 3], [5, 1, 0]]
MINUTES = [[447.0, 441.0, 0.0], [9.5, 0.0, 0.0]]
INFER = "/v2/models/tiny/infer"


@pytest.fixture(scope="module")
def url(service: Service) -> str:
    return service.address().removeprefix("http://")


@pytest.fixture
def client_of_triton(url: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(url) as client:
        yield client


@pytest.fixture(scope="module")
def expected(client: httpx.Client) -> list[float]:
    """Risks of the same sequences in our own protocol."""
    sequences = [
        {"event_types": [kind for kind in kinds if kind], "elapsed_minutes": minutes[: sum(map(bool, kinds))]}
        for kinds, minutes in zip(EVENT_TYPES, MINUTES, strict=True)
    ]
    answer = client.post("/v1/score", json={"sequences": sequences})
    return [score["risk"] for score in answer.json()["scores"]]


def inputs(*, types: bool, is_binary: bool) -> list[triton.InferInput]:
    if types:
        events = triton.InferInput("event_types", [2, 3], "BYTES")
        events.set_data_from_numpy(np.array(EVENT_TYPES, np.object_), binary_data=is_binary)
    else:
        events = triton.InferInput("event_ids", [2, 3], "INT32")
        events.set_data_from_numpy(np.array(IDS, np.int32), binary_data=is_binary)
    minutes = triton.InferInput("elapsed_minutes", [2, 3], "FP32")
    minutes.set_data_from_numpy(np.array(MINUTES, np.float32), binary_data=is_binary)
    return [events, minutes]


@pytest.mark.parametrize("types", [False, True])
@pytest.mark.parametrize("is_binary", [False, True])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_triton_client_scores_like_our_own_protocol(
    client_of_triton: triton.InferenceServerClient,
    expected: list[float],
    types: bool,
    is_binary: bool,
    compression: str | None,
) -> None:
    result = client_of_triton.infer(
        "tiny",
        inputs(types=types, is_binary=is_binary),
        model_version="1",
        outputs=[
            triton.InferRequestedOutput("auxiliary_risk", binary_data=not is_binary),
            triton.InferRequestedOutput("risk", binary_data=is_binary),
        ],
        request_id="INC1",
        request_compression_algorithm=compression,
        response_compression_algorithm=compression,
    )

    assert result.get_response()["id"] == "INC1"
    assert [output["name"] for output in result.get_response()["outputs"]] == ["auxiliary_risk", "risk"]
    assert result.as_numpy("risk") == pytest.approx(expected, abs=1e-6)
    assert result.as_numpy("risk").dtype == result.as_numpy("auxiliary_risk").dtype == np.float32


def test_triton_client_asks_for_everything_in_binary_by_default(
    client_of_triton: triton.InferenceServerClient, expected: list[float]
) -> None:
    result = client_of_triton.infer("tiny", inputs(types=False, is_binary=True))

    for name in ("risk", "auxiliary_risk"):
        assert result.get_output(name)["parameters"] == {"binary_data_size": 8}
    assert result.as_numpy("risk") == pytest.approx(expected, abs=1e-6)


def test_triton_client_scores_in_its_own_threads(
    client_of_triton: triton.InferenceServerClient, expected: list[float]
) -> None:
    result = client_of_triton.async_infer("tiny", inputs(types=True, is_binary=True)).get_result()

    assert result.as_numpy("risk") == pytest.approx(expected, abs=1e-6)


def test_tritons_asyncio_client_scores(url: str, expected: list[float]) -> None:
    async def scores() -> list[Any]:
        async with aio.InferenceServerClient(url) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("tiny")
            results = [
                await client.infer(
                    "tiny", inputs(types=types, is_binary=is_binary), request_compression_algorithm=compression
                )
                for types, is_binary, compression in [(False, True, None), (True, True, "gzip"), (True, False, None)]
            ]
            return [result.as_numpy("risk") for result in results]

    for risks in asyncio.run(scores()):
        assert risks == pytest.approx(expected, abs=1e-6)


def test_triton_client_is_told_what_is_wrong(client_of_triton: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="unknown model: 'nope'") as unknown:
        client_of_triton.infer("nope", inputs(types=False, is_binary=True))
    with pytest.raises(InferenceServerException, match="version '99' is not found"):
        client_of_triton.infer("tiny", inputs(types=False, is_binary=True), model_version="99")
    with pytest.raises(InferenceServerException, match="unexpected inference output 'zzz' for model 'tiny'") as wrong:
        client_of_triton.infer(
            "tiny", inputs(types=False, is_binary=True), outputs=[triton.InferRequestedOutput("zzz")]
        )

    assert unknown.value.status() == "404"
    assert wrong.value.status() == "400"


def request(**changes: object) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": "event_ids", "shape": [2, 3], "datatype": "INT64", "data": IDS, **changes},
            {"name": "elapsed_minutes", "shape": [2, 3], "datatype": "FP64", "data": [*MINUTES[0], *MINUTES[1]]},
        ]
    }


def test_an_answer_in_json_is_the_documented_one(client: httpx.Client, expected: list[float]) -> None:
    answer = client.post(INFER, json=request())

    InferAnswer.model_validate_json(answer.content, strict=True, extra="forbid")
    body = answer.json()
    assert body.keys() == {"model_name", "model_version", "id", "outputs"}
    assert (body["model_name"], body["model_version"]) == ("tiny", "1")
    assert body["id"]
    assert [output.keys() for output in body["outputs"]] == [{"name", "shape", "datatype", "data"}] * 2
    assert body["outputs"][0]["data"] == pytest.approx(expected, abs=1e-6)


def test_answers_are_those_of_the_published_schemas(client: httpx.Client) -> None:
    for answer, schema in (
        (client.get("/v2"), published.MetadataServerResponse),
        (client.get("/v2/models/tiny"), published.MetadataModelResponse),
        (client.get("/v2/models/nope"), published.MetadataModelErrorResponse),
        (client.post(INFER, json=request()), published.InferenceResponse),
        (client.post(INFER, json={}), published.InferenceErrorResponse),
    ):
        # It raises what the schema does not allow.
        schema.parse_raw(answer.content)


def test_the_content_type_does_not_matter(client: httpx.Client) -> None:
    for content_type in ("text/plain", "application/octet-stream", "nonsense"):
        answer = client.post(INFER, content=json.dumps(request()), headers={"content-type": content_type})
        assert answer.status_code == 200


def test_padding_never_changes_a_score(client: httpx.Client) -> None:
    def risk(width: int) -> float:
        ids, minutes = [2, 3] + [0] * (width - 2), [6.0, 0.0] + [1e30] * (width - 2)
        answer = client.post(
            INFER,
            json={
                "inputs": [
                    {"name": "event_ids", "shape": [1, width], "datatype": "INT32", "data": ids},
                    {"name": "elapsed_minutes", "shape": [1, width], "datatype": "FP32", "data": minutes},
                ]
            },
        )
        assert answer.status_code == 200, answer.text
        value: float = answer.json()["outputs"][0]["data"][0]
        return value

    assert risk(2) == pytest.approx(risk(40), abs=1e-6)


def _minutes(*values: object, datatype: str = "FP32") -> bytes:
    body = {
        "inputs": [
            {"name": "event_ids", "shape": [1, 2], "datatype": "INT32", "data": [2, 3]},
            {"name": "elapsed_minutes", "shape": [1, 2], "datatype": datatype, "data": values},
        ]
    }
    return json.dumps(body).encode()


def _ids(*values: object) -> bytes:
    body = {
        "inputs": [
            {"name": "event_ids", "shape": [1, 2], "datatype": "INT32", "data": values},
            {"name": "elapsed_minutes", "shape": [1, 2], "datatype": "FP32", "data": [1, 0]},
        ]
    }
    return json.dumps(body).encode()


SOUND = json.dumps(request()).encode()
TOO_MANY = {"name": "event_ids", "shape": [21, 1], "datatype": "INT32", "data": [2] * 21}
TOO_MANY_MINUTES = {"name": "elapsed_minutes", "shape": [21, 1], "datatype": "FP32", "data": [0] * 21}


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"{}", {}, 400),
        (b"\xff", {}, 400),
        (_minutes(float("nan"), 0), {}, 400),
        (_minutes(float("inf"), 0), {}, 400),
        (_minutes(1e39, 0), {}, 400),
        (_minutes(1e39, 0, datatype="FP64"), {}, 400),
        (_minutes(-1, 0), {}, 400),
        (_minutes(1, 2), {}, 400),
        (_minutes(200_000, 0), {}, 400),
        (_minutes(2, 1), {}, 400),
        (_minutes("1", 0), {}, 400),
        (_ids(2, len(VOCABULARY) + 2), {}, 400),
        (_ids(-1, 2), {}, 400),
        (_ids(0, 2), {}, 400),
        (_ids(0, 0), {}, 400),
        (_ids(2.0, 2), {}, 400),
        (json.dumps({"inputs": [TOO_MANY, TOO_MANY_MINUTES]}).encode(), {}, 400),
        (SOUND, {"inference-header-content-length": "0"}, 400),
        (SOUND, {"inference-header-content-length": "99999"}, 400),
        (SOUND, {"inference-header-content-length": "x"}, 400),
        (SOUND + b"1234", {"inference-header-content-length": str(len(SOUND))}, 400),
        (SOUND, {"content-encoding": "gzip"}, 400),
        (gzip.compress(SOUND, mtime=0)[:-1], {"content-encoding": "gzip"}, 400),
        (gzip.compress(SOUND, mtime=0), {"content-encoding": "br"}, 415),
        (gzip.compress(bytes(10_000_000), mtime=0), {"content-encoding": "gzip"}, 413),
        (zlib.compress(bytes(10_000_000)), {"content-encoding": "deflate"}, 413),
        (bytes(20_001), {}, 413),
        (SOUND, {"x-request-timeout-ms": "0"}, 400),
    ],
)
def test_what_is_wrong_is_refused_in_the_envelope(
    client: httpx.Client, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = client.post(INFER, content=content, headers=headers)

    ErrorAnswer.model_validate_json(answer.content, strict=True, extra="forbid")
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


def test_every_row_at_fault_is_pointed_at(client: httpx.Client) -> None:
    answer = client.post(INFER, json=request(data=[[2, 99, 3], [5, 0, 0]]))

    assert [fault["pointer"] for fault in answer.json()["details"]] == [
        "/event_ids/0/1",
        "/elapsed_minutes/1/0",
    ]


def test_a_clients_timeout_is_kept(client: httpx.Client) -> None:
    answer = client.post(INFER, json=request() | {"parameters": {"timeout": 1}})

    assert answer.status_code == 504
    assert answer.json()["code"] == "deadline_exceeded"


def test_what_an_empty_name_or_a_wrong_method_finds(client: httpx.Client) -> None:
    wrong = client.get(INFER)

    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert client.post("/v2/models//infer", content=SOUND).status_code == 404
    assert client.post("/v2/nowhere").status_code == 404
    for answer in (wrong, client.post("/v2/nowhere")):
        ErrorAnswer.model_validate_json(answer.content, strict=True, extra="forbid")
