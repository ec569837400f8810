"""Silence for the libraries underneath: their warnings and logs may quote a patient's data."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("pydicom", "PIL", "pylibjpeg", "libjpeg", "openjpeg", "rle")
_lock = threading.Lock()
_depth = 0
_levels: dict[str, int] = {}
_caught: warnings.catch_warnings[None] | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """No Python warnings, and no log records of the decoding libraries, inside the block.

    Warning filters and log levels belong to the process; the first of several threads to enter
    changes them, and the last to leave restores them.
    """
    global _depth, _caught  # noqa: PLW0603
    with _lock:
        if _depth == 0:
            _caught = warnings.catch_warnings()
            _caught.__enter__()
            warnings.simplefilter("ignore")
            for name in _LOGGERS:
                logger = logging.getLogger(name)
                _levels[name] = logger.level
                logger.setLevel(logging.CRITICAL + 1)
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                for name, level in _levels.items():
                    logging.getLogger(name).setLevel(level)
                if _caught is not None:
                    _caught.__exit__(None, None, None)
                    _caught = None
