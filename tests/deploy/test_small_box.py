"""Predict on a locked-down box: read-only file systems, no network, 512 MB of memory.

`scripts/small_box.sh` makes the box, with a cgroup and namespaces. The tests need root on Linux.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from reading_files import chest, compressed, picture

REPOSITORY = Path(__file__).parents[2]
INPUTS = REPOSITORY / "tests" / "vectors" / "inputs"
LACKING, KILLED = 77, 137
MEGABYTES = 512
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="cgroups and namespaces need Linux"),
]


def boxed(
    *arguments: object, program: str = sys.executable, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a program in the box; skip the test where no box can be made."""
    done = subprocess.run(
        ["bash", REPOSITORY / "scripts" / "small_box.sh", *map(str, arguments)],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "NANORAY": program,
            "MEMORY": str(MEGABYTES),
            **settings,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == LACKING and "still writable" not in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    return done


def results(output: str) -> dict[str, tuple[float, str]]:
    """Logit and decision by file name."""
    return {
        Path(one["source"]).name: (one["logit"], one["decision"])
        for one in json.loads(output)["results"]
    }


def peak(done: subprocess.CompletedProcess[str]) -> int:
    """Most memory in use, in MB, as the kernel counted it."""
    return int(done.stderr.split("small_box: at most ")[1].split()[0])


def test_the_box_refuses_files_network_and_memory() -> None:
    # Each attempt prints one line, and must fail: otherwise the tests below prove nothing.
    attempts = """
import errno, pathlib, socket
for folder in (".", pathlib.Path.home(), "/", "/var/tmp", "/dev/shm"):
    try:
        written = pathlib.Path(folder) / ".written"
        written.write_text("x")
        written.unlink()
        print(folder, "writable")
    except OSError as error:
        print(errno.errorcode[error.errno])
try:
    socket.create_connection(("192.0.2.1", 80), timeout=5)
    print("connected")
except OSError as error:
    print(errno.errorcode.get(error.errno, error))
"""
    done = boxed("-c", attempts)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["EROFS"] * 5 + ["ENETUNREACH"]
    over = boxed("-c", f"held = b'x' * {2 * MEGABYTES * 10**6}; print(len(held))")
    assert over.returncode == KILLED, over.stderr
    assert not over.stdout


def test_every_vector_is_predicted_as_outside() -> None:
    predict = ["-m", "nanoray", "predict", INPUTS, "--format", "json", "--workers", "2"]
    inside = boxed(*predict)
    assert inside.returncode == 0, inside.stderr
    outside = subprocess.run(
        [sys.executable, *map(str, predict)], capture_output=True, text=True, check=True
    )
    assert results(inside.stdout) == results(outside.stdout)
    assert len(results(inside.stdout)) == len(list(INPUTS.iterdir()))


@pytest.mark.skipif(not features.check("jpg_2000"), reason="Pillow cannot write JPEG 2000")
def test_a_radiograph_of_15_megapixels_needs_no_writable_folder(tmp_path: Path) -> None:
    # 43 x 35 cm with 0.1 mm a pixel. The noise of 3 bits keeps the stream as long as a patient's.
    size = (4300, 3500)
    pixels = chest(*size) + np.random.default_rng(0).integers(0, 8, size, np.uint16)
    stream = picture(pixels, "JPEG2000", irreversible=False, no_jp2=True)
    radiograph = tmp_path / "large.dcm"
    radiograph.write_bytes(compressed(pixels, JPEG_2000_LOSSLESS, stream))
    with Image.open(INPUTS / "grey-8bit.png") as small:
        small.save(tmp_path / "small.png")
    done = boxed(
        "-m", "nanoray", "predict", tmp_path, "--format", "json", "--workers", "2", TEMPORARY="no"
    )
    assert done.returncode == 0, done.stderr
    assert results(done.stdout).keys() == {"large.dcm", "small.png"}
    assert peak(done) < MEGABYTES


def test_a_watched_folder_gets_its_results() -> None:
    watch = f"watch {INPUTS} --output /tmp/results --once --settle 0"
    command = f"{sys.executable} -m nanoray {watch} && cat /tmp/results/results-*.csv"
    done = boxed("-c", command, program="/bin/sh")
    assert done.returncode == 0, done.stderr
    rows = done.stdout.strip().splitlines()[1:]
    assert len(rows) == len(list(INPUTS.iterdir()))
    assert peak(done) < MEGABYTES
