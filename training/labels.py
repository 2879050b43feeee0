"""Labels of an event log: 0 or 1, and of further ones, where they are not known, nothing.

label_reads     what is read of each row
label_name      what a further label is called among the rows
further_labels  of each sequence
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.columns import text

MISSING = -1
"""What stands among the rows for a further label that is not known."""

_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


def label_reads(column: str, further_columns: Sequence[str]) -> dict[str, pl.Expr]:
    """What is read of each row, int8; null marks a value that is unreadable, and of the first label a blank.

    Args:
        column: The first label.
        further_columns: The others.
    """
    further = {
        label_name(one): pl.when(text(one).is_null()).then(pl.lit(MISSING, pl.Int8)).otherwise(_label(one))
        for one in further_columns
    }
    return {"label": _label(column)} | further


def label_name(further_column: str) -> str:
    """What the column of a further label is called among the rows."""
    return f"label {further_column}"


def further_labels(rows: pl.DataFrame, further_columns: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Further labels of rows by their column, float32 (row,), NaN where missing."""
    read = {column: rows[label_name(column)].to_numpy() for column in further_columns}
    return {column: np.where(labels == MISSING, np.nan, labels).astype(np.float32) for column, labels in read.items()}


def _label(column: str) -> pl.Expr:
    written = pl.col(column).cast(pl.String).str.strip_chars().str.to_lowercase()
    return written.replace_strict(_LABELS, default=None, return_dtype=pl.Int8)
