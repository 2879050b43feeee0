import json
import logging
import subprocess
import sys

import pytest

from service.keys import new_key
from service.logs import REQUEST_ID, TRACE_ID, JsonFormatter, TextFormatter


def _record(message: str, *, is_error: bool = False) -> logging.LogRecord:
    trace = None
    if is_error:
        try:
            int("no number")
        except ValueError:
            trace = sys.exc_info()
    return logging.LogRecord("service.lineup", logging.WARNING, "lineup.py", 1, message, (), trace)


def test_a_line_is_one_json_object() -> None:
    line = JsonFormatter().format(_record("Two\nlines, \u00fcber \u2028 and \x1b[31m"))

    assert "\n" not in line
    shown = json.loads(line)
    assert set(shown) == {"time", "level", "logger", "message"}
    assert (shown["level"], shown["logger"]) == ("warning", "service.lineup")
    assert shown["time"].endswith("+00:00")


def test_an_exception_stays_in_its_line() -> None:
    line = JsonFormatter().format(_record("Trouble.", is_error=True))

    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_a_line_about_a_request_has_its_id(formatter: logging.Formatter) -> None:
    token = REQUEST_ID.set("abc-1")
    try:
        line = formatter.format(_record("Trouble."))
    finally:
        REQUEST_ID.reset(token)

    assert "abc-1" in line
    assert "abc-1" not in formatter.format(_record("Trouble."))


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_a_key_is_blotted_out_of_message_and_trace(formatter: logging.Formatter) -> None:
    key = new_key()
    try:
        int(key)
    except ValueError:
        record = logging.LogRecord("service", logging.ERROR, "x.py", 1, "Met %s.", (key,), sys.exc_info())

    line = formatter.format(record)

    assert key not in line
    assert line.count("seqrisk_…") == 2


def test_a_line_about_a_traced_request_has_its_trace() -> None:
    token = TRACE_ID.set("4bf92f3577b34da6a3ce929d0e0e4736")
    try:
        line = JsonFormatter().format(_record("Trouble."))
    finally:
        TRACE_ID.reset(token)

    assert json.loads(line)["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


PROGRAM = """
import logging
from service.keys import new_key
from service.logs import configure_logging
configure_logging({level!r}, {form!r})
for name in ("service.lineup", "library"):
    for level in ("debug", "info", "warning"):
        getattr(logging.getLogger(name), level)("%s-%s", name, level)
"""


def _lines(level: str, form: str) -> list[str]:
    program = PROGRAM.format(level=level, form=form)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    ).stderr.splitlines()


def test_what_is_no_terminal_gets_json() -> None:
    assert [json.loads(line)["message"] for line in _lines("warning", "auto")] == [
        "service.lineup-warning",
        "library-warning",
    ]


def test_text_may_be_asked_for() -> None:
    assert _lines("warning", "text")[0].endswith("WARNING service.lineup: service.lineup-warning")


def test_debug_lines_are_ours_only() -> None:
    messages = [json.loads(line)["message"] for line in _lines("debug", "json")]

    assert "service.lineup-debug" in messages
    assert "library-debug" not in messages
