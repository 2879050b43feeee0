"""Requests and answers of our own API, with every limit and an example of each.

ScoreRequest                 what a client sends: sequences in either of two forms
ScoreAnswer                  the scores, in request order
ModelAnswer, ModelsAnswer    what is served, and what it was trained for
ModelVersionStatus           of one version, in TensorFlow Serving's words
StatusAnswer                 of the probes
ErrorAnswer                  the one envelope of every other answer
"""

from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired, Required

from pydantic import BaseModel, ConfigDict, FailFast, Field, JsonValue, TypeAdapter, WithJsonSchema, with_config
from typing_extensions import TypedDict

from models.further_inputs import FurtherInput
from models.manifest import Band, Evaluation
from service.examples import REQUESTS

MAX_TEXT_LENGTH = 256
MAX_SEQUENCES = 100_000
# Finite as float32 too: 1e39 is a JSON number that would reach the model as infinity.
MAX_ELAPSED_MINUTES = 1e9


def _wire_object(**json_schema: JsonValue) -> ConfigDict:
    """An object of a request: no conversions between types, and no fields but ours.

    Unknown fields are let through here and refused in `service.histories`: pydantic would make an error of each of a
    million of them before anyone could say stop.
    """
    return ConfigDict(strict=True, extra="allow", json_schema_extra={**json_schema, "additionalProperties": False})


Text = Annotated[str, Field(max_length=MAX_TEXT_LENGTH)]
EventType = Annotated[
    Text | int,
    Field(union_mode="left_to_right", description="A string or an integer of your domain; unknown ones are welcome."),
]
ElapsedMinutes = Annotated[float, Field(ge=0, le=MAX_ELAPSED_MINUTES, allow_inf_nan=False)]
Time = Annotated[
    str,
    Field(max_length=MAX_TEXT_LENGTH, description="ISO-8601 with a zone.", json_schema_extra={"format": "date-time"}),
]


_ATTRIBUTE: JsonValue = {"anyOf": [{"type": "string", "maxLength": MAX_TEXT_LENGTH}, {"type": "number"}]}
_COLUMN: JsonValue = {"type": "array", "items": {"anyOf": [_ATTRIBUTE, {"type": "null"}]}}


def _attributes(description: str, *forms: JsonValue) -> WithJsonSchema:
    """Values by name: which names there are, and which of them are numbers, each model says for itself."""
    return WithJsonSchema(
        {"type": "object", "description": description, "additionalProperties": {"anyOf": [*forms, {"type": "null"}]}}
    )


@with_config(_wire_object())
class EventBody(TypedDict):
    """What happened, and when."""

    type: EventType
    time: Time
    # Looked at in `service.attributes`, once it is known who is to be told.
    attributes: NotRequired[
        Annotated[
            dict[str, Any] | None,
            _attributes(
                "What else is known of the event, as the model's `further_inputs` per event say under `/v1/models`.",
                _ATTRIBUTE,
            ),
        ]
    ]


_MINUTES_FORM: JsonValue = {
    "required": ["event_types", "elapsed_minutes"],
    "properties": {"events": False},
}
_TIMES_FORM: JsonValue = {"required": ["events"], "properties": {"event_types": False, "elapsed_minutes": False}}


@with_config(_wire_object(oneOf=[_MINUTES_FORM, _TIMES_FORM]))
class SequenceBody(TypedDict, total=False):
    """One entity's events, oldest first: `event_types` with `elapsed_minutes`, or `events` with times."""

    id: Annotated[Text | None, Field(description="Comes back with the score.")]
    event_types: Annotated[list[EventType], FailFast(), Field(min_length=1)]
    elapsed_minutes: Annotated[
        list[ElapsedMinutes],
        FailFast(),
        Field(
            min_length=1,
            description="Minutes from each event to the scoring moment: never increasing, and 0 for the last event "
            "unless the model was trained to score between events.",
        ),
    ]
    events: Annotated[list[EventBody], FailFast(), Field(min_length=1)]
    as_of: Annotated[
        Time | None,
        Field(
            description="With `events`: the scoring moment, by default the last event's time. Later than that only if "
            "the model was trained to score between events. With `elapsed_minutes`: only for a model that is told hour "
            "and weekday."
        ),
    ]
    attributes: Annotated[
        dict[str, Any] | None,
        _attributes(
            "What else is known, as the model's `further_inputs` say under `/v1/models`: of the sequence a value each "
            "and, beside `event_types`, of events an array with a value an event.",
            _ATTRIBUTE,
            _COLUMN,
        ),
    ]


@with_config(_wire_object(examples=[REQUESTS["both forms"]]))
class ScoreRequest(TypedDict, total=False):
    """Sequences to score."""

    model: Annotated[str | None, Field(max_length=MAX_TEXT_LENGTH, description="By default the one that is served.")]
    sequences: Required[Annotated[list[SequenceBody], Field(min_length=1, max_length=MAX_SEQUENCES)]]


class SequenceScore(TypedDict):
    """The risk of one sequence, and how much of it the model used."""

    id: str | None
    risk: Annotated[float, Field(ge=0, le=1, description="Calibrated probability of label 1.")]
    auxiliary_risk: Annotated[float, Field(ge=0, le=1, description="The second output's.")]
    events_used: Annotated[int, Field(ge=1)]
    events_truncated: Annotated[int, Field(ge=0, description="Oldest events left out of a longer history.")]
    unknown_events: Annotated[int, Field(ge=0, description="Used events whose type the model does not know.")]
    version: NotRequired[Annotated[int, Field(description="Who scored it, in an answer by two versions.")]]


class ScoreAnswer(TypedDict):
    """The scores of one version of one model, in request order; or of two, and each score names its own."""

    model: str
    version: int
    scores: list[SequenceScore]


class StatusAnswer(BaseModel):
    """Of a probe."""

    status: Literal["alive", "ready"]


class Limits(BaseModel):
    """What one request may carry."""

    max_body_bytes: int
    max_sequences: int
    max_sequence_events: int
    max_clock_skew_seconds: float
    request_timeout_seconds: float


class ModelDescription(BaseModel):
    """What the manifest tells a client."""

    predicts: str
    created_at: datetime
    max_events: int
    time_unit: str
    max_elapsed_minutes: float
    scores_between_events: bool
    vocabulary_size: Annotated[int, Field(description="Event types the model knows.")]
    further_inputs: Annotated[
        tuple[FurtherInput, ...], Field(description="What it is told beside types and times; see `attributes`.")
    ]
    bands: tuple[Band, ...]
    evaluation: Evaluation


VersionState = Literal["champion", "challenger", "loading", "refused", "available"]


class VersionAnswer(BaseModel):
    """One version of the served model."""

    version: int
    state: Annotated[VersionState, Field(description="The champion answers, the challenger is compared with it.")]
    reason: Annotated[str, Field(description="Why it is refused or stands aside, or what is being done.")]


class LoadStatus(BaseModel):
    """How loading a version went."""

    error_code: Annotated[str, Field(description="`OK`, or what TensorFlow Serving calls the error.")]
    error_message: str


class ModelVersionStatus(BaseModel):
    """One version that is loaded, or that was to be, as TensorFlow Serving tells it."""

    version: str
    state: Literal["LOADING", "AVAILABLE", "END"]
    status: LoadStatus


class ModelAnswer(BaseModel):
    """The served model; `description` is null until its artifact is open."""

    name: str
    version: int | None
    state: Literal["loading", "ready", "failed"]
    reason: str
    ready: Annotated[bool, Field(description="Whether it answers, as clients of KServe ask.")]
    versions: list[VersionAnswer]
    model_version_status: Annotated[
        list[ModelVersionStatus], Field(description="As clients of TensorFlow Serving ask.")
    ]
    limits: Limits
    description: ModelDescription | None


class ModelsAnswer(BaseModel):
    """Every served model."""

    models: list[ModelAnswer]


class FaultBody(BaseModel):
    """One thing wrong with a request."""

    pointer: Annotated[str, Field(description="JSON pointer (RFC 6901) into the body; empty for all of it.")]
    message: str


class ErrorAnswer(BaseModel):
    """Every answer that is no success."""

    error: Annotated[str, Field(description="What was expected, what was received, the way out.")]
    code: Annotated[str, Field(description="A word for machines.")]
    details: list[FaultBody]


SEQUENCE = TypeAdapter(SequenceBody)
SCORE_REQUEST = TypeAdapter(ScoreRequest)
