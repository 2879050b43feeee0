"""The data report: what an event log holds, what its split made of it, and what in it deserves a look before training.

DataReport    the whole of it, as text for a terminal and as JSON for a file
report_data   log and split -> DataReport

Faults that make training impossible never get this far: reading and splitting raise `EventLogError`.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.manifest import Quantiles
from models.sequences import MICROSECONDS_PER_MINUTE
from training.data_rules import Finding, find_oddities
from training.eventlog import EventLog
from training.splits import PARTS, Losses, Split

LEVELS = (0.0, 0.1, 0.5, 0.9, 0.99, 1.0)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Part(BaseModel):
    """One part of the split.

    Attributes:
        name: fit, validation, calibration or test.
        num_sequences: Sequences left in it.
        num_events: Their events.
        label_share: Share of its sequences with label 1.
        num_events_dropped: Events dropped because they reach into a later part.
        num_sequences_dropped: Sequences dropped because nothing, or no label, was known before the next part.
        num_sequences_shared: Sequences dropped because their entity has one in a later part.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    num_sequences: int
    num_events: int
    label_share: float
    num_events_dropped: int
    num_sequences_dropped: int
    num_sequences_shared: int


class DataReport(BaseModel):
    """An event log described.

    Attributes:
        num_sequences: Sequences in it.
        num_events: Events in it.
        num_event_types: Different event types.
        first_event_at: The earliest event; None where times are no dates.
        last_event_at: The latest event; None where times are no dates.
        label_share: Share of sequences with label 1.
        length_quantiles: Events a sequence.
        gap_minutes_quantiles: Minutes between neighbouring events of a sequence.
        parts: The split.
        findings: What deserves a look, warnings first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_sequences: int
    num_events: int
    num_event_types: int
    first_event_at: datetime | None
    last_event_at: datetime | None
    label_share: float
    length_quantiles: Quantiles
    gap_minutes_quantiles: Quantiles
    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> str:
        """The report as JSON; `DataReport.model_validate_json` reads it back."""
        return self.model_dump_json(indent=2)

    def to_text(self) -> str:
        """The report for people, a line a fact."""
        size = f"{self.num_sequences:,} sequences, {self.num_events:,} events of {self.num_event_types:,} types"
        lines = [
            f"{size}, label 1 on {self.label_share:.1%}{self._period()}",
            f"events a sequence       {_as_text(self.length_quantiles)}",
            f"minutes between events  {_as_text(self.gap_minutes_quantiles)}",
            *(_part_as_text(part) for part in self.parts),
        ]
        for finding in self.findings:
            examples = f" For example {'; '.join(finding.examples)}." if finding.examples else ""
            lines.append(f"{finding.severity}: {finding.message}{examples} {finding.advice}")
        return "\n".join(lines if self.findings else [*lines, "nothing odd was found"])

    def _period(self) -> str:
        if self.first_event_at is None or self.last_event_at is None:
            return ""
        return f", {self.first_event_at:%Y-%m-%d} to {self.last_event_at:%Y-%m-%d}"


def report_data(log: EventLog, split: Split, min_count: int, now: datetime) -> DataReport:
    """Describe `log` and what `split` made of it.

    Args:
        log: The whole log.
        split: Its parts.
        min_count: Event types seen less often in the fit part are the unknown event.
        now: The present, with its zone; later events are odd.
    """
    gaps = np.diff(log.times_microseconds)
    is_within = np.ones(len(gaps), bool)
    is_within[log.offsets[1:-1] - 1] = False
    return DataReport(
        num_sequences=log.num_sequences,
        num_events=log.num_events,
        num_event_types=len(set(log.event_types.tolist())),
        first_event_at=_moment(log, int(log.times_microseconds.min())),
        last_event_at=_moment(log, int(log.times_microseconds.max())),
        label_share=float(log.labels.mean()),
        length_quantiles=_quantiles(log.lengths),
        gap_minutes_quantiles=_quantiles(gaps[is_within] / MICROSECONDS_PER_MINUTE),
        parts=tuple(_part(name, getattr(split, name), split.losses.get(name, Losses())) for name in PARTS),
        findings=find_oddities(log, split, min_count, (now - _EPOCH) // timedelta(microseconds=1)),
    )


def _part(name: str, log: EventLog, losses: Losses) -> Part:
    return Part(
        name=name,
        num_sequences=log.num_sequences,
        num_events=log.num_events,
        label_share=float(log.labels.mean()),
        num_events_dropped=losses.num_events,
        num_sequences_dropped=losses.num_sequences,
        num_sequences_shared=losses.num_shared,
    )


def _moment(log: EventLog, microseconds: int) -> datetime | None:
    return _EPOCH + timedelta(microseconds=microseconds) if log.has_calendar_time else None


def _quantiles(values: NDArray[np.int64] | NDArray[np.float64]) -> Quantiles:
    # A log of single events has no gaps: they are all taken as 0.
    at_levels = np.quantile(values, LEVELS).tolist() if len(values) else [0.0] * len(LEVELS)
    return Quantiles(levels=LEVELS, values=tuple(at_levels))


def _as_text(quantiles: Quantiles) -> str:
    named = {0.0: "least", 0.5: "median", 1.0: "most"}
    pairs = zip(quantiles.levels, quantiles.values, strict=True)
    return ", ".join(f"{named.get(level, f'{level:.0%}')} {value:,.6g}" for level, value in pairs)


def _part_as_text(part: Part) -> str:
    losses = {
        "events dropped": part.num_events_dropped,
        "sequences without anything known in time": part.num_sequences_dropped,
        "sequences of entities in a later part": part.num_sequences_shared,
    }
    lost = "".join(f", {count:,} {what}" for what, count in losses.items() if count)
    return (
        f"{part.name:<12}{part.num_sequences:>10,} sequences {part.num_events:>11,} events, "
        f"label 1 on {part.label_share:.1%}{lost}"
    )
