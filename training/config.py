"""The training configuration: one TOML file, checked before anything is read.

TrainingConfig   the whole of it; every part has defaults but `name`, `predicts` and `data.path`
ConfigError      the file is missing or wrong; the message names the key
"""

import tomllib
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.manifest import MODEL_NAME_PATTERN, MODEL_NAME_RULE, Band
from training.data_config import DataConfig, SplitConfig
from training.fit_config import FitConfig
from training.input_config import InputConfig, check_inputs
from training.network_config import NetworkConfig, Rate
from training.search_space import TuneConfig

Histories = Literal["every_event", "whole"]

LARGEST_SEED = 2**31 - 1


class ConfigError(ValueError):
    """The configuration file is missing, is no TOML or breaks the schema."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
        if self.network.auxiliary_target != "label" and not self.fit.auxiliary_weight:
            raise ValueError("expected fit.auxiliary_weight above 0 beside network.auxiliary_target: it is its weight")
        if self.split.test_values != SplitConfig().test_values and self.data.split_column is None:
            raise ValueError("expected data.split_column beside split.test_values, which are values of that column")
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
