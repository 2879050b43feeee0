import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from training.data_config import DataConfig, TimeUnit
from training.eventlog import EventLog
from training.log_reading import read_event_log
from training.rows import NOT_YET, EventLogError

HEADER = "sequence_id,event_type,timestamp,label"
SOUND = (
    "b,pay,2026-01-02T10:00:00Z,0",
    "a,login,2026-01-01T10:00:00Z,1",
    "NA,007,2026-01-03T11:00:00+01:00,0",
    "a,pay,2026-01-01T10:05:30.5Z,1",
)


def read(directory: Path, *rows: str, time_unit: TimeUnit = "iso8601", header: str = HEADER) -> EventLog:
    path = directory / "log.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return read_event_log(path, DataConfig(path="log.csv", time_unit=time_unit))


def test_sequences_come_by_start_and_their_events_by_time(tmp_path: Path) -> None:
    log = read(tmp_path, *SOUND)

    assert log.sequence_ids.tolist() == ["a", "b", "NA"]
    assert log.event_types.tolist() == ["login", "pay", "pay", "007"]
    assert log.labels.tolist() == [1, 0, 0]
    assert log.offsets.tolist() == [0, 2, 3, 4]
    assert log.times_microseconds[-1] == datetime(2026, 1, 3, 10, tzinfo=UTC).timestamp() * 1_000_000
    assert log.times_microseconds[1] - log.times_microseconds[0] == 330_500_000


def test_events_at_the_same_time_keep_the_order_of_the_file(tmp_path: Path) -> None:
    rows = [f"a,type{number},2026-01-01T10:00:00Z,1" for number in range(50)]

    log = read(tmp_path, *rows, SOUND[0])

    assert log.event_types[:50].tolist() == [f"type{number}" for number in range(50)]


def test_csv_gzip_and_parquet_give_the_same_log(tmp_path: Path) -> None:
    plain = read(tmp_path, *SOUND)
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress((tmp_path / "log.csv").read_bytes()))
    frame = pl.read_csv(tmp_path / "log.csv", schema_overrides={"event_type": pl.String})
    frame.with_columns(pl.col("timestamp").str.to_datetime("%+", time_zone="UTC"), pl.col("label").cast(bool)).rename(
        {"sequence_id": "who"}
    ).write_parquet(tmp_path / "log.parquet")

    zipped = read_event_log(tmp_path / "log.csv.gz", DataConfig(path="log.csv.gz"))
    parquet = read_event_log(tmp_path / "log.parquet", DataConfig(path="log.parquet", sequence_column="who"))

    for other in (zipped, parquet):
        assert other.sequence_ids.tolist() == plain.sequence_ids.tolist()
        assert other.event_types.tolist() == plain.event_types.tolist()
        assert other.times_microseconds.tolist() == plain.times_microseconds.tolist()
        assert other.labels.tolist() == plain.labels.tolist()


@pytest.mark.parametrize(
    ("time_unit", "microseconds"), [("seconds", 10**6), ("minutes", 6 * 10**7), ("hours", 36 * 10**8)]
)
def test_numbers_are_times_in_their_unit(tmp_path: Path, time_unit: TimeUnit, microseconds: int) -> None:
    log = read(tmp_path, "a,x,-2,1", "a,y,0.5,1", "b,x,3,0", time_unit=time_unit)

    assert log.times_microseconds.tolist() == [-2 * microseconds, microseconds // 2, 3 * microseconds]
    assert not log.has_calendar_time


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c,x,2026-01-01T10:00:00,0", r"'timestamp' as ISO-8601 .*Received: '2026-01-01T10:00:00' in line 6"),
        ("c,x,yesterday,0", r"Received: 'yesterday' in line 6"),
        ("c,x,2026-13-01T10:00:00Z,0", r"in line 6"),
        ("c,x,,0", r"Received: None in line 6"),
        ("c,,2026-01-01T10:00:00Z,0", r"'event_type'.*line 6"),
        ("  ,x,2026-01-01T10:00:00Z,0", r"'sequence_id'.*line 6"),
        ("c,x,2026-01-01T10:00:00Z,2", r"0 or 1 in the column 'label'. Received: '2' in line 6"),
        ("c,x,2026-01-01T10:00:00Z,", r"Received: None in line 6"),
        ("b,x,2026-01-01T10:00:00Z,1", r"one value .* 'label'.*both 0 and 1 for sequence 'b'"),
    ],
)
def test_a_wrong_value_is_refused_by_its_place(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(EventLogError, match=message):
        read(tmp_path, *SOUND, row)


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EventLogError, match=r"both classes.*only label 0"):
        read(tmp_path, SOUND[0], SOUND[2])


def test_times_that_start_over_with_every_sequence_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EventLogError, match="every sequence starts at the same number"):
        read(tmp_path, "a,x,0,1", "a,y,5,1", "b,x,0,0", time_unit="minutes")


FURTHER_HEADER = HEADER + ",known_at,customer,part"
FURTHER = {"label_time_column": "known_at", "entity_column": "customer", "split_column": "part"}


def read_further(directory: Path, *rows: str) -> EventLog:
    path = directory / "log.csv"
    path.write_text("\n".join((FURTHER_HEADER, *rows)) + "\n")
    return read_event_log(path, DataConfig.model_validate({"path": "log.csv", "label_horizon_minutes": 60, **FURTHER}))


def test_what_is_said_of_a_sequence_is_read_once(tmp_path: Path) -> None:
    log = read_further(
        tmp_path,
        "b,pay,2026-01-02T10:00:00Z,,,Ann,test",
        "a,login,2026-01-01T10:00:00Z,1,2026-01-01T11:00:00Z,Bob,train",
        "a,pay,2026-01-01T10:05:00Z,1,2026-01-01T11:00:00Z,Bob,train",
    )

    assert log.entities is not None
    assert log.split_values is not None
    assert log.label_times_microseconds is not None
    assert log.entities.tolist() == ["Bob", "Ann"]
    assert log.split_values.tolist() == ["train", "test"]
    assert (log.label_times_microseconds - log.starts_microseconds[0]).tolist()[0] == 3_600_000_000
    assert log.label_times_microseconds[1] == NOT_YET
    assert log.label_horizon_microseconds == 3_600_000_000
    assert log.observed_until == log.times_microseconds.max() + 1


@pytest.mark.parametrize(
    ("change", "column"),
    [(("Bob", "Eve"), "customer"), (("train", "test"), "part"), (("T11:00", "T12:00"), "known_at")],
)
def test_what_is_said_of_a_sequence_may_not_change_within_it(
    tmp_path: Path, change: tuple[str, str], column: str
) -> None:
    row = "a,login,2026-01-01T10:00:00Z,1,2026-01-01T11:00:00Z,Bob,train"

    with pytest.raises(EventLogError, match=f"one value a sequence in the column '{column}'.*several values for.*'a'"):
        read_further(tmp_path, row, row.replace(*change))


def test_rows_out_of_order_are_sorted_and_remembered(tmp_path: Path) -> None:
    log = read(tmp_path, SOUND[3], SOUND[0], SOUND[1], SOUND[2])

    assert log.was_unordered is not None
    assert log.was_unordered.tolist() == [True, False, False]


rows_of_a_log = st.lists(
    st.tuples(st.sampled_from(["a", "b", "NA", "007", "d d"]), st.sampled_from(["x", "y", "1.0"]), st.integers(-5, 5)),
    min_size=2,
    max_size=40,
).filter(lambda rows: len({name for name, _, _ in rows}) > 1 and len({seconds for _, _, seconds in rows}) > 1)


@given(rows=rows_of_a_log, is_parquet=st.booleans())
@settings(max_examples=60, deadline=None)
def test_streaming_gives_what_sorting_row_by_row_gives(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, int]],
    is_parquet: bool,
) -> None:
    names = sorted({name for name, _, _ in rows})
    labels = {name: index % 2 for index, name in enumerate(names)}
    histories: dict[str, list[tuple[int, str]]] = {}
    for name, event_type, seconds in rows:
        histories.setdefault(name, []).append((seconds, event_type))
    eager = {name: sorted(history, key=lambda event: event[0]) for name, history in histories.items()}
    # Sorting is stable: of equal starts, the first in the file comes first.
    order = sorted(eager, key=lambda name: eager[name][0][0])

    assume(len({eager[name][0][0] for name in order}) > 1)
    directory = tmp_path_factory.getbasetemp()
    path = directory / ("streamed.parquet" if is_parquet else "streamed.csv")
    columns = ("sequence_id", "event_type", "timestamp", "label")
    frame = pl.DataFrame([(*row, labels[row[0]]) for row in rows], schema=columns, orient="row")
    frame.write_parquet(path) if is_parquet else frame.write_csv(path)
    log = read_event_log(path, DataConfig(path=path.name, time_unit="seconds"))

    assert log.sequence_ids.tolist() == order
    assert log.labels.tolist() == [labels[name] for name in order]
    assert log.event_types.tolist() == [event_type for name in order for _, event_type in eager[name]]
    assert log.times_microseconds.tolist() == [seconds * 10**6 for name in order for seconds, _ in eager[name]]
    assert log.offsets.tolist() == np.cumsum([0, *(len(eager[name]) for name in order)]).tolist()


LABELLED = DataConfig(path="log.csv", further_label_columns=("moved", "upset"))
LABELLED_ROWS = (
    "b,pay,2026-01-02T10:00:00Z,0,1,",
    "a,login,2026-01-01T10:00:00Z,1,,1",
    "a,pay,2026-01-01T10:05:00Z,1,,1",
    "c,pay,2026-01-03T10:00:00Z,0,0,0",
)


def read_labelled(directory: Path, *rows: str) -> EventLog:
    path = directory / "log.csv"
    path.write_text("\n".join((HEADER + ",moved,upset", *rows)) + "\n")
    return read_event_log(path, LABELLED)


def test_further_labels_go_with_their_sequences(tmp_path: Path) -> None:
    log = read_labelled(tmp_path, *LABELLED_ROWS)
    nan = float("nan")

    assert list(log.further_labels) == ["moved", "upset"]
    np.testing.assert_array_equal(log.further_labels["moved"], [nan, 1.0, 0.0])
    np.testing.assert_array_equal(log.further_labels["upset"], [1.0, nan, 0.0])
    np.testing.assert_array_equal(log.sequences(1, 3).further_labels["moved"], [1.0, 0.0])
    np.testing.assert_array_equal(log.where(np.array([True, False, True])).further_labels["upset"], [1.0, 0.0])
    before = log.before(int(log.starts_microseconds[2]))
    np.testing.assert_array_equal(before.further_labels["moved"], [nan, 1.0])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,pay,2026-01-01T10:05:00Z,1,maybe,1", r"0, 1 or nothing in the column 'moved'. Received: 'maybe' in line 6"),
        ("a,pay,2026-01-01T10:05:00Z,1,,0", r"one value .* 'upset'. Received: both 0 and 1 for sequence 'a'"),
        ("a,pay,2026-01-01T10:05:00Z,1,,", r"one value .* 'upset'. Received: several values for sequence 'a'"),
        ("a,pay,2026-01-01T10:05:00Z,,,1", r"0 or 1 in the column 'label'. Received: None in line 6"),
    ],
)
def test_further_labels_are_zero_one_or_blank_and_the_same_in_a_sequence(
    tmp_path: Path, row: str, message: str
) -> None:
    with pytest.raises(EventLogError, match=message):
        read_labelled(tmp_path, *LABELLED_ROWS, row)


@pytest.mark.parametrize(("value", "received"), [("1", "only label 1"), ("", "blanks alone")])
def test_a_further_label_that_never_changes_is_refused(tmp_path: Path, value: str, received: str) -> None:
    rows = [f"{row.rsplit(',', 1)[0]},{value}" for row in LABELLED_ROWS]

    with pytest.raises(EventLogError, match=f"both classes in the column 'upset'.*{received}"):
        read_labelled(tmp_path, *rows)
