"""The manifest: everything a reader must know about one published version of one model.

Draft      what the trainer knows before publication
Manifest   a draft plus what publication adds: version, time, digests
"""

from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from models.further_inputs import FurtherInput

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"

MODEL_NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
MODEL_NAME_RULE = "1 to 64 of the characters a to z, 0 to 9, `.`, `_` and `-`, first a letter or a digit"

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Minutes = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ManifestError(ValueError):
    """A manifest is missing, unreadable or breaks its schema; the message names the field."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ModelInput(_Part):
    """One of the two tensors that every serving signature takes; `FurtherInput` is one of the others."""

    name: str
    dtype: Literal["int32", "float32"]
    unit: str | None = Field(description="Unit of a value; null where it has none.")
    per: Literal["event", "sequence"] = Field(description="One value an event, or one a sequence.")
    default: float | None = Field(description="Used where a client leaves the input out; null if it must not.")


class Band(_Part):
    """A named range of risks, from `lower_risk` (included) to the next band's."""

    name: str = Field(min_length=1)
    lower_risk: Share


class Metric(_Part):
    """A held-out figure with its bootstrap interval over entities (or sequences)."""

    name: str = Field(description="roc_auc_weighted, roc_auc_pooled, average_precision, brier, …")
    model: str = Field(description="Whose figure: `network` is the published model, the others are baselines.")
    value: Finite
    lower: Finite
    upper: Finite


class Evaluation(_Part):
    """What was measured on the test period, which nothing was fitted or tuned on."""

    test_from: AwareDatetime | None = Field(description="Start of the test period; null for relative times.")
    num_sequences: int = Field(ge=1)
    num_prefixes: int = Field(ge=1)
    prevalence: Share = Field(description="Share of label 1 among the test prefixes.")
    confidence: Share = Field(description="Coverage of the intervals.")
    metrics: tuple[Metric, ...]


class Quantiles(_Part):
    """Quantiles of one quantity: `values[i]` is the quantile at `levels[i]`."""

    levels: tuple[Share, ...]
    values: tuple[Finite, ...]

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        if len(self.levels) != len(self.values) or not self.levels:
            raise ValueError(
                f"Expected one value a level. Received: {len(self.levels)} levels, {len(self.values)} values."
            )
        if any(b < a for a, b in pairwise(self.levels)) or any(b < a for a, b in pairwise(self.values)):
            raise ValueError("Expected levels and values in ascending order.")
        return self


class Histogram(_Part):
    """Shares between neighbouring edges: `shares[i]` lies in [edges[i], edges[i + 1])."""

    edges: tuple[Finite, ...]
    shares: tuple[Share, ...]

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        if len(self.edges) != len(self.shares) + 1:
            raise ValueError(f"Expected one more edge than shares. Received: {len(self.edges)} and {len(self.shares)}.")
        if any(b <= a for a, b in pairwise(self.edges)):
            raise ValueError("Expected strictly ascending edges.")
        return self


class ReferenceStatistics(_Part):
    """The training period in numbers: what live traffic is compared with."""

    event_type_shares: dict[str, Share] = Field(description="Share of each vocabulary entry among all events.")
    unknown_share: Share
    length_quantiles: Quantiles = Field(description="Events in a scored history.")
    gap_minutes_quantiles: Quantiles
    risk_histogram: Histogram
    number_quantiles: dict[str, Quantiles] = Field({}, description="Of each further input that is a number.")
    category_shares: dict[str, dict[str, Share]] = Field(
        {}, description="Of each further input that is a category; what is missing to 1 is unknown."
    )


class GoldenExample(_Part):
    """A history and the answer every faithful copy of the model must give for it."""

    event_types: tuple[str, ...] = Field(min_length=1)
    elapsed_minutes: tuple[Minutes, ...] = Field(min_length=1)
    risk: Share
    auxiliary_risk: Share
    further: dict[str, str | Finite | tuple[str | Finite, ...]] = Field(
        {}, description="Of each further input its value, or one an event."
    )

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        if len(self.event_types) != len(self.elapsed_minutes):
            raise ValueError(
                f"Expected one elapsed time an event. Received: {len(self.event_types)} events, "
                f"{len(self.elapsed_minutes)} elapsed times."
            )
        if any(isinstance(values, tuple) and len(values) != len(self.event_types) for values in self.further.values()):
            raise ValueError("Expected as many values as events of a further input with one an event.")
        return self


class Provenance(_Part):
    """Where the model came from, so that it can be made again."""

    config: dict[str, JsonValue] = Field(description="The training configuration, whole.")
    data_sha256: Sha256 = Field(description="Digest of the event log file as read.")
    code_version: str
    library_versions: dict[str, str]
    seed: int


class Draft(_Part):
    """All that is known about a model before it is published."""

    format_version: Literal[1]
    name: str = Field(pattern=MODEL_NAME_PATTERN)
    predicts: str = Field(min_length=1, description="What label 1 means, in plain words.")
    vocabulary: tuple[str, ...] = Field(min_length=1, description="Event types; entry k has id k + 2.")
    max_events: int = Field(ge=1, description="Longest history the model was trained on; longer ones keep the latest.")
    inputs: tuple[ModelInput, ...]
    further_inputs: tuple[FurtherInput, ...] = Field((), description="What it is told beside these.")
    time_unit: Literal["minutes"]
    max_elapsed_minutes: float = Field(gt=0, le=1e9, description="Largest elapsed time accepted in a used event.")
    scores_between_events: bool = Field(description="Trained for scoring moments after the last event.")
    bands: tuple[Band, ...] = Field(min_length=1)
    evaluation: Evaluation
    reference: ReferenceStatistics
    golden_examples: tuple[GoldenExample, ...] = Field(min_length=1)
    golden_tolerance: float = Field(gt=0, le=1e-3, description="Largest accepted |difference| to a golden risk.")
    provenance: Provenance

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.vocabulary)) != len(self.vocabulary):
            raise ValueError("Expected each event type once in `vocabulary`.")
        if set(self.reference.event_type_shares) != set(self.vocabulary):
            raise ValueError("Expected a share for exactly the event types in `vocabulary`.")
        if not {"event_ids", "elapsed_minutes"} <= {model_input.name for model_input in self.inputs}:
            raise ValueError("Expected `event_ids` and `elapsed_minutes` among `inputs`.")
        further = {one.name: one for one in self.further_inputs}
        if len(further) < len(self.further_inputs):
            raise ValueError("Expected each name once in `further_inputs`.")
        per_event = {name: one.per == "event" for name, one in further.items()}
        for example in self.golden_examples:
            if {name: isinstance(values, tuple) for name, values in example.further.items()} != per_event:
                raise ValueError("Expected every golden example to hold exactly the `further_inputs`.")
        thresholds = [band.lower_risk for band in self.bands]
        if thresholds[0] != 0 or any(b <= a for a, b in pairwise(thresholds)):
            raise ValueError(f"Expected `bands` to start at 0 and ascend. Received: {thresholds}.")
        return self


class Manifest(Draft):
    """The published description of one version; the last file of an artifact to be written."""

    version: int = Field(ge=1)
    created_at: AwareDatetime
    files: dict[str, Sha256] = Field(description="SHA-256 of every other file, by path inside the artifact.")

    @classmethod
    def of(cls, draft: Draft, *, version: int, created_at: datetime, files: dict[str, str]) -> "Manifest":
        """Complete a draft with what its publication decides."""
        return cls(**dict(draft), version=version, created_at=created_at, files=files)

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Read and check `path`.

        Raises:
            ManifestError: The file is missing or breaks the schema; the message names each field at fault.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise ManifestError(f"Expected a manifest at {path}. Received: no such file.") from error
        except ValidationError as error:
            faults = "; ".join(f"{_dotted(fault['loc'])}: {fault['msg']}" for fault in error.errors())
            raise ManifestError(
                f"Expected a manifest of format {FORMAT_VERSION} at {path}. Received: {faults}."
            ) from error

    def to_json(self) -> bytes:
        """The manifest as it is stored: UTF-8, indented for people to read."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(str(step) for step in location) or "manifest"
