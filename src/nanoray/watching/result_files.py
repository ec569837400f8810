"""Files of results, one for each day (UTC), with each result exactly once."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Final

from nanoray.files import csv_cell
from nanoray.reporting.outputs import CSV_COLUMNS

COLUMNS: Final = (*CSV_COLUMNS, "content", "judged")
_NAME: Final = re.compile(r"results-(\d{4}-\d{2}-\d{2})\.(csv|jsonl)")


class Form(str, Enum):
    """Formats of the results."""

    csv = "csv"
    jsonl = "jsonl"


class ResultFiles:
    """The files `results-DATE.csv` or `results-DATE.jsonl` of a folder."""

    def __init__(self, folder: Path, form: Form) -> None:
        """Write to `folder`, which exists."""
        self.folder = folder
        self.form = form

    def path(self, at: datetime) -> Path:
        """Return the path of the file of a day."""
        return self.folder / f"results-{at:%Y-%m-%d}.{self.form.value}"

    def add(self, record: dict[str, Any], content: str, at: datetime) -> None:
        """Append a result to the file of its day, and sync it to the disk.

        Raises:
            OSError: the file cannot be written; it then lacks the result.
        """
        path = self.path(at)
        line = self._line(record | {"content": content, "judged": at.isoformat()})
        whole = path.stat().st_size if path.exists() else 0
        with path.open("ab") as stream:
            try:
                stream.write(line if whole else self._head() + line)
                stream.flush()
                os.fsync(stream.fileno())
            except OSError:
                os.ftruncate(stream.fileno(), whole)
                raise

    def holds(self, content: str, at: datetime) -> bool:
        """Return whether the file of the day has a result; an incomplete last line is removed."""
        path = self.path(at)
        if not path.exists():
            return False
        data = path.read_bytes()
        if data and not data.endswith(b"\n"):
            data = data[: data.rfind(b"\n") + 1]
            os.truncate(path, len(data))
        return content.encode() in data

    def remove_older(self, now: datetime, days: int) -> int:
        """Remove the files of days more than `days` before now; return their number."""
        oldest = (now - timedelta(days=days)).date().isoformat()
        count = 0
        for path in self.folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match is not None and match[1] < oldest:
                path.unlink()
                count += 1
        return count

    def _head(self) -> bytes:
        return (",".join(COLUMNS) + "\n").encode() if self.form is Form.csv else b""

    def _line(self, record: dict[str, Any]) -> bytes:
        if self.form is Form.jsonl:
            return (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode()
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writerow({k: _words(v) for k, v in record.items()})
        return buffer.getvalue().encode()


def _words(value: Any) -> Any:
    return csv_cell(" ".join(map(str, value)) if isinstance(value, list) else value)
