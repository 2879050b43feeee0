from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from training.config import DataConfig
from training.rows import NOT_YET, EventLogError, read_rows

HEADER = "sequence_id,event_type,timestamp,label,known_at"
DECIDED = "a,login,2026-01-01T10:00:00Z,1,2026-01-05T00:00:00Z"
OPEN = "b,login,2026-01-02T10:00:00Z,,"


def read(directory: Path, *rows: str, header: str = HEADER) -> pl.DataFrame:
    path = directory / "log.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return read_rows(path, DataConfig(path="log.csv", label_time_column="known_at"))


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
