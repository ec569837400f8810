"""Suppression of the libraries' warnings and logs, which may quote a patient's data."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = [
    logging.getLogger(name)
    for name in ("pydicom", "PIL", "pylibjpeg", "libjpeg", "openjpeg", "rle", "tifffile")
]
_lock = threading.Lock()
_depth = 0
_levels: list[int] = []
_caught: warnings.catch_warnings[None] | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress Python warnings and log records of the decoding libraries inside the block.

    Warning filters and log levels are global to the process. The first of several threads changes
    them, and the last one restores them.
    """
    global _depth, _caught  # noqa: PLW0603
    with _lock:
        if _depth == 0:
            _caught = warnings.catch_warnings()
            _caught.__enter__()
            warnings.simplefilter("ignore")
            _levels[:] = [logger.level for logger in _LOGGERS]
            _set_levels([logging.CRITICAL + 1] * len(_LOGGERS))
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _set_levels(_levels)
                if _caught is not None:
                    _caught.__exit__(None, None, None)
                    _caught = None


def _set_levels(levels: list[int]) -> None:
    for logger, level in zip(_LOGGERS, levels, strict=True):
        logger.level = level
    # This clears the caches of all loggers, which takes longer the more there are: once is enough.
    _LOGGERS[0].setLevel(levels[0])
