"""A request of the Open Inference Protocol, read from bytes: JSON, and after it tensors in binary.

InferenceRequest         tensors, and what to answer
read_inference_request   bytes -> request
read_timeout, check_inputs, tensors_of    the parts that do not depend on the encoding
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic_core import from_json

from models.further_inputs import FurtherInput
from service.errors import Fault, InvalidHeaderError, MalformedJsonError
from service.faults import pointer, received
from service.open_inference_outputs import OUTPUTS, WantedOutput, check_output, read_outputs
from service.open_inference_tensor import DATATYPES, Elements, InputTensor, refused
from service.tensors import Tensors

_MOST_DIGITS = 9
_MICROSECONDS_PER_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """Tensors, and what to answer.

    Attributes:
        id: What the client calls the request.
        tensors: What is to be scored.
        outputs: In the order they were asked for.
        timeout_seconds: How long the client waits; None if it does not say.
    """

    id: str | None
    tensors: Tensors
    outputs: tuple[WantedOutput, ...]
    timeout_seconds: float | None


def read_inference_request(
    body: bytes, header_length: str | None, model: str, further: Sequence[FurtherInput] = ()
) -> InferenceRequest:
    """Read a request for inference.

    Args:
        body: JSON, then the binary tensors in the order of the inputs; not compressed.
        header_length: The header `Inference-Header-Content-Length`: where the JSON ends, if not at the end.
        model: Its name, for messages.
        further: Its further inputs; those with a default may be left out.

    Raises:
        InvalidHeaderError: `header_length` is no length within the body.
        MalformedJsonError: The JSON is none.
        InvalidTensorsError: It is no request for inference.
    """
    num_json_bytes = _read_header_length(header_length, len(body))
    try:
        request = from_json(body[:num_json_bytes])
    except ValueError as error:
        raise MalformedJsonError(f"Expected JSON in UTF-8. Received: {error}.", (Fault("", f"{error}."),)) from error
    if not isinstance(request, dict):
        raise refused("", f"Expected an object with `inputs`. Received: {received(request)}.")

    parameters = _object(request, "parameters", "")
    return InferenceRequest(
        id=cast("str | None", _field(request, "id", str, "a string", "")),
        tensors=_read_tensors(request, body[num_json_bytes:], model, further),
        outputs=_read_outputs(request, parameters, model),
        timeout_seconds=read_timeout(parameters.get("timeout")),
    )


def read_timeout(microseconds: object) -> float | None:
    """The parameter `timeout` in seconds; 0 sets no limit, as if it were not there.

    Raises:
        InvalidTensorsError: It is no whole number of microseconds.
    """
    if microseconds is None:
        return None
    if type(microseconds) is not int or not 0 <= microseconds < 10**_MOST_DIGITS * _MICROSECONDS_PER_SECOND:
        raise refused(
            "/parameters/timeout", f"Expected a whole number of microseconds. Received: {received(microseconds)}."
        )
    return microseconds / _MICROSECONDS_PER_SECOND if microseconds else None


def tensors_of(elements: Mapping[str, Elements]) -> Tensors:
    """Tensors, from what the inputs of each name hold."""
    by_name: Any = {name: elements[name] for name in DATATYPES if name in elements}
    further = {name: array for name, array in elements.items() if name not in DATATYPES}
    return Tensors(**by_name, further=further)


def check_inputs(names: Sequence[str], further: Sequence[FurtherInput] = ()) -> None:
    """Check that the inputs, each of them known, make a request.

    Raises:
        InvalidTensorsError: One is missing, there twice, or contradicts another.
    """
    if len(set(names)) < len(names):
        raise refused("/inputs", "Expected each input once. Received: one of them twice.")
    missing = [one.name for one in further if one.default is None and one.name not in names]
    if missing:
        raise refused("/inputs", f"Expected the input `{missing[0]}`, which has no default. Received: no such input.")
    if "elapsed_minutes" not in names or len(set(names) & DATATYPES.keys()) != 2:
        expected = "Expected the inputs `elapsed_minutes` and either `event_ids` or `event_types`"
        given = ", ".join(f"`{name}`" for name in names if name in DATATYPES)
        raise refused("/inputs", f"{expected}. Received: {given or 'none of them'}.")


def _read_header_length(text: str | None, num_body_bytes: int) -> int:
    if text is None:
        return num_body_bytes
    # Space around a header's value is none of it, but the HTTP parser leaves what follows it.
    text = text.strip(" \t")
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and 0 < int(text) <= num_body_bytes):
        raise InvalidHeaderError(
            f"Expected the length of the JSON, from 1 to the body's {num_body_bytes} bytes, in "
            f"Inference-Header-Content-Length. Received: {received(text)}."
        )
    return int(text)


def _read_tensors(request: Mapping[str, object], binary: bytes, model: str, further: Sequence[FurtherInput]) -> Tensors:
    inputs = _objects(request, "inputs")
    heads = [_read_head(tensor, f"/inputs/{position}", further) for position, tensor in enumerate(inputs)]
    check_inputs([head.name for head in heads], further)
    elements: dict[str, Elements] = {}
    start = 0
    for head, tensor in zip(heads, inputs, strict=True):
        size = _binary_size(tensor, head.place)
        if size is None:
            elements[head.name] = head.of_list(cast("list[object]", tensor["data"]))
            continue
        if start + size > len(binary):
            raise refused(
                f"{head.place}/parameters/binary_data_size",
                f"unexpected size for input '{head.name}', expecting {start + size - len(binary)} additional bytes for "
                f"model {model!r}. Received: {len(binary)} bytes after the JSON.",
            )
        elements[head.name] = head.of_bytes(binary[start : start + size])
        start += size
    if start != len(binary):
        raise refused(
            "/inputs",
            f"unexpected additional input data for model {model!r}. Expected {start} bytes after the JSON. "
            f"Received: {len(binary)}.",
        )
    return tensors_of(elements)


def _read_head(tensor: Mapping[str, object], place: str, further: Sequence[FurtherInput]) -> InputTensor:
    name = cast("str", _field(tensor, "name", str, "a string", place, is_required=True))
    datatype = cast("str", _field(tensor, "datatype", str, "a string", place, is_required=True))
    shape = cast("list[object]", _field(tensor, "shape", list, "an array of sizes", place, is_required=True))
    return InputTensor.of(name, datatype, shape, place, further)


def _binary_size(tensor: Mapping[str, object], place: str) -> int | None:
    """Bytes of a tensor behind the JSON; None if its elements are in `data`."""
    size = _object(tensor, "parameters", place).get("binary_data_size")
    if size is None:
        _field(tensor, "data", list, "an array, or `binary_data_size` among the parameters", place, is_required=True)
        return None
    if type(size) is not int or size < 0:
        raise refused(
            f"{place}/parameters/binary_data_size", f"Expected a number of bytes. Received: {received(size)}."
        )
    if tensor.get("data") is not None:
        raise refused(f"{place}/data", "Expected either `data` or `binary_data_size`. Received: both.")
    return size


def _read_outputs(
    request: Mapping[str, object], parameters: Mapping[str, object], model: str
) -> tuple[WantedOutput, ...]:
    are_binary = _flag(parameters, "binary_data_output", "/parameters", default=False)
    # An empty list asks for as much as none does: everything.
    if not request.get("outputs"):
        return read_outputs(OUTPUTS, [are_binary] * len(OUTPUTS), model)
    outputs = _objects(request, "outputs")
    places = [f"/outputs/{position}" for position in range(len(outputs))]
    names = [
        cast("str", _field(output, "name", str, "a string", place, is_required=True))
        for output, place in zip(outputs, places, strict=True)
    ]
    flags: list[bool] = []
    for output, place in zip(outputs, places, strict=True):
        of_output = _object(output, "parameters", place)
        check_output(of_output, place)
        flags.append(_flag(of_output, "binary_data", f"{place}/parameters", default=are_binary))
    return read_outputs(names, flags, model)


def _field(
    given: Mapping[str, object], name: str, kind: type, expected: str, place: str, *, is_required: bool = False
) -> object:
    """A field's value; null counts as absent, which some clients send for what they leave out."""
    value = given.get(name)
    if value is None and not is_required:
        return None
    if not isinstance(value, kind):
        shown = "no such field" if value is None else received(value)
        raise refused(f"{place}{pointer(name)}", f"Expected {expected} as `{name}`. Received: {shown}.")
    return value


def _object(given: Mapping[str, object], name: str, place: str) -> Mapping[str, object]:
    return cast("dict[str, object]", _field(given, name, dict, "an object", place) or {})


def _objects(given: Mapping[str, object], name: str) -> list[dict[str, object]]:
    listed = cast("list[object]", _field(given, name, list, "an array", "", is_required=True))
    for position, one in enumerate(listed):
        if not isinstance(one, dict):
            raise refused(f"/{name}/{position}", f"Expected an object in `{name}`. Received: {received(one)}.")
    return cast("list[dict[str, object]]", listed)


def _flag(parameters: Mapping[str, object], name: str, place: str, *, default: bool) -> bool:
    flag = cast("bool | None", _field(parameters, name, bool, "true or false", place))
    return default if flag is None else flag
