"""The small files of the kinds that others read, for every runtime; this is the Python one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nanoray.detecting import flags
from nanoray.reading import read
from nanoray.reading.prepared import contrast_of

HERE = Path(__file__).parent / "vectors"
EXPECTED = json.loads((HERE / "kinds.json").read_text())


def test_every_kind_has_its_file() -> None:
    found = {path.name for path in (HERE / "kinds").iterdir() if path.suffix != ".u16"}
    assert found == {wanted["file"] for wanted in EXPECTED.values()}
    assert len(EXPECTED) >= 25


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_kind(name: str) -> None:
    wanted = EXPECTED[name]
    radiograph = read(HERE / "kinds" / EXPECTED[name]["file"])
    pixels, facts = radiograph.pixels, radiograph.facts
    assert pixels.shape == (wanted["rows"], wanted["columns"])
    levels = np.fromfile(HERE / "kinds" / f"{name}.u16", "<u2").reshape(pixels.shape)
    np.testing.assert_allclose(pixels, levels / 65_535, atol=wanted["tolerance"])
    assert (facts.orientation, facts.view, facts.body_part) == (
        wanted["orientation"],
        wanted["view"],
        wanted["body_part"],
    )
    assert list(flags.find(facts, contrast_of(pixels))) == wanted["flags"]


def pixels_of(name: str) -> np.ndarray:
    return read(HERE / "kinds" / EXPECTED[name]["file"]).pixels


@pytest.mark.parametrize(
    ("name", "like", "tolerance"),
    [
        ("frame-end-zeros", "frame-end-spaces", 0),
        ("frame-without-end", "frame-end-spaces", 0),
        ("sequence-without-end", "frame-end-spaces", 0),
        ("frame-offsets-of-fragments", "frame-end-spaces", 0),
        ("frame-without-end-jpeg-ls", "frame-end-jpeg-ls", 0),
        ("frame-without-end-jpeg-2000", "excess-padding", 0),
        ("frame-end-in-a-tile-header", "excess-padding", 0),
        ("frame-jpeg-under-jpeg-2000", "frame-end-spaces", 0),
        ("frame-jpeg-under-retired", "frame-end-spaces", 0),
        ("frame-jpeg-2000-under-jpeg", "excess-padding", 0),
        ("frame-jpeg-ls-under-lossless", "frame-end-jpeg-ls", 0),
        ("frame-lossless-under-baseline", "frame-end-jpeg-ls", 0),
        ("frame-without-offset-table", "frame-end-spaces", 0),
        ("frame-after-padding", "frame-end-spaces", 0),
        ("encapsulated-not-compressed", "excess-padding", 0),
        ("rows-in-two-values", "excess-padding", 0),
        ("deflated-with-zlib-header", "excess-padding", 0),
        ("big-endian-said-little", "excess-padding", 0),
        ("little-endian-said-big", "excess-padding", 0),
        ("plain-said-deflated", "excess-padding", 0),
        ("begins-late-implicit", "excess-padding", 0),
        ("begins-late-big-endian", "excess-padding", 0),
        ("empty-lookup-tables", "excess-padding", 0),
        ("voi-lut-says-8", "voi-lut-says-16", 0),
        ("voi-lut-one-short", "voi-lut-says-16", 1e-3),
        ("decimal-comma", "excess-padding", 1e-3),
        ("unit-after-number", "excess-padding", 1e-3),
        ("window-shows-nothing", "same-in-12-bits", 0),
        ("patient-on-the-side", "excess-padding", 0),
        ("mirrored", "excess-padding", 0),
        ("frames-malformed", "excess-padding", 0),
        ("no-group-0008", "excess-padding", 0),
        ("same-in-12-bits", "same-in-8-bits", 0.005),
        ("same-in-12-bits-colour", "same-in-12-bits", 1e-4),
        ("same-in-12-of-16-bits-colour", "same-in-12-bits", 1e-4),
        ("same-in-16-bits", "same-in-12-bits", 1e-4),
        ("same-in-16-bits-signed", "same-in-12-bits", 1e-6),
        ("constant-modality-lut", "excess-padding", 0),
        ("spacing-with-decimal-commas", "pixels-not-square", 0),
        ("pixels-not-square-as-scanned", "pixels-not-square", 0),
        ("slope-with-decimal-comma", "excess-padding", 1e-3),
        ("window-of-a-ct", "without-window-of-a-ct", 0),
        ("jpeg-file-without-end", "jpeg-file", 0),
        ("jpeg-file-12-bits-without-end", "jpeg-file-12-bits", 0),
        ("jpeg-file-12-bits", "jpeg-file-lossless", 0.01),
        ("jpeg-file-jpeg-ls", "jpeg-file-lossless", 0),
        ("jpeg-file-progressive-without-end", "jpeg-file", 0),
        ("jpeg-file-with-trailer", "jpeg-file", 0),
        ("png-12-in-16-grey", "same-in-12-bits", 1e-4),
        ("png-12-in-16-grey-opacity", "png-12-in-16-grey", 0),
        ("png-12-in-16-colour", "png-12-in-16-grey", 1e-4),
        ("png-12-in-16-colour-opacity", "png-12-in-16-grey", 1e-4),
        ("png-12-in-16-colour-interlaced", "png-12-in-16-colour", 0),
        ("png-12-in-16-grey-opacity-interlaced", "png-12-in-16-grey", 0),
        ("png-16-transparent-grey", "png-16-transparent", 1e-4),
        ("png-16-transparent-colour", "png-16-transparent", 1e-4),
        ("padding-above-bits-stored-signed", "padding-above-bits-stored", 1e-6),
    ],
)
def test_kinds_that_show_the_same(name: str, like: str, tolerance: float) -> None:
    np.testing.assert_allclose(pixels_of(name), pixels_of(like), atol=tolerance)


def test_padding_above_bits_stored_is_black() -> None:
    padded, whole = pixels_of("padding-above-bits-stored"), pixels_of("excess-padding")
    assert not padded[:8].any()
    np.testing.assert_array_equal(padded[8:], whole[8:])
