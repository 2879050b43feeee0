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

from models.manifest import MODEL_NAME_PATTERN, Band

TimeUnit = Literal["iso8601", "seconds", "minutes", "hours", "days"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, lt=1)]
SplitShare = Annotated[float, Field(ge=0.01, le=0.5)]

LARGEST_SEED = 2**31 - 1


class ConfigError(ValueError):
    """The configuration file is missing, is no TOML or breaks the schema."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Part):
    """Where the event log is and how its columns are named."""

    path: str = Field(min_length=1, description="CSV, CSV.gz or Parquet, relative to the configuration file.")
    sequence_column: str = Field("sequence_id", description="Whose event it is: incident, customer, patient.")
    type_column: str = Field("event_type", description="What happened.")
    time_column: str = Field("timestamp", description="When it happened.")
    label_column: str = Field("label", description="0 or 1, the same in every row of a sequence.")
    time_unit: TimeUnit = Field(
        "iso8601", description="ISO-8601 with a zone, or numbers since one origin common to all sequences."
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"expected four different columns, received {', '.join(self.columns)}")
        return self

    @property
    def columns(self) -> tuple[str, str, str, str]:
        """Names of the four columns read: sequence, type, time, label."""
        return self.sequence_column, self.type_column, self.time_column, self.label_column


class SplitConfig(_Part):
    """How the log is cut in time; see `training.splits`."""

    test_share: SplitShare = Field(0.2, description="Latest share of all sequences, for the test period.")
    validation_share: SplitShare = Field(0.15, description="Share of the training period that stops the fit.")
    calibration_share: SplitShare = Field(0.1, description="Latest share of the training period, for calibration.")

    @model_validator(mode="after")
    def _leaves_something_to_fit(self) -> Self:
        if self.validation_share + self.calibration_share > 0.8:
            raise ValueError("expected validation_share + calibration_share of at most 0.8, to leave data to fit on")
        return self


class VocabularyConfig(_Part):
    """Which event types the network tells apart."""

    min_count: int = Field(5, ge=1, description="Types seen less often in the fit slice are the unknown event.")
    unknown_rate: Rate = Field(0.02, description="Share of events turned unknown while training, so that it is learnt.")


class NetworkConfig(_Part):
    """The default network's shape; its equations are in training/README.md."""

    time: Literal["log_gap", "none"] = Field("log_gap", description="`none` hides time from the network.")
    embedding_width: int = Field(16, ge=1, le=1024, description="Numbers that describe an event type.")
    lstm_units: int = Field(32, ge=1, le=4096, description="Width of the recurrent state.")
    dense_units: int = Field(16, ge=1, le=4096, description="Width of the layer before the main output.")
    dropout: Rate = Field(0.3, description="Share of the LSTM's last state dropped before the main output.")


class FitConfig(_Part):
    """How the network's weights are found."""

    learning_rate: Positive = Field(0.006, description="Step size of Adam.")
    batch_size: int = Field(256, ge=1, description="Prefixes a step.")
    max_epochs: int = Field(30, ge=1, description="Most passes over the fit slice.")
    patience: int = Field(6, ge=1, description="Passes without a better validation ROC AUC before the fit stops.")
    auxiliary_weight: float = Field(0.2, ge=0, le=10, description="Weight of the auxiliary loss; the main one's is 1.")


class EvaluationConfig(_Part):
    """How the test period is scored."""

    longest_prefix: int = Field(40, ge=1, description="Longest history scored; shorter where positives are.")
    resamples: int = Field(1000, ge=100, le=100_000, description="Bootstrap resamples of the test sequences.")


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
    split: SplitConfig = SplitConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    network: NetworkConfig = NetworkConfig()
    fit: FitConfig = FitConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    serving: ServingConfig = ServingConfig()

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
