"""Heat maps: cropping, colours and overlays."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nanoray.detecting import heatmap
from nanoray.detecting.model_file import NOTICE
from nanoray.reading.resize import Placement, placement


def test_crop_of_a_full_square_changes_nothing() -> None:
    cam = np.random.default_rng(1).random((8, 8), np.float32)
    np.testing.assert_array_equal(heatmap.crop(cam, Placement(0, 0, 256, 256, 256)), cam)


def test_crop_on_cell_borders_takes_whole_cells() -> None:
    cam = np.random.default_rng(2).random((8, 8), np.float32)
    cropped = heatmap.crop(cam, Placement(64, 0, 128, 256, 256))
    np.testing.assert_allclose(cropped, cam[2:6], atol=1e-6)


def test_crop_within_cells_keeps_a_ramp_in_place() -> None:
    # The value of a cell is the coordinate of its centre, in pixels of the square.
    ramp = np.tile(np.arange(8, dtype=np.float32) * 32 + 16, (8, 1))
    place = placement(2500, 2048, 256)
    cropped = heatmap.crop(ramp, place)
    assert cropped.shape == (8, 7)
    cell = place.width / 7
    inner = place.left + cell * (np.arange(7) + 0.5)
    # Away from the border, where there is nothing beyond to average with.
    np.testing.assert_allclose(cropped[4, 1:-1], inner[1:-1], atol=1.5)


@pytest.mark.parametrize("shape", [(1, 900), (900, 1)])
def test_crop_of_a_sliver_keeps_a_cell(shape: tuple[int, int]) -> None:
    cropped = heatmap.crop(np.ones((8, 8), np.float32), placement(*shape, 256))
    assert min(cropped.shape) == 1
    assert max(cropped.shape) == 8


def test_enlarging_stays_within_bounds_and_in_place() -> None:
    small = np.zeros((4, 4), np.float32)
    small[0, 3] = 1.0
    large = heatmap.enlarge(small, 100, 60)
    assert large.shape == (100, 60)
    assert large.min() >= 0
    assert large.max() <= 1
    assert np.unravel_index(large.argmax(), large.shape)[0] < 25
    assert np.unravel_index(large.argmax(), large.shape)[1] >= 45


def test_overlay_of_nothing_is_the_radiograph_with_its_caption() -> None:
    grey = np.full((300, 200), 120, np.uint8)
    nothing = np.zeros((8, 5), np.float32)
    picture = heatmap.overlay(grey, nothing, 0.3)
    assert (picture.shape, picture.dtype) == ((300, 200, 3), np.uint8)
    assert (picture[:250] == 120).all()
    # The caption: white letters with a dark edge in the lower left corner.
    corner = picture[280:, :150]
    assert corner.max() > 200
    assert corner.min() < 40
    assert not heatmap.evident(nothing, 0.3)
    assert heatmap.legend(nothing, 0.3) == "No area with local evidence of 0.30"


@pytest.mark.parametrize("size", [4, 8, 16, 24])
def test_the_radiograph_is_seen_inside_and_outside_the_outline(size: int) -> None:
    hot = np.zeros((size, size), np.float32)
    hot[: size // 2, : size // 2] = 1.0
    picture = heatmap.overlay(np.full((400, 400), 0.5, np.float32), hot, 0.5).astype(int)
    red, _, blue = picture[80, 80]
    assert 15 < red - blue < 60
    assert abs(int(picture[80, 80].mean()) - 127) < 20
    assert np.ptp(picture[80, 380]) == 0
    assert picture[80, 380, 0] in (127, 128)
    # The outline lies where the map crosses the threshold, between the cells.
    row = picture[80, :, 0] - picture[80, :, 2]
    strongest = int(row.argmax())
    assert row[strongest] > 180
    assert abs(strongest - 200) <= 400 / size / 2
    assert "0.50 or more" in heatmap.legend(hot, 0.5)


def test_the_threshold_decides_what_is_outlined() -> None:
    ramp = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (16, 1))
    areas = [int((heatmap.layer(ramp, 160, 160, t)[..., 3] > 0).sum()) for t in (0.2, 0.5, 0.8)]
    assert areas[0] > areas[1] > areas[2] > 0


def test_layer_is_clear_where_the_map_is_low() -> None:
    layer = heatmap.layer(np.array([[0.0, 1.0]], np.float32), 100, 200)
    assert layer.shape == (100, 200, 4)
    assert (layer[:, :60, 3] == 0).all()
    assert (layer[50, 150:, 3] > 0).all()
    assert tuple(layer[50, 180, :3]) == heatmap.COLOUR


def test_caption_is_left_out_where_it_could_not_be_read() -> None:
    image = Image.new("L", (20, 20), 50)
    assert heatmap.caption(image).getextrema() == (50, 50)


def test_written_picture_carries_the_notice_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    heatmap.write_png(path, np.zeros((50, 50, 3), np.uint8))
    with Image.open(BytesIO(path.read_bytes())) as image:
        assert image.format == "PNG"
        assert image.info == {"Comment": NOTICE}
