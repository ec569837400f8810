"""Loading the detector leaves nothing behind and contacts nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import time
import nanoray
import numpy as np
detector = nanoray.load()
side = detector.card.input_size
detector.infer(np.zeros((1, 1, side, side), np.float32))
time.sleep(1)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="of ONNX Runtime's Linux wheels")
def test_onnx_runtime_keeps_no_device_number(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def test_an_own_setting_is_kept() -> None:
    program = "import nanoray, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for given, expected in (({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")):
        environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"} | given
        found = subprocess.run(
            [sys.executable, "-c", program], env=environment, check=True, capture_output=True
        )
        assert found.stdout.decode().strip() == expected
