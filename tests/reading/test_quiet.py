"""Nothing that the decoding libraries say gets out while a file is read."""

from __future__ import annotations

import logging
import struct
import warnings
from contextlib import suppress

import pytest

from nanoray.errors import UnreadableError
from nanoray.reading import read
from nanoray.reading.quiet import quiet


@pytest.mark.parametrize("name", ["pydicom", "PIL.TiffImagePlugin", "pylibjpeg.utils", "tifffile"])
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


def test_a_damaged_tiff_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    # Found by fuzzing: tifffile logged the tags that it could not read.
    header = b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHII", 262, 3, 1, 1280)
    header += struct.pack("<HHII", 768, 769, 1, 1) + bytes(4)
    with caplog.at_level(logging.DEBUG), pytest.raises(UnreadableError):
        read(header)
    assert caplog.messages == []
