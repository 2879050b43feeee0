"""Further columns of an event log: read with its rows, checked, and kept as numbers or shared texts.

Column             one of them, in order of the log
column_reads       what is read of each row
column_rules       what must not be missing in it
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.further_inputs import LARGEST_NUMBER, Per
from training.input_config import InputConfig, with_columns


@dataclass(frozen=True, slots=True)
class Column:
    """What a log says beside types and times.

    Attributes:
        per: Whether there is a value an event or one a sequence.
        values: In that order. Numbers are float32; categories are texts, object, equal ones being one object in
            memory, or int32 ids once the fit part has said which there are (`training.further_inputs`).
    """

    per: Per
    values: NDArray[Any]

    def take(
        self, sequences: slice | NDArray[np.bool_] | NDArray[np.int64], events: slice | NDArray[np.bool_]
    ) -> "Column":
        """The values of the sequences, or of the events, that are chosen."""
        return Column(self.per, self.values[events if self.per == "event" else sequences])


def column_reads(inputs: Sequence[InputConfig], schema: pl.Schema) -> dict[str, pl.Expr]:
    """What is read of each row, by `row_name`; null marks a value that is missing or unreadable."""
    return {
        row_name(one): _number(one, schema) if one.kind == "numeric" else category(one.source, one.default)
        for one in with_columns(inputs)
    }


def column_rules(inputs: Sequence[InputConfig]) -> Iterator[tuple[str, str, str, str]]:
    """For each input: its `row_name`, its column, what is expected of it, and the way out."""
    for one in with_columns(inputs):
        expected = f"a value in the column {one.source!r}"
        if one.kind == "numeric":
            expected = f"a number of at most {LARGEST_NUMBER:g} in the column {one.source!r}"
        yield row_name(one), one.source, expected, f"Fill it in, or give the input {one.name} a default."


def row_name(one: InputConfig) -> str:
    """What the column of an input is called among the rows."""
    return f"input {one.name}"


def text(column: str) -> pl.Expr:
    """The column as text, null where blank."""
    whole = pl.col(column).cast(pl.String)
    return pl.when(whole.str.strip_chars() != "").then(whole)


def category(column: str, default: object = None) -> pl.Expr:
    """The column as a category."""
    values = text(column) if default is None else text(column).fill_null(str(default))
    # Categories of its own: shared ones would outlive the log.
    return values.cast(pl.Categorical(pl.Categories.random()))


def texts(categories: pl.Series) -> NDArray[np.object_]:
    """The texts of categories, object."""
    listed: NDArray[Any] = np.array(categories.cast(pl.String).to_list(), dtype=object)
    return listed


def shared_texts(categories: pl.Series) -> NDArray[np.object_]:
    """The texts of categories, object, equal ones being one object in memory."""
    distinct = categories.unique()
    codes = distinct.to_physical().to_numpy()
    by_code: NDArray[Any] = np.empty(int(codes.max()) + 1, dtype=object)
    by_code[codes] = texts(distinct)
    return by_code[categories.to_physical().to_numpy()]


def _number(one: InputConfig, schema: pl.Schema) -> pl.Expr:
    is_text = schema[one.source] == pl.String
    written = pl.col(one.source).str.strip_chars() if is_text else pl.col(one.source)
    number = written.cast(pl.Float64, strict=False)
    # NaN is how some programs write that a value is missing.
    is_missing = text(one.source).is_null() | number.is_nan().fill_null(value=False)
    filled = pl.when(is_missing).then(pl.lit(one.default, pl.Float64)).otherwise(number)
    return pl.when(filled.abs() <= LARGEST_NUMBER).then(filled).cast(pl.Float32)
