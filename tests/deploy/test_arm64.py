"""ARM64 Linux, emulated, gives what this machine gives: predictions and every transfer syntax.

    sudo python -m pytest -m emulation tests/deploy

The emulated system is kept in build/arm64, or in the folder that NANORAY_ARM64 names.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LACKING = 77

pytestmark = [
    pytest.mark.emulation,
    # Of the runs that name their own markers.
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(sys.platform != "linux", reason="debootstrap and binfmt need Linux"),
]


def test_arm64_gives_what_this_processor_gives() -> None:
    done = subprocess.run(
        [REPOSITORY / "scripts" / "arm64.sh", *filter(None, [os.environ.get("NANORAY_ARM64")])],
        env={**os.environ, "PYTHON": sys.executable, "TESTS": "no"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == LACKING:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "| HTJ2K" in done.stdout
    assert "| JPEG-LS" in done.stdout


def test_the_script_tells_what_it_lacks(tmp_path: Path) -> None:
    # A path without debootstrap: no root, or no tool, but never a traceback or half a system.
    found = subprocess.run(
        ["bash", REPOSITORY / "scripts" / "arm64.sh", tmp_path / "root"],
        env={"PATH": os.defpath.replace("/usr/sbin", "").replace("/sbin", "")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == LACKING, found.stderr
    assert found.stderr.startswith("arm64: ")
    assert not (tmp_path / "root").exists()
