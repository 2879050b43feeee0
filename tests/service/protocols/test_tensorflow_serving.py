"""The contract of TensorFlow Serving's REST protocol, case by case, against a running service."""

import asyncio
import gzip
import json
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from models.sequences import Vocabulary
from service.app import create_app
from service.challenger import Challenger
from service.lifecycle import Lifecycle
from service.lineup import LineUp
from service.metrics import Metrics
from service.schemas import ErrorAnswer
from service.settings import Settings
from service.tensorflow_serving_schemas import OutputsAnswer, PredictionsAnswer
from service.versions import VersionStatus
from tests.service.conftest import VOCABULARY
from tests.service.live_models import live_model, manifest

PREDICT = "/v1/models/tiny:predict"
MINUTES = "elapsed_minutes"
ROW: dict[str, Any] = {"event_ids": [2, 3], "elapsed_minutes": [6, 0]}
TYPES: dict[str, Any] = {"event_types": ["Opened/Phone", "New/P3"], "elapsed_minutes": [6, 0]}


def _rows(*instances: object, **more: object) -> dict[str, object]:
    return {"instances": instances, **more}


def _row(**tensors: object) -> dict[str, object]:
    return _rows({**ROW, **tensors})


def _columns(**tensors: object) -> dict[str, object]:
    return {"inputs": {"event_ids": [[2, 3]], "elapsed_minutes": [[6, 0]], **tensors}}


def _base64(text: str) -> dict[str, str]:
    return {"b64": b64encode(text.encode()).decode()}


SCORED = _rows(ROW)

# what is sent: body, number of scores
GOOD_BODIES: dict[str, tuple[object, int]] = {
    "by row": (SCORED, 1),
    "many rows": (_rows(*[ROW] * 20), 20),
    "by column": (_columns(), 1),
    "the signature by name": (_rows(ROW, signature_name="serving_default"), 1),
    "an empty signature name": (_rows(ROW, signature_name=""), 1),
    "unknown top-level keys": (_rows(ROW, context={}, anything=[1]), 1),
    "text after the closing brace": (json.dumps(SCORED).encode() + b" ]]} \xff", 1),
    "space before it": (b" \n\t" + json.dumps(SCORED).encode(), 1),
    "space and text around it": (b"\n" + json.dumps(SCORED).encode() + b"x", 1),
    "extra names beside columns": (_columns(other=[[1]]), 1),
    "columns with types beside ids": (_columns(event_types=[["ignored", "too"]]), 1),
    "ragged rows": (_rows(ROW, {"event_ids": [2], "elapsed_minutes": [0]}), 2),
    "ragged columns": ({"inputs": {"event_ids": [[2, 3], [4]], MINUTES: [[6, 0], [0]]}}, 2),
    "padded rows": (_row(event_ids=[2, 3, 0], elapsed_minutes=[6, 0, 0]), 1),
    "NaN beside padding": (b'{"inputs":{"event_ids":[[2,0]],"elapsed_minutes":[[0,NaN]]}}', 1),
    "the unknown event": (_row(event_ids=[1, 1]), 1),
    "minutes as floats": (_row(elapsed_minutes=[6.5, 0.0]), 1),
    "event types by row": (_rows(TYPES), 1),
    "event types by column": ({"inputs": {"event_types": [TYPES["event_types"]], MINUTES: [[6, 0]]}}, 1),
    "event types in base64": (_rows({"event_types": [_base64("Opened/Phone"), "New/P3"], MINUTES: [6, 0]}), 1),
    "an integer event type": (_rows({"event_types": [7], MINUTES: [0]}), 1),
    "event types, padded": (_rows({"event_types": ["7", ""], MINUTES: [0, 0]}), 1),
    "more events than the model takes": (_row(event_ids=[2] * 20, elapsed_minutes=[0] * 20), 1),
}

# what is wrong: body, part of the message, pointer
BAD_BODIES: dict[str, tuple[object, str, str | None]] = {
    "empty": (b"", "JSON Parse error: The document is empty", ""),
    "blank": (b" \r\n", "JSON Parse error: The document is empty", ""),
    "not JSON": (b"risk?", "JSON Parse error: Invalid value. at offset: 0", ""),
    "broken on its second line": (b'{"instances":\n [}', "JSON Parse error: Invalid value. at offset: 16", ""),
    "cut short": (b'{"instances": [', "JSON Parse error: Invalid value. at offset: ", ""),
    "not UTF-8": (b'{"instances": "\xff"}', "JSON Parse error: Invalid value. at offset: ", ""),
    "nested too deep": (b"[" * 5000, "JSON Parse error: ", ""),
    "5000 digits": (b'{"instances": [%s]}' % (b"1" * 5000), "JSON Parse error: ", ""),
    "an array": ([1], "JSON Value: [1] Is not object", ""),
    "a string": ("risk", 'JSON Value: "risk" Is not object', ""),
    "null": (None, "JSON Value: null Is not object", ""),
    "a long array": ([1] * 1_000, "1,1,1,1 Is not object", ""),
    "neither key": ({}, "Missing 'inputs' or 'instances' key", ""),
    "our own form": ({"sequences": [TYPES]}, "Missing 'inputs' or 'instances' key", ""),
    "both keys": (
        {**SCORED, **_columns()},
        "expecting only one of 'inputs' or 'instances' keys to exist ",
        "",
    ),
    "signature a number": (
        _rows(ROW, signature_name=1),
        "not formatted correctly. 'signature_name' key must be a string value.",
        "/signature_name",
    ),
    "unknown signature": (
        _rows(ROW, signature_name="x"),
        'Serving signature name: "x" not found in signature def',
        "/signature_name",
    ),
    "instances an object": ({"instances": {}}, "Expecting 'instances' to be an list/array", "/instances"),
    "instances null": ({"instances": None}, "Expecting 'instances' to be an list/array", "/instances"),
    "instances empty": (_rows(), "No values in 'instances' array", "/instances"),
    "instances plain lists": (
        _rows([2, 3]),
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per ",
        "/instances/0",
    ),
    "an instance a list": (_rows(ROW, [1]), "Expecting object but got list at item 1 of input list", "/instances/1"),
    "an instance a number": (_rows(ROW, 1), "Expecting object but got value at item 1 of input list", "/instances/1"),
    "an instance with a key too few": (
        _rows(ROW, {"event_ids": [2]}),
        "Failed to process element: 1 of 'instances' list. JSON object: {\"event_ids\":[2]} keys must be equal to: ",
        "/instances/1",
    ),
    "an instance with a key too many": (
        _row(other=1),
        "keys must be equal to: elapsed_minutes,event_ids",
        "/instances/0",
    ),
    "an instance with ids and types": (
        _rows(ROW, TYPES),
        "keys must be equal to: elapsed_minutes,event_ids",
        "/instances/1",
    ),
    "both in one instance": (
        _rows({**ROW, **TYPES}),
        "keys must be equal to: elapsed_minutes,event_types",
        "/instances/0",
    ),
    "an empty instance": (_rows({}), "JSON object: {} keys must be equal to: ", "/instances/0"),
    "inputs a plain list": (
        {"inputs": [[2, 3]]},
        "inputs is a plain value/list, but expecting an object as multiple input tensors required as per ",
        "/inputs",
    ),
    "inputs a number": ({"inputs": 5}, "inputs is a plain value/list", "/inputs"),
    "inputs without minutes": (
        {"inputs": {"event_ids": [[2]]}},
        "Missing named input: elapsed_minutes in 'inputs' object.",
        "/inputs",
    ),
    "inputs without events": (
        {"inputs": {MINUTES: [[0]]}},
        "Missing named input: event_ids in 'inputs' object.",
        "/inputs",
    ),
    "no inputs": ({"inputs": {}}, "Missing named input: ", "/inputs"),
    "a column a number": (_columns(event_ids=5), "Expected a list for each row of `event_ids`", "/inputs/event_ids"),
    "a column a vector": (
        _columns(event_ids=[2]),
        "Expected a list for each row of `event_ids`",
        "/inputs/event_ids/0",
    ),
    "a column of no rows": (_columns(event_ids=[], elapsed_minutes=[]), "at least 1 row", "/inputs/event_ids"),
    "columns of unequal length": (_columns(event_ids=[[2, 3]] * 2), "so 2. Received: 1", "/inputs/elapsed_minutes"),
    "a tensor a number": (_row(event_ids=5), "Expected a list for each row of `event_ids`", "/instances/0/event_ids"),
    "an id a string": (
        _row(event_ids=["x", 3]),
        'JSON Value: "x" Type: String is not of expected type: int32',
        "/instances/0/event_ids/0",
    ),
    "an id a float": (
        _row(event_ids=[2.0, 3]),
        "JSON Value: 2.0 Type: Number is not of expected type: int32",
        "/instances/0/event_ids/0",
    ),
    "an id null": (
        _row(event_ids=[2, None]),
        "JSON Value: null Type: Null is not of expected type: int32",
        "/instances/0/event_ids/1",
    ),
    "an id a boolean": (
        _row(event_ids=[2, True]),
        "JSON Value: true Type: Bool is not of expected type: int32",
        "/instances/0/event_ids/1",
    ),
    "an id an object": (
        _columns(event_ids=[[2, {}]]),
        "JSON Value: {} Type: Object is not of expected type: int32",
        "/inputs/event_ids/0/1",
    ),
    "nested too deep for ids": (
        _row(event_ids=[[2], [3]]),
        "JSON Value: [2] Type: Array is not of expected type: int32",
        "/instances/0/event_ids/0",
    ),
    "minutes a string": (
        _row(elapsed_minutes=["6", 0]),
        'JSON Value: "6" Type: String is not of expected type: float',
        "/instances/0/elapsed_minutes/0",
    ),
    "minutes a boolean": (
        _row(elapsed_minutes=[6, False]),
        "Type: Bool is not of expected type: float",
        "/instances/0/elapsed_minutes/1",
    ),
    "an event type a float": (
        _rows({"event_types": [1.5], MINUTES: [0]}),
        "Type: Number is not of expected type: string",
        "/instances/0/event_types/0",
    ),
    "an event type an object": (
        _rows({"event_types": [{"b65": ""}], MINUTES: [0]}),
        "Type: Object is not of expected type: string",
        "/instances/0/event_types/0",
    ),
    "bad base64": (
        _rows({"event_types": [{"b64": "%%"}], MINUTES: [0]}),
        "Unable to base64 decode",
        "/instances/0/event_types/0",
    ),
    "base64 of no text": (
        _rows({"event_types": [{"b64": "/w=="}], MINUTES: [0]}),
        "Expected an event type in UTF-8",
        "/instances/0/event_types/0",
    ),
    "an event type too long": (
        _rows({"event_types": ["x" * 257], MINUTES: [0]}),
        "at most 256 characters",
        "/instances/0/event_types/0",
    ),
    "an id beyond int64": (
        _row(event_ids=[2**63, 3]),
        "Expected an event id from 1 (unknown) to 5",
        "/instances/0/event_ids/0",
    ),
    "an id beyond the vocabulary": (
        _row(event_ids=[2, 6]),
        "Expected an event id from 1 (unknown) to 5",
        "/instances/0/event_ids/1",
    ),
    "a negative id": (_row(event_ids=[-2, 3]), "Received: -2", "/instances/0/event_ids/0"),
    "padding on the left": (
        _row(event_ids=[0, 3]),
        "padding, 0, only after the last event",
        "/instances/0/event_ids/0",
    ),
    "nothing but padding": (_row(event_ids=[0, 0]), "at least one event", "/instances/0/event_ids"),
    "an empty row": (_row(event_ids=[], elapsed_minutes=[]), "at least one event", "/instances/0/event_ids"),
    "rows of unequal length": (_row(event_ids=[2]), "so 1. Received: 2", "/instances/0/elapsed_minutes"),
    "NaN": (
        b'{"instances":[{"event_ids":[2],"elapsed_minutes":[NaN]}]}',
        "a finite number. Received: NaN",
        "/instances/0/elapsed_minutes/0",
    ),
    "Infinity": (
        b'{"inputs":{"event_ids":[[2]],"elapsed_minutes":[[Infinity]]}}',
        "a finite number",
        "/inputs/elapsed_minutes/0/0",
    ),
    "-Infinity": (
        b'{"inputs":{"event_ids":[[2]],"elapsed_minutes":[[-Infinity]]}}',
        "a finite number",
        "/inputs/elapsed_minutes/0/0",
    ),
    "1e400": (
        b'{"inputs":{"event_ids":[[2]],"elapsed_minutes":[[1e400]]}}',
        "a finite number",
        "/inputs/elapsed_minutes/0/0",
    ),
    "infinite as float32": (
        _row(elapsed_minutes=[1e39, 0]),
        "seconds or milliseconds",
        "/instances/0/elapsed_minutes/0",
    ),
    "negative minutes": (_row(elapsed_minutes=[-1, 0]), "not negative", "/instances/0/elapsed_minutes/0"),
    "increasing minutes": (_row(elapsed_minutes=[0, 6]), "never increase", "/instances/0/elapsed_minutes/1"),
    "scoring after the last event": (
        _row(elapsed_minutes=[6, 1]),
        "score between events",
        "/instances/0/elapsed_minutes/1",
    ),
    "older than the model takes": (
        _row(elapsed_minutes=[200_000, 0]),
        "at most 100000 minutes",
        "/instances/0/elapsed_minutes/0",
    ),
    "too many rows": (_rows(*[ROW] * 21), "at most 20 sequences", "/instances"),
    "too many columns": (
        _columns(event_ids=[[2]] * 21, elapsed_minutes=[[0]] * 21),
        "at most 20 sequences",
        "/inputs/event_ids",
    ),
    "too many events": (
        _row(event_ids=[2] * 31, elapsed_minutes=[0] * 31),
        "at most 30 events",
        "/instances/0/event_ids",
    ),
}

# a path: method, status, code, part of the message
BAD_PATHS: dict[str, tuple[str, int, str, str]] = {
    "/v1/models/other:predict": ("POST", 404, "unknown_model", "Servable not found for request: Latest(other)"),
    "/v1/models/Tiny:predict": ("POST", 404, "unknown_model", "Servable not found for request: Latest(Tiny)"),
    "/v1/models/tiny/versions/2:predict": (
        "POST",
        404,
        "unknown_model",
        "Servable not found for request: Specific(tiny, 2)",
    ),
    "/v1/models/other/versions/1:predict": ("POST", 404, "unknown_model", "Specific(other, 1)"),
    "/v1/models/tiny/labels/x:predict": ("POST", 400, "malformed_path", "Unrecognized servable version label: x"),
    "/v1/models/tiny/labels/challenger:predict": (
        "POST",
        400,
        "malformed_path",
        "Unrecognized servable version label: challenger",
    ),
    "/v1/models/other/labels/stable:predict": (
        "POST",
        400,
        "malformed_path",
        "Unrecognized servable version label: stable",
    ),
    "/v1/models/tiny/versions/9223372036854775808:predict": (
        "POST",
        400,
        "malformed_path",
        "Failed to convert version: 9223372036854775808 to numeric.",
    ),
    "/v1/models/tiny/versions/one:predict": (
        "POST",
        400,
        "malformed_path",
        "Malformed request: POST /v1/models/tiny/versions/one",
    ),
    "/v1/models/tiny/versions/%D9%A1:predict": ("POST", 400, "malformed_path", "Malformed request: POST "),
    "/v1/models/tiny:predict?": ("GET", 400, "malformed_path", "Malformed request: GET /v1/models/tiny:predict"),
    "/v1/models/tiny/versions/1:predict?": ("GET", 400, "malformed_path", "Malformed request: GET "),
    "/v1/models/tiny/labels/stable:predict?": ("GET", 400, "malformed_path", "Malformed request: GET "),
    "/v1/models/tiny/metadata": ("POST", 400, "malformed_path", "Malformed request: POST /v1/models/tiny/metadata"),
    "/v1/models/tiny:explain": ("POST", 400, "malformed_path", "Malformed request: POST /v1/models/tiny:explain"),
    "/v1/models/tiny/nothing": ("GET", 400, "malformed_path", "Malformed request: GET /v1/models/tiny/nothing"),
    "/v1/models/a:b:predict": ("POST", 400, "malformed_path", "Malformed request: POST "),
    "/v1/models/tiny:classify": ("POST", 400, "malformed_path", "Expected classification signature method_name"),
    "/v1/models/tiny/versions/1:regress": ("POST", 400, "malformed_path", "Expected regression signature method_name"),
    "/v1/models/other": ("GET", 404, "unknown_model", "Could not find any versions of model other"),
    "/v1/models/tiny/versions/5": ("GET", 404, "unknown_model", "Could not find version 5 of model tiny"),
    "/v1/models/other/versions/5": ("GET", 404, "unknown_model", "Could not find any versions of model other"),
    "/v1/models/other/labels/x": ("GET", 404, "unknown_model", "Could not find any versions of model other"),
    "/v1/models/tiny/versions/x": ("GET", 400, "malformed_path", "Malformed request: GET /v1/models/tiny/versions/x"),
    "/v1/models/other/metadata": ("GET", 404, "unknown_model", "Servable not found for request: Latest(other)"),
    "/v1/models/tiny/versions/5/metadata": (
        "GET",
        404,
        "unknown_model",
        "Servable not found for request: Specific(tiny, 5)",
    ),
    "/v1/models/tiny/labels/x/metadata": ("GET", 400, "malformed_path", "Unrecognized servable version label: x"),
}


def _content(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def _refusal(answer: httpx.Response) -> ErrorAnswer:
    assert answer.headers["content-type"] == "application/json"
    return ErrorAnswer.model_validate_json(answer.content, strict=True, extra="forbid")


@pytest.mark.parametrize("what", GOOD_BODIES)
def test_what_tensorflow_serving_takes_is_scored(client: httpx.Client, what: str) -> None:
    body, num_scores = GOOD_BODIES[what]

    answer = client.post(PREDICT, content=_content(body))

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    form = PredictionsAnswer | OutputsAnswer
    read = TypeAdapter(form).validate_json(answer.content, strict=True, extra="forbid")
    risks = [one.risk for one in read.predictions] if isinstance(read, PredictionsAnswer) else read.outputs.risk
    assert len(risks) == num_scores
    assert isinstance(read, OutputsAnswer) == (b'"inputs"' in _content(body))


@pytest.mark.parametrize("what", BAD_BODIES)
def test_what_is_wrong_is_told_in_its_words_and_ours(client: httpx.Client, what: str) -> None:
    body, message, pointer = BAD_BODIES[what]

    answer = client.post(PREDICT, content=_content(body))

    refusal = _refusal(answer)
    assert (answer.status_code, refusal.code) == (
        400,
        "malformed_json" if "Parse error" in message else "invalid_tensors",
    )
    assert message in refusal.error
    assert refusal.details[0].pointer == pointer


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_wrong_path_is_answered_as_tensorflow_serving_does(client: httpx.Client, path: str) -> None:
    method, status, code, message = BAD_PATHS[path]

    answer = client.request(method, path, content=_content(SCORED) if method == "POST" else None)

    refusal = _refusal(answer)
    assert (answer.status_code, refusal.code) == (status, code)
    assert message in refusal.error


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/tiny:predict",
        "/v1/models/tiny/versions/1:predict",
        "/v1/models/tiny/versions/01:predict",
        "/v1/models/tiny/labels/champion:predict",
        "/v1/models/tiny/labels/stable:predict",
        "/V1/Models/tiny/Versions/1:PREDICT",
        "/v1/models/%74iny:predict",
    ],
)
def test_a_model_is_asked_by_name_version_or_label_in_any_case(client: httpx.Client, path: str) -> None:
    assert client.post(path, json=SCORED).json() == client.post(PREDICT, json=SCORED).json()


def test_status_tells_which_versions_are_loaded(client: httpx.Client) -> None:
    expected = [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]

    for path in ("/v1/models/tiny/versions/1", "/v1/models/tiny/labels/whatever"):
        assert client.get(path).json() == {"model_version_status": expected}
    model = client.get("/v1/models/tiny").json()
    assert model["model_version_status"] == expected
    assert (model["name"], model["ready"]) == ("tiny", True)


def test_metadata_tells_the_signature(client: httpx.Client) -> None:
    paths = ("", "/versions/1", "/labels/stable")
    answers = [client.get(f"/v1/models/tiny{path}/metadata").json() for path in paths]

    assert answers[0]["model_spec"] == {"name": "tiny", "signature_name": "", "version": "1"}
    signature = answers[0]["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    dimension = {"size": "-1", "name": ""}
    assert signature["inputs"]["event_ids"] == {
        "dtype": "DT_INT32",
        "tensor_shape": {"dim": [dimension, dimension], "unknown_rank": False},
        "name": "serving_default_event_ids:0",
    }
    assert signature["outputs"]["risk"]["tensor_shape"]["dim"] == [dimension]
    assert answers[1:] == answers[:1] * 2


def test_a_server_that_lives_says_so_to_kserve(client: httpx.Client) -> None:
    assert client.get("/").json() == {"status": "alive"}


def test_rows_columns_ids_and_types_give_the_risks_of_our_own_protocol(client: httpx.Client) -> None:
    random = np.random.default_rng(11)
    types = [random.choice([*VOCABULARY, "never seen"], length).tolist() for length in (1, 2, 5, 8, 12, 30)]
    minutes = [random.integers(0, 9_000, len(row) - 1).tolist() for row in types]
    minutes = [[*sorted(row, reverse=True), 0] for row in minutes]
    ids = [Vocabulary(VOCABULARY).ids(row) for row in types]

    sequences = [{"event_types": row, MINUTES: when} for row, when in zip(types, minutes, strict=True)]
    ours = client.post("/v1/score", json={"sequences": sequences}).json()["scores"]
    rows = [{"event_ids": row, MINUTES: when} for row, when in zip(ids, minutes, strict=True)]
    padded = [[*row, *[0] * (30 - len(row))] for row in ids]
    padded_minutes = [[*row, *[0] * (30 - len(row))] for row in minutes]
    bodies = [_rows(*rows), _rows(*sequences), {"inputs": {"event_ids": padded, MINUTES: padded_minutes}}]

    for body in bodies:
        answer = client.post(PREDICT, json=body).json()
        for output in ("risk", "auxiliary_risk"):
            theirs = (
                answer["outputs"][output] if "outputs" in answer else [one[output] for one in answer["predictions"]]
            )
            assert theirs == pytest.approx([score[output] for score in ours], abs=1e-6)


@pytest.mark.parametrize(
    ("encoding", "content"),
    [("gzip", gzip.compress(_content(SCORED), mtime=0)), ("deflate", zlib.compress(_content(SCORED)))],
)
def test_a_compressed_body_is_unpacked(client: httpx.Client, encoding: str, content: bytes) -> None:
    answer = client.post(PREDICT, content=content, headers={"content-encoding": encoding})

    assert answer.json() == client.post(PREDICT, json=SCORED).json()


@pytest.mark.parametrize(
    ("content", "encoding", "status", "code"),
    [
        (gzip.compress(b" " * 20_001, mtime=0), "gzip", 413, "body_too_large"),
        (gzip.compress(bytes(10_000_000), mtime=0), "gzip", 413, "body_too_large"),
        (b"{}", "gzip", 400, "malformed_encoding"),
        (gzip.compress(b"{}", mtime=0)[:-3], "gzip", 400, "malformed_encoding"),
        (b"{}", "br", 415, "unsupported_encoding"),
        (gzip.compress(b"", mtime=0), "gzip", 400, "malformed_json"),
        (b"", "gzip", 400, "malformed_json"),
        (b" " * 20_001, "identity", 413, "body_too_large"),
    ],
)
def test_a_body_that_cannot_be_unpacked_or_is_too_large_is_refused(
    client: httpx.Client, content: bytes, encoding: str, status: int, code: str
) -> None:
    answer = client.post(PREDICT, content=content, headers={"content-encoding": encoding})

    assert (answer.status_code, _refusal(answer).code) == (status, code)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["event_ids", MINUTES, "event_types", "b64", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["instances", "inputs", "signature_name"]), json_values, max_size=2)
    | st.fixed_dictionaries(
        {"instances": st.lists(st.fixed_dictionaries({"event_ids": json_values, MINUTES: json_values}))}
    )
    | st.fixed_dictionaries({"inputs": st.fixed_dictionaries({"event_types": json_values, MINUTES: json_values})})
)
def test_no_body_is_more_than_refused(client: httpx.Client, body: dict[str, object]) -> None:
    answer = client.post(PREDICT, json=body)

    assert answer.status_code in {200, 400}
    if answer.status_code == 400:
        assert _refusal(answer).error


@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(_content(SCORED)) - 1), st.binary(max_size=3))
def test_no_damage_to_a_body_is_more_than_refused(client: httpx.Client, place: int, bytes_: bytes) -> None:
    sound = _content(SCORED)

    answer = client.post(PREDICT, content=sound[:place] + bytes_ + sound[place + 1 :])

    assert answer.status_code in {200, 400}


@asynccontextmanager
async def _service(
    *, challenger: bool = False, is_loaded: bool = True
) -> AsyncIterator[tuple[LineUp, httpx.AsyncClient]]:
    """A service in this process whose versions need no TensorFlow: version 2 answers 0.5 more than version 1."""
    metrics, settings = Metrics(), Settings()
    lineup, served = LineUp(settings, metrics), manifest()
    lineup._follower.status = replace(lineup._follower.status, name="tiny")
    if is_loaded:
        lineup._follower.champion = live_model(served, version=1)
    if challenger:
        lineup._follower.challenger = Challenger(live_model(served, version=2, plus=0.5), settings, metrics)
    transport = httpx.ASGITransport(create_app(settings, lineup, metrics, Lifecycle()))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield lineup, client
    for one in (lineup._follower.challenger, lineup._follower.champion):
        if one is not None:
            await one.drain()


@pytest.mark.parametrize(
    ("path", "risk"),
    [
        ("", 0.02),
        ("/versions/1", 0.02),
        ("/labels/champion", 0.02),
        ("/labels/stable", 0.02),
        ("/versions/2", 0.52),
        ("/labels/challenger", 0.52),
        ("/labels/canary", 0.52),
    ],
)
def test_a_challenger_answers_who_asks_for_it(path: str, risk: float) -> None:
    async def ask() -> httpx.Response:
        async with _service(challenger=True) as (_, client):
            return await client.post(f"/v1/models/tiny{path}:predict", json=SCORED)

    assert asyncio.run(ask()).json()["predictions"][0]["risk"] == pytest.approx(risk)


def test_status_tells_of_versions_that_load_or_were_refused() -> None:
    async def ask() -> dict[str, Any]:
        async with _service(challenger=True) as (lineup, client):
            lineup._follower.versions.update([1, 2, 3, 4, 5], str)
            lineup._follower.versions.refuse(3, "It is bad.", "3")
            lineup._follower.loading = VersionStatus(4, "loading", "Compiling.")
            answer: dict[str, Any] = (await client.get("/v1/models/tiny/labels/any")).json()
            return answer

    told = [
        (one["version"], one["state"], one["status"]["error_code"])
        for one in asyncio.run(ask())["model_version_status"]
    ]
    assert told == [
        ("1", "AVAILABLE", "OK"),
        ("2", "AVAILABLE", "OK"),
        ("3", "END", "FAILED_PRECONDITION"),
        ("4", "LOADING", "OK"),
    ]


def test_a_model_that_is_not_loaded_yet_answers_503_but_tells_its_status() -> None:
    async def ask() -> tuple[list[httpx.Response], httpx.Response]:
        async with _service(is_loaded=False) as (_, client):
            refused = [
                await client.post(PREDICT, json=SCORED),
                await client.post("/v1/models/tiny/labels/stable:predict", json=SCORED),
                await client.get("/v1/models/tiny/metadata"),
            ]
            return refused, await client.get("/v1/models/tiny")

    refused, status = asyncio.run(ask())

    for answer in refused:
        assert (answer.status_code, _refusal(answer).code) == (503, "not_ready")
        assert "retry-after" in answer.headers
    assert (status.status_code, status.json()["ready"]) == (200, False)
