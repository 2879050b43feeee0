import json
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.further_inputs import FurtherInput
from service.errors import InvalidHeaderError, InvalidTensorsError, MalformedJsonError, ServiceError
from service.open_inference_outputs import WantedOutput
from service.open_inference_request import InferenceRequest, read_inference_request
from tests.service.told_models import AMOUNT, INPUTS, required

IDS = {"name": "event_ids", "shape": [1, 2], "datatype": "INT32", "data": [2, 3]}
MINUTES = {"name": "elapsed_minutes", "shape": [1, 2], "datatype": "FP32", "data": [6.5, 0]}
BINARY_IDS = IDS | {"data": None, "parameters": {"binary_data_size": 8}}
BINARY_MINUTES = {"name": "elapsed_minutes", "shape": [1, 2], "datatype": "FP32"} | {
    "parameters": {"binary_data_size": 8}
}
IDS_BYTES, MINUTES_BYTES = struct.pack("<2i", 2, 3), struct.pack("<2f", 6.5, 0)
BOTH = (WantedOutput("risk", is_binary=False), WantedOutput("auxiliary_risk", is_binary=False))


def read(request: object, binary: bytes = b"") -> InferenceRequest:
    text = json.dumps(request).encode()
    return read_inference_request(text + binary, str(len(text)) if binary else None, "tiny")


def inputs(*tensors: object, **more: object) -> dict[str, Any]:
    return {"inputs": tensors, **more}


@pytest.mark.parametrize(
    ("request_", "binary"),
    [
        (inputs(IDS, MINUTES), b""),
        (inputs(MINUTES, IDS, model_name="tiny", model_version=None, unheard_of=[1]), b""),
        (inputs(IDS | {"data": [[2, 3]]}, MINUTES | {"data": [[6.5, 0]]}), b""),
        (inputs(BINARY_IDS, BINARY_MINUTES), IDS_BYTES + MINUTES_BYTES),
        (inputs(BINARY_MINUTES, BINARY_IDS), MINUTES_BYTES + IDS_BYTES),
        (inputs(IDS, BINARY_MINUTES), MINUTES_BYTES),
        (inputs(BINARY_IDS, MINUTES), IDS_BYTES),
    ],
)
def test_one_request_in_each_of_its_forms(request_: dict[str, Any], binary: bytes) -> None:
    request = read(request_, binary)

    np.testing.assert_array_equal(np.asarray(request.tensors.event_ids), [[2, 3]])
    np.testing.assert_array_equal(np.asarray(request.tensors.elapsed_minutes), [[6.5, 0]])
    assert request.outputs == BOTH
    assert request.id is None
    assert request.timeout_seconds is None


def test_id_timeout_and_outputs_are_the_clients_own() -> None:
    request = read(
        inputs(
            IDS,
            MINUTES,
            id="INC1",
            parameters={"binary_data_output": True, "timeout": 1_500_000, "priority": 1, "own": "word"},
            outputs=[{"name": "auxiliary_risk"}, {"name": "risk", "parameters": {"binary_data": False}}],
        )
    )

    assert request.id == "INC1"
    assert request.timeout_seconds == 1.5
    assert request.outputs == (
        WantedOutput("auxiliary_risk", is_binary=True),
        WantedOutput("risk", is_binary=False),
    )


def test_a_timeout_of_zero_is_none() -> None:
    assert read(inputs(IDS, MINUTES, parameters={"timeout": 0})).timeout_seconds is None


@pytest.mark.parametrize(
    ("request_", "pointer"),
    [
        ([], ""),
        (None, ""),
        ({}, "/inputs"),
        ({"inputs": {}}, "/inputs"),
        (inputs(), "/inputs"),
        (inputs(IDS), "/inputs"),
        (inputs(MINUTES), "/inputs"),
        (inputs(IDS, IDS), "/inputs"),
        (inputs(IDS, MINUTES, MINUTES), "/inputs"),
        (inputs(IDS, MINUTES, {**IDS, "name": "event_types", "datatype": "BYTES", "data": ["a", "b"]}), "/inputs"),
        (inputs(IDS, 5), "/inputs/1"),
        (inputs(IDS, MINUTES | {"name": "minutes"}), "/inputs/1/name"),
        (inputs(IDS, MINUTES | {"name": 5}), "/inputs/1/name"),
        (inputs(IDS, MINUTES | {"datatype": "INT8"}), "/inputs/1/datatype"),
        (inputs(IDS, MINUTES | {"datatype": None}), "/inputs/1/datatype"),
        (inputs(IDS, MINUTES | {"shape": [2]}), "/inputs/1/shape"),
        (inputs(IDS, MINUTES | {"shape": 2}), "/inputs/1/shape"),
        (inputs(IDS, MINUTES | {"data": [1]}), "/inputs/1"),
        (inputs(IDS, MINUTES | {"data": "6.5"}), "/inputs/1/data"),
        (inputs(IDS, MINUTES | {"data": None}), "/inputs/1/data"),
        (inputs(IDS, MINUTES | {"parameters": 5}), "/inputs/1/parameters"),
        (inputs(IDS, MINUTES | {"parameters": {"binary_data_size": 8}}), "/inputs/1/data"),
        (inputs(IDS, BINARY_MINUTES), "/inputs/1/parameters/binary_data_size"),
        (
            inputs(IDS, BINARY_MINUTES | {"parameters": {"binary_data_size": -8}}),
            "/inputs/1/parameters/binary_data_size",
        ),
        (inputs(IDS, MINUTES, id=5), "/id"),
        (inputs(IDS, MINUTES, parameters=[]), "/parameters"),
        (inputs(IDS, MINUTES, parameters={"timeout": -1}), "/parameters/timeout"),
        (inputs(IDS, MINUTES, parameters={"timeout": 1.5}), "/parameters/timeout"),
        (inputs(IDS, MINUTES, parameters={"binary_data_output": 1}), "/parameters/binary_data_output"),
        (inputs(IDS, MINUTES, outputs=[{"name": "zzz"}]), "/outputs/0/name"),
        (inputs(IDS, MINUTES, outputs=[{"name": "risk"}, {"name": "risk"}]), "/outputs"),
        (inputs(IDS, MINUTES, outputs=["risk"]), "/outputs/0"),
        (inputs(IDS, MINUTES, outputs=[{}]), "/outputs/0/name"),
        (
            inputs(IDS, MINUTES, outputs=[{"name": "risk", "parameters": {"binary_data": "yes"}}]),
            "/outputs/0/parameters/binary_data",
        ),
        (
            inputs(IDS, MINUTES, outputs=[{"name": "risk", "parameters": {"classification": 1}}]),
            "/outputs/0/parameters/classification",
        ),
        (
            inputs(IDS, MINUTES, outputs=[{"name": "risk", "parameters": {"shared_memory_region": "r"}}]),
            "/outputs/0/parameters/shared_memory_region",
        ),
    ],
)
def test_what_is_no_request_is_refused_where_it_is_wrong(request_: object, pointer: str) -> None:
    with pytest.raises(InvalidTensorsError) as refusal:
        read(request_)

    assert refusal.value.status == 400
    assert refusal.value.details[0].pointer == pointer


def test_an_unknown_output_is_refused_in_the_contracts_words() -> None:
    with pytest.raises(InvalidTensorsError, match="unexpected inference output 'zzz' for model 'tiny'"):
        read(inputs(IDS, MINUTES, outputs=[{"name": "zzz"}]))


@pytest.mark.parametrize(
    ("binary", "words"),
    [
        (IDS_BYTES + MINUTES_BYTES + b"\x00", "unexpected additional input data for model 'tiny'"),
        (IDS_BYTES + MINUTES_BYTES[:-1], "unexpected size for input 'elapsed_minutes', expecting 1 additional bytes"),
        (IDS_BYTES, "unexpected size for input 'elapsed_minutes', expecting 8 additional bytes"),
    ],
)
def test_too_many_or_too_few_bytes_are_refused_in_the_contracts_words(binary: bytes, words: str) -> None:
    with pytest.raises(InvalidTensorsError, match=words):
        read(inputs(BINARY_IDS, BINARY_MINUTES), binary)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"inputs": [}', b"\x1f\x8b\x08"])
def test_what_is_no_json_is_refused_as_that(body: bytes) -> None:
    with pytest.raises(MalformedJsonError) as refusal:
        read_inference_request(body, None, "tiny")

    assert refusal.value.status == 400


@pytest.mark.parametrize("length", ["", "x", "-1", "0", "3", "1.0", "9" * 5000, "\xb2"])
def test_a_header_that_is_no_length_within_the_body_is_refused(length: str) -> None:
    with pytest.raises(InvalidHeaderError, match="Inference-Header-Content-Length"):
        read_inference_request(b"{}", length, "tiny")


def test_space_around_the_header_is_none_of_it() -> None:
    text = json.dumps(inputs(IDS, BINARY_MINUTES)).encode()

    request = read_inference_request(text + MINUTES_BYTES, f" {len(text)}\t ", "tiny")

    np.testing.assert_array_equal(np.asarray(request.tensors.elapsed_minutes), [[6.5, 0]])


def read_or_refuse(body: bytes, length: str | None) -> None:
    with suppress(InvalidTensorsError, MalformedJsonError, InvalidHeaderError):
        request = read_inference_request(body, length, "tiny")
        assert (request.tensors.event_ids is None) != (request.tensors.event_types is None)


@given(st.binary(max_size=300), st.none() | st.integers(0, 300).map(str))
def test_any_bytes_are_a_request_or_refused(body: bytes, length: str | None) -> None:
    read_or_refuse(body, length)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["name", "shape", "datatype", "data", "parameters"])


@given(
    st.lists(st.tuples(st.sampled_from([0, 1]), FIELDS, JSON), max_size=2),
    st.dictionaries(st.sampled_from(["id", "parameters", "outputs", "inputs"]), JSON, max_size=1),
    st.binary(max_size=20),
)
def test_any_request_changed_anywhere_is_a_request_or_refused(
    changes: list[tuple[int, str, Any]], more: dict[str, Any], binary: bytes
) -> None:
    tensors: list[dict[str, Any]] = [dict(IDS), dict(BINARY_MINUTES)]
    for position, field, value in changes:
        tensors[position][field] = value
    text = json.dumps({"inputs": tensors, **more}).encode()

    read_or_refuse(text + binary, str(len(text)))


def test_a_refusal_is_always_a_clients_fault() -> None:
    for error in (InvalidTensorsError, MalformedJsonError, InvalidHeaderError):
        assert issubclass(error, ServiceError)
        assert error.status == 400


AMOUNTS = {"name": "amount", "shape": [1, 2], "datatype": "FP32", "data": [1.5, 2]}
AGES = {"name": "age", "shape": [1], "datatype": "FP64", "data": [33]}
COUNTRIES = {"name": "country", "shape": [1, 1], "datatype": "BYTES", "data": ["CH"]}
CHANNELS = {"name": "channel", "shape": [1, 2], "datatype": "INT64", "parameters": {"binary_data_size": 16}}


def read_told(*tensors: object, binary: bytes = b"", further: tuple[FurtherInput, ...] = INPUTS) -> InferenceRequest:
    text = json.dumps(inputs(IDS, MINUTES, *tensors)).encode()
    return read_inference_request(text + binary, str(len(text)) if binary else None, "tiny", further)


def test_further_inputs_are_values_or_categories_or_their_ids() -> None:
    binary = struct.pack("<2q", 2, 3)

    told = read_told(AMOUNTS, AGES, COUNTRIES, CHANNELS, binary=binary).tensors.further

    assert {name: np.asarray(values).tolist() for name, values in told.items()} == {
        "amount": [[1.5, 2]],
        "age": [33],
        "country": ["CH"],
        "channel": [[2, 3]],
    }
    assert read_told().tensors.further == {}


@pytest.mark.parametrize(
    ("tensors", "further", "pointer"),
    [
        ([AMOUNTS], (), "/inputs/2/name"),
        ([], (required(AMOUNT),), "/inputs"),
        ([AMOUNTS, AMOUNTS], INPUTS, "/inputs"),
        ([AMOUNTS | {"datatype": "INT32"}], INPUTS, "/inputs/2/datatype"),
        ([COUNTRIES | {"datatype": "FP32"}], INPUTS, "/inputs/2/datatype"),
        ([AGES | {"shape": [1, 2], "data": [1, 2]}], INPUTS, "/inputs/2/shape"),
        ([AGES | {"shape": [0], "data": []}], INPUTS, "/inputs/2/shape"),
        ([AGES | {"shape": [True]}], INPUTS, "/inputs/2/shape"),
        ([AMOUNTS | {"shape": [2]}], INPUTS, "/inputs/2/shape"),
        ([AGES | {"data": [1, 2]}], INPUTS, "/inputs/2"),
        ([AGES | {"data": [[1, 2]]}], INPUTS, "/inputs/2/data/0"),
    ],
)
def test_further_inputs_that_do_not_fit_are_refused(
    tensors: list[object], further: tuple[FurtherInput, ...], pointer: str
) -> None:
    with pytest.raises(InvalidTensorsError) as raised:
        read_told(*tensors, further=further)

    assert raised.value.details[0].pointer == pointer
