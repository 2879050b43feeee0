"""Answers of the Open Inference Protocol and its extensions, with an example of a request.

ServerLive, ServerReady, ModelReady    health
ServerMetadata, ModelMetadata          who answers, and which tensors are taken and given
ModelConfig                            the same in Triton's words
IndexRequest, IndexEntry               the repository
ModelStatistics                        what versions have done
InferRequest, InferAnswer              documentation only: both are read and written as bytes
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from service.tensor_examples import INFER_REQUESTS

Parameters = dict[str, bool | int | float | str]


class ServerLive(BaseModel):
    """The process is alive."""

    live: Literal[True] = True


class ServerReady(BaseModel):
    """The model is verified and warm."""

    ready: Literal[True] = True
    live: Literal[True] = True


class ModelReady(BaseModel):
    """A version is verified and warm."""

    name: str
    ready: Literal[True] = True


class ServerMetadata(BaseModel):
    """Who answers."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor the model takes or gives; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """Which tensors the model takes and gives. Instead of `event_ids`, `event_types` may be sent as BYTES."""

    name: str
    versions: Annotated[list[str], Field(description="Those that answer.")]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ConfigInput(BaseModel):
    """An input, without the batch axis."""

    name: str
    data_type: str
    dims: list[int]
    optional: bool


class Reshape(BaseModel):
    """The shape in truth of an output that Triton cannot describe: a number a sequence."""

    shape: list[int]


class ConfigOutput(BaseModel):
    """An output, without the batch axis."""

    name: str
    data_type: str
    dims: list[int]
    reshape: Reshape


class DynamicBatching(BaseModel):
    """Requests that wait at the same time share calls of the model; nothing waits for others to come."""

    max_queue_delay_microseconds: int


class ModelConfig(BaseModel):
    """The model in the words of Triton's `model_config.proto`."""

    name: str
    platform: str
    backend: str
    max_batch_size: Annotated[int, Field(description="Most sequences in one request.")]
    input: list[ConfigInput]
    output: list[ConfigOutput]
    dynamic_batching: DynamicBatching


class IndexRequest(BaseModel):
    """What of the repository to list."""

    model_config = ConfigDict(strict=True)

    ready: Annotated[bool, Field(description="Only versions that answer.")] = False


class IndexEntry(BaseModel):
    """A version in the repository."""

    name: str
    version: str
    state: Literal["READY", "LOADING", "UNAVAILABLE"]
    reason: str


class StatisticDuration(BaseModel):
    """How often, and how long together."""

    count: int
    ns: int


class InferStatistics(BaseModel):
    """Where time goes. Each part counts what it is done for: a request, or a call of the model."""

    success: StatisticDuration
    fail: StatisticDuration
    queue: Annotated[StatisticDuration, Field(description="Of each call of the model, its longest wait.")]
    compute_input: Annotated[StatisticDuration, Field(description="Not told apart: a part of `success`.")]
    compute_infer: Annotated[StatisticDuration, Field(description="Calls of the model.")]
    compute_output: Annotated[StatisticDuration, Field(description="Not told apart: a part of `success`.")]
    cache_hit: Annotated[StatisticDuration, Field(description="Nothing is cached.")]
    cache_miss: StatisticDuration


class VersionStatistics(BaseModel):
    """What a version has done since it was loaded; requests are those of this protocol, calls those of all."""

    name: str
    version: str
    last_inference: Annotated[int, Field(description="In milliseconds since 1970; 0 before the first.")]
    inference_count: Annotated[int, Field(description="Sequences scored.")]
    execution_count: Annotated[int, Field(description="Calls of the model.")]
    inference_stats: InferStatistics
    batch_stats: list[JsonValue]


class ModelStatistics(BaseModel):
    """What versions have done."""

    model_stats: list[VersionStatistics]


class InferInput(BaseModel):
    """An input tensor; without `data`, `parameters.binary_data_size` bytes of the body after the JSON."""

    name: Annotated[
        str,
        Field(description="`event_ids` or `event_types`, `elapsed_minutes`, or one of the model's `further_inputs`."),
    ]
    shape: Annotated[
        list[Annotated[int, Field(ge=1)]],
        Field(min_length=1, max_length=2, description="(batch, time); (batch,) for a value a sequence."),
    ]
    datatype: Literal["INT32", "INT64", "FP32", "FP64", "BYTES"]
    parameters: Parameters | None = None
    data: Annotated[list[JsonValue] | None, Field(description="All elements row after row, or a list a row.")] = None


class InferRequestedOutput(BaseModel):
    """An output to answer."""

    name: Literal["risk", "auxiliary_risk"]
    parameters: Parameters | None = None


class InferRequest(BaseModel):
    """Right-padded sequences: `elapsed_minutes`, either `event_ids` or `event_types`, and further inputs, if any."""

    model_config = ConfigDict(json_schema_extra={"examples": [INFER_REQUESTS["event types"]]})

    id: str | None = None
    parameters: Parameters | None = None
    inputs: Annotated[list[InferInput], Field(min_length=2)]
    outputs: Annotated[list[InferRequestedOutput] | None, Field(description="By default all.")] = None


class InferOutput(BaseModel):
    """An output, one number a sequence; without `data`, its bytes follow the JSON."""

    name: str
    shape: list[int]
    datatype: Literal["FP32"]
    parameters: Parameters | None = None
    data: list[float] | None = None


class InferAnswer(BaseModel):
    """The outputs asked for, in that order."""

    model_name: str
    model_version: str
    id: str
    outputs: list[InferOutput]
