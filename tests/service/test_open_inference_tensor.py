import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidTensorsError
from service.open_inference_tensor import InputTensor

TEXTS = ["Opened/Phone", "", "größer", "New/P3", "7", "\u0000"]


def tensor(name: str, datatype: str, *shape: object) -> InputTensor:
    return InputTensor.of(name, datatype, shape, "/inputs/0")


def binary(texts: list[str]) -> bytes:
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)


@pytest.mark.parametrize(
    ("name", "datatype", "code"),
    [
        ("event_ids", "INT32", "i"),
        ("event_ids", "INT64", "q"),
        ("elapsed_minutes", "FP32", "f"),
        ("elapsed_minutes", "FP64", "d"),
    ],
)
def test_numbers_are_the_same_in_every_encoding(name: str, datatype: str, code: str) -> None:
    head = tensor(name, datatype, 2, 3)
    raw = struct.pack(f"<6{code}", 6, 5, 4, 3, 2, 1)

    for elements in (
        head.of_list([6, 5, 4, 3, 2, 1]),
        head.of_list([[6, 5, 4], [3, 2, 1]]),
        head.of_bytes(raw),
    ):
        np.testing.assert_array_equal(np.asarray(elements), [[6, 5, 4], [3, 2, 1]])


def test_strings_are_the_same_in_every_encoding() -> None:
    head = tensor("event_types", "BYTES", 2, 3)
    rows = [TEXTS[:3], TEXTS[3:]]

    assert head.of_list(TEXTS) == head.of_list(rows) == head.of_bytes(binary(TEXTS)) == rows


def test_minutes_of_json_keep_all_their_digits() -> None:
    elements = tensor("elapsed_minutes", "FP32", 1, 2).of_list([0.1, 16777217])

    np.testing.assert_array_equal(np.asarray(elements), [[0.1, 16777217]])


@pytest.mark.parametrize(
    ("name", "datatype", "shape", "place"),
    [
        ("risk", "FP32", (1, 1), "name"),
        ("event_ids", "FP32", (1, 1), "datatype"),
        ("event_ids", "BYTES", (1, 1), "datatype"),
        ("event_types", "INT64", (1, 1), "datatype"),
        ("elapsed_minutes", "INT32", (1, 1), "datatype"),
        ("elapsed_minutes", "FP16", (1, 1), "datatype"),
        ("event_ids", "INT32", (3,), "shape"),
        ("event_ids", "INT32", (1, 3, 1), "shape"),
        ("event_ids", "INT32", (), "shape"),
        ("event_ids", "INT32", (0, 3), "shape"),
        ("event_ids", "INT32", (10**12, 0), "shape"),
        ("event_ids", "INT32", (2**31 + 1, 3), "shape"),
        ("event_ids", "INT32", (10**4_000 - 1, 10**4_000 - 1), "shape"),
        ("event_ids", "INT32", (-1, 3), "shape"),
        ("event_ids", "INT32", (1.0, 3), "shape"),
        ("event_ids", "INT32", (True, 3), "shape"),
        ("event_ids", "INT32", ("1", 3), "shape"),
    ],
)
def test_what_an_input_does_not_take_is_refused_where_it_stands(
    name: str, datatype: str, shape: tuple[object, ...], place: str
) -> None:
    with pytest.raises(InvalidTensorsError) as refusal:
        tensor(name, datatype, *shape)

    assert refusal.value.details[0].pointer == f"/inputs/0/{place}"


@pytest.mark.parametrize(
    ("head", "elements"),
    [
        (("event_ids", "INT32"), [1, 2, 3]),
        (("event_ids", "INT32"), [1, 2, 3, 4, 5]),
        (("event_ids", "INT32"), []),
        (("event_ids", "INT32"), [[1, 2, 3], [4]]),
        (("event_ids", "INT32"), [[1, 2]]),
        (("event_ids", "INT32"), [[1, 2], 3]),
        (("event_ids", "INT32"), [1, 2, 3, [4]]),
        (("event_ids", "INT32"), [[[1, 2]], [[3, 4]]]),
        (("event_ids", "INT32"), [1, 2, 3, 1.0]),
        (("event_ids", "INT32"), [1, 2, 3, True]),
        (("event_ids", "INT32"), [1, 2, 3, None]),
        (("event_ids", "INT32"), [1, 2, 3, "4"]),
        (("event_ids", "INT32"), [1, 2, 3, 2**31]),
        (("event_ids", "INT64"), [1, 2, 3, 2**63]),
        (("elapsed_minutes", "FP32"), [1, 2, 3, False]),
        (("elapsed_minutes", "FP32"), [1, 2, 3, {}]),
        (("elapsed_minutes", "FP64"), [1, 2, 3, 10**400]),
        (("event_types", "BYTES"), ["a", "b", "c", 4]),
    ],
)
def test_elements_of_another_kind_or_number_are_refused(head: tuple[str, str], elements: list[object]) -> None:
    with pytest.raises(InvalidTensorsError, match="Received"):
        tensor(*head, 2, 2).of_list(elements)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        binary(TEXTS[:3]),
        binary(TEXTS[:5]),
        binary(TEXTS[:4])[:-1],
        binary(TEXTS[:4]) + b"\x00",
        b"\xff\xff\xff\xff" * 4,
        struct.pack("<I", 1) + b"\xff" + binary(TEXTS[:3]),
    ],
)
def test_strings_that_do_not_fill_their_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidTensorsError, match="Received"):
        tensor("event_types", "BYTES", 2, 2).of_bytes(raw)


@given(st.sampled_from(["INT32", "INT64", "FP32", "FP64", "BYTES"]), st.binary(max_size=80))
def test_any_bytes_are_elements_or_refused(datatype: str, raw: bytes) -> None:
    name = {"I": "event_ids", "F": "elapsed_minutes", "B": "event_types"}[datatype[0]]
    try:
        elements = tensor(name, datatype, 2, 2).of_bytes(raw)
    except InvalidTensorsError:
        return
    assert np.shape(np.asarray(elements, dtype=object if datatype == "BYTES" else None)) == (2, 2)
