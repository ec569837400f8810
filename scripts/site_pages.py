"""Hooks of MkDocs: pages from outside `docs/`, and links that hold there and in the repository.

The README, the model card and others are read where they lie. Tutorials are Python files; jupytext
makes pages of them. Links to source files become plain text, since the site does not have them.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

import jupytext
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from nanoray.version import __version__

ROOT = Path(__file__).resolve().parents[1]
# File of the repository to page of the site.
PAGES = {
    "README.md": "index.md",
    "docs/index.md": "documents.md",
    "MODEL_CARD.md": "model-card.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "STYLE.md": "style.md",
    "mobile/README.md": "mobile.md",
}
TUTORIALS = "docs/tutorials"
PICTURES = "mobile/docs"
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_config(config: Any) -> Any:
    """Show the version in the footer."""
    config["copyright"] = (
        f"NanoRay {__version__}. Research use only; not a medical device. MIT licence."
    )
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside `docs/` and the tutorials."""
    files.remove(files.src_uris["index.md"])
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    for path in sorted((ROOT / PICTURES).iterdir()):
        files.append(File.generated(config, f"{PICTURES}/{path.name}", abs_src_path=str(path)))
    for path in sorted((ROOT / TUTORIALS).glob("*.py")):
        files.remove(files.src_uris[f"tutorials/{path.name}"])
        notebook = jupytext.read(path)
        # The header of the Python file is for jupytext.
        notebook.metadata.clear()
        text = jupytext.writes(notebook, fmt="md").split("---\n", 2)[-1].replace("# %%\n", "")
        files.append(File.generated(config, f"tutorials/{path.stem}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Rewrite the links that lead out of `docs/`."""
    here = page.file.src_uri
    origin = {page: source for source, page in PAGES.items()}.get(here, f"docs/{here}")

    def rewritten(match: re.Match[str]) -> str:
        mark, text, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        target, hash_, anchor = target.partition("#")
        source = normpath(join(dirname(origin), target))
        found = _page_of(source, files)
        if found is not None:
            return f"{mark}[{text}]({relpath(found, dirname(here) or '.')}{hash_}{anchor})"
        # A missing file stays a link, of which MkDocs complains.
        return text if (ROOT / source).exists() and not mark else match[0]

    return _LINK.sub(rewritten, markdown)


def _page_of(source: str, files: Files) -> str | None:
    """Return the site's file for one of the repository, or None."""
    if source in PAGES:
        return PAGES[source]
    if source.startswith(f"{PICTURES}/"):
        return source
    if source.startswith(f"{TUTORIALS}/"):
        return source.removeprefix("docs/").replace(".py", ".md")
    inside = source.removeprefix("docs/")
    return inside if source.startswith("docs/") and inside in files.src_uris else None
