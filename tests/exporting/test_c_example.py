"""The C example compiles without a warning and gives what the Python package gives.

It needs a C compiler and ONNX Runtime's C header: Debian 13's package libonnxruntime-dev, or the
folder in ONNXRUNTIME_INCLUDE. The library is that of the Python package.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from nanoray.datasets.phantom import draw
from nanoray.detecting.detector import load
from nanoray.exporting.export import export
from nanoray.exporting.formats import Format

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
MODEL = REPOSITORY / "models" / "nanoray-student-fp32.onnx"
HEADER = "onnxruntime_c_api.h"
FOLDERS = (os.environ.get("ONNXRUNTIME_INCLUDE"), "/usr/include/onnxruntime", "/usr/include")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    include = next((f for f in FOLDERS if f and (Path(f) / HEADER).is_file()), None)
    library = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"), None)
    if compiler is None or include is None or library is None:
        pytest.skip(f"needs a C compiler, {HEADER} (ONNXRUNTIME_INCLUDE) and Linux")
    folder = tmp_path_factory.mktemp("c")
    (header,) = export(MODEL, Format.c, folder).paths
    built = folder / "nanoray"
    # The library's own name, under which the program looks for it.
    (folder / "libonnxruntime.so.1").symlink_to(library)
    command = [compiler, "-O1", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", include]
    command += ["-include", str(header), str(REPOSITORY / "examples" / "c" / "nanoray.c")]
    command += [str(library), f"-Wl,-rpath,{folder}", "-lm", "-o", str(built)]
    subprocess.run(command, check=True)
    return built


@pytest.mark.parametrize(
    ("top", "shape", "view"),
    [
        (255, (300, 220), "AP"),
        (255, (300, 220), "PA"),
        (4095, (513, 700), None),
        (255, (90, 60), None),
    ],
)
def test_it_gives_what_python_gives(
    top: int, shape: tuple[int, int], view: str | None, program: Path, tmp_path: Path
) -> None:
    drawing = Image.fromarray(draw(top, size=max(shape), opacity=True).pixels)
    grey = np.asarray(drawing.resize(shape[::-1]), np.float32)
    levels = np.rint(grey.clip(0, 1) * top)
    path = tmp_path / "a.pgm"
    data = levels.astype(">u2" if top > 255 else "u1").tobytes()
    path.write_bytes(b"P5\n# a comment\n%d %d\n%d\n" % (shape[1], shape[0], top) + data)
    command = [program, path, *([view] if view else [])]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    expected = load(MODEL, view=view).predict((levels / top).astype(np.float32))
    assert found["logit"] == pytest.approx(expected.logit, abs=0.02)
    assert found["novelty"] == pytest.approx(expected.novelty, abs=0.02)
    assert found["probability"] == pytest.approx(expected.probability, abs=0.002)
    assert found["threshold"] == pytest.approx(expected.threshold, abs=1e-6)
    assert found["view"] == (expected.view or "unknown")
    assert found["decision"] == expected.decision


def test_a_view_that_is_none_is_refused(program: Path, tmp_path: Path) -> None:
    found = subprocess.run(
        [program, tmp_path / "a.pgm", "LL"], check=False, capture_output=True, text=True
    )
    assert found.returncode == 1
    assert "usage" in found.stderr


@pytest.mark.parametrize(
    "data",
    [b"", b"P6\n2 2\n255\n", b"P5\n2 2\n255\n\0", b"P5\n0 2\n255\n", b"P5 99999999999 2 255\n",
     b"P5 100000 100000 255\n", b"P5 2 2 70000\n\0\0\0\0"],
)  # fmt: skip
def test_a_bad_file_is_refused(data: bytes, program: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.pgm"
    path.write_bytes(data)
    found = subprocess.run([program, path], check=False, capture_output=True, text=True)
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.startswith("nanoray: ")
