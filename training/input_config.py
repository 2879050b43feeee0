"""The [[inputs]] tables: what a model is told beside event types and elapsed minutes, and where the log has it."""

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.further_inputs import INPUT_NAME_PATTERN, SCORED_MINUTE_OF_WEEK, FurtherInput, Kind, Per

Transform = Literal["none", "log1p"]


class InputConfig(BaseModel):
    """A further input; equations and when to use what are in training/README.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=INPUT_NAME_PATTERN, description="In requests and in the serving signature.")
    kind: Kind = Field(description="`numeric`, `categorical`, or `clock` for hour and weekday of every event.")
    per: Per = Field("event", description="One value an event, or one a sequence, the same in all its rows.")
    column: str | None = Field(None, min_length=1, description="Where the log has it; by default the name.")
    unit: str | None = Field(None, min_length=1, description="Unit of a number, for people.")
    default: float | str | None = Field(None, description="Where a value is missing; without one, none may be.")
    transform: Transform = Field("none", description="Of a number before it is standardised: `log1p` for amounts.")

    @model_validator(mode="before")
    @classmethod
    def _clock_is_known(cls, given: Any) -> Any:  # noqa: ANN401  whatever stands in the file
        if isinstance(given, dict) and given.get("kind") == "clock":
            return {"name": SCORED_MINUTE_OF_WEEK, "per": "sequence", "unit": "minutes"} | given
        return given

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.kind == "clock" and self.column is not None:
            raise ValueError("expected no column for the clock, which the times of the events tell")
        if self.kind != "numeric" and self.transform != "none":
            raise ValueError("expected a transform for numeric inputs only")
        # Refuses what a manifest would refuse after the fit.
        self.declared(("any",) if self.kind == "categorical" else ())
        return self

    @property
    def source(self) -> str:
        """The column it is read from."""
        return self.column or self.name

    def declared(self, categories: tuple[str, ...] = ()) -> FurtherInput:
        """It as the manifest declares it."""
        return FurtherInput(
            name=self.name,
            kind=self.kind,
            per=self.per,
            unit=self.unit,
            default=self.default,
            categories=categories,
        )


def with_columns(inputs: Sequence[InputConfig]) -> list[InputConfig]:
    """Those that are read from the log: all but the clock."""
    return [one for one in inputs if one.kind != "clock"]


def check_inputs(inputs: Sequence[InputConfig], other_columns: Sequence[str], *, has_dates: bool) -> None:
    """Check what the inputs of one model must obey together.

    Args:
        inputs: All of them.
        other_columns: Columns of the log that mean something else.
        has_dates: Whether its times are dates.

    Raises:
        ValueError: They do not.
    """
    names = [one.name for one in inputs]
    if len(set(names)) < len(names):
        raise ValueError(f"expected each of the inputs once, received {', '.join(names)}")
    taken = [one.source for one in with_columns(inputs) if one.source in other_columns]
    if taken:
        raise ValueError(f"expected inputs from columns that have no other meaning, received {', '.join(taken)}")
    if SCORED_MINUTE_OF_WEEK in names and not has_dates:
        raise ValueError("expected data.time_unit = 'iso8601' with a clock: other times have no hour and no weekday")
