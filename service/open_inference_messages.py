"""Requests and answers of the Open Inference Protocol as gRPC's messages, in the classes that tritonclient ships.

read_bytes       bytes -> request for inference
read_message     message -> request for inference
write_message    scores -> message
parse            bytes -> any message
asked_of         message -> the model it asks for
as_message       what REST answers -> message
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

# First, because without it the next one raises what is no ImportError.
import grpc  # noqa: F401
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError, Message
from tritonclient.grpc import service_pb2

from models.further_inputs import FurtherInput
from service.open_inference_answer import DATATYPE, answer_id, risks_of
from service.open_inference_catalogue import Asked
from service.open_inference_envelope import malformed
from service.open_inference_outputs import OUTPUTS, check_output, read_outputs
from service.open_inference_request import InferenceRequest, check_inputs, read_timeout, tensors_of
from service.open_inference_tensor import Elements, InputTensor, refused
from service.pair import Part

AnyMessage = TypeVar("AnyMessage", bound=Message)

_CONTENTS = {
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def read_bytes(body: bytes, further: Sequence[FurtherInput] = ()) -> InferenceRequest:
    """As `read_message`, from a message's bytes."""
    return read_message(parse(body, service_pb2.ModelInferRequest), further)


def read_message(message: service_pb2.ModelInferRequest, further: Sequence[FurtherInput] = ()) -> InferenceRequest:
    """Read a request for inference. Its outputs come as bytes if its inputs do.

    Args:
        message: As it came.
        further: The model's further inputs; those with a default may be left out.

    Raises:
        InvalidTensorsError: It is none.
    """
    heads = [
        InputTensor.of(tensor.name, tensor.datatype, list(tensor.shape), f"/inputs/{position}", further)
        for position, tensor in enumerate(message.inputs)
    ]
    check_inputs([head.name for head in heads], further)
    is_raw = bool(message.raw_input_contents)
    if is_raw:
        elements = _from_raw(heads, message)
    else:
        elements = {
            head.name: _from_contents(head, tensor.contents) for head, tensor in zip(heads, message.inputs, strict=True)
        }
    for position, output in enumerate(message.outputs):
        check_output(output.parameters, f"/outputs/{position}")
    names = [output.name for output in message.outputs] or OUTPUTS
    return InferenceRequest(
        id=message.id or None,
        tensors=tensors_of(elements),
        outputs=read_outputs(names, [is_raw] * len(names), message.model_name),
        timeout_seconds=read_timeout(_parameter(message.parameters, "timeout")),
    )


def write_message(asked: InferenceRequest, part: Part) -> service_pb2.ModelInferResponse:
    """The answer, as `write_answer` has it."""
    message = service_pb2.ModelInferResponse(
        model_name=part.manifest.name, model_version=str(part.manifest.version), id=answer_id(asked)
    )
    for output in asked.outputs:
        risks = risks_of(part.scores, output.name)
        tensor = message.outputs.add(name=output.name, datatype=DATATYPE, shape=[len(risks)])
        if output.is_binary:
            message.raw_output_contents.append(risks.astype("<f4").tobytes())
        else:
            tensor.contents.fp32_contents.extend(risks.tolist())
    return message


def parse(body: bytes, expected: type[AnyMessage]) -> AnyMessage:
    """The message that these bytes are.

    Raises:
        InvalidTensorsError: They are no such message.
    """
    try:
        message: AnyMessage = expected.FromString(body)
    except DecodeError as error:
        raise malformed(expected.__name__) from error
    return message


def asked_of(request: Any) -> Asked:  # noqa: ANN401  each message has its own class
    """The model that a message names, and the version, if it does."""
    return Asked(request.name, request.version or None)


def as_message(fields: dict[str, Any], message: Message) -> Message:
    """What REST answers as JSON, as the message of the same fields."""
    return ParseDict(fields, message)


def _from_raw(heads: Sequence[InputTensor], message: service_pb2.ModelInferRequest) -> dict[str, Elements]:
    if len(message.raw_input_contents) != len(heads) or any(tensor.HasField("contents") for tensor in message.inputs):
        raise refused(
            "/raw_input_contents",
            f"Expected either `raw_input_contents` for each of the {len(heads)} inputs, or `contents` in each. "
            f"Received: {len(message.raw_input_contents)} raw ones.",
        )
    return {head.name: head.of_bytes(raw) for head, raw in zip(heads, message.raw_input_contents, strict=True)}


def _from_contents(head: InputTensor, contents: service_pb2.InferTensorContents) -> Elements:
    elements: list[Any] = list(getattr(contents, _CONTENTS[head.datatype]))
    if head.datatype != "BYTES":
        return head.of_list(elements)
    texts: list[str] = []
    for position, element in enumerate(elements):
        try:
            texts.append(element.decode())
        except UnicodeDecodeError as error:
            raise head.not_text(position) from error
    return head.of_list(texts)


def _parameter(parameters: Mapping[str, service_pb2.InferParameter], name: str) -> object:
    # Looking it up would put it there.
    if name not in parameters:
        return None
    parameter = parameters[name]
    kind = parameter.WhichOneof("parameter_choice")
    return None if kind is None else getattr(parameter, kind)
