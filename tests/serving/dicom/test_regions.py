"""The regions of the evidence, as viewers read them from the objects."""

from __future__ import annotations

import io
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_peers import needs_dciodvfy, radiograph, run
from nanoray.serving.dicom.documents import WriteReport
from nanoray.serving.dicom.findings import Finding, Model
from nanoray.serving.dicom.settings import Kind

MODEL = Model("tiny", "9.1", "0" * 64, "balanced", 0.5)
PLANE = ("PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence")


def written(
    path: Path, kind: Kind, *, suspected: bool = True, plane: bool = False
) -> pydicom.Dataset:
    """Return the object on a radiograph with three separate regions of evidence."""
    values = np.zeros((8, 8), "<f4")
    values[2:4, 1:3], values[5:7, 5:7], values[0, 7] = 0.9, 0.7, 0.6
    finding = Finding(str(path), MODEL, 0.8, suspected, False, values.tobytes(), 8, 8)
    made = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    result = WriteReport("1" * 32, "case", (finding,), made, 60.0, kinds=(kind,), plane=plane).run()
    assert result.error is None
    (data,) = result.files
    return pydicom.dcmread(io.BytesIO(data))


def groups(report: pydicom.Dataset) -> dict[str, list[pydicom.Dataset]]:
    """Return the contents of the groups of measurements by tracking identifier."""
    found = {}
    for group in report.ContentSequence[-1].ContentSequence:
        items = list(group.ContentSequence)
        (name,) = (
            item.TextValue
            for item in items
            if item.ConceptNameCodeSequence[0].CodeMeaning == "Tracking Identifier"
        )
        found[name] = items
    return found


def test_each_region_has_a_group_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "1.dcm"
    rows = float(radiograph(path, 3).Rows)
    found = groups(written(path, "sr"))
    regions = {}
    for name, items in found.items():
        # A second region in a group would not be drawn.
        (region,) = (item for item in items if item.ValueType == "SCOORD")
        columns, lines = np.array(region.GraphicData).reshape(-1, 2).T
        regions[name] = tuple(
            float(edge) for edge in (columns.min(), lines.min(), columns.max(), lines.max())
        )
    columns = regions["Case"][2]
    across, down = columns / 8, rows / 8
    assert regions == {
        "Case": (0, 0, columns, rows),
        "Image 1": (0, 0, columns, rows),
        "Image 1, region 1": (across, 2 * down, 3 * across, 4 * down),
        "Image 1, region 2": (5 * across, 5 * down, 7 * across, 7 * down),
        "Image 1, region 3": (7 * across, 0, columns, down),
    }
    # The probability is that of the image. OHIF keeps no region that has a measurement.
    measured = {
        name for name, items in found.items() if any(item.ValueType == "NUM" for item in items)
    }
    assert measured == {"Case", "Image 1"}
    uids = [item.UID for items in found.values() for item in items if item.ValueType == "UIDREF"]
    assert len(set(uids)) == len(found)


def test_an_image_without_a_flag_has_no_region(tmp_path: Path) -> None:
    radiograph(tmp_path / "1.dcm", 3)
    assert set(groups(written(tmp_path / "1.dcm", "sr", suspected=False))) == {"Case", "Image 1"}


def test_a_segmentation_has_a_plane_only_by_setting(tmp_path: Path) -> None:
    path = tmp_path / "1.dcm"
    radiograph(path, 3, PixelSpacing=None, ImagerPixelSpacing=["0.25", "0.5"])
    without = written(path, "seg")
    (shared,) = without.SharedFunctionalGroupsSequence
    assert "FrameOfReferenceUID" not in without
    assert not any(keyword in shared for keyword in PLANE)

    placed = written(path, "seg", plane=True)
    (shared,) = placed.SharedFunctionalGroupsSequence
    assert [float(side) for side in shared.PixelMeasuresSequence[0].PixelSpacing] == [0.25, 0.5]
    # The orientation that OHIF assumes for an image without one.
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    assert [float(part) for part in orientation] == [1, 0, 0, 0, 1, 0]
    assert placed.PixelData == without.PixelData


def test_each_image_has_a_coordinate_system_of_its_own(tmp_path: Path) -> None:
    radiograph(tmp_path / "1.dcm", 3)
    radiograph(tmp_path / "2.dcm", 4)
    one, again, other = (
        written(tmp_path / name, "seg", plane=True).FrameOfReferenceUID
        for name in ("1.dcm", "1.dcm", "2.dcm")
    )
    assert one == again != other


@needs_dciodvfy
@pytest.mark.parametrize("plane", [False, True], ids=["no plane", "plane"])
@pytest.mark.parametrize("spacing", [["0.2", "0.2"], None], ids=["spacing", "no spacing"])
def test_a_segmentation_is_valid(tmp_path: Path, plane: bool, spacing: list[str] | None) -> None:
    radiograph(tmp_path / "1.dcm", 3, PixelSpacing=spacing, ImagerPixelSpacing=spacing)
    path = tmp_path / "seg.dcm"
    written(tmp_path / "1.dcm", "seg", plane=plane).save_as(path, enforce_file_format=True)
    verified = run("dciodvfy", path)
    assert verified.returncode == 0
    assert (verified.stdout + verified.stderr).split() == ["Segmentation"]
