"""Print the peak memory in bytes of this process after running a file in a runtime.

`python -m nanoray.exporting.peak_memory NUMBER FILE ...`, NUMBER counting `RUNTIMES`. It prints
nothing if the system does not report it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from nanoray.exporting.description import description_path
from nanoray.exporting.runtimes import RUNTIMES


def main() -> None:
    """Run the file three times."""
    number, *names = sys.argv[1:]
    paths = [Path(name) for name in names]
    runtime = RUNTIMES[int(number)]
    run = runtime.open(paths, 1)
    square = np.zeros((1, 1, _size(paths[0]), _size(paths[0])), np.float32)
    for _ in range(3):
        run(square)
    peak = _peak()
    if peak is not None:
        print(peak)


def _peak() -> int | None:
    status = Path("/proc/self/status")
    if status.is_file():
        # On Linux `getrusage` inherits the peak of the process that started this one.
        line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    try:
        import resource
    except ImportError:
        return None
    # macOS counts bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _size(path: Path) -> int:
    described = description_path(path)
    if path.suffix != ".onnx" and described.is_file():
        import json

        return int(json.loads(described.read_text())["preprocessing"]["size"])
    from nanoray.detecting.model_file import read_card

    return read_card(path).input_size


if __name__ == "__main__":
    main()
