from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from training.data_report import LEVELS, DataReport, report_data
from training.eventlog import EventLog
from training.splits import PARTS, Losses, Split

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def report(log: EventLog, split: Split) -> DataReport:
    return report_data(log, split, 2, NOW)


def test_the_report_counts_what_is_in_the_log(report: DataReport, log: EventLog) -> None:
    assert (report.num_sequences, report.num_events, report.num_event_types) == (240, log.num_events, 4)
    assert report.label_share == pytest.approx(log.labels.mean())
    assert report.first_event_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert report.length_quantiles.values == tuple(np.quantile(log.lengths, LEVELS))


def test_gaps_are_those_within_sequences(report: DataReport, log: EventLog) -> None:
    gaps = np.concatenate(
        [np.diff(log.times_microseconds[a:b]) for a, b in zip(log.offsets[:-1], log.offsets[1:], strict=True)]
    )

    assert report.gap_minutes_quantiles.values == pytest.approx(tuple(np.quantile(gaps / 6e7, LEVELS)))


def test_parts_are_those_of_the_split_with_what_they_lost(report: DataReport, split: Split) -> None:
    assert [part.name for part in report.parts] == list(PARTS)
    for part in report.parts:
        assert part.num_events == getattr(split, part.name).num_events
        assert part.num_events_dropped == split.losses[part.name].num_events


def test_json_reads_back_as_the_same_report(report: DataReport) -> None:
    assert DataReport.model_validate_json(report.to_json()) == report


def test_the_text_names_sizes_parts_and_findings(log: EventLog, split: Split) -> None:
    lossy = Split(
        split.training,
        split.fit,
        split.validation,
        split.calibration,
        split.test,
        split.joint,
        {"fit": Losses(5, 4, 3)},
    )
    last_event_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(log.times_microseconds.max()))

    text = report_data(log, lossy, 2, last_event_at - timedelta(seconds=1)).to_text()

    assert text.startswith(f"240 sequences, {log.num_events:,} events of 4 types, label 1 on ")
    assert "5 events dropped, 4 sequences without anything known in time, 3 sequences of entities" in text
    assert "warning: Events that have not happened yet: 1. For example " in text


def test_a_log_without_dates_has_no_period(log: EventLog, split: Split) -> None:
    without = EventLog(
        log.sequence_ids, log.labels, log.offsets, log.event_types, log.times_microseconds, has_calendar_time=False
    )

    report = report_data(without, split, 2, NOW)

    assert report.first_event_at is None
    assert "2026" not in report.to_text()
