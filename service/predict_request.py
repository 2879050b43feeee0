"""A request to predict in TensorFlow Serving's JSON, by row or by column; what is wrong is told in its words.

The texts are those of TensorFlow Serving 2.20 (`json_tensor.cc`), since clients and people look for them.

PredictRequest          tensors, and the form in which they came
read_predict_request    bytes -> request
wrong_type              what is said of an element of a wrong type
"""

import json
import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic_core import from_json

from models.further_inputs import FurtherInput
from service.errors import Fault, InvalidTensorsError, MalformedJsonError, WrongElementError
from service.faults import pointer, received
from service.tensors import Tensors

SIGNATURE = "serving_default"

_MAX_QUOTED_BYTES = 256
_MINUTES = "elapsed_minutes"
_EXPECTED_TYPES = {"event_ids": "int32", "event_types": "string", _MINUTES: "float"}
_JSON_TYPES = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}
_BLANK = b" \t\n\r"


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """Tensors, and the form in which they came, which is that of the answer.

    Attributes:
        form: A list of rows, or an object of tensors.
        tensors: Either way.
        timeout_seconds: The protocol has no word for it.
    """

    form: Literal["instances", "inputs"]
    tensors: Tensors
    timeout_seconds: None = None


def read_predict_request(body: bytes, further: Sequence[FurtherInput] = ()) -> PredictRequest:
    """Read a request to predict.

    Args:
        body: JSON in UTF-8; what follows its closing brace does not matter.
        further: The model's further inputs; those with a default may be left out.

    Raises:
        MalformedJsonError: It is not JSON.
        InvalidTensorsError: It is no request to predict.
    """
    request = _parse(body)
    if not isinstance(request, dict):
        raise _refused("", f"JSON Value: {_quoted(request)} Is not object")
    _check_signature(request)
    if "inputs" in request and "instances" in request:
        raise _refused(
            "",
            f"JSON Value: {_quoted(request)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist ",
        )
    if "inputs" in request:
        return PredictRequest("inputs", _read_columns(request["inputs"], further))
    if "instances" in request:
        return PredictRequest("instances", _read_rows(request, further))
    raise _refused("", "Missing 'inputs' or 'instances' key")


def wrong_type(error: WrongElementError) -> InvalidTensorsError:
    """The same refusal in TensorFlow Serving's words."""
    if isinstance(error.element, str) and error.tensor == "event_types":
        return error
    kind = "Bool" if isinstance(error.element, bool) else _JSON_TYPES[type(error.element)]
    expected = _EXPECTED_TYPES[error.tensor]
    text = f"JSON Value: {_quoted(error.element)} Type: {kind} is not of expected type: {expected}"
    return InvalidTensorsError(text, error.details)


def _parse(body: bytes) -> Any:  # noqa: ANN401  whatever the JSON is
    if not body.strip(_BLANK):
        raise _malformed("The document is empty")
    try:
        return from_json(body)
    except ValueError as error:
        if "trailing characters" in str(error):
            return json.JSONDecoder().raw_decode(body.decode(errors="replace").lstrip(_BLANK.decode()))[0]
        raise _malformed(f"Invalid value. at offset: {_offset(body, str(error))}", str(error)) from error


def _offset(body: bytes, reason: str) -> int:
    """Where the parser stopped, in bytes; it counts lines and columns from 1."""
    found = re.search(r"line (\d+) column (\d+)$", reason)
    if found is None:
        return 0
    line, column = map(int, found.groups())
    newlines = np.flatnonzero(np.frombuffer(body, np.uint8) == ord("\n"))
    line_start = int(newlines[line - 2]) + 1 if 2 <= line <= len(newlines) + 1 else 0
    return line_start + max(0, column - 1)


def _check_signature(request: dict[str, Any]) -> None:
    name = request.get("signature_name", "")
    if not isinstance(name, str):
        text = f"JSON Value: {_quoted(request)} not formatted correctly. 'signature_name' key must be a string value."
        raise _refused("/signature_name", text)
    if name not in {"", SIGNATURE}:
        text = f'Serving signature name: "{name[:_MAX_QUOTED_BYTES]}" not found in signature def'
        raise _refused("/signature_name", text, f"Expected {SIGNATURE!r} or no name. Received: {received(name)}.")


def _read_rows(request: dict[str, Any], further: Sequence[FurtherInput]) -> Tensors:
    instances = request["instances"]
    if not isinstance(instances, list):
        text = f"JSON Value: {_quoted(request)} Expecting 'instances' to be an list/array"
        raise _refused("/instances", text)
    if not instances:
        raise _refused("/instances", f"JSON Value: {_quoted(request)} No values in 'instances' array")
    if not isinstance(instances[0], dict):
        text = (
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
        raise _refused("/instances/0", text)
    events = "event_types" if "event_types" in instances[0] else "event_ids"
    told = [one.name for one in further if one.default is None or one.name in instances[0]]
    names = {_MINUTES, events, *told}
    for place, instance in enumerate(instances):
        if not isinstance(instance, dict):
            kind = "list" if isinstance(instance, list) else "value"
            raise _refused(f"/instances/{place}", f"Expecting object but got {kind} at item {place} of input list")
        if instance.keys() != names:
            raise _refused(
                f"/instances/{place}",
                f"Failed to process element: {place} of 'instances' list. JSON object: {_quoted(instance)} keys must "
                f"be equal to: {','.join(sorted(names))}",
            )
    return _tensors(
        events,
        [instance[events] for instance in instances],
        [instance[_MINUTES] for instance in instances],
        {name: [instance[name] for instance in instances] for name in told},
        "/instances/{row}/{tensor}",
    )


def _read_columns(inputs: object, further: Sequence[FurtherInput]) -> Tensors:
    if not isinstance(inputs, dict):
        text = (
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map"
        )
        raise _refused("/inputs", text)
    events = "event_types" if "event_types" in inputs and "event_ids" not in inputs else "event_ids"
    told = [one.name for one in further if one.default is None or one.name in inputs]
    known = {events, _MINUTES, *(one.name for one in further)}
    unknown = next((name for name in inputs if name not in known), None)
    # TensorFlow Serving looks over other names. Where an input may be left out, a misspelt one would take its default.
    if unknown is not None and any(one.default is not None for one in further):
        raise _refused(
            pointer("inputs", unknown),
            f"Unexpected named input: {received(unknown)} in 'inputs' object; expecting only: "
            + ",".join(sorted(known)),
        )
    for name in (events, _MINUTES, *told):
        if name not in inputs:
            raise _refused("/inputs", f"Missing named input: {name} in 'inputs' object.")
        if not isinstance(inputs[name], list):
            raise _refused(pointer("inputs", name), _not_rows(name, inputs[name]))
    columns = {name: inputs[name] for name in told}
    return _tensors(events, inputs[events], inputs[_MINUTES], columns, "/inputs/{tensor}/{row}")


def _tensors(events: str, rows: list[Any], minutes: list[Any], further: dict[str, Any], place: str) -> Tensors:
    tensors = Tensors(elapsed_minutes=minutes, further=further, place=place, **{events: rows})
    for name, values in ((events, rows), (_MINUTES, minutes)):
        if not {list}.issuperset(map(type, values)):
            row = next(row for row, value in enumerate(values) if not isinstance(value, list))
            raise _refused(tensors.pointer(name, row), _not_rows(name, values[row]))
    if events == "event_ids":
        return tensors
    decoded = [_decoded(row, tensors.pointer(events, place)) for place, row in enumerate(rows)]
    return Tensors(event_types=decoded, elapsed_minutes=minutes, further=further, place=place)


def _decoded(row: list[Any], place: str) -> list[Any]:
    """A row of strings, of which some may have come as bytes in base64."""
    if dict not in set(map(type, row)):
        return row
    return [
        _from_base64(element["b64"], f"{place}/{position}") if _is_base64(element) else element
        for position, element in enumerate(row)
    ]


def _is_base64(element: object) -> bool:
    return isinstance(element, dict) and element.keys() == {"b64"} and isinstance(element["b64"], str)


def _from_base64(text: str, place: str) -> str:
    try:
        return b64decode(text, validate=True).decode()
    except UnicodeDecodeError as error:
        raise _refused(place, "Expected an event type in UTF-8. Received: other bytes.") from error
    except ValueError as error:
        raise _refused(place, "Unable to base64 decode") from error


def _not_rows(name: str, value: object) -> str:
    return f"Expected a list for each row of `{name}`, of shape (batch, time). Received: {received(value)}."


def _quoted(value: object) -> str:
    """The beginning of a value as JSON."""
    text = ""
    for piece in json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).iterencode(value):
        text += piece[:_MAX_QUOTED_BYTES]
        if len(text) >= _MAX_QUOTED_BYTES:
            break
    return text.encode(errors="replace")[:_MAX_QUOTED_BYTES].decode(errors="ignore")


def _malformed(text: str, reason: str = "An empty body.") -> MalformedJsonError:
    return MalformedJsonError(f"JSON Parse error: {text}", (Fault("", f"Expected JSON in UTF-8. Received: {reason}"),))


def _refused(place: str, text: str, hint: str | None = None) -> InvalidTensorsError:
    return InvalidTensorsError(text, (Fault(place, hint or text),))
