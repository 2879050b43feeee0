"""The rows of an event log file: read in one streaming pass, checked, and kept as numbers.

read_rows       file -> DataFrame in order of the file, 17 to 33 bytes a row however long its texts are
EventLogError   the log cannot be trained on; the message names the row or column and the way out
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from training.columns import category, column_reads, column_rules, text
from training.data_config import DataConfig, TimeUnit
from training.input_config import InputConfig, with_columns
from training.labels import label_name, label_reads
from training.xes import XesError, is_xes, scan_xes

NOT_YET = int(np.iinfo(np.int64).max)

_MICROSECONDS = {"seconds": 1_000_000, "minutes": 60_000_000, "hours": 3_600_000_000, "days": 86_400_000_000}
_LARGEST_MICROSECONDS = 2**62
_ISO8601 = "ISO-8601 with seconds and a zone, such as 2016-03-01T01:36:00Z"


class EventLogError(ValueError):
    """The event log is unreadable, breaks a rule, or leaves nothing to learn from."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A file of rows.

    Attributes:
        path: Where it is.
        scan: Its rows, unread.
        schema: Its columns.
        place: What a row is called in this kind of file.
        first: Number of the first row; that after a CSV's header is line 2.
    """

    path: Path
    scan: pl.LazyFrame
    schema: pl.Schema
    place: str
    first: int


def read_rows(path: Path, config: DataConfig, inputs: Sequence[InputConfig] = ()) -> pl.DataFrame:
    """Read and check the rows of the file at `path`.

    Texts become categories while the file streams through, so that memory holds each distinct one once.

    Returns:
        In order of the file: `id` and `type` (categories), `microseconds` (int64), `label` (int8), and where they are
        configured further labels as `training.labels` reads them, `label_microseconds` (int64, `NOT_YET` where blank),
        `entity` and `split` (categories), and the columns of `inputs` as `training.columns` reads them.

    Raises:
        EventLogError: The file or a column is missing, or a value unreadable.
    """
    try:
        source = _open(path, [*config.columns, *(one.source for one in with_columns(inputs))])
        reads = _expressions(source.schema, config) | column_reads(inputs, source.schema)
        rows = source.scan.select(**reads).collect(engine="streaming")
        if rows.is_empty():
            raise EventLogError(f"Expected events in {path}. Received: no rows.")
        _check_values(rows, source, config)
        for name, column, expected, remedy in column_rules(inputs):
            _refuse(rows[name].is_null(), source, column, expected, remedy)
    except (OSError, XesError, pl.exceptions.PolarsError) as error:
        kind = "an XES" if is_xes(path) else "a CSV, Parquet or XES"
        reason = str(error).splitlines()[0]
        raise EventLogError(f"Expected {kind} event log at {path}. Received: {reason}.") from error
    if config.label_time_column is not None:
        # An outcome that is not known yet has not been seen: 0 until the label's time says otherwise.
        rows = rows.with_columns(pl.col("label").fill_null(0))
    return rows


def _open(path: Path, columns: Sequence[str]) -> _Source:
    if path.is_dir():
        received = "Received: a directory. Name one file."
        raise EventLogError(f"Expected a CSV, Parquet or XES file at {path}. {received}")
    # Everything in a CSV is text until it is checked: an id "NA" or "007" stays what it is.
    if path.suffix.lower() in {".parquet", ".pq"}:
        scan, place, first = pl.scan_parquet(path, glob=False), "row", 1
    elif is_xes(path):
        scan, place, first = scan_xes(path), "event", 1
    else:
        scan, place, first = pl.scan_csv(path, infer_schema=False, glob=False), "line", 2
    schema = scan.collect_schema()
    _check_columns(schema, path, columns)
    return _Source(path, scan, schema, place, first)


def _check_columns(present: pl.Schema, path: Path, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in present]
    if missing:
        raise EventLogError(
            f"Expected the columns {', '.join(columns)} in {path}. Received: no {', '.join(missing)} among "
            f"{', '.join(present)}. Name your columns under [data] in the configuration."
        )
    for column in columns:
        # Polars keeps the first of several columns of one name and renames the others.
        if f"{column}_duplicated_0" in present:
            raise EventLogError(f"Expected one column {column!r} in {path}. Received: several. Remove all but one.")
        if present[column].is_nested() or present[column] == pl.Binary:
            received = f"Received: {present[column]}. Write it as text."
            raise EventLogError(f"Expected text, numbers or times in the column {column!r} of {path}. {received}")


def _expressions(schema: pl.Schema, config: DataConfig) -> dict[str, pl.Expr]:
    """What is read of each row; null marks a value that is blank or unreadable."""
    expressions = {
        "id": category(config.sequence_column),
        "type": category(config.type_column),
        "microseconds": _microseconds(config.time_column, schema, config.time_unit),
        **label_reads(config.label_column, config.further_label_columns),
    }
    if config.label_time_column is not None:
        known = _microseconds(config.label_time_column, schema, config.time_unit)
        is_blank = text(config.label_time_column).is_null()
        expressions["label_microseconds"] = pl.when(is_blank).then(NOT_YET).otherwise(known)
        expressions["has_blank_label"] = text(config.label_column).is_null()
    if config.entity_column is not None:
        expressions["entity"] = category(config.entity_column)
    if config.split_column is not None:
        expressions["split"] = category(config.split_column)
    return expressions


def _microseconds(column: str, schema: pl.Schema, time_unit: TimeUnit) -> pl.Expr:
    """Times as int64 microseconds, null where unreadable."""
    time, dtype = pl.col(column), schema[column]
    if dtype.is_temporal():
        has_zone = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
        if not has_zone or time_unit != "iso8601":
            raise EventLogError(
                f"Expected a zone on the times in the column {column!r}, and time_unit iso8601. Received: "
                f"{dtype}, time_unit {time_unit}. Write the column with its zone, UTC for example."
            )
        return time.dt.convert_time_zone("UTC").dt.timestamp("us")
    if time_unit == "iso8601":
        # A time without a zone does not parse: guessing one would shift it by hours.
        text = time.cast(pl.String).str.strip_chars()
        return text.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False).dt.timestamp("us")
    microseconds = time.cast(pl.Float64, strict=False) * _MICROSECONDS[time_unit]
    is_sound = microseconds.is_finite() & (microseconds.abs() < _LARGEST_MICROSECONDS)
    return pl.when(is_sound).then(microseconds.round()).cast(pl.Int64)


def _check_values(rows: pl.DataFrame, source: _Source, config: DataConfig) -> None:
    form = _ISO8601 if config.time_unit == "iso8601" else f"a finite number of {config.time_unit}"
    filling = f"Fill it in or remove the {source.place}."
    for name, column in (
        ("id", config.sequence_column),
        ("type", config.type_column),
        ("entity", config.entity_column),
        ("split", config.split_column),
    ):
        if column is not None:
            _refuse(rows[name].is_null(), source, column, f"a value in the column {column!r}", filling)

    wrong_label, remedy = rows["label"].is_null(), "Every row carries the label of its sequence."
    if config.label_time_column is not None:
        wrong_label &= ~rows["has_blank_label"]
    _refuse(wrong_label, source, config.label_column, f"0 or 1 in the column {config.label_column!r}", remedy)
    for further in config.further_label_columns:
        remedy = "Leave it blank in every row of a sequence of which it is not known."
        expected = f"0, 1 or nothing in the column {further!r}"
        _refuse(rows[label_name(further)].is_null(), source, further, expected, remedy)
    remedy = "Correct it, or say under [data] which time_unit the column has."
    for name, column in (("microseconds", config.time_column), ("label_microseconds", config.label_time_column)):
        if column is not None:
            _refuse(rows[name].is_null(), source, column, f"a time in the column {column!r} as {form}", remedy)
    if config.label_time_column is not None:
        _check_label_times(rows, source, config)


def _check_label_times(rows: pl.DataFrame, source: _Source, config: DataConfig) -> None:
    is_unknown = rows["label_microseconds"] == NOT_YET
    of_time = f"in the column {config.label_time_column!r}"
    remedy = "It is the moment the outcome happened, or was known not to; blank while neither is."
    for is_wrong, column, expected in (
        ((rows["label"] == 1).fill_null(value=False) & is_unknown, config.label_time_column, f"a time {of_time}"),
        (rows["has_blank_label"] & ~is_unknown, config.label_column, f"0 or 1 beside a time {of_time}"),
    ):
        _refuse(is_wrong, source, str(column), expected, remedy)


def _refuse(is_wrong: pl.Series, source: _Source, column: str, expected: str, remedy: str) -> None:
    num_wrong = int(is_wrong.sum())
    if num_wrong:
        first = is_wrong.arg_max() or 0
        received = source.scan.select(column).slice(first, 1).collect().item()
        raise EventLogError(
            f"Expected {expected}. Received: {received!r} in {source.place} {first + source.first}"
            f"{and_more(num_wrong - 1, source.place)}. {remedy}"
        )


def and_more(count: int, noun: str) -> str:
    """How many more of the same there are, in brackets; nothing for none."""
    return f" (and {count:,} more {noun}{'s' if count > 1 else ''})" if count else ""
