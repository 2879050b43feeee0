import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from models.repository import Repository
from models.sequences import Vocabulary, encode
from service.batcher import Scores
from service.errors import InvalidTensorsError
from service.open_inference_messages import read_message, write_message
from service.open_inference_outputs import WantedOutput
from service.pair import Part
from tests.service.told_models import AGE, COUNTRY

Message: TypeAlias = service_pb2.ModelInferRequest


def typed(*, types: bool = False) -> Message:
    message = Message(model_name="tiny")
    if types:
        message.inputs.add(name="event_types", datatype="BYTES", shape=[1, 2]).contents.bytes_contents.extend(
            [b"New/P3", "größer".encode()]
        )
    else:
        message.inputs.add(name="event_ids", datatype="INT32", shape=[1, 2]).contents.int_contents.extend([2, 3])
    minutes = message.inputs.add(name="elapsed_minutes", datatype="FP32", shape=[1, 2])
    minutes.contents.fp32_contents.extend([6.5, 0])
    return message


def raw() -> Message:
    message = Message(model_name="tiny")
    message.inputs.add(name="event_ids", datatype="INT64", shape=[1, 2])
    message.inputs.add(name="elapsed_minutes", datatype="FP64", shape=[1, 2])
    message.raw_input_contents.extend([struct.pack("<2q", 2, 3), struct.pack("<2d", 6.5, 0)])
    return message


@pytest.mark.parametrize("message", [typed(), raw()])
def test_contents_of_either_form_are_the_same_tensors(message: Message) -> None:
    request = read_message(message)

    np.testing.assert_array_equal(np.asarray(request.tensors.event_ids), [[2, 3]])
    np.testing.assert_array_equal(np.asarray(request.tensors.elapsed_minutes), [[6.5, 0]])
    is_raw = bool(message.raw_input_contents)
    assert request.outputs == (
        WantedOutput("risk", is_binary=is_raw),
        WantedOutput("auxiliary_risk", is_binary=is_raw),
    )
    assert request.id is None


def test_further_inputs_come_in_either_form() -> None:
    in_contents, in_bytes = typed(), raw()
    in_contents.inputs.add(name="age", datatype="FP32", shape=[1]).contents.fp32_contents.append(33)
    in_contents.inputs.add(name="country", datatype="BYTES", shape=[1, 1]).contents.bytes_contents.append(b"CH")
    in_bytes.inputs.add(name="age", datatype="FP64", shape=[1, 1])
    in_bytes.inputs.add(name="country", datatype="BYTES", shape=[1])
    in_bytes.raw_input_contents.extend([struct.pack("<d", 33), struct.pack("<i", 2) + b"CH"])

    for message in (in_contents, in_bytes):
        further = read_message(message, (AGE, COUNTRY)).tensors.further
        assert {name: np.asarray(values).tolist() for name, values in further.items()} == {
            "age": [33],
            "country": ["CH"],
        }
        with pytest.raises(InvalidTensorsError, match="age"):
            read_message(message)


def test_strings_are_utf_8() -> None:
    assert read_message(typed(types=True)).tensors.event_types == [["New/P3", "größer"]]


def test_id_timeout_and_outputs_are_the_clients_own() -> None:
    message = typed()
    message.id = "INC1"
    message.parameters["timeout"].int64_param = 1_500_000
    message.outputs.add(name="auxiliary_risk")

    request = read_message(message)

    assert (request.id, request.timeout_seconds) == ("INC1", 1.5)
    assert request.outputs == (WantedOutput("auxiliary_risk", is_binary=False),)


def _no_inputs(message: Message) -> None:
    del message.inputs[:]


def _not_text(message: Message) -> None:
    message.inputs[0].CopyFrom(typed(types=True).inputs[0])
    message.inputs[0].contents.bytes_contents[1] = b"\xff"


def _other_field(message: Message) -> None:
    del message.inputs[0].contents.int_contents[:]
    message.inputs[0].contents.int64_contents.extend([2, 3])


def _one_raw(message: Message) -> None:
    message.raw_input_contents.append(b"12345678")


def _both(message: Message) -> None:
    message.raw_input_contents.extend(raw().raw_input_contents)


def _output(message: Message) -> None:
    message.outputs.add(name="zzz")


def _shared_memory(message: Message) -> None:
    message.outputs.add(name="risk").parameters["shared_memory_region"].string_param = "r"


def _timeout(message: Message) -> None:
    message.parameters["timeout"].string_param = "soon"


def _huge(message: Message) -> None:
    message.inputs[0].shape[:] = [2**62, 2**62]


@pytest.mark.parametrize(
    "spoil",
    [_no_inputs, _not_text, _other_field, _one_raw, _both, _output, _shared_memory, _timeout, _huge],
)
def test_what_is_no_request_is_refused(spoil: Callable[[Message], None]) -> None:
    message = typed()
    spoil(message)

    with pytest.raises(InvalidTensorsError):
        read_message(message)


@given(st.binary(max_size=60), st.integers(0, 200))
def test_any_message_is_a_request_or_refused(noise: bytes, place: int) -> None:
    sound = raw().SerializeToString()
    with suppress(DecodeError, InvalidTensorsError):
        read_message(Message.FromString(sound[:place] + noise + sound[place + len(noise) :]))


@pytest.mark.parametrize("is_binary", [False, True])
def test_an_answer_holds_every_digit_of_a_risk(repository: Path, is_binary: bool) -> None:
    manifest = Repository(repository).open("tiny").manifest
    batch = encode([["New/P3"], ["7"]], [[0], [0]], Vocabulary(manifest.vocabulary), manifest.max_events)
    scores = Scores(np.array([0.1, 1 / 3], np.float32), np.array([0.0, 1.0], np.float32))
    asked = replace(read_message(typed()), id="INC1", outputs=(WantedOutput("risk", is_binary=is_binary),))

    message = write_message(asked, Part(manifest, range(2), batch, scores))

    assert (message.model_name, message.model_version, message.id) == ("tiny", "1", "INC1")
    (output,) = message.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("risk", "FP32", [2])
    if is_binary:
        risks = np.frombuffer(message.raw_output_contents[0], "<f4")
    else:
        risks = np.array(output.contents.fp32_contents, np.float32)
    np.testing.assert_array_equal(risks, scores.risk)
