"""Reading CSV tables of users."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nanoray.errors import DataSetError


@contextmanager
def open_table(path: Path) -> Iterator[csv.DictReader[str]]:
    """Open a CSV file in UTF-8, with or without a byte order mark.

    Raises:
        DataSetError: it has another encoding, as Excel's "CSV" has, or is no CSV file.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            yield csv.DictReader(stream)
    except (UnicodeDecodeError, csv.Error):
        raise DataSetError(
            f"{path}: is not a CSV file in UTF-8; save it as UTF-8 (in Excel: CSV UTF-8)"
        ) from None
