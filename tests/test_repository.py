"""What a release must keep true of the repository itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import nanoray

ROOT = Path(__file__).parent.parent


def test_version_is_the_same_everywhere() -> None:
    assert f"## [{nanoray.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {nanoray.__version__}" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize("document", ["README.md", "MODEL_CARD.md"])
def test_documents_hold_the_measured_table(document: str) -> None:
    measured = (ROOT / "docs/results/results.md").read_text()
    table = measured[measured.index("| model | size") : measured.index("Accuracy, sensitivity")]
    assert table.strip() in (ROOT / document).read_text()


def test_models_in_the_repository_stay_small() -> None:
    models = [*ROOT.glob("models/*.onnx"), *ROOT.glob("src/nanoray/detecting/models/*.onnx")]
    assert models
    assert sum(path.stat().st_size for path in models) < 10_000_000


def test_no_tracked_file_names_a_package_registry() -> None:
    hosts = ["pypi" + ".org", "python" + "hosted.org", "registry." + "npmjs.org"]
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False
    ).stdout.decode()
    if not listed:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file():
            content = path.read_bytes()
            assert not any(host.encode() in content for host in hosts), name


def test_import_is_lean() -> None:
    code = (
        "import sys, nanoray; heavy = {'torch', 'onnxruntime', 'pydicom', 'PIL', 'numpy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
