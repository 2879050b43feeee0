"""The [data] and [split] sections: which log, what its columns are called, and how it is cut in time."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.network_config import Positive

TimeUnit = Literal["iso8601", "seconds", "minutes", "hours", "days"]
SplitShare = Annotated[float, Field(ge=0.01, le=0.5)]


class DataConfig(BaseModel):
    """Where the event log is and how its columns are named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class SplitConfig(BaseModel):
    """How the log is cut in time; see `training.splits`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
