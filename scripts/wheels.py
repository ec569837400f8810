"""Which platforms have wheels of every core dependency, as a table.

    python scripts/wheels.py [--python 3.11 3.13] [--output docs/results/wheels.md]

Asks pip to resolve the core dependencies for each platform, with wheels only, without downloading
or installing them. Needs Python 3.11 and an index that pip reaches.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import tomllib

REPOSITORY = Path(__file__).parents[1]
MANYLINUX = ("2_34", "2_31", "2_28", "2_27", "2_26", "2_24", "2_17")
PLATFORMS = {
    "Linux x86-64": [f"manylinux_{v}_x86_64" for v in MANYLINUX] + ["manylinux2014_x86_64"],
    "Linux ARM64": [f"manylinux_{v}_aarch64" for v in MANYLINUX] + ["manylinux2014_aarch64"],
    "macOS ARM": [f"macosx_{v}_0_{a}" for v in (14, 13, 12, 11) for a in ("arm64", "universal2")],
    "macOS x86": [
        *(f"macosx_{v}_0_{a}" for v in (14, 13, 12, 11) for a in ("x86_64", "universal2")),
        *(f"macosx_10_{v}_{a}" for v in (15, 13, 12, 9) for a in ("x86_64", "universal2")),
    ],
    "Windows x86-64": ["win_amd64"],
    "Windows ARM64": ["win_arm64"],
}


@dataclass(frozen=True)
class Found:
    """What pip resolved for a platform.

    Attributes:
        versions: of the dependencies, by their names.
        lacking: dependencies without a wheel.
    """

    versions: dict[str, str]
    lacking: list[str]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", nargs="+", default=["3.11"], help="versions of Python")
    parser.add_argument("--output", type=Path, help="write the table here too (Markdown)")
    options = parser.parse_args()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed: list[str] = project["dependencies"]
    lines = [
        f"| Python | platform | {' | '.join(_name(one) for one in needed)} |",
        f"| --- | --- |{' --- |' * len(needed)}",
    ]
    for python in options.python:
        for platform, tags in PLATFORMS.items():
            found = resolve(needed, python, tags)
            cells = [found.versions.get(_name(one), "none") for one in needed]
            lines.append(f"| {python} | {platform} | {' | '.join(cells)} |")
            print(lines[-1], file=sys.stderr, flush=True)
    table = "\n".join(lines) + "\n"
    print(table)
    if options.output is not None:
        options.output.write_text(table)


def resolve(needed: list[str], python: str, tags: list[str]) -> Found:
    """Resolve all dependencies for a platform; one by one where that fails, to name the reason."""
    versions = _resolve(needed, python, tags)
    if versions is not None:
        return Found(versions, [])
    found = Found({}, [])
    for one in needed:
        versions = _resolve([one], python, tags)
        if versions is None:
            found.lacking.append(_name(one))
        else:
            found.versions.update(versions)
    return found


def _resolve(needed: list[str], python: str, tags: list[str]) -> dict[str, str] | None:
    with TemporaryDirectory() as target:
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        command += ["--quiet", "--report", "-", "--target", target, "--only-binary=:all:"]
        command += ["--python-version", python, "--implementation", "cp"]
        for tag in tags:
            command += ["--platform", tag]
        result = subprocess.run([*command, *needed], capture_output=True, text=True, check=False)
    if result.returncode:
        return None
    report = json.loads(result.stdout[result.stdout.index("{") :])
    metadata = [one["metadata"] for one in report["install"]]
    return {_plain(one["name"]): one["version"] for one in metadata}


def _name(requirement: str) -> str:
    return _plain(re.split("[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-")


if __name__ == "__main__":
    main()
