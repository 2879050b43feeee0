"""From a file to an event log: its rows sorted into sequences, and checked for what no log may have.

read_event_log   CSV, Parquet or XES -> EventLog
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.further_inputs import SCORED_MINUTE_OF_WEEK
from models.sequences import MICROSECONDS_PER_MINUTE
from training.columns import Column, row_name, shared_texts, texts
from training.data_config import DataConfig
from training.eventlog import EventLog
from training.input_config import InputConfig, with_columns
from training.labels import MISSING, further_labels, label_name
from training.rows import EventLogError, and_more, read_rows


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
        else round(horizon_minutes * MICROSECONDS_PER_MINUTE),
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
