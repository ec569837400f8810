"""Commands of the operations guide, run as they are written, in namespaces of their own.

The commands see copies of the system's folders and a network of their own: they change nothing
outside, and may use the standard ports. `SHIMS` stand for programs that a container lacks.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 180

_STAGE = """
set -eu
ip link set lo up
for place in {places}; do
    mkdir -p "{folder}/root$place" "$place"
    cp -a "$place/." "{folder}/root$place"
    chown --reference="$place" "{folder}/root$place"
    mount --bind "{folder}/root$place" "$place"
done
for place in {empty}; do mount -t tmpfs none "$place"; done
cd {folder}/here
"""

INSTALLED = 'shift; for package in "$@"; do dpkg -s "$package" >/dev/null; done'
"""In place of `apt-get install`: the packages are the right ones, and are here already."""


def blocks(section: str) -> list[str]:
    """Command blocks of a section of the operations guide."""
    (guide,) = ROOT.glob("docs/**/operations.md")
    text = guide.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2]
    return re.findall(r"```sh\n(.*?)```", text.partition("\n## ")[0], re.DOTALL)


def can_isolate() -> bool:
    """Whether this process may make namespaces."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    tried = subprocess.run(["unshare", "-mnpf", "ip", "link"], capture_output=True, check=False)
    return tried.returncode == 0


def run(
    script: str,
    folder: Path,
    *,
    places: Sequence[str],
    shims: Mapping[str, str],
    empty: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a script in `folder`/here, beside a link to the checkout's `deploy`.

    Args:
        script: for Bash; it stops at the first error.
        folder: for this run alone. `folder`/root holds the copies of `places` afterwards.
        places: folders of the system that the script may change.
        shims: bodies of Bash scripts that stand for programs, by the programs' names.
        empty: folders of the system that are empty for the script.
    """
    here, programs = folder / "here", folder / "bin"
    here.mkdir(exist_ok=True)
    programs.mkdir()
    for name in ("deploy", "constraints.txt"):
        (here / name).symlink_to(ROOT / name)
    for name, body in shims.items():
        (programs / name).write_text("#!/bin/bash\nset -eu\n" + body)
        (programs / name).chmod(0o755)
    stage = _STAGE.format(folder=folder, places=" ".join(places), empty=" ".join(empty))
    try:
        done = subprocess.run(
            ["unshare", "-mnpf", "--mount-proc", "--kill-child", "bash", "-c", stage + script],
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        logs = {
            path.name: path.read_text(errors="replace")[-3000:] for path in folder.glob("*.log")
        }
    assert done.returncode == 0, (done.stdout, done.stderr, logs)
    return done
