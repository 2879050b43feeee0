from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from training.data_config import DataConfig, TimeUnit
from training.rows import NOT_YET, EventLogError, read_rows

HEADER = "sequence_id,event_type,timestamp,label,known_at"
DECIDED = "a,login,2026-01-01T10:00:00Z,1,2026-01-05T00:00:00Z"
OPEN = "b,login,2026-01-02T10:00:00Z,,"
PLAIN_HEADER = "sequence_id,event_type,timestamp,label"
SOUND = "a,login,2026-01-01T10:00:00Z,1"


def read(directory: Path, *rows: str, header: str = HEADER) -> pl.DataFrame:
    path = directory / "log.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return read_rows(path, DataConfig(path="log.csv", label_time_column="known_at"))


def read_plain(
    directory: Path, *rows: str, time_unit: TimeUnit = "iso8601", header: str = PLAIN_HEADER
) -> pl.DataFrame:
    path = directory / "log.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return read_rows(path, DataConfig(path="log.csv", time_unit=time_unit))


def test_rows_keep_the_order_of_the_file_and_their_texts(tmp_path: Path) -> None:
    rows = read(tmp_path, DECIDED, OPEN, DECIDED)

    assert rows["id"].cast(pl.String).to_list() == ["a", "b", "a"]
    assert rows["type"].cast(pl.String).to_list() == ["login"] * 3


def test_a_label_that_is_not_known_yet_is_zero_and_has_no_time(tmp_path: Path) -> None:
    rows = read(tmp_path, DECIDED, OPEN)

    known_at = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) * 1_000_000
    assert rows["label"].to_list() == [1, 0]
    assert rows["label_microseconds"].to_list() == [known_at, NOT_YET]


def test_a_row_takes_few_bytes_however_long_its_texts_are(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    one = {"sequence_id": "s" * 500, "event_type": "t" * 500, "timestamp": datetime(2026, 1, 1, tzinfo=UTC), "label": 1}
    pl.DataFrame([one]).select(pl.all().repeat_by(10_000).explode()).write_parquet(path)

    rows = read_rows(path, DataConfig(path=path.name))

    assert rows.estimated_size() <= 33 * len(rows)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c,x,2026-01-01T10:00:00Z,1,", r"a time in the column 'known_at'. Received: None in line 4"),
        ("c,x,2026-01-01T10:00:00Z,,2026-01-05T00:00:00Z", r"0 or 1 beside a time .*Received: None in line 4"),
        ("c,x,2026-01-01T10:00:00Z,maybe,", r"0 or 1 in the column 'label'. Received: 'maybe' in line 4"),
        (
            "c,x,2026-01-01T10:00:00Z,0,soon",
            r"a time in the column 'known_at' as ISO-8601 .*Received: 'soon' in line 4",
        ),
    ],
)
def test_labels_and_their_times_must_fit_each_other(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(EventLogError, match=message):
        read(tmp_path, DECIDED, OPEN, row)


def test_entities_and_splits_may_not_be_blank(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("sequence_id,event_type,timestamp,label,customer\na,x,2026-01-01T10:00:00Z,1, \n")

    with pytest.raises(EventLogError, match=r"a value in the column 'customer'. Received: ' ' in line 2"):
        read_rows(path, DataConfig(path=path.name, entity_column="customer"))


def test_the_number_of_further_wrong_rows_is_told(tmp_path: Path) -> None:
    with pytest.raises(EventLogError, match=r"in line 2 \(and 2 more lines\)"):
        read_plain(tmp_path, *["c,x,never,0"] * 3)


def test_a_missing_column_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(EventLogError, match="no timestamp among sequence_id, event_type, when, label"):
        read_plain(tmp_path, header="sequence_id,event_type,when,label")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EventLogError, match=r"one column 'label' .*Received: several"):
        read_plain(tmp_path, "a,x,2026-01-01T10:00:00Z,1,0", header=PLAIN_HEADER + ",label")


@pytest.mark.parametrize("text", ["", PLAIN_HEADER + "\n"])
def test_an_empty_log_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.csv").write_text(text)

    with pytest.raises(EventLogError):
        read_rows(tmp_path / "log.csv", DataConfig(path="log.csv"))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EventLogError, match="Expected a CSV, Parquet or XES event log at"):
        read_rows(tmp_path / "log.csv", DataConfig(path="log.csv"))


def test_a_directory_is_no_log(tmp_path: Path) -> None:
    read_plain(tmp_path, SOUND)

    with pytest.raises(EventLogError, match="Received: a directory"):
        read_rows(tmp_path, DataConfig(path="."))


def test_a_name_that_resembles_a_pattern_is_only_a_name(tmp_path: Path) -> None:
    read_plain(tmp_path, SOUND)
    path = (tmp_path / "log.csv").rename(tmp_path / "log[1]*.csv")

    assert len(read_rows(path, DataConfig(path=path.name))) == 1


@pytest.mark.parametrize("number", ["nan", "inf", "1e300", "soon"])
def test_a_number_that_is_no_time_is_refused(tmp_path: Path, number: str) -> None:
    with pytest.raises(EventLogError, match="a finite number of days"):
        read_plain(tmp_path, "a,x,0,1", f"b,x,{number},0", time_unit="days")


def read_parquet(directory: Path, column: str, value: object, time_unit: TimeUnit = "iso8601") -> pl.DataFrame:
    """One row, sound but for one value."""
    row = {"sequence_id": "a", "event_type": "x", "timestamp": datetime(2026, 1, 1, tzinfo=UTC), "label": 1}
    path = directory / "log.parquet"
    pl.DataFrame({name: [value] for name, value in (row | {column: value}).items()}).write_parquet(path)
    return read_rows(path, DataConfig(path=path.name, time_unit=time_unit))


@pytest.mark.parametrize(
    ("time", "time_unit"),
    [
        (datetime(2026, 1, 1), "iso8601"),  # noqa: DTZ001
        (datetime(2026, 1, 1, tzinfo=UTC), "seconds"),
        (date(2026, 1, 1), "seconds"),
        (timedelta(minutes=5), "minutes"),
    ],
)
def test_parquet_times_that_are_no_moments_in_the_unit_named_are_refused(
    tmp_path: Path, time: object, time_unit: TimeUnit
) -> None:
    with pytest.raises(EventLogError, match="a zone on the times in the column 'timestamp'"):
        read_parquet(tmp_path, "timestamp", time, time_unit)


@pytest.mark.parametrize("column", ["sequence_id", "event_type", "timestamp", "label"])
@pytest.mark.parametrize("value", [["a"], {"a": 1}, b"\xff"])
def test_parquet_columns_that_are_no_text_are_refused(tmp_path: Path, column: str, value: object) -> None:
    with pytest.raises(EventLogError, match=f"text, numbers or times in the column '{column}'"):
        read_parquet(tmp_path, column, value)
