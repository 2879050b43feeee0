import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from service.errors import InvalidTensorsError
from service.open_inference_catalogue import Asked
from service.open_inference_envelope import read_asked

TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)


def message(name: str, version: str) -> bytes:
    request = service_pb2.ModelInferRequest(model_name=name, model_version=version, id="INC1")
    request.inputs.add(name="event_ids", datatype="INT32", shape=[1, 1]).contents.int_contents.append(2)
    request.raw_input_contents.append(bytes(1_000))
    return bytes(request.SerializeToString())


@given(name=TEXTS, version=TEXTS)
def test_reads_what_the_whole_message_says(name: str, version: str) -> None:
    assert read_asked(message(name, version)) == Asked(name, version or None)


def test_of_a_field_that_comes_twice_the_last_one_counts() -> None:
    twice = message("first", "1") + message("second", "2")

    assert read_asked(twice) == Asked("second", "2")
    assert service_pb2.ModelInferRequest.FromString(twice).model_name == "second"


@given(st.binary(max_size=50))
def test_other_bytes_are_refused_or_read_as_the_whole_reads_them(other: bytes) -> None:
    try:
        asked = read_asked(other)
    except InvalidTensorsError:
        return
    assert isinstance(asked.name, str)


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_message_that_ends_early_is_refused(cut: int) -> None:
    with pytest.raises(InvalidTensorsError):
        read_asked(message("tiny", "1")[:-cut])


def test_a_message_of_countless_fields_is_refused_at_once() -> None:
    with pytest.raises(InvalidTensorsError, match="at most 1000 fields"):
        read_asked(b"\xf8\x01\x01" * 1_000_000)
