"""Log lines on standard error: one JSON object each for machines, one plain line each for people.

Whatever a line tells, no key is in it.

REQUEST_ID           id of the request that is being answered
TRACE_ID             id of the trace it belongs to, if it is traced
configure_logging    from here on, every logger writes so
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

from service.keys import redacted

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
TRACE_ID: ContextVar[str | None] = ContextVar("trace_id", default=None)


def configure_logging(level: str, form: Literal["auto", "json", "text"]) -> None:
    """Let every logger of the process write to standard error.

    Args:
        level: The least severe line.
        form: `auto` takes text if a person watches (standard error is a terminal), else JSON.
    """
    is_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if is_text else JsonFormatter())
    # What libraries say to their own developers drowns what ours say.
    logging.basicConfig(level=max(logging.INFO, getattr(logging, level.upper())), handlers=[handler], force=True)
    for room in ("models", "service"):
        logging.getLogger(room).setLevel(level.upper())
    # Its start and stop messages say nothing that ours do not.
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, logging.getLogger().level))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message; where there are any request_id, trace_id, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage().strip(),
        }
        if (request_id := REQUEST_ID.get()) is not None:
            line["request_id"] = request_id
        if (trace_id := TRACE_ID.get()) is not None:
            line["trace_id"] = trace_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redacted(json.dumps(line, ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """Time, level, logger and message; the request id in brackets where there is one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line, and its trace if it has one."""
        return redacted(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """The line without its trace."""
        line = super().formatMessage(record).rstrip()
        request_id = REQUEST_ID.get()
        return line if request_id is None else f"{line} [{request_id}]"
