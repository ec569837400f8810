"""Boxes stay on the finding when a picture is turned, mirrored or loses its borders."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nanoray.datasets.folder import BOX_FRAME, Case, read_folder
from nanoray.datasets.framing import Framing
from nanoray.datasets.images import grid_masks, load_squares, on_squares
from nanoray.datasets.labelled import LabelledData
from nanoray.datasets.prepare import JOURNAL, prepare, prepare_images
from nanoray.datasets.shards import open_shards, read_shard, write_shards
from nanoray.datasets.sources import Source, table_sources
from nanoray.datasets.splits import Split
from nanoray.errors import DataSetError
from nanoray.evaluating.evaluation import read_pictures
from nanoray.reading.borders import Crop
from nanoray.reading.geometry import Box

ORIENTATIONS = tuple(range(1, 9))
BORDERS = ("none", "black", "white", "frame")
SIZE = 128
FINDING = 255


def drawn(border: str) -> NDArray[np.uint8]:
    """Draw a wide picture of grey noise with a bright finding away from its middle."""
    picture = np.random.default_rng(3).integers(60, 160, (300, 400)).astype(np.uint8)
    picture[60:120, 90:150] = FINDING
    if border == "black":
        picture = np.pad(picture, ((0, 0), (120, 60)))
    if border == "white":
        picture = np.pad(picture, ((0, 50), (0, 0)), constant_values=255)
    if border == "frame":
        picture = np.pad(picture, ((30, 10), (20, 60)), constant_values=200)
    return picture


def stored(upright: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return the picture that viewers turn upright by an EXIF orientation."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw pictures of all orientations and borders, with boxes of the stored pictures."""
    folder = tmp_path_factory.mktemp("framed")
    (folder / "images").mkdir()
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["patientId", "class_name", "Target", "boxes"])
        for border in BORDERS:
            finding = drawn("none") == FINDING
            upright = drawn(border)
            inside = np.zeros(upright.shape, np.uint8)
            top, left = {"black": (0, 120), "frame": (30, 20)}.get(border, (0, 0))
            inside[top : top + 300, left : left + 400] = finding
            for orientation in ORIENTATIONS:
                name = f"{border}-{orientation}"
                exif = Image.Exif()
                exif[0x0112] = orientation
                Image.fromarray(np.ascontiguousarray(stored(upright, orientation))).save(
                    folder / "images" / f"{name}.png", exif=exif
                )
                mask = stored(inside, orientation)
                ys, xs = np.nonzero(mask)
                scale = BOX_FRAME / mask.shape[1], BOX_FRAME / mask.shape[0]
                box = [
                    xs.min() * scale[0],
                    ys.min() * scale[1],
                    (xs.max() + 1 - xs.min()) * scale[0],
                    (ys.max() + 1 - ys.min()) * scale[1],
                ]
                boxes = json.dumps([[float(side) for side in box]])
                rows.writerow([name, "Lung Opacity", 1, boxes])
    return folder


def bright(picture: NDArray[np.uint8], box: Box) -> tuple[float, float]:
    """Return the mean grey inside a box, without its rim, and the share of the finding in it."""
    rows, columns = picture.shape
    left, top, width, height = box[0] * columns, box[1] * rows, box[2] * columns, box[3] * rows
    inside = picture[
        round(top) + 2 : round(top + height) - 2, round(left) + 2 : round(left + width) - 2
    ]
    finding = (picture > 220).sum()
    return float(inside.mean()), width * height / max(1.0, float(finding))


def on_finding(picture: NDArray[np.uint8], box: Box) -> bool:
    mean, size = bright(picture, box)
    return mean > 245 and 0.8 < size < 1.25


def test_prepared_boxes_lie_on_the_finding(data: Path, tmp_path: Path) -> None:
    sources = table_sources(data / "labels.csv")
    prepare(sources, tmp_path, kind="csv", size=SIZE, validation=0.2, test=0.2)
    cases = read_folder(tmp_path)
    assert len(cases) == len(BORDERS) * len(ORIENTATIONS)
    for case in cases:
        assert case.boxes is not None
        (box,) = case.boxes
        assert on_finding(np.asarray(Image.open(case.path)), box), case.path.stem


def test_boxes_in_pixels_of_the_file_are_turned_too(data: Path, tmp_path: Path) -> None:
    """Without a frame, as of RSNA, boxes are in pixels of the stored file."""
    path = data / "images" / "none-6.png"
    ys, xs = np.nonzero(np.asarray(Image.open(path)) == FINDING)
    box = (float(xs.min()), float(ys.min()), 60.0, 60.0)
    sources = [Source(name, path, "Lung Opacity", 1, name, (box,)) for name in "abc"]
    prepare(sources, tmp_path, kind="rsna", size=SIZE, validation=0.3, test=0.3)
    for case in read_folder(tmp_path):
        assert case.boxes is not None
        assert on_finding(np.asarray(Image.open(case.path)), case.boxes[0])


def test_training_and_evaluation_see_boxes_on_the_finding(data: Path, tmp_path: Path) -> None:
    cases = read_folder(data)
    squares = load_squares(cases, SIZE, tmp_path, show_progress=False)
    boxed = on_squares(cases, SIZE, tmp_path)
    masks = grid_masks(boxed, 32)
    for case, square, mask in zip(boxed, squares, masks, strict=True):
        assert case.boxes is not None
        assert on_finding(square, case.boxes[0]), case.path.stem
        large = np.kron(mask, np.ones((SIZE // 32, SIZE // 32))) > 0.99
        assert square[large].mean() > 230, case.path.stem
    for case, shown in zip(cases, read_pictures(cases, lambda *_: lambda: None), strict=True):
        assert on_finding(shown.picture, shown.boxes[0]), case.path.stem


def test_shards_hold_boxes_of_their_squares(data: Path) -> None:
    cases = read_folder(data)
    labelled = LabelledData(data, cases, Split(tuple(range(len(cases))), (), ()))
    url = "memory://framing/shards"
    assert not any(write_shards(labelled, url, size=SIZE))
    shards = open_shards(url)
    for one in read_shard(shards, shards.parts["train"][0]):
        assert one.case.boxes is not None
        assert on_finding(one.square, one.case.boxes[0]), one.case.path.stem


def test_shards_of_other_frames_are_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = read_folder(data)[:4]
    labelled = LabelledData(data, cases, Split(tuple(range(4)), (), ()))
    url = "memory://framing/earlier"
    monkeypatch.setattr("nanoray.datasets.shards._VERSION", 1)
    list(write_shards(labelled, url, size=SIZE))
    monkeypatch.undo()
    with pytest.raises(DataSetError, match=r"version 1, not 2; write them again"):
        open_shards(url)
    with pytest.raises(DataSetError, match=r"version 1, not 2; write them again"):
        list(write_shards(labelled, url, size=SIZE))


def test_caches_of_earlier_versions_are_made_again(data: Path, tmp_path: Path) -> None:
    cases = read_folder(data)
    first = np.array(load_squares(cases, SIZE, tmp_path, show_progress=False))
    (framings,) = tmp_path.glob("framings-*.npy")
    (squares,) = tmp_path.glob("squares-*.npy")
    framings.unlink()
    np.save(squares, np.zeros_like(first))
    boxed = on_squares(cases, SIZE, tmp_path)
    np.testing.assert_array_equal(load_squares(cases, SIZE, tmp_path), first)
    assert boxed != cases


def test_preparation_of_an_earlier_version_is_made_again(data: Path, tmp_path: Path) -> None:
    sources = table_sources(data / "labels.csv")[:4]
    assert not any(one.resumed for one in prepare_images(sources, tmp_path, size=SIZE))
    assert all(one.resumed for one in prepare_images(sources, tmp_path, size=SIZE))
    journal = tmp_path / JOURNAL
    first, *lines = map(json.loads, journal.read_text().splitlines())
    for line in lines:
        del line["framing"]
    journal.write_text("".join(json.dumps(line) + "\n" for line in (first, *lines)))
    assert not any(one.resumed for one in prepare_images(sources, tmp_path, size=SIZE))


def test_stretched_picture_without_its_border_keeps_its_aspect(tmp_path: Path) -> None:
    """A publisher's square of a wide picture with black sides: the content is restored."""
    upright = drawn("black")
    size = {"width": str(upright.shape[1]), "height": str(upright.shape[0])}
    Image.fromarray(upright).resize((600, 600)).save(tmp_path / "a.png")
    box = (210 / 580, 60 / 300, 60 / 580, 60 / 300)
    case = Case(tmp_path / "a.png", "a", "x", 1, (box,), columns=size)
    (square,) = load_squares([case], SIZE, tmp_path, show_progress=False)
    (boxed,) = on_squares([case], SIZE, tmp_path)
    assert boxed.boxes is not None
    (found,) = boxed.boxes
    assert on_finding(square, found)
    assert found[2] == pytest.approx(found[3], rel=0.05)
    (shown,) = read_pictures([case], lambda *_: lambda: None)
    assert on_finding(shown.picture, shown.boxes[0])


def test_boxes_of_whole_upright_squares_stay_the_same() -> None:
    boxes = ((0.1, 0.2, 0.3, 0.35), (0.7, 0.01, 0.2, 0.98))
    assert Framing(1, None, 1.0).in_content(boxes) == boxes
    assert Framing(1, None, 1.0).in_square(boxes) == boxes


def test_boxes_in_a_border_are_cut_or_lost() -> None:
    framing = Framing(1, Crop(0.25, 0.0, 0.5, 1.0), 2.0)
    boxes = ((0.1, 0.0, 0.2, 0.2), (0.5, 0.0, 0.5, 0.5))
    assert framing.in_content(boxes) == ((0.5, 0.0, 0.5, 0.5),)
    assert Framing.from_numbers(framing.numbers()) == framing
