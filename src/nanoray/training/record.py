"""The record of a run folder: command, versions, data."""

from __future__ import annotations

import datetime
import hashlib
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml

from nanoray.datasets.splits import PARTS, Split
from nanoray.version import __version__

RECORD = "run.yaml"
_PACKAGES = ("torch", "torchvision", "timm", "lightning", "numpy")


def record_session(
    folder: Path,
    data: Sequence[dict[str, Any]],
    *,
    start: Path | None = None,
    teachers: Sequence[Path] = (),
) -> None:
    """Write `run.yaml`, or append a session of a resumed run to it.

    It lists the command of each session with its versions and machine, the data sets, and the
    checksums of the starting weights and of the teachers.

    Args:
        data: results of `describe_folder`, or dictionaries of the same form.
    """
    path = folder / RECORD
    record: dict[str, Any] = yaml.safe_load(path.read_text()) if path.is_file() else {}
    record["data"] = list(data)
    if start is not None:
        record["from"] = _weights(start)
    if teachers:
        record["teachers"] = [_weights(teacher) for teacher in teachers]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    record.setdefault("sessions", []).append(
        {
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "command": shlex.join(["nanoray", *sys.argv[1:]]),
            "device": device,
            "threads": torch.get_num_threads(),
            "versions": {
                "nanoray": __version__,
                "python": platform.python_version(),
                **{name: _version(name) for name in _PACKAGES},
            },
        }
    )
    path.write_text(yaml.safe_dump(record, sort_keys=False))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def describe_folder(folder: Path, split: Split | None = None) -> dict[str, Any]:
    """Return name and fingerprint of a data set, and the sizes of its parts if it is split."""
    described: dict[str, Any] = {
        "name": folder.resolve().name,
        "fingerprint": fingerprint(folder),
    }
    if split is not None:
        described["parts"] = {part: len(split.part(part)) for part in PARTS}
    return described


def fingerprint(folder: Path) -> str:
    """Hash a data set (SHA-256): its tables, and the names and sizes of its other files.

    A prepared data set has the checksum of every image in a table.
    """
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            total.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n".encode())
            if path.suffix == ".csv":
                total.update(path.read_bytes())
    return total.hexdigest()


def _weights(path: Path) -> dict[str, str]:
    from nanoray.training.run_folder import WEIGHTS

    file = path / WEIGHTS if path.is_dir() else path
    return {"name": path.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
