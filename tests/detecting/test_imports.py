"""What importing the package costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "onnxruntime", "pydicom", "PIL", "numpy", "rich", "typer", "onnx")


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import nanoray; nanoray.__version__", HEAVY),
        ("import nanoray; nanoray.load", ("torch", "onnxruntime", "pydicom", "onnx")),
        (
            "import nanoray.commands.app",
            ("torch", "onnxruntime", "pydicom", "PIL", "numpy", "onnx"),
        ),
    ],
)
def test_imports_only_what_is_needed(statement: str, absent: tuple[str, ...]) -> None:
    code = f"{statement}; import sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {name for name in absent if name in loaded}
