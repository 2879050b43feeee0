"""The [tune] section and the search space: every option that tuning tries, and between which values.

SPACE        all of it, by option
TuneConfig   the [tune] section: budget, slice, and a narrower or wider space
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.network_config import Positive

Value = str | int | float
Meaning = Value | tuple[str, ...]
Section = Literal["network", "fit"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several words.

    Attributes:
        section: Where the option stands in the configuration.
        words: What a trial may draw, and what each means there.
    """

    section: Section
    words: Mapping[str, Meaning]

    def narrowed(self, values: tuple[Value, ...]) -> "Choice":
        """The words in `values` alone; ValueError where there is no such word."""
        unknown = [str(value) for value in values if value not in self.words]
        if unknown:
            raise ValueError(f"expected some of {', '.join(self.words)}, received {', '.join(unknown)}")
        return replace(self, words={str(value): self.words[str(value)] for value in values})

    def drawn(self, meaning: object) -> Value | None:
        """The word for `meaning`; None where there is none."""
        return next((word for word, meant in self.words.items() if meant == meaning), None)

    def meaning(self, drawn: Value) -> Meaning:
        """What a drawn word means in the configuration."""
        return self.words[str(drawn)]


@dataclass(frozen=True, slots=True)
class Range:
    """A number between two bounds, both included.

    Attributes:
        section: Where the option stands in the configuration.
        lowest: Smallest value.
        highest: Largest value.
        is_whole: Whether it is a whole number.
        is_logarithmic: Whether 8 to 16 is tried as often as 32 to 64.
    """

    section: Section
    lowest: float
    highest: float
    is_whole: bool = True
    is_logarithmic: bool = False

    def narrowed(self, values: tuple[Value, ...]) -> "Range":
        """From the first to the last of `values`, one or two numbers in order; ValueError otherwise."""
        numbers = [value for value in values if not isinstance(value, str)]
        is_pair = len(values) == len(numbers) <= 2 and numbers == sorted(numbers)
        if not is_pair or (self.is_whole and any(number != int(number) for number in numbers)):
            kind = "whole numbers" if self.is_whole else "numbers"
            received = ", ".join(str(value) for value in values)
            raise ValueError(f"expected one or two {kind}, the lower one first, received {received}")
        return replace(self, lowest=numbers[0], highest=numbers[-1])

    def drawn(self, meaning: object) -> Value | None:
        """`meaning` itself; None where it is out of bounds."""
        return meaning if isinstance(meaning, (int, float)) and self.lowest <= meaning <= self.highest else None

    def meaning(self, drawn: Value) -> Meaning:
        """A drawn number to three significant digits: more would be noise in a configuration file."""
        return drawn if self.is_whole else float(f"{drawn:.3g}")


Dimension = Choice | Range
Space = Mapping[str, Dimension]


def _words(*words: str) -> Choice:
    return Choice("network", {word: word for word in words})


_MOMENTS = ("length", "since_start", "last_gap", "largest_gap", "mean_gap")
_DROPOUT = Range("network", 0.0, 0.5, is_whole=False)

SPACE: Space = {
    # Raw elapsed minutes are left out: they saturate the gates.
    "time": _words("none", "log_gap", "log_elapsed", "both"),
    "decay": _words("none", "exponential", "hyperbolic", "power", "input_dependent", "t_lstm"),
    "decay_of": _words("c", "c_and_h"),
    "aggregates": Choice("network", {"none": (), "moments": _MOMENTS, "all": ("counts", *_MOMENTS)}),
    "aggregate_pieces": Range("network", 0, 60),
    "aggregate_width": Range("network", 0, 32),
    "aggregates_into": _words("head", "input"),
    "convolution_width": Range("network", 0, 4),
    "convolution_filters": Range("network", 8, 64, is_logarithmic=True),
    "feedback": _words("none", "projection", "attention"),
    "feedback_width": Range("network", 4, 32, is_logarithmic=True),
    "feedback_memory": Range("network", 2, 8),
    "embedding_width": Range("network", 4, 64, is_logarithmic=True),
    "lstm_units": Range("network", 16, 128, is_logarithmic=True),
    "lstm_layers": Range("network", 1, 2),
    "dense_units": Range("network", 8, 64, is_logarithmic=True),
    "feature_dropout": _DROPOUT,
    "input_dropout": _DROPOUT,
    "recurrent_dropout": _DROPOUT,
    "between_dropout": _DROPOUT,
    "dropout": _DROPOUT,
    "auxiliary_target": _words("label", "next_event", "minutes_to_next_event"),
    "learning_rate": Range("fit", 0.001, 0.02, is_whole=False, is_logarithmic=True),
    "batch_size": Range("fit", 64, 1024, is_logarithmic=True),
    "average_epochs": Range("fit", 0, 3, is_whole=False),
}
"""What tuning tries, in the order in which a trial draws: an option comes after those it depends on."""


class TuneConfig(BaseModel):
    """How much tuning may cost, and what it tries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int = Field(40, ge=1, description="Trials of the whole study, those pruned or failed included.")
    minutes: Positive | None = Field(None, description="No trial begins later than so long after the command.")
    validation_share: Annotated[float, Field(ge=0.05, le=0.5)] = Field(
        0.25, description="Latest share of the fit part, which trials are judged on."
    )
    space: dict[str, tuple[Value, ...]] = Field(
        {}, description="For an option, words to choose from, or the lowest and the highest number."
    )

    @model_validator(mode="after")
    def _names_options_and_values(self) -> Self:
        for option, values in self.space.items():
            if option not in SPACE:
                raise ValueError(f"space.{option}: expected one of the options tuned: {', '.join(SPACE)}")
            if not values:
                raise ValueError(f"space.{option}: expected at least one value")
            try:
                SPACE[option].narrowed(values)
            except ValueError as error:
                raise ValueError(f"space.{option}: {error}") from None
        return self
