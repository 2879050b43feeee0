import json
from typing import Any

import pytest

from models.further_inputs import FurtherInput
from service.errors import InvalidTensorsError, MalformedJsonError, WrongElementError
from service.predict_request import read_predict_request, wrong_type
from tests.service.told_models import AGE, AMOUNT, CLOCK, required

ROW: dict[str, Any] = {"event_ids": [2], "elapsed_minutes": [0]}


def _refusal(body: object) -> InvalidTensorsError:
    with pytest.raises(InvalidTensorsError) as raised:
        read_predict_request(json.dumps(body).encode())
    return raised.value


def test_rows_become_tensors() -> None:
    request = read_predict_request(json.dumps({"instances": [ROW, ROW]}).encode())

    assert request.form == "instances"
    assert request.tensors.event_ids == [[2], [2]]
    assert request.tensors.elapsed_minutes == [[0], [0]]
    assert request.tensors.pointer("event_ids", 1, 0) == "/instances/1/event_ids/0"


def test_columns_become_tensors() -> None:
    body = {"inputs": {"event_types": [["a"]], "elapsed_minutes": [[0]]}}

    request = read_predict_request(json.dumps(body).encode())

    assert request.form == "inputs"
    assert request.tensors.event_types == [["a"]]
    assert request.tensors.pointer("event_types", 0) == "/inputs/event_types/0"


def test_a_column_of_another_name_is_refused_where_it_may_be_a_misspelt_input_with_a_default() -> None:
    amount = FurtherInput(name="amount", kind="numeric", per="event", unit="EUR", default=0.0)
    columns = {name: [value] for name, value in ROW.items()} | {"amuont": [[1]]}

    with pytest.raises(InvalidTensorsError, match='Unexpected named input: "amuont"'):
        read_predict_request(json.dumps({"inputs": columns}).encode(), [amount])
    assert read_predict_request(json.dumps({"inputs": columns}).encode()).tensors.event_ids == [[2]]


def test_what_is_quoted_is_cut_at_256_bytes() -> None:
    message = _refusal({"instances": {"\u00e9" * 1_000: "x" * 100_000}}).message

    quoted = message.removeprefix("JSON Value: ").removesuffix(" Expecting 'instances' to be an list/array")
    assert 250 < len(quoted.encode()) <= 256
    assert quoted.startswith('{"instances":{"\u00e9')


@pytest.mark.parametrize(
    ("body", "offset"), [(b"x", 0), (b"[1,\n2,\n x]", 8), (b'{"a": tru}', 6), (b"\xef\xbb\xbf{}", 0)]
)
def test_a_parse_error_tells_the_byte(body: bytes, offset: int) -> None:
    with pytest.raises(MalformedJsonError) as raised:
        read_predict_request(body)

    told = int(raised.value.message.removeprefix("JSON Parse error: Invalid value. at offset: "))
    # The parser stops within a broken word, or behind it.
    assert offset <= told <= offset + 4


@pytest.mark.parametrize(
    ("tensor", "element", "text"),
    [
        ("event_ids", 1.5, "JSON Value: 1.5 Type: Number is not of expected type: int32"),
        ("event_types", {"b64": 1}, 'JSON Value: {"b64":1} Type: Object is not of expected type: string'),
        ("elapsed_minutes", True, "JSON Value: true Type: Bool is not of expected type: float"),
    ],
)
def test_a_wrong_type_is_told_in_its_words(tensor: str, element: object, text: str) -> None:
    assert wrong_type(WrongElementError("ours", (), tensor, element)).message == text


def test_an_event_type_that_is_too_long_is_told_in_ours() -> None:
    assert wrong_type(WrongElementError("ours", (), "event_types", "x" * 300)).message == "ours"


def further_of(body: object, *inputs: FurtherInput) -> dict[str, Any]:
    return dict(read_predict_request(json.dumps(body).encode(), inputs).tensors.further)


def test_further_inputs_come_beside_the_others_and_those_with_a_default_may_be_left_out() -> None:
    row = {**ROW, "amount": [1.5], "age": 33}
    inputs = (required(AMOUNT), AGE, CLOCK)

    assert further_of({"instances": [row, row]}, *inputs) == {"amount": [[1.5]] * 2, "age": [33, 33]}
    assert further_of({"inputs": {name: [value] for name, value in row.items()}}, *inputs) == {
        "amount": [[1.5]],
        "age": [33],
    }
    assert further_of({"instances": [ROW]}, AMOUNT) == {}


@pytest.mark.parametrize(
    ("body", "pointer", "text"),
    [
        ({"instances": [ROW]}, "/instances/0", "keys must be equal to: age,elapsed_minutes,event_ids"),
        (
            {"instances": [{**ROW, "age": 1}, {**ROW, "age": 1, "amount": [2]}]},
            "/instances/1",
            "Failed to process element: 1",
        ),
        ({"instances": [{**ROW, "age": 1, "aeg": 1}]}, "/instances/0", "Failed to process element: 0"),
        ({"inputs": {name: [value] for name, value in ROW.items()}}, "/inputs", "Missing named input: age"),
        ({"inputs": {**{name: [value] for name, value in ROW.items()}, "age": 1}}, "/inputs/age", "Expected a list"),
    ],
)
def test_further_inputs_that_do_not_fit_are_refused(body: object, pointer: str, text: str) -> None:
    with pytest.raises(InvalidTensorsError, match=text) as raised:
        further_of(body, required(AGE), AMOUNT)

    assert raised.value.details[0].pointer == pointer
