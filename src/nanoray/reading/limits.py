"""Limits on files, so that a hostile file costs little time and memory."""

from __future__ import annotations

MIB = 1024 * 1024

MAX_FILE_BYTES = 512 * MIB
"""Larger files are refused before they are opened."""

MAX_INFLATED_BYTES = 512 * MIB
"""Largest size of an inflated DICOM data set (DICOM PS3.5 A.5)."""

MAX_PIXELS = 100_000_000
"""Rows x columns above this are refused from the header, before decoding."""

MAX_SIDE = 65_535
"""Longest side: Rows and Columns are 16-bit in DICOM (PS3.3 C.7.6.3)."""

WORKER_ADDRESS_SPACE = 4096 * MIB
"""Address space of a reading process (RLIMIT_AS, POSIX)."""

TIMEOUT_SECONDS = 30.0
"""Time that a reading process may spend on one file."""

START_SECONDS = 120.0
"""Time that a reading process may take to start, on a busy machine."""

MAX_WORKERS = 4
"""Default number of reading processes, or the number of processors if smaller."""

THUMBNAIL_SIDE = 512
"""Longer side of a thumbnail in pixels."""
