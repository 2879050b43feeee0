import gzip
from pathlib import Path

import polars as pl
import pytest

from training import xes
from training.data_config import DataConfig
from training.eventlog import EventLog
from training.log_reading import read_event_log
from training.rows import EventLogError
from training.xes import is_xes, scan_xes

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1.0" xmlns="http://www.xes-standard.org/">
  <extension name="Time" prefix="time" uri="http://www.xes-standard.org/time.xesext"/>
  <global scope="event"><string key="concept:name" value="none of this"/></global>
  <string key="source" value="a test"/>
"""
TRACES = """
  <trace>
    <string key="concept:name" value="NA"/>
    <boolean key="label" value="true"/>
    <event>
      <string key="concept:name" value="open &amp; wait"/>
      <date key="time:timestamp" value="2026-01-01T10:00:00.250+01:00"/>
      <string key="org:resource" value="someone"><string key="role" value="nested"/></string>
      <list key="items"><string key="concept:name" value="not this"/></list>
    </event>
    <event>
      <string key="concept:name" value="close"/><date key="time:timestamp" value="2026-01-01T10:00:00Z"/>
    </event>
  </trace>
  <trace>
    <string key="concept:name" value="007"/><boolean key="label" value="false"/>
    <event><string key="concept:name" value="open"/><date key="time:timestamp" value="2026-01-02T10:00:00Z"/></event>
  </trace>
</log>
"""
COLUMNS = {
    "sequence_column": "case:concept:name",
    "type_column": "concept:name",
    "time_column": "time:timestamp",
    "label_column": "case:label",
}


def write(directory: Path, text: str = HEAD + TRACES) -> Path:
    path = directory / "log.xes"
    path.write_text(text)
    return path


def read(path: Path, **columns: str) -> EventLog:
    return read_event_log(path, DataConfig(path=path.name, **(COLUMNS | columns)))


def test_an_event_is_a_row_with_its_own_and_its_traces_attributes(tmp_path: Path) -> None:
    rows = scan_xes(write(tmp_path)).collect()

    assert rows.rows(named=True)[0] == {
        "case:concept:name": "NA",
        "case:label": "true",
        "concept:name": "open & wait",
        "time:timestamp": "2026-01-01T10:00:00.250+01:00",
        "org:resource": "someone",
    }
    assert rows["org:resource"].to_list() == ["someone", None, None]
    assert rows["case:concept:name"].to_list() == ["NA", "NA", "007"]


def test_an_event_log_is_read_from_xes_plain_or_zipped(tmp_path: Path) -> None:
    path = write(tmp_path)
    zipped = tmp_path / "log.XES.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))

    for log in (read(path), read(zipped)):
        assert log.sequence_ids.tolist() == ["NA", "007"]
        assert log.event_types.tolist() == ["open & wait", "close", "open"]
        assert log.labels.tolist() == [1, 0]
        assert log.times_microseconds[1] - log.times_microseconds[0] == 3_599_750_000


def test_rows_come_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scan_xes(write(tmp_path)).collect()

    monkeypatch.setattr(xes, "_BATCH_EVENTS", 1)
    monkeypatch.setattr(xes, "_CHUNK_BYTES", 7)

    assert scan_xes(tmp_path / "log.xes").collect().equals(whole)
    assert scan_xes(tmp_path / "log.xes").filter(pl.col("concept:name") == "open").collect().equals(whole[2:])
    assert scan_xes(tmp_path / "log.xes").slice(1, 1).collect().equals(whole[1:2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<!DOCTYPE log [<!ENTITY a "aaaa">]><log>&a;</log>', "a document type declaration"),
        ("<html></html>", "a document of <html>"),
        (HEAD + "<trace>", "no well-formed XML"),
        ("", "no well-formed XML"),
        (HEAD + '<trace><event><string key="a"/></event></trace></log>', "without key or value in line 6"),
    ],
)
def test_what_is_no_xes_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(EventLogError, match=rf"Expected an XES event log at .*{message}"):
        read(write(tmp_path, text))


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.xes.gz"
    path.write_bytes(gzip.compress((HEAD + TRACES).encode())[:-40])

    with pytest.raises(EventLogError, match="Expected an XES event log at"):
        read(path)


def test_a_missing_attribute_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(EventLogError, match=r"no case:outcome among case:concept:name, case:label, concept:name"):
        read(write(tmp_path), label_column="case:outcome")


@pytest.mark.parametrize(("name", "expected"), [("a.xes", True), ("a.XES.GZ", True), ("a.csv.gz", False)])
def test_xes_is_told_by_its_name(name: str, expected: bool) -> None:
    assert is_xes(Path(name)) is expected
