"""The event log: sequences by start, each one's events by time, and what was known of them when.

EventLog         flat arrays of events, and one value a sequence
read_event_log   CSV, Parquet or XES -> EventLog
EventLogError    the log cannot be trained on; the message names the row or column and the way out
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.further_inputs import SCORED_MINUTE_OF_WEEK
from models.sequences import Vocabulary
from training.columns import Column, row_name, shared_texts, texts
from training.config import DataConfig
from training.input_config import InputConfig, with_columns
from training.labels import MISSING, further_labels, label_name
from training.rows import NOT_YET, EventLogError, and_more, read_rows

__all__ = ["EventLog", "EventLogError", "read_event_log"]

_MICROSECONDS_PER_MINUTE = 60_000_000
_PER_SEQUENCE = ("sequence_ids", "labels", "label_times_microseconds", "entities", "split_values", "was_unordered")


@dataclass(frozen=True, slots=True)
class EventLog:
    """Sequences in order of their start; the events of sequence i are `offsets[i]:offsets[i + 1]`, oldest first.

    Attributes:
        sequence_ids: object (sequence,), text as in the file.
        labels: int8 (sequence,), 0 or 1; 0 where the outcome is not known yet.
        offsets: int64 (sequence + 1,).
        event_types: object (event,), text as in the file, equal ones being one object in memory.
        times_microseconds: int64 (event,), since 1970 if `has_calendar_time`, else since the log's own origin.
        has_calendar_time: Whether times were given as ISO-8601.
        has_common_origin: Whether times of different sequences can be compared.
        label_times_microseconds: int64 (sequence,), when each label became known, `NOT_YET` where it has not; None
            where the log does not say, and every label counts as known.
        label_horizon_microseconds: Label 1 means that the outcome follows within so long; None for ever.
        observed_until_microseconds: What happened from this moment on is not in the log; None for its very end.
        entities: object (sequence,), whose sequence it is, where one has several.
        split_values: object (sequence,), the part each sequence was given to by hand.
        was_unordered: bool (sequence,), whether its rows were not in order of time in the file.
        further_labels: Labels beside the first, by their column: float32 (sequence,), 0 or 1, NaN where missing.
        columns: Of each further input but the clock, by its name.
        has_clock: Whether the clock of the scoring moment is an input.
    """

    sequence_ids: NDArray[np.object_]
    labels: NDArray[np.int8]
    offsets: NDArray[np.int64]
    event_types: NDArray[np.object_]
    times_microseconds: NDArray[np.int64]
    has_calendar_time: bool
    has_common_origin: bool = True
    label_times_microseconds: NDArray[np.int64] | None = None
    label_horizon_microseconds: int | None = None
    observed_until_microseconds: int | None = None
    entities: NDArray[np.object_] | None = None
    split_values: NDArray[np.object_] | None = None
    was_unordered: NDArray[np.bool_] | None = None
    further_labels: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    columns: Mapping[str, Column] = field(default_factory=dict)
    has_clock: bool = False

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

    @property
    def observed_until(self) -> int:
        """The moment from which on nothing is known, in microseconds: just after the latest one, if not told."""
        if self.observed_until_microseconds is not None:
            return self.observed_until_microseconds
        latest = int(self.times_microseconds.max())
        if self.label_times_microseconds is not None:
            known = self.label_times_microseconds[self.label_times_microseconds != NOT_YET]
            latest = max(latest, int(known.max(initial=latest)))
        return latest + 1

    def event_ids(self, vocabulary: Vocabulary) -> NDArray[np.int32]:
        """Ids of all events, int32 (event,)."""
        return np.array(vocabulary.ids(self.event_types.tolist()), np.int32)

    def sequences(self, first: int, last: int) -> "EventLog":
        """Sequences `first` (included) to `last` (excluded)."""
        return self._of(slice(first, last), slice(self.offsets[first], self.offsets[last]), self.lengths[first:last])

    def where(self, is_chosen: NDArray[np.bool_]) -> "EventLog":
        """The sequences marked in `is_chosen`, bool (sequence,)."""
        return self._of(is_chosen, np.repeat(is_chosen, self.lengths), self.lengths[is_chosen])

    def before(self, moment_microseconds: int) -> "EventLog":
        """What was known before `moment_microseconds`.

        Later events are dropped, and sequences left without any. So are labels that came later: a sequence without a
        label is dropped too, unless within a horizon even its silence tells something.
        """
        is_kept = self.times_microseconds < moment_microseconds
        num_kept = np.diff(np.concatenate([[0], np.cumsum(is_kept)])[self.offsets])
        is_left = num_kept > 0
        told = self.observed_until_microseconds
        until = moment_microseconds if told is None else min(moment_microseconds, told)
        left = replace(self._of(is_left, is_kept, num_kept[is_left]), observed_until_microseconds=until)
        label_times = left.label_times_microseconds
        if label_times is None:
            return left
        is_known = label_times < moment_microseconds
        if left.label_horizon_microseconds is None:
            return left.where(is_known)
        return replace(
            left,
            labels=np.where(is_known, left.labels, 0).astype(np.int8),
            label_times_microseconds=np.where(is_known, label_times, NOT_YET),
        )

    def _of(
        self, sequences: slice | NDArray[np.bool_], events: slice | NDArray[np.bool_], lengths: NDArray[np.int64]
    ) -> "EventLog":
        columns = {name: getattr(self, name) for name in _PER_SEQUENCE}
        chosen: dict[str, Any] = {
            name: values if values is None else values[sequences] for name, values in columns.items()
        }
        chosen["offsets"] = np.concatenate([[0], np.cumsum(lengths)])
        chosen["event_types"] = self.event_types[events]
        chosen["times_microseconds"] = self.times_microseconds[events]
        chosen["further_labels"] = {name: labels[sequences] for name, labels in self.further_labels.items()}
        chosen["columns"] = {name: column.take(sequences, events) for name, column in self.columns.items()}
        return replace(self, **chosen)


def read_event_log(path: Path, config: DataConfig, inputs: Sequence[InputConfig] = ()) -> EventLog:
    """Read and check the log at `path`, with the columns of `inputs`.

    Raises:
        EventLogError: A column is missing, a value unreadable, a label inconsistent, or there is nothing to learn.
    """
    log = _sorted_into_sequences(read_rows(path, config, inputs), config, inputs)
    for column, labels in {config.label_column: log.labels.astype(np.float32), **log.further_labels}.items():
        found = np.unique(labels[~np.isnan(labels)])
        if len(found) < 2:
            received = f"only label {found[0]:.0f}" if len(found) else "blanks alone"
            raise EventLogError(
                f"Expected sequences of both classes in the column {column!r} of {path}. "
                f"Received: {received}. A model needs examples of what it is to tell apart."
            )
    log = replace(log, observed_until_microseconds=log.observed_until)
    starts_over = log.num_sequences > 1 and len(np.unique(log.starts_microseconds)) == 1
    if starts_over and config.time_origin == "common" and not log.has_calendar_time:
        raise EventLogError(
            f"Expected times since one origin common to all sequences in the column {config.time_column!r}. Received: "
            "every sequence starts at the same number, so no split in time is possible. Give dates, or one origin, or "
            'say time_origin = "sequence" and name a split_column under [data].'
        )
    return log


def _sorted_into_sequences(rows: pl.DataFrame, config: DataConfig, inputs: Sequence[InputConfig]) -> EventLog:
    codes, times = rows["id"].to_physical().to_numpy(), rows["microseconds"].to_numpy()
    # Ties of time keep the order of the file, within a sequence and between sequences.
    by_sequence = np.lexsort((times, codes))
    sorted_codes = codes[by_sequence]
    firsts = np.flatnonzero(np.append(True, sorted_codes[1:] != sorted_codes[:-1]))
    lengths = np.diff(np.append(firsts, len(codes)))
    first_rows = np.minimum.reduceat(by_sequence, firsts)
    order = np.lexsort((first_rows, times[by_sequence[firsts]]))
    offsets = np.concatenate([[0], np.cumsum(lengths[order])])
    event_rows = by_sequence[np.arange(len(codes)) + np.repeat(firsts[order] - offsets[:-1], lengths[order])]
    first_rows = first_rows[order]

    for name, column in _columns_that_agree(config, inputs).items():
        _check_agrees(rows[name].to_physical().to_numpy()[event_rows], offsets, rows["id"][first_rows], column)
    of_sequence = rows[first_rows]
    horizon_minutes = config.label_horizon_minutes
    return EventLog(
        sequence_ids=texts(of_sequence["id"]),
        labels=of_sequence["label"].to_numpy(),
        offsets=offsets,
        event_types=shared_texts(rows["type"])[event_rows],
        times_microseconds=times[event_rows],
        has_calendar_time=config.time_unit == "iso8601",
        has_common_origin=config.time_origin == "common",
        label_times_microseconds=of_sequence["label_microseconds"].to_numpy() if config.label_time_column else None,
        label_horizon_microseconds=None
        if horizon_minutes is None
        else round(horizon_minutes * _MICROSECONDS_PER_MINUTE),
        entities=texts(of_sequence["entity"]) if config.entity_column else None,
        split_values=texts(of_sequence["split"]) if config.split_column else None,
        was_unordered=_has_descent(event_rows, offsets),
        further_labels=further_labels(of_sequence, config.further_label_columns),
        columns={one.name: _column(rows[row_name(one)], one, event_rows, first_rows) for one in with_columns(inputs)},
        has_clock=SCORED_MINUTE_OF_WEEK in [one.name for one in inputs],
    )


def _column(
    values: pl.Series, one: InputConfig, event_rows: NDArray[np.int64], first_rows: NDArray[np.int64]
) -> Column:
    in_file = values.to_numpy() if one.kind == "numeric" else shared_texts(values)
    return Column(one.per, in_file[event_rows if one.per == "event" else first_rows])


def _columns_that_agree(config: DataConfig, inputs: Sequence[InputConfig]) -> dict[str, str]:
    """Columns with one value a sequence, by their name among the rows."""
    columns = {
        "label": config.label_column,
        "label_microseconds": config.label_time_column,
        "entity": config.entity_column,
        "split": config.split_column,
        **{label_name(column): column for column in config.further_label_columns},
        **{row_name(one): one.source for one in with_columns(inputs) if one.per == "sequence"},
    }
    return {name: column for name, column in columns.items() if column is not None}


def _check_agrees(values: NDArray[Any], offsets: NDArray[np.int64], ids: pl.Series, column: str) -> None:
    least, largest = (extreme.reduceat(values, offsets[:-1]) for extreme in (np.minimum, np.maximum))
    torn = np.flatnonzero(least != largest)
    if len(torn):
        first = torn[0]
        # Of labels some rows may be blank and others not.
        is_both = values.dtype == np.int8 and least[first] != MISSING
        received = "both 0 and 1" if is_both else "several values"
        raise EventLogError(
            f"Expected one value a sequence in the column {column!r}. Received: {received} for sequence "
            f"{texts(ids)[first]!r}{and_more(len(torn) - 1, 'sequence')}. It says something of the sequence as a "
            "whole: repeat it in every row."
        )


def _has_descent(event_rows: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether an event of each sequence stands before an earlier one in the file, bool (sequence,)."""
    is_descent = np.append(event_rows[1:] < event_rows[:-1], False)
    is_descent[offsets[1:] - 1] = False
    return np.logical_or.reduceat(is_descent, offsets[:-1])
