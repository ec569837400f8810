"""The service's log: one JSON object per line, without values from files or clients."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import datetime, timezone
from types import TracebackType
from typing import IO, Any

LOGGER = logging.getLogger("nanoray.serving")

# Libraries that log received values: names of files, headers, data sets, addresses.
_TALKATIVE = (
    "pynetdicom",
    "pydicom",
    "highdicom",
    "sqlalchemy",
    "alembic",
    "httpx",
    "httpcore",
    "python_multipart",
    "uvicorn.access",
    "asyncio",
    "PIL",
)


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname.lower(),
            "event": record.msg if record.name == LOGGER.name else record.name,
        }
        if record.name == LOGGER.name:
            line.update(getattr(record, "facts", {}))
        elif record.name.startswith("uvicorn") and not record.exc_info:
            message = record.getMessage()
            # Tracebacks contain the messages of exceptions.
            line["message"] = "failed" if "Traceback" in message else message
        if record.exc_info and record.exc_info[0] is not None:
            line |= where(record.exc_info[0], record.exc_info[2])
        return json.dumps(line)


def where(kind: type[BaseException], trace: TracebackType | None) -> dict[str, Any]:
    """Describe an exception without its message: its class and the lines of its traceback."""
    frames = traceback.extract_tb(trace)
    return {
        "error": kind.__name__,
        "at": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames[-8:]],
    }


def log(event: str, level: int = logging.INFO, **facts: Any) -> None:
    """Log an event; the facts are numbers, ids and fixed words."""
    LOGGER.log(level, event, extra={"facts": facts})


def log_error(event: str, error: BaseException, **facts: Any) -> None:
    """Log an error without its message, which may quote a file."""
    log(event, logging.ERROR, **facts, **where(type(error), error.__traceback__))


def configure(stream: IO[str] | None = None) -> None:
    """Log to `stream`, standard error by default, and silence libraries that log values."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    LOGGER.setLevel(logging.INFO)
    logging.captureWarnings(False)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
