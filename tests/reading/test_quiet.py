"""Nothing that the decoding libraries say gets out while a file is read."""

from __future__ import annotations

import logging
import warnings
from contextlib import suppress

import pytest

from nanoray.reading.quiet import quiet


@pytest.mark.parametrize("name", ["pydicom", "PIL.TiffImagePlugin", "pylibjpeg.utils"])
def test_logs_are_silent_inside_and_as_before_outside(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger(name)
    with caplog.at_level(logging.DEBUG, logger=name.partition(".")[0]):
        logger.warning("before")
        with quiet():
            logger.critical("inside")
            with quiet():
                logger.critical("further inside")
            logger.critical("inside again")
        logger.debug("after")
    assert caplog.messages == ["before", "after"]


def test_levels_come_back_after_an_error() -> None:
    logger = logging.getLogger("pydicom")
    level = logger.level
    with suppress(LookupError), quiet():
        assert not logger.isEnabledFor(logging.CRITICAL)
        raise LookupError
    assert logger.level == level
    assert logger.isEnabledFor(logging.CRITICAL)


def test_warnings_are_silent_inside() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with quiet():
            warnings.warn("inside", stacklevel=1)
        warnings.warn("outside", stacklevel=1)
    assert [str(warning.message) for warning in seen] == ["outside"]
