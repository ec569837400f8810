"""The tutorials are notebooks whose cells run, in their order, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="needs jupytext")
cli = pytest.importorskip("jupytext.cli", reason="needs jupytext")
pytest.importorskip("torch", reason="needs the extra train")

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "docs/tutorials").glob("[0-9]*.py"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide a folder like the repository's root, in which all lessons run."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "models").symlink_to(ROOT / "models")
    return folder


def test_there_are_five_lessons() -> None:
    assert [path.name[:2] for path in LESSONS] == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_notebook_has_every_cell_and_sentence(lesson: Path, tmp_path: Path) -> None:
    notebook = tmp_path / "lesson.ipynb"
    command = ["--to", "notebook", str(lesson), "--output", str(notebook), "--quiet"]
    assert cli.jupytext(command) == 0
    cells = jupytext.read(notebook).cells
    content = lesson.read_text("utf-8").split("# ---\n", 2)[2]
    assert len(cells) == content.count("# %%")
    assert not [cell for cell in cells if "%%" in cell.source]
    words = [word for cell in cells for word in cell.source.split() if word != "#"]
    markers = ("#", "%%", "[markdown]")
    assert words == [word for word in content.split() if word not in markers]


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_cells_run(lesson: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    notebook = jupytext.read(lesson)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds[0] == "markdown"
    assert kinds.count("code") >= 3
    assert "For the real challenge" in "".join(cell.source for cell in notebook.cells)
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            exec(compile(cell.source, f"{lesson.name}[{number}]", "exec"), names)
