"""The training configuration: one TOML file, checked before anything is read.

TrainingConfig   the whole of it; every part has defaults but `name`, `predicts` and `data.path`
ConfigError      the file is missing or wrong; the message names the key
"""

import tomllib
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.manifest import MODEL_NAME_PATTERN, MODEL_NAME_RULE, Band
from training.fit_config import FitConfig
from training.input_config import InputConfig, check_inputs
from training.network_config import NetworkConfig, Positive, Rate
from training.search_space import TuneConfig

TimeUnit = Literal["iso8601", "seconds", "minutes", "hours", "days"]
Histories = Literal["every_event", "whole"]
SplitShare = Annotated[float, Field(ge=0.01, le=0.5)]

LARGEST_SEED = 2**31 - 1


class ConfigError(ValueError):
    """The configuration file is missing, is no TOML or breaks the schema."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Part):
    """Where the event log is and how its columns are named."""

    path: str = Field(min_length=1, description="CSV, Parquet or XES, relative to the configuration file.")
    sequence_column: str = Field("sequence_id", description="Whose event it is: incident, customer, patient.")
    type_column: str = Field("event_type", description="What happened.")
    time_column: str = Field("timestamp", description="When it happened.")
    label_column: str = Field("label", description="0 or 1, the same in every row of a sequence.")
    further_label_columns: tuple[str, ...] = Field(
        (), description="Further labels to learn beside it: 0, 1 or blank, the same in every row of a sequence."
    )
    time_unit: TimeUnit = Field(
        "iso8601", description="ISO-8601 with a zone, or numbers since one origin common to all sequences."
    )
    time_origin: Literal["common", "sequence"] = Field(
        "common", description="`sequence` for numbers that start over with every sequence; needs a split_column."
    )
    label_time_column: str | None = Field(
        None, description="When the label became known: the outcome, or the end without one; blank if it is not yet."
    )
    label_horizon_minutes: Positive | None = Field(
        None, description="Label 1 means: the outcome follows within so long of the query; needs a label_time_column."
    )
    entity_column: str | None = Field(
        None, description="Whose sequence it is, where one customer, machine or patient has several."
    )
    split_column: str | None = Field(None, description="Which sequences are for testing; see split.test_values.")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"expected {len(self.columns)} different columns, received {', '.join(self.columns)}")
        return self

    @model_validator(mode="after")
    def _can_be_told(self) -> Self:
        if self.label_horizon_minutes is not None and self.label_time_column is None:
            raise ValueError("expected a label_time_column beside label_horizon_minutes, to know when the label came")
        if self.further_label_columns and self.label_time_column is not None:
            raise ValueError(
                "expected no further_label_columns beside a label_time_column, which says when one label became known "
                "and not when the others did"
            )
        if self.time_origin == "sequence":
            if self.time_unit == "iso8601":
                raise ValueError('expected a time_unit such as "minutes" where times start over with every sequence')
            if self.split_column is None:
                raise ValueError("expected a split_column where no sequence starts before another")
            if self.label_time_column is not None:
                raise ValueError("expected no label_time_column where times start over with every sequence")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns read: sequence, type, time, label, then those of the others that are configured."""
        further = (self.label_time_column, self.entity_column, self.split_column)
        required = (self.sequence_column, self.type_column, self.time_column, self.label_column)
        return required + self.further_label_columns + tuple(column for column in further if column is not None)


class SplitConfig(_Part):
    """How the log is cut in time; see `training.splits`."""

    test_share: SplitShare = Field(0.2, description="Latest share of all sequences, for the test period.")
    validation_share: SplitShare = Field(0.15, description="Share of the training period that stops the fit.")
    calibration_share: SplitShare = Field(0.1, description="Latest share of the training period, for calibration.")
    overlap: Literal["cut", "keep"] = Field(
        "cut", description="`cut` drops of a part what reaches into a later one: events, undecided labels, entities."
    )
    test_values: tuple[str, ...] = Field(
        ("test",), min_length=1, description="Values of data.split_column that mean the test part; others train."
    )

    @model_validator(mode="after")
    def _leaves_something_to_fit(self) -> Self:
        if self.validation_share + self.calibration_share > 0.8:
            raise ValueError("expected validation_share + calibration_share of at most 0.8, to leave data to fit on")
        return self


class PrefixesConfig(_Part):
    """Which moments of a sequence's life are learnt from and judged; see `training.prefixes`."""

    histories: Histories = Field(
        "every_event", description="`whole` asks once a sequence, at its end: for fixed observation windows only."
    )
    between_events: float = Field(
        0.0, ge=0, le=1, description="Chance that an event is also learnt from at a moment of the silence after it."
    )
    longest: int | None = Field(
        None, ge=1, description="Most events of a history that is learnt from; what is judged may be longer."
    )

    @model_validator(mode="after")
    def _limits_what_has_a_length(self) -> Self:
        if self.longest is not None and self.histories == "whole":
            raise ValueError('expected no longest with histories = "whole", which are never cut short')
        return self


class VocabularyConfig(_Part):
    """Which event types the network tells apart."""

    min_count: int = Field(5, ge=1, description="Types seen less often in the fit slice are the unknown event.")
    unknown_rate: Rate = Field(0.02, description="Share of events turned unknown while training, so that it is learnt.")


class EvaluationConfig(_Part):
    """How the test period is scored."""

    longest_prefix: int = Field(40, ge=1, description="Longest history scored; shorter where positives are.")
    resamples: int = Field(
        1000, ge=100, le=100_000, description="Bootstrap resamples of the test entities (or sequences)."
    )


class ServingConfig(_Part):
    """What the artifact promises its readers."""

    max_events: int = Field(50, ge=1, le=10_000, description="Longest history used; longer ones keep the latest.")
    max_elapsed_minutes: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="Largest elapsed time accepted; by default ten times that of the training period.",
    )
    bands: tuple[Band, ...] = Field(
        (
            Band(name="low", lower_risk=0.0),
            Band(name="medium", lower_risk=0.3),
            Band(name="high", lower_risk=0.6),
        ),
        min_length=1,
        description="Named ranges of risk, the first from 0.",
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        risks = [band.lower_risk for band in self.bands]
        if risks[0] != 0 or any(b <= a for a, b in pairwise(risks)):
            raise ValueError(f"expected bands that start at 0 and ascend, received {risks}")
        return self


class TrainingConfig(_Part):
    """Everything a training run depends on beside the event log itself."""

    name: str = Field(pattern=MODEL_NAME_PATTERN, description="The model's name in the repository and in requests.")
    predicts: str = Field(min_length=1, description="What label 1 means, in plain words.")
    seed: int = Field(1, ge=0, le=LARGEST_SEED, description="Same seed, same data: same model.")
    data: DataConfig
    inputs: tuple[InputConfig, ...] = Field((), description="What the model is told beside event types and times.")
    split: SplitConfig = SplitConfig()
    prefixes: PrefixesConfig = PrefixesConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    network: NetworkConfig = NetworkConfig()
    fit: FitConfig = FitConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    serving: ServingConfig = ServingConfig()
    tune: TuneConfig = TuneConfig()

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        check_inputs(self.inputs, self.data.columns, has_dates=self.data.time_unit == "iso8601")
        num_labels = 1 + len(self.data.further_label_columns)
        if self.network.num_labels != num_labels:
            raise ValueError(
                f"expected network.num_labels = {num_labels}, one for data.label_column and one for each of "
                f"data.further_label_columns, received {self.network.num_labels}"
            )
        if self.network.auxiliary_target != "label" and self.prefixes.histories == "whole":
            raise ValueError(
                'expected network.auxiliary_target = "label" with prefixes.histories = "whole", as no event follows a '
                "whole history"
            )
        sees_elapsed = self.network.time in {"elapsed", "log_elapsed", "both"}
        sees_silence = sees_elapsed or "since_last" in self.network.aggregates
        if self.prefixes.between_events and not sees_silence:
            raise ValueError(
                "expected network.time of elapsed, log_elapsed or both, or since_last among network.aggregates, with "
                "prefixes.between_events: nothing else tells the network how long ago the last event was"
            )
        return self

    @classmethod
    def read(cls, path: Path) -> "TrainingConfig":
        """Read and check the TOML file at `path`.

        Raises:
            ConfigError: It is missing, no TOML, or a key is unknown, missing or wrong; all faults are named.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ConfigError(f"Expected a training configuration at {path}. Received: {error.strerror}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"Expected TOML in {path}. Received: {error}.") from error
        except ValidationError as error:
            faults = "; ".join(_fault(cls, fault["type"], fault["loc"], fault["msg"]) for fault in error.errors())
            raise ConfigError(f"Wrong configuration in {path}: {faults}.") from error


def _fault(schema: type[BaseModel], kind: str, location: tuple[int | str, ...], message: str) -> str:
    key = ".".join(str(step) for step in location) or "the file"
    if kind == "missing":
        return f"the key {key} is missing"
    if kind == "string_pattern_mismatch":
        return f"{key}: expected {MODEL_NAME_RULE}"
    if kind != "extra_forbidden":
        return f"{key}: {message.removeprefix('Value error, ')}"
    nearest = get_close_matches(str(location[-1]), _keys(schema, location[:-1]), n=1)
    return f"there is no key {key}" + (f" (did you mean {nearest[0]}?)" if nearest else "")


def _keys(schema: type[BaseModel], section: tuple[int | str, ...]) -> list[str]:
    """Known keys of a section; none for a section that is itself a list."""
    for step in section:
        inner = schema.model_fields[step].annotation if isinstance(step, str) else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        schema = inner
    return list(schema.model_fields)
