"""Documents link to what exists, and their programs run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from nanoray.commands.table import COMMANDS

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "mobile/README.md", ".github/**/*.md")
    for path in ROOT.glob(pattern)
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)
    for target in _LINK.findall(text):
        name = unquote(target.partition("#")[0])
        if name and "://" not in name and not name.startswith("mailto:"):
            assert (document.parent / name).exists(), target


def test_the_readme_is_short_and_names_every_command_that_people_meet_first() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 120
    named = set(re.findall(r"`([a-z-]+)`", text))
    assert {"predict", "screen", "serve", "prepare", "distill", "evaluate"} <= named & set(COMMANDS)


@pytest.mark.parametrize("example", ["predict_folder.py", "heat_map.py"])
def test_examples_run(example: str, tmp_path: Path) -> None:
    inputs = ROOT / "tests/vectors/inputs"
    arguments = [inputs] if example == "predict_folder.py" else [
        inputs / "grey-8bit.png", tmp_path / "map.png"
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / example, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert "Research use only" in done.stdout
    if example == "heat_map.py":
        assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
