"""DICOM structured reports of single images, in a folder. Needs the extra `serve`."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

from nanoray.detecting.detector import Detector
from nanoray.detecting.flags import OUT_OF_SCOPE
from nanoray.detecting.prediction import NOT_SUSPECTED, SUSPECTED, Prediction, Result
from nanoray.errors import NanoRayError
from nanoray.files import written_whole
from nanoray.reading.pool import Pool
from nanoray.serving.dicom.documents import WriteReport, Written
from nanoray.serving.dicom.findings import Finding, Model


class StructuredReports:
    """Writes a report and a heat map for each image in the model's scope.

    Their UIDs are derived from the image's content, so a repeated report is the same object.
    """

    def __init__(self, folder: Path, detector: Detector, pool: Pool, timeout: float) -> None:
        """Write to `folder`, created if needed."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._detector = detector
        self._sha256 = hashlib.sha256(detector.path.read_bytes()).hexdigest()
        self._pool = pool
        self._timeout = timeout

    def write(self, path: Path, result: Result, content: str, at: datetime) -> bool:
        """Write the objects of an image; False if it gets none.

        Raises:
            NanoRayError: the objects cannot be made; the code is the reason.
            OSError: they cannot be written.
        """
        if not isinstance(result, Prediction) or result.facts.format != "DICOM":
            return False
        if result.decision not in (SUSPECTED, NOT_SUSPECTED) or OUT_OF_SCOPE & set(result.flags):
            return False
        rows, columns = result.heatmap.shape
        card = self._detector.card
        finding = Finding(
            str(path),
            Model(card.name, card.version, self._sha256, result.operating_point, result.threshold),
            result.probability,
            result.suspected,
            heatmap=result.heatmap.astype("<f4").tobytes(),
            heatmap_rows=rows,
            heatmap_columns=columns,
            orientation=result.facts.orientation,
        )
        task = WriteReport(
            report=f"{content} {self._sha256}",
            case=content,
            findings=(finding,),
            made=at.replace(tzinfo=None),
            timeout=self._timeout,
            kinds=("sr", "sc"),
        )
        written = self._pool.call(task)
        assert isinstance(written, Written)
        if written.error is not None:
            raise NanoRayError(f"no structured report: {written.error}")
        for kind, data in zip(("sr", "heatmap"), written.files, strict=True):
            with written_whole(self.folder / f"{content[:16]}-{kind}.dcm", "wb") as stream:
                stream.write(data)
        return True

    def remove_older(self, now: datetime, days: int) -> int:
        """Remove objects written more than `days` before now; return their number."""
        oldest = (now - timedelta(days=days)).timestamp()
        old = [path for path in self.folder.glob("*.dcm") if path.stat().st_mtime < oldest]
        for path in old:
            path.unlink()
        return len(old)
