"""What a proof found, and the exit code that says whether it holds."""

import sys

from tests.benchmarks.results import Row, show


def must_be_none(what: str, number: int, *, among: int) -> Row:
    """A row that holds if `number` is 0."""
    return Row(what, measured=f"{number} of {among:,}", ratio=number, target=0, is_least=False)


def must_be_below(what: str, figure: float, limit: float, *, measured: str) -> Row:
    """A row that holds if `figure` is at most `limit`."""
    return Row(what, measured=measured, ratio=figure, target=limit, is_least=False)


def conclude(title: str, rows: list[Row]) -> None:
    """Print the rows and leave with 1 if one of them does not hold."""
    show(title, rows)
    sys.exit(0 if all(row.is_reached for row in rows) else 1)
