"""XES, the XML of process mining (IEEE 1849-2023), as a table of events that streams.

scan_xes   file -> LazyFrame: a row an event, a column an attribute, all text
is_xes     whether a file's name says it is XES
XesError   the file is no XES

Columns are named as pm4py names them: an attribute of an event by its key (`concept:name`, `time:timestamp`), one of a
trace by its key after `case:` (`case:concept:name`, `case:label`). Only attributes directly under a trace or an event
count; lists and the attributes of attributes are left out. Document types, and so entities, are refused: no log needs
them, and they are how a small XML file fills a memory.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

import polars as pl
from polars.io.plugins import register_io_source

_TRACE_PREFIX = "case:"
_VALUES = frozenset({"string", "date", "int", "float", "boolean", "id"})
_CHUNK_BYTES = 1 << 20
_BATCH_EVENTS = 50_000

Row = dict[str, str]


class XesError(ValueError):
    """The file is no XES, or holds what none needs."""


def is_xes(path: Path) -> bool:
    """Whether `path` ends in .xes or .xes.gz."""
    return path.name.lower().endswith((".xes", ".xes.gz"))


def scan_xes(path: Path) -> pl.LazyFrame:
    """The events of the XES file at `path` in its order, each with the attributes of its trace.

    Reads the file once now, for the names of the columns, and once more when the frame is collected.

    Raises:
        XesError: It is no XES.
        OSError: It cannot be read.
    """
    columns: dict[str, None] = {}
    for row in _events(path):
        columns |= dict.fromkeys(row)
    schema = pl.Schema(dict.fromkeys(columns, pl.String))

    def batches(
        wanted: list[str] | None, predicate: pl.Expr | None, num_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        chosen = pl.Schema({column: schema[column] for column in wanted or columns})
        for batch in _batches(path, list(chosen), batch_size or _BATCH_EVENTS):
            frame = pl.DataFrame(batch, schema=chosen)
            if num_rows is not None:
                frame, num_rows = frame.head(num_rows), max(num_rows - len(frame), 0)
            yield frame if predicate is None else frame.filter(predicate)
            if num_rows == 0:
                return

    return register_io_source(batches, schema=schema)


def _batches(path: Path, columns: list[str], num_events: int) -> Iterator[dict[str, list[str | None]]]:
    batch: dict[str, list[str | None]] = {column: [] for column in columns}
    size = 0
    for row in _events(path):
        for column in columns:
            batch[column].append(row.get(column))
        size += 1
        if size == num_events:
            yield batch
            batch, size = {column: [] for column in columns}, 0
    yield batch


def _events(path: Path) -> Iterator[Row]:
    reader = _Reader()
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        try:
            while chunk := file.read(_CHUNK_BYTES):
                yield from reader.feed(chunk)
            yield from reader.feed(b"", is_last=True)
        except (expat.ExpatError, EOFError, zlib.error) as error:
            raise XesError(f"no well-formed XML, {error}") from error


class _Reader:
    """Events of an XES document that arrives in pieces."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._refuse_document_type
        self._open: list[str] = []
        self._trace: Row = {}
        self._event: Row = {}
        self._found: list[Row] = []

    def feed(self, chunk: bytes, *, is_last: bool = False) -> list[Row]:
        """Events that `chunk` completes."""
        self._parser.Parse(chunk, is_last)
        found, self._found = self._found, []
        return found

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        element = name.rpartition(":")[2]
        if not self._open and element != "log":
            raise XesError(f"a document of <{name}>, not of <log>")
        parent = self._open[-1] if self._open else ""
        self._open.append(element)
        if element == "event":
            self._event = {}
        elif element in _VALUES and parent in {"trace", "event"}:
            self._keep(parent, attributes)

    def _keep(self, parent: str, attributes: dict[str, str]) -> None:
        key, value = attributes.get("key"), attributes.get("value")
        if key is None or value is None:
            line = self._parser.CurrentLineNumber
            raise XesError(f"an attribute without key or value in line {line}")
        if parent == "trace":
            self._trace[_TRACE_PREFIX + key] = value
        else:
            self._event[key] = value

    def _end(self, _: str) -> None:
        element = self._open.pop()
        if element == "event":
            # A trace's attributes stand before its events, as the standard's schema has them.
            self._found.append(self._trace | self._event)
        elif element == "trace":
            self._trace = {}

    def _refuse_document_type(self, *_: object) -> None:
        raise XesError("a document type declaration, which no event log needs. Remove it")
