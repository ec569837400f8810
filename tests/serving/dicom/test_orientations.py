"""The evidence covers the same part of the patient however the radiograph is stored."""

from __future__ import annotations

import copy
import io
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import generate_uid

from dicom_nodes import archive, delivered, node, send
from dicom_peers import radiograph
from nanoray.detecting.model_file import packaged_model
from nanoray.reading import geometry
from nanoray.serving.dicom.documents import WriteReport
from nanoray.serving.dicom.findings import Finding, Model
from nanoray.serving.dicom.settings import KINDS
from nanoray.serving.storage.store import has_map
from nanoray.serving.storage.tables import PredictionRow
from serving_helpers import wait_for

MODEL = Model("tiny", "9.1", "0" * 64, "balanced", 0.5)
STATED = {
    1: "L\\F",
    2: "R\\F",
    3: "R\\H",
    4: "L\\H",
    5: "F\\L",
    6: "F\\R",
    7: "H\\R",
    8: "H\\L",
}
"""Patient Orientation of an image that the EXIF orientation turns upright."""
# Rows and columns of these pixels differ, so that a swapped spacing is seen.
SPACING = (0.2, 0.25)
Mask = NDArray[np.bool_]


def stored(path: Path, turned_by: int, *, stated: bool, **changes: Any) -> pydicom.Dataset:
    """Write one phantom so that the EXIF orientation turns it upright, and give its data set."""
    data_set = radiograph(path, 7, **changes)
    # 288 x 256 pixels fill 256 x 228 of the network's square: padding of 14 on either side.
    upright = data_set.pixel_array[6:294, 6:262]
    pixels = geometry.turned_array(upright, geometry.undone(turned_by))
    data_set.Rows, data_set.Columns = pixels.shape
    data_set.PixelData = pixels.tobytes()
    spacing = SPACING[::-1] if geometry.swaps(turned_by) else SPACING
    if changes.get("PixelSpacing") is None:
        data_set.PixelSpacing = list(spacing)
    if stated:
        data_set.PatientOrientation = STATED[turned_by].split("\\")
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(data_set, keyword, generate_uid())
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    data_set.save_as(path)
    return data_set


def objects(
    path: Path, orientation: int | None, *, inverted: bool = False
) -> dict[str, pydicom.Dataset]:
    """Return the objects with evidence in one lung and, weaker, above the other."""
    values = np.zeros((10, 8), "<f4")
    values[3:6, 5:7], values[1, 1] = 0.9, 0.7
    finding = Finding(
        str(path), MODEL, 0.8, True, False, values.tobytes(), *values.shape, orientation, inverted
    )
    made = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    result = WriteReport("1" * 32, "case", (finding,), made, 60.0, kinds=KINDS).run()
    assert result.error is None
    found = [pydicom.dcmread(io.BytesIO(data)) for data in result.files]
    return {str(item.Modality): item for item in found}


def filled(points: Any, shape: tuple[int, int]) -> Mask:
    """Return the pixels inside the bounds of a polyline of column and row."""
    columns, rows = np.rint(np.array(points, float).reshape(-1, 2)).astype(int).T
    mask = np.zeros(shape, bool)
    mask[rows.min() : rows.max(), columns.min() : columns.max()] = True
    return mask


def report_mask(report: pydicom.Dataset, shape: tuple[int, int]) -> Mask:
    """Return the pixels of the regions of a structured report."""
    mask = np.zeros(shape, bool)
    for group in report.ContentSequence[-1].ContentSequence:
        items = {str(item.ValueType): item for item in group.ContentSequence}
        # The groups of the study and of the whole image have a measurement.
        if "NUM" not in items:
            mask |= filled(items["SCOORD"].GraphicData, shape)
    return mask


def state_mask(state: pydicom.Dataset, shape: tuple[int, int]) -> Mask:
    """Return the pixels that a presentation state outlines."""
    (annotation,) = state.GraphicAnnotationSequence
    masks = [filled(item.GraphicData, shape) for item in annotation.GraphicObjectSequence]
    return np.any(masks, axis=0)


def upright_masks(found: dict[str, pydicom.Dataset], turned_by: int) -> dict[str, Mask]:
    """Return the marked pixels of the objects on a stored image, turned upright."""
    segmented = found["SEG"].pixel_array > 0
    marked = {
        "SR": report_mask(found["SR"], segmented.shape),
        "SEG": segmented,
        "PR": state_mask(found["PR"], segmented.shape),
    }
    return {kind: geometry.turned_array(mask, turned_by) for kind, mask in marked.items()}


@pytest.mark.parametrize("stated", [True, False], ids=["by header", "by pose"])
@pytest.mark.parametrize("turned_by", range(1, 9))
def test_the_evidence_is_marked_on_the_stored_pixels(
    tmp_path: Path, turned_by: int, stated: bool
) -> None:
    upright, turned = tmp_path / "upright.dcm", tmp_path / "turned.dcm"
    stored(upright, 1, stated=stated)
    stored(turned, turned_by, stated=stated)
    expected, found = objects(upright, 1), objects(turned, turned_by)
    masks = upright_masks(found, turned_by)
    for kind, mask in upright_masks(expected, 1).items():
        assert 0.05 < mask.mean() < 0.3, kind
        np.testing.assert_array_equal(masks[kind], mask, kind)

    # The picture shows the radiograph as it was judged, with its own orientation and spacing.
    picture, wanted = found["OT"], expected["OT"]
    # Sums in another order may round to the next grey level.
    np.testing.assert_allclose(picture.pixel_array.astype(int), wanted.pixel_array, atol=1)
    assert picture.PixelSpacing == pytest.approx(wanted.PixelSpacing)
    if stated:
        assert list(picture.PatientOrientation) == ["L", "F"]
        assert list(found["SEG"].PatientOrientation) == STATED[turned_by].split("\\")
    else:
        assert not picture.PatientOrientation


def test_the_sides_of_a_picture_that_the_network_turned_are_not_stated(tmp_path: Path) -> None:
    """The header says upright, but the radiograph lies on its side."""
    path = tmp_path / "1.dcm"
    stored(path, 6, stated=False, PatientOrientation=["L", "F"])
    assert not objects(path, 6)["OT"].PatientOrientation


def test_other_orientations_of_an_upright_picture_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "1.dcm"
    stored(path, 1, stated=False, PatientOrientation=["A", "F"])
    assert list(objects(path, 1)["OT"].PatientOrientation) == ["A", "F"]


def test_results_of_earlier_versions_are_turned_by_the_header(tmp_path: Path) -> None:
    """Such a result does not state its orientation."""
    path = tmp_path / "1.dcm"
    stored(path, 6, stated=True)
    before, now = objects(path, None), objects(path, 6)
    assert before["SEG"].PixelData == now["SEG"].PixelData
    assert before["OT"].PixelData == now["OT"].PixelData


def negative(path: Path, image: pydicom.Dataset) -> pydicom.Dataset:
    """Write a copy of an image with inverted pixels; black padding stays black."""
    other = copy.deepcopy(image)
    pixels = image.pixel_array
    greatest = (1 << image.BitsStored) - 1
    other.PixelData = np.where(pixels > 0, greatest - pixels, 0).astype(pixels.dtype).tobytes()
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(other, keyword, generate_uid())
    other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
    other.save_as(path)
    return other


def test_a_negative_is_shown_as_it_was_judged(tmp_path: Path) -> None:
    positive = stored(tmp_path / "1.dcm", 1, stated=True)
    for keyword in ("WindowCenter", "WindowWidth"):
        positive.pop(keyword, None)
    positive.save_as(tmp_path / "1.dcm")
    negative(tmp_path / "2.dcm", positive)
    expected = objects(tmp_path / "1.dcm", 1)
    found = objects(tmp_path / "2.dcm", 1, inverted=True)
    as_stored = objects(tmp_path / "2.dcm", 1)

    # Above the strip with text, which has a line more.
    rows = positive.Rows
    pixels = {
        name: one["OT"].pixel_array[:rows].astype(int)
        for name, one in (("expected", expected), ("found", found), ("stored", as_stored))
    }
    assert np.abs(pixels["found"] - pixels["expected"]).mean() < 1
    assert np.abs(pixels["stored"] - pixels["expected"]).mean() > 20
    assert found["OT"].Rows > expected["OT"].Rows
    assert "negative" in found["OT"].DerivationDescription
    for kind in ("SEG", "SR"):
        shape = positive.pixel_array.shape
        masks = [upright_masks(one, 1)[kind] for one in (expected, found)]
        assert masks[0].shape == shape
        np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_presentation_state_has_bright_bone(
    tmp_path: Path, photometric: str, inverted: bool
) -> None:
    path = tmp_path / "1.dcm"
    stored(path, 1, stated=True, PhotometricInterpretation=photometric)
    state = objects(path, 1, inverted=inverted)["PR"]
    low_is_bright = (photometric == "MONOCHROME1") != inverted
    assert state.PresentationLUTShape == ("INVERSE" if low_is_bright else "IDENTITY")


def test_a_map_without_a_known_place_is_not_shown() -> None:
    """Versions up to 0.2 recorded that a radiograph was turned, but not how far."""
    row = PredictionRow(heatmap=b"0000", facts={}, flags=["turned"])
    assert not has_map(row)
    row.facts = {"orientation": 6}
    assert has_map(row)
    row.facts, row.flags = {}, []
    assert has_map(row)


def shared(one: Mask, other: Mask) -> float:
    """Return the overlap of two masks, by their union."""
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.slow
def test_a_service_marks_the_same_lung_in_every_orientation(tmp_path: Path) -> None:
    """Patient Orientation states eight orientations; the packaged model sees three by itself."""
    square = {"PixelSpacing": ["0.2", "0.2"], "ImagerPixelSpacing": None}
    kinds = [(code, True) for code in STATED] + [(code, False) for code in (3, 6, 8)]
    images = [
        (stored(tmp_path / f"{code}-{stated}.dcm", code, stated=stated, **square), code, stated)
        for code, stated in kinds
    ]
    with (
        archive() as kept,
        node(
            tmp_path / "data",
            packaged_model(),
            destinations=(kept.destination,),
            kinds=KINDS,
        ) as client,
    ):
        found: list[Any] = []
        for count, (image, _, _) in enumerate(images, 1):
            kept.stored.clear()
            assert send(client.app.state.node.port, image) == [0]
            wait_for(lambda count=count: len(delivered(client)) == count)
            made = {str(item.Modality): item for item in kept.stored}
            result = client.get("/v1/predictions?sort=-created_at").json()["items"][0]
            shown = client.get(f"/v1/predictions/{result['id']}/pixels")
            size = int(shown.headers["X-Rows"]), int(shown.headers["X-Columns"])
            pixels = np.frombuffer(shown.content, "<u2").reshape(size)
            drawn = client.get(f"/v1/predictions/{result['id']}/heatmap.png").content
            found.append((made, result, pixels, np.asarray(Image.open(io.BytesIO(drawn)))))
    first, _, pixels, drawn = found[0]
    expected = upright_masks(first, 1)
    for (made, result, other, overlay), (_, code, stated) in zip(found, images, strict=True):
        facts = result["facts"]
        assert facts["orientation"] == code
        assert (facts["rows"], facts["columns"]) == pixels.shape == other.shape
        np.testing.assert_array_equal(other, pixels)
        for kind, mask in upright_masks(made, code).items():
            assert shared(mask, expected[kind]) > 0.99, (kind, code, stated)
        assert overlay.shape == drawn.shape
        assert np.abs(overlay.astype(int) - drawn).mean() < 0.1
        assert made["OT"].pixel_array.shape == first["OT"].pixel_array.shape


@pytest.mark.slow
def test_a_service_shows_a_negative_as_it_was_judged(tmp_path: Path) -> None:
    positive = stored(tmp_path / "1.dcm", 1, stated=True)
    other = negative(tmp_path / "2.dcm", positive)
    with node(tmp_path / "data", packaged_model()) as client:
        shown = []
        for count, image in enumerate((positive, other), 1):
            assert send(client.app.state.node.port, image) == [0]
            wait_for(
                lambda count=count: (
                    client.get("/v1/predictions?status=done").json()["total"] == count
                )
            )
            result = client.get("/v1/predictions?sort=-created_at").json()["items"][0]
            assert ("inverted" in result["flags"]) == (image is other)
            pixels = client.get(f"/v1/predictions/{result['id']}/pixels").content
            shown.append(np.frombuffer(pixels, "<u2").astype(int))
    assert np.abs(shown[0] - shown[1]).mean() < 0.02 * 65_535
