"""What a benchmark found: a table to read now, a page and a chart to keep."""

import json
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

DIRECTORY = Path(__file__).parent / "measured"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside its target.

    Attributes:
        what: What was measured, with its unit.
        measured: The figures behind the ratio.
        ratio: The figure that the target is about.
        target: What it must reach; None where it is only told.
        is_least: Whether the target is the least good figure (else the largest).
    """

    what: str
    measured: str
    ratio: float
    target: float | None
    is_least: bool

    @property
    def is_reached(self) -> bool:
        """Whether the target is reached, or there is none."""
        return self.target is None or (self.ratio >= self.target if self.is_least else self.ratio <= self.target)

    @property
    def verdict(self) -> str:
        """Whether the target is reached, as text."""
        return "-" if self.target is None else "yes" if self.is_reached else "**no**"

    @property
    def wanted(self) -> str:
        """The target as text."""
        return "-" if self.target is None else f"{'≥' if self.is_least else '≤'} {self.target:g}"


def show(title: str, rows: list[Row]) -> None:
    """Print a table."""
    table = Table("what", "measured", "figure", "target", "reached", title=title)
    for row in rows:
        table.add_row(row.what, row.measured, f"{row.ratio:.2f}", row.wanted, row.verdict)
    Console().print(table)


def write(name: str, rows: list[Row]) -> None:
    """Keep the rows as measured/<name>.json and as a page, measured/<name>.md."""
    DIRECTORY.mkdir(exist_ok=True)
    content = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), "rows": [asdict(row) for row in rows]}
    (DIRECTORY / f"{name}.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {platform.machine()}, Python {platform.python_version()}.",
        "",
        "| what | measured | figure | target | reached |",
        "|---|---|---|---|---|",
        *(f"| {row.what} | {row.measured} | {row.ratio:.2f} | {row.wanted} | {row.verdict} |" for row in rows),
    ]
    (DIRECTORY / f"{name}.md").write_text("\n".join(lines) + "\n")
