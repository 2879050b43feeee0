"""Further inputs: what a model is told beside event types and elapsed minutes, as its manifest declares it.

FurtherInput      one of them
FurtherInputs     all of a model's, and how their values become arrays
minute_of_week    absolute times -> what the clock says
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.sequences import MICROSECONDS_PER_MINUTE, EncodedBatch, Vocabulary

INPUT_NAME_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"

SCORED_MINUTE_OF_WEEK = "scored_minute_of_week"
MINUTES_PER_WEEK = 10_080
# Finite as float32 too, with room for what a graph does with it.
LARGEST_NUMBER = 1e30

_SIGNATURE_NAMES = frozenset({"event_ids", "event_types", "elapsed_minutes"})
# 1970 began on a Thursday.
_MINUTES_FROM_MONDAY_TO_1970 = 3 * 1_440

Kind = Literal["numeric", "categorical", "clock"]
Per = Literal["event", "sequence"]

FurtherValue = str | int | float
FurtherValues = Mapping[str, FurtherValue | Sequence[FurtherValue | None]]
"""What is known of one history, by name: a value, or one an event; None or nothing where it is to be the default."""


class FurtherInput(BaseModel):
    """One input beside event types and elapsed minutes; in the signature a tensor of its name.

    A number is a float32, a category an int32: 0 padding, 1 unknown, 2… `categories` in order. The clock is the number
    `scored_minute_of_week`, minutes from Monday 00:00 UTC to the scoring moment; of events it tells the graph hour and
    weekday, as their elapsed minutes lead there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=INPUT_NAME_PATTERN)
    kind: Kind
    per: Per = Field(description="One value an event, or one a sequence.")
    unit: str | None = Field(description="Unit of a number; null where it has none.")
    default: float | str | None = Field(description="Used where a client leaves the input out; null if it must not.")
    categories: tuple[str, ...] = Field((), description="Of a categorical input; entry k has id k + 2.")

    @property
    def dtype(self) -> Literal["int32", "float32"]:
        """Of its tensor."""
        return "int32" if self.kind == "categorical" else "float32"

    @property
    def limits(self) -> tuple[float, float]:
        """Least and largest number, both allowed; of a category's id, 1 is unknown."""
        match self.kind:
            case "categorical":
                return 1.0, len(self.categories) + 1.0
            case "clock":
                return 0.0, float(MINUTES_PER_WEEK)
        return -LARGEST_NUMBER, LARGEST_NUMBER

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name in _SIGNATURE_NAMES:
            raise ValueError(f"expected another name than {self.name}, which every model has")
        if (self.kind == "clock") != (self.name == SCORED_MINUTE_OF_WEEK):
            raise ValueError(f"expected the name {SCORED_MINUTE_OF_WEEK} for the clock, and for nothing else")
        if self.kind == "clock" and (self.per, self.unit) != ("sequence", "minutes"):
            raise ValueError("expected the clock per sequence, in minutes")
        if (self.kind == "categorical") != bool(self.categories):
            raise ValueError("expected categories for a categorical input, and for no other")
        if len(set(self.categories)) < len(self.categories):
            raise ValueError("expected each category once")
        if self.kind == "categorical" and self.unit is not None:
            raise ValueError("expected no unit for a categorical input")
        if self.default is not None and isinstance(self.default, str) != (self.kind == "categorical"):
            raise ValueError("expected a category as the default of a categorical input, and a number for others")
        least, largest = self.limits
        # NaN compares false.
        if isinstance(self.default, float) and not least <= self.default <= largest:
            raise ValueError(f"expected a default from {least:g} to {largest:g}")
        return self


class FurtherInputs:
    """All further inputs of one model.

    Args:
        declared: In the manifest's order.
    """

    def __init__(self, declared: Sequence[FurtherInput]) -> None:
        self.declared = tuple(declared)
        self._vocabularies = {one.name: Vocabulary(one.categories) for one in declared if one.kind == "categorical"}

    def complete(self, batch: EncodedBatch, values: Sequence[FurtherValues]) -> EncodedBatch:
        """Add the arrays of all inputs to a batch of `models.sequences.encode`.

        Args:
            batch: The histories.
            values: What is known of each, whole: of an event left out, its value is left out. What has no default is
                there.

        Returns:
            The batch with `further`: (batch, time), 0 where padded, or (batch,).
        """
        is_event = np.arange(batch.event_ids.shape[1]) < batch.events_used[:, None]
        further: dict[str, NDArray[Any]] = {}
        for one in self.declared:
            given = [of_history.get(one.name) for of_history in values]
            if one.per == "sequence":
                further[one.name] = self._array(one, cast("list[FurtherValue | None]", given))
                continue
            rows = cast("list[Sequence[FurtherValue | None] | None]", given)
            array = np.zeros(is_event.shape, one.dtype)
            array[is_event] = self._array(one, _kept(rows, batch))
            further[one.name] = array
        return replace(batch, further=further)

    def ids(self, name: str, values: Sequence[str | int]) -> list[int]:
        """Ids of values of the categorical input `name`, as `Vocabulary.ids` gives them."""
        return self._vocabularies[name].ids(values)

    def _array(self, one: FurtherInput, values: Sequence[FurtherValue | None]) -> NDArray[Any]:
        filled: list[Any] = [one.default if value is None else value for value in values]
        return np.array(self.ids(one.name, filled) if one.kind == "categorical" else filled, one.dtype)


def minute_of_week(times_microseconds: NDArray[np.int64] | int) -> NDArray[np.float64]:
    """Minutes from Monday 00:00 UTC, float64, at least 0 and less than 10,080.

    Args:
        times_microseconds: Times since 1970, of any shape.
    """
    since_monday = np.asarray(times_microseconds) + _MINUTES_FROM_MONDAY_TO_1970 * MICROSECONDS_PER_MINUTE
    minutes: NDArray[np.float64] = since_monday % (MINUTES_PER_WEEK * MICROSECONDS_PER_MINUTE)
    return minutes / MICROSECONDS_PER_MINUTE


def _kept(rows: Sequence[Sequence[FurtherValue | None] | None], batch: EncodedBatch) -> list[FurtherValue | None]:
    """Values of the events that are used, row behind row."""
    kept: list[FurtherValue | None] = []
    for row, num_used, num_left_out in zip(
        rows, batch.events_used.tolist(), batch.events_truncated.tolist(), strict=True
    ):
        kept += [None] * num_used if row is None else row[num_left_out:]
    return kept
