from pathlib import Path

import numpy as np
import polars as pl
import pytest

from training.data_config import DataConfig
from training.eventlog import EventLog
from training.input_config import InputConfig
from training.log_reading import read_event_log
from training.rows import EventLogError

ROWS = """sequence_id,event_type,timestamp,label,amount,via,country
b,pay,2026-01-02T00:00:00Z,1,7,,CH
a,pay,2026-01-01T00:05:00Z,0,2.5,web,DE
a,login,2026-01-01T00:00:00Z,0,,7,DE
"""
AMOUNT = InputConfig(name="amount", kind="numeric", default=-1.0)
CHANNEL = InputConfig(name="channel", kind="categorical", column="via", default="none")
COUNTRY = InputConfig(name="country", kind="categorical", per="sequence")
CLOCK = InputConfig.model_validate({"kind": "clock"})


def read(directory: Path, rows: str, *inputs: InputConfig) -> EventLog:
    path = directory / "log.csv"
    path.write_text(rows)
    return read_event_log(path, DataConfig(path="log.csv"), inputs)


def test_columns_follow_the_order_of_events_and_sequences(tmp_path: Path) -> None:
    log = read(tmp_path, ROWS, AMOUNT, CHANNEL, COUNTRY, CLOCK)

    values = {name: column.values.tolist() for name, column in log.columns.items()}
    assert values == {"amount": [-1.0, 2.5, 7.0], "channel": ["7", "web", "none"], "country": ["DE", "CH"]}
    assert log.columns["amount"].values.dtype == np.float32
    assert log.has_clock


def test_columns_are_cut_with_their_log(tmp_path: Path) -> None:
    log = read(tmp_path, ROWS, AMOUNT, COUNTRY)

    second = log.where(np.array([False, True]))
    early = log.before(int(log.times_microseconds[1]))

    assert [column.values.tolist() for column in second.columns.values()] == [[7.0], ["CH"]]
    assert [column.values.tolist() for column in early.columns.values()] == [[-1.0], ["DE"]]


def test_a_log_without_inputs_has_no_columns(tmp_path: Path) -> None:
    log = read(tmp_path, ROWS)

    assert not log.columns
    assert not log.has_clock


@pytest.mark.parametrize(
    ("one", "old", "new", "message"),
    [
        (
            InputConfig(name="amount", kind="numeric"),
            "",
            "",
            r"Received: None in line 4.*give the input amount a default",
        ),
        (AMOUNT, "2.5", "two", r"a number of at most 1e\+30 in the column 'amount'. Received: 'two' in line 3"),
        (AMOUNT, "2.5", "1e39", "Received: '1e39' in line 3"),
        (AMOUNT, "2.5", "inf", "Received: 'inf' in line 3"),
        (InputConfig(name="channel", kind="categorical", column="via"), "", "", "Received: None in line 2"),
        (COUNTRY, "web,DE", "web,FR", "one value a sequence in the column 'country'. Received: several values"),
        (InputConfig(name="age", kind="numeric"), "", "", "Received: no age among"),
    ],
)
def test_a_column_that_cannot_be_trusted_is_refused(
    tmp_path: Path, one: InputConfig, old: str, new: str, message: str
) -> None:
    with pytest.raises(EventLogError, match=message):
        read(tmp_path, ROWS.replace(old, new) if old else ROWS, one)


def test_nan_in_parquet_is_a_missing_value(tmp_path: Path) -> None:
    rows = pl.read_csv(ROWS.encode(), infer_schema=False)
    rows.with_columns(amount=pl.Series([7.0, float("nan"), None])).write_parquet(tmp_path / "log.parquet")

    log = read_event_log(tmp_path / "log.parquet", DataConfig(path="log.parquet"), [AMOUNT])

    assert log.columns["amount"].values.tolist() == [-1.0, -1.0, 7.0]
