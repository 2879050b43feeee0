"""The event log: read from CSV or Parquet, checked, and sorted into sequences.

EventLog         sequences by start, each one's events by time
read_event_log   file -> EventLog
EventLogError    the log cannot be trained on; the message names the row or column and the way out
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.config import DataConfig

_MICROSECONDS = {"seconds": 1_000_000, "minutes": 60_000_000, "hours": 3_600_000_000, "days": 86_400_000_000}
_LARGEST_MICROSECONDS = 2**62
_ISO8601 = "ISO-8601 with seconds and a zone, such as 2016-03-01T01:36:00Z"
_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


class EventLogError(ValueError):
    """The event log is unreadable, breaks a rule, or leaves nothing to learn from."""


@dataclass(frozen=True, slots=True)
class EventLog:
    """Sequences in order of their start; the events of sequence i are `offsets[i]:offsets[i + 1]`, oldest first.

    Attributes:
        sequence_ids: object (sequence,), text as in the file.
        labels: int8 (sequence,), 0 or 1.
        offsets: int64 (sequence + 1,).
        event_types: object (event,), text as in the file.
        times_microseconds: int64 (event,), since 1970 if `has_calendar_time`, else since the log's own origin.
        has_calendar_time: Whether times were given as ISO-8601.
    """

    sequence_ids: NDArray[np.object_]
    labels: NDArray[np.int8]
    offsets: NDArray[np.int64]
    event_types: NDArray[np.object_]
    times_microseconds: NDArray[np.int64]
    has_calendar_time: bool

    @property
    def num_sequences(self) -> int:
        """Number of sequences."""
        return len(self.labels)

    @property
    def num_events(self) -> int:
        """Number of events of all sequences."""
        return len(self.event_types)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Events of each sequence, int64 (sequence,)."""
        return np.diff(self.offsets)

    @property
    def starts_microseconds(self) -> NDArray[np.int64]:
        """Time of each sequence's first event, int64 (sequence,), ascending."""
        return self.times_microseconds[self.offsets[:-1]]

    @property
    def has_both_labels(self) -> bool:
        """Whether there is a sequence of either class."""
        return len(np.unique(self.labels)) == 2

    def sequences(self, first: int, last: int) -> "EventLog":
        """Sequences `first` (included) to `last` (excluded)."""
        events = slice(self.offsets[first], self.offsets[last])
        return EventLog(
            self.sequence_ids[first:last],
            self.labels[first:last],
            self.offsets[first : last + 1] - self.offsets[first],
            self.event_types[events],
            self.times_microseconds[events],
            self.has_calendar_time,
        )

    def before(self, moment_microseconds: int) -> "EventLog":
        """What was known before `moment_microseconds`: later events are dropped, and sequences left without any."""
        is_kept = self.times_microseconds < moment_microseconds
        num_kept = np.concatenate([[0], np.cumsum(is_kept)])[self.offsets]
        is_left = np.diff(num_kept) > 0
        return EventLog(
            self.sequence_ids[is_left],
            self.labels[is_left],
            np.concatenate([[0], num_kept[1:][is_left]]),
            self.event_types[is_kept],
            self.times_microseconds[is_kept],
            self.has_calendar_time,
        )


def read_event_log(path: Path, config: DataConfig) -> EventLog:
    """Read and check the log at `path`.

    Raises:
        EventLogError: A column is missing, a value unreadable, a label inconsistent, or there is nothing to learn.
    """
    rows, place = _read(path, config)
    rows = _with_checked_values(rows, config, place)
    _check_labels_agree(rows, config)
    log = _sorted_into_sequences(rows, has_calendar_time=config.time_unit == "iso8601")
    if not log.has_both_labels:
        raise EventLogError(
            f"Expected sequences of both classes in the column {config.label_column!r} of {path}. "
            f"Received: only label {log.labels[0]}. A model needs examples of what it is to tell apart."
        )
    if not log.has_calendar_time and log.num_sequences > 1 and len(np.unique(log.starts_microseconds)) == 1:
        raise EventLogError(
            f"Expected times since one origin common to all sequences in the column {config.time_column!r}. Received: "
            "every sequence starts at the same number, so no split in time is possible. Give dates, or one origin."
        )
    return log


def _read(path: Path, config: DataConfig) -> tuple[pl.DataFrame, str]:
    """The four columns as `id`, `type`, `time`, `label` with `row`, and what a row is called in this kind of file."""
    is_parquet = path.suffix.lower() in {".parquet", ".pq"}
    if path.is_dir():
        raise EventLogError(f"Expected a CSV or Parquet event log at {path}. Received: a directory. Name one file.")
    try:
        # Everything in a CSV is text until it is checked: an id "NA" or "007" stays what it is.
        scan = pl.scan_parquet(path, glob=False) if is_parquet else pl.scan_csv(path, infer_schema=False, glob=False)
        _check_columns(scan.collect_schema(), path, config)
        named = dict(zip(("id", "type", "time", "label"), map(pl.col, config.columns), strict=True))
        # The first row after a CSV's header is line 2.
        frame = scan.select(**named).with_row_index("row", offset=1 if is_parquet else 2).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise EventLogError(f"Expected a CSV or Parquet event log at {path}. Received: {reason}.") from error
    if frame.is_empty():
        raise EventLogError(f"Expected events in {path}. Received: no rows.")
    return frame, "row" if is_parquet else "line"


def _check_columns(present: pl.Schema, path: Path, config: DataConfig) -> None:
    missing = [column for column in config.columns if column not in present]
    if missing:
        raise EventLogError(
            f"Expected the columns {', '.join(config.columns)} in {path}. Received: no {', '.join(missing)} among "
            f"{', '.join(present)}. Name your columns under [data] in the configuration."
        )
    for column in config.columns:
        # Polars keeps the first of several columns of one name and renames the others.
        if f"{column}_duplicated_0" in present:
            raise EventLogError(f"Expected one column {column!r} in {path}. Received: several. Remove all but one.")
        if present[column].is_nested() or present[column] == pl.Binary:
            received = f"Received: {present[column]}. Write it as text."
            raise EventLogError(f"Expected text, numbers or times in the column {column!r} of {path}. {received}")


def _with_checked_values(rows: pl.DataFrame, config: DataConfig, place: str) -> pl.DataFrame:
    for name, column in (("id", config.sequence_column), ("type", config.type_column)):
        rows = rows.with_columns(pl.col(name).cast(pl.String))
        blank = rows.filter(pl.col(name).is_null() | (pl.col(name).str.strip_chars() == ""))
        _refuse(blank, name, f"a value in the column {column!r}", f"Fill it in or remove the {place}.", place)

    label = pl.col("label").cast(pl.String).str.strip_chars().str.to_lowercase()
    rows = rows.with_columns(checked=label.replace_strict(_LABELS, default=None, return_dtype=pl.Int8))
    _refuse(
        rows.filter(pl.col("checked").is_null()),
        "label",
        f"0 or 1 in the column {config.label_column!r}",
        "Every row carries the label of its sequence.",
        place,
    )
    rows = rows.with_columns(label=pl.col("checked"), microseconds=_microseconds(rows, config))
    form = _ISO8601 if config.time_unit == "iso8601" else f"a finite number of {config.time_unit}"
    _refuse(
        rows.filter(pl.col("microseconds").is_null()),
        "time",
        f"a time in the column {config.time_column!r} as {form}",
        "Correct it, or say under [data] which time_unit the column has.",
        place,
    )
    return rows


def _microseconds(rows: pl.DataFrame, config: DataConfig) -> pl.Series:
    """Times as int64 microseconds, null where unreadable."""
    time = rows["time"]
    if time.dtype.is_temporal():
        has_zone = isinstance(time.dtype, pl.Datetime) and time.dtype.time_zone is not None
        if not has_zone or config.time_unit != "iso8601":
            raise EventLogError(
                f"Expected a zone on the times in the column {config.time_column!r}, and time_unit iso8601. Received: "
                f"{time.dtype}, time_unit {config.time_unit}. Write the column with its zone, UTC for example."
            )
        return time.dt.convert_time_zone("UTC").dt.timestamp("us")
    if config.time_unit == "iso8601":
        # A time without a zone does not parse: guessing one would shift it by hours.
        text = time.cast(pl.String).str.strip_chars()
        return text.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False).dt.timestamp("us")
    microseconds = time.cast(pl.Float64, strict=False) * _MICROSECONDS[config.time_unit]
    is_sound = microseconds.is_finite() & (microseconds.abs() < _LARGEST_MICROSECONDS)
    return microseconds.set(~is_sound.fill_null(value=False), None).round().cast(pl.Int64)


def _check_labels_agree(rows: pl.DataFrame, config: DataConfig) -> None:
    num_labels = rows.group_by("id", maintain_order=True).agg(pl.col("label").n_unique())
    torn = num_labels.filter(pl.col("label") > 1)["id"]
    if len(torn):
        raise EventLogError(
            f"Expected one label a sequence in the column {config.label_column!r}. Received: both 0 and 1 for sequence "
            f"{torn[0]!r}{_and_more(len(torn) - 1, 'sequence')}. The label says how the sequence ended: repeat it in "
            "every row."
        )


def _sorted_into_sequences(rows: pl.DataFrame, *, has_calendar_time: bool) -> EventLog:
    # Ties of time keep the order of the file, within a sequence and between sequences.
    rows = rows.with_columns(
        start=pl.col("microseconds").min().over("id"), first_row=pl.col("row").min().over("id")
    ).sort("start", "first_row", "microseconds", "row")
    firsts = np.flatnonzero((rows["first_row"] != rows["first_row"].shift()).fill_null(value=True).to_numpy())
    return EventLog(
        sequence_ids=rows["id"].gather(firsts).to_numpy().astype(object),
        labels=rows["label"].gather(firsts).to_numpy(),
        offsets=np.append(firsts, len(rows)).astype(np.int64),
        event_types=_shared_texts(rows["type"]),
        times_microseconds=rows["microseconds"].to_numpy(),
        has_calendar_time=has_calendar_time,
    )


def _shared_texts(texts: pl.Series) -> NDArray[np.object_]:
    """The texts, object (event,), equal ones being one object in memory."""
    distinct = texts.unique(maintain_order=True)
    codes = texts.replace_strict(distinct, pl.Series(range(len(distinct))), return_dtype=pl.Int64).to_numpy()
    shared: NDArray[Any] = np.array(distinct.to_list(), dtype=object)
    return shared[codes]


def _refuse(wrong: pl.DataFrame, name: str, expected: str, remedy: str, place: str) -> None:
    if len(wrong):
        raise EventLogError(
            f"Expected {expected}. Received: {wrong[name][0]!r} in {place} {wrong['row'][0]}"
            f"{_and_more(len(wrong) - 1, place)}. {remedy}"
        )


def _and_more(count: int, noun: str) -> str:
    return f" (and {count:,} more {noun}{'s' if count > 1 else ''})" if count else ""
