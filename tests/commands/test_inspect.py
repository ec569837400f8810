"""`nanoray inspect` tells what was done to a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from nanoray.commands.app import app
from reading_files import SECRET, chest, dicom


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["inspect", *arguments])
    return result.exit_code, result.stdout


def test_text_json_and_picture(tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(
        dicom(
            np.ascontiguousarray(np.rot90(chest(60, 40))),
            BitsStored=12,
            HighBit=11,
            WindowCenter=[40, 2048],
            WindowWidth=[400, 4096],
            PatientOrientation="F\\R",
            ImagerPixelSpacing=[0.2, 0.4],
        )
    )
    picture = tmp_path / "square.png"
    code, text = run(str(path), "--picture", str(picture))
    assert code == 0
    assert SECRET not in text
    for words in (
        "window 40 / 400, LINEAR: shows nothing",
        "window 2048 / 4096",
        "turned clockwise, by Patient Orientation",
        "squared",
        "was turned or mirrored",
    ):
        assert words in text
    with Image.open(picture) as image:
        assert image.mode == "L"
        assert image.width == image.height
        assert np.asarray(image).std() > 10
    code, text = run(str(path), "--json")
    values = json.loads(text)
    assert code == 0
    assert values["facts"]["orientation"] == 6
    assert [step["step"] for step in values["steps"]][:2] == ["file", "transfer syntax"]
    assert "turned" in values["flags"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(b"not much")
    code, text = run(str(path))
    assert code == 1
    assert "is not a DICOM" in text
    code, text = run(str(path), "--json")
    assert json.loads(text)["error"]["code"] == "not-an-image"
    assert run(str(tmp_path / "none"))[0] == 2
