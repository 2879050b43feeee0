"""The service's settings: read from the environment (prefix `SEQRISK_`) here and nowhere else."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.manifest import MODEL_NAME_PATTERN, MODEL_NAME_RULE
from service.schemas import MAX_SEQUENCES

ENVIRONMENT_PREFIX = "SEQRISK_"

DEFAULT_REPOSITORY = Path(__file__).resolve().parent.parent / "models" / "artifacts"

Version = Literal["latest"] | Annotated[int, Field(ge=1)]

# What a managed cloud tells its containers, and the settings that are meant. It decides where it sends requests to;
# the repository it knows counts only where no other is set.
_CLOUD_SETTINGS = {
    "AIP_HTTP_PORT": "port",
    "AIP_HEALTH_ROUTE": "vertex_health_route",
    "AIP_PREDICT_ROUTE": "vertex_predict_route",
    "AIP_STORAGE_URI": "repository",
    "SAGEMAKER_BIND_TO_PORT": "port",
}

# What was expected, by pydantic's type of error; `{…}` is filled from the error's context.
_EXPECTED = {
    "bool_parsing": "true or false",
    "float_parsing": "a number",
    "greater_than": "more than {gt:.12g}",
    "greater_than_equal": "at least {ge:.12g}",
    "int_parsing": "an integer",
    "less_than_equal": "at most {le:.12g}",
    "literal_error": "{expected}",
    "string_pattern_mismatch": MODEL_NAME_RULE,
    # What the validators below say goes on from there.
    "value_error": "{error}",
}


class SettingsError(ValueError):
    """A setting is wrong; the message names the environment variable."""


class Settings(BaseSettings):
    """Everything an operator can choose. Every field is the environment variable `SEQRISK_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True, env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    grpc_port: int | None = Field(
        None, ge=0, le=65535, description="Port of the Open Inference Protocol's gRPC; by default there is none."
    )
    repository: str = Field(str(DEFAULT_REPOSITORY), description="Path or fsspec URL of the model repository.")
    cache_directory: Path | None = Field(
        None, validate_default=True, description="Where versions of a remote repository are kept."
    )
    model: str | None = Field(
        None, pattern=MODEL_NAME_PATTERN, description="Model to serve; may be left out if the repository holds one."
    )
    version: Version = Field("latest", description="`latest`, or the number of the version to serve.")
    poll_seconds: float = Field(10.0, ge=0, le=86_400, description="How often to look for versions; 0 looks once.")
    challenger_version: int | None = Field(None, ge=1, description="Version to compare with the one that answers.")
    shadow_share: float = Field(1.0, ge=0, le=1, description="Share of requests the challenger scores as well.")
    canary_share: float = Field(0.0, ge=0, le=1, description="Share of sequence ids the challenger answers for.")
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="`gpu` refuses to start without one.")
    compile_cache_directory: Path | None = Field(
        None, description="Where compiled programs outlive the process, for machines of one kind; by default nowhere."
    )
    slots: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Batches run side by side; by default one a CPU core but the first, which reads and answers; "
        "on a GPU one.",
    )
    max_batch: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Most sequences in one call of the model, and four times as many where all are at most a quarter "
        "as long as the longest may be; by default 128, on a GPU 2048.",
    )
    max_body_bytes: int = Field(8_000_000, ge=1_000, description="Longest accepted body.")
    max_sequences: int = Field(1_000, ge=1, le=MAX_SEQUENCES, description="Most sequences in one request.")
    max_sequence_events: int = Field(10_000, ge=1, description="Most events in one sequence, before truncation.")
    max_waiting_sequences: int = Field(
        4_096, ge=1, validate_default=True, description="Sequences that may wait for the model."
    )
    request_timeout_seconds: float = Field(5.0, gt=0, le=3600, description="Longest time to answer a request.")
    max_waiting_bytes: int = Field(
        32_000_000,
        ge=1_000,
        validate_default=True,
        description="Of bodies, how much may wait to be read into arrays.",
    )
    max_turn_seconds: float = Field(
        0.5, gt=0, le=3600, description="How long a line of these may last before it is kept that short."
    )
    max_clock_skew_seconds: float = Field(
        300.0, ge=0, le=86_400, description="How far ahead of this machine's clock an event time may lie."
    )
    drain_grace_seconds: float = Field(
        5.0, ge=0, le=3600, description="How long to answer as before once told to stop, while traffic moves on."
    )
    drain_timeout_seconds: float = Field(
        20.0, gt=0, le=3600, description="Longest time to finish what was accepted, after the grace."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line logged.")
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="`auto` is text for a terminal, else one JSON object a line."
    )
    tracing_endpoint: str | None = Field(
        None, description="URL that takes OpenTelemetry traces by OTLP over HTTP; by default there are none."
    )
    api_keys_file: Path | None = Field(
        None, description="File of keys, of which requests then need one; by default they need none."
    )
    open_metrics: bool = Field(False, description="Whether metrics are shown without a key where others need one.")
    tls_certificate_file: Path | None = Field(None, description="Certificate chain in PEM; by default there is no TLS.")
    tls_key_file: Path | None = Field(None, validate_default=True, description="Its private key in PEM.")
    docs: bool = Field(True, description="Whether there is the documentation.")

    vertex_health_route: str | None = Field(None, description="Where Vertex AI asks for health; it says so itself.")
    vertex_predict_route: str | None = Field(None, description="Where Vertex AI sends instances; it says so itself.")

    @field_validator("challenger_version")
    @classmethod
    def _is_another_version(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and value == info.data.get("version"):
            raise ValueError("another version than SEQRISK_VERSION, or it would be compared with itself")
        return value

    @field_validator("canary_share")
    @classmethod
    def _has_a_challenger(cls, value: float, info: ValidationInfo) -> float:
        if value and info.data.get("challenger_version") is None:
            raise ValueError("SEQRISK_CHALLENGER_VERSION with it, or nobody could answer for the canaries")
        return value

    @field_validator("max_waiting_sequences")
    @classmethod
    def _holds_one_request(cls, value: int, info: ValidationInfo) -> int:
        largest = info.data.get("max_sequences", 0)
        if value < largest:
            raise ValueError(f"at least SEQRISK_MAX_SEQUENCES, {largest}, or a full request could never wait")
        return value

    @field_validator("max_waiting_bytes")
    @classmethod
    def _holds_one_body(cls, value: int, info: ValidationInfo) -> int:
        longest = info.data.get("max_body_bytes", 0)
        if value < longest:
            raise ValueError(f"at least SEQRISK_MAX_BODY_BYTES, {longest}, or a body of that length could never wait")
        return value

    @field_validator("cache_directory")
    @classmethod
    def _holds_downloads(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        repository = str(info.data.get("repository", ""))
        if value is None and "://" in repository and not repository.startswith("file://"):
            raise ValueError(f"a directory for downloads from {repository}")
        return value

    @field_validator("tls_key_file")
    @classmethod
    def _belongs_to_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if (value is None) != (info.data.get("tls_certificate_file") is None):
            raise ValueError("SEQRISK_TLS_CERTIFICATE_FILE and this one, or neither")
        return value

    @field_validator("vertex_health_route", "vertex_predict_route")
    @classmethod
    def _is_a_route(cls, value: str | None) -> str | None:
        # Braces would be a template's, and the router's.
        if value is not None and (not value.startswith("/") or set(value) & set("{}?#")):
            raise ValueError("a path such as /predict")
        return value

    @field_validator("tracing_endpoint")
    @classmethod
    def _is_a_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("a URL such as http://collector:4318/v1/traces")
        return value

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the environment.

        Raises:
            SettingsError: A value is wrong or a name unknown; the message names the variable.
        """
        known = {f"{ENVIRONMENT_PREFIX}{field.upper()}" for field in cls.model_fields}
        for name in sorted(os.environ):
            if name.upper().startswith(ENVIRONMENT_PREFIX) and name.upper() not in known:
                nearest = get_close_matches(name.upper(), known, n=1)
                hint = f"; did you mean {nearest[0]}?" if nearest else "."
                raise SettingsError(f"Wrong settings: {name} is no setting{hint}")
        told = _told_by_cloud()
        try:
            return cls(**{field: value for field, (_, value) in told.items()})
        except ValidationError as error:
            variables = {field: variable for field, (variable, _) in told.items()}
            raise SettingsError(f"Wrong settings: {_sentences(error.errors(), variables)}") from error


def _told_by_cloud() -> dict[str, tuple[str, Any]]:
    """Settings that a managed cloud decides: variable and value by field."""
    told = {
        field: (variable, os.environ[variable])
        for variable, field in _CLOUD_SETTINGS.items()
        if os.environ.get(variable)
    }
    # As everywhere: in whatever case, and an empty value is none.
    ours = {name.upper() for name, value in os.environ.items() if value}
    if f"{ENVIRONMENT_PREFIX}REPOSITORY" in ours:
        told.pop("repository", None)
    if "port" in told and f"{ENVIRONMENT_PREFIX}HOST" not in ours:
        told["host"] = (told["port"][0], "0.0.0.0")  # noqa: S104  its requests come from outside the container
    return told


def _sentences(errors: list[ErrorDetails], variables: Mapping[str, str]) -> str:
    """Pydantic's findings, one a variable, in our words; `variables` are those of other names than ours, by field."""
    expected: dict[str, list[str]] = {}
    received: dict[str, str] = {}
    for found in errors:
        field = str(found["loc"][0])
        variable = variables.get(field, f"{ENVIRONMENT_PREFIX}{field.upper()}")
        # A value that may be of several types is found wrong once a type.
        expected.setdefault(variable, []).append(_expected(found))
        received[variable] = "nothing" if found["input"] is None else repr(found["input"])
    return " ".join(
        f"{variable}: Expected {' or '.join(either)}. Received: {received[variable]}."
        for variable, either in expected.items()
    )


def _expected(found: ErrorDetails) -> str:
    template = _EXPECTED.get(found["type"])
    return found["msg"] if template is None else template.format(**found.get("ctx", {}))
