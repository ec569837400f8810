"""Fuzz the readers by coverage: whatever a file holds, it is read or refused with a known reason.

    pip install atheris
    python scripts/fuzz_reading.py [--seconds 1200] [CORPUS_FOLDER]

Seeds are the drawn files of tests/vectors and the hostile files of the tests. An input that breaks
the rule is written to the working folder as crash-*; add it to tests/reading/test_hostile.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["nanoray.reading"]):
    import nanoray.reading.dicom.reader
    import nanoray.reading.raster
    import nanoray.reading.tiff  # noqa: F401
    from nanoray.errors import UnreadableError
    from nanoray.reading import REASONS, limits, read

TESTS = Path(__file__).resolve().parent.parent / "tests"


def one(data: bytes) -> None:
    """Read one input; anything but a radiograph or a known reason is a find."""
    try:
        radiograph = read(data, min_side=64)
    except UnreadableError as error:
        if error.code == "unexpected" or error.code not in REASONS:
            raise
        return
    pixels = radiograph.pixels
    assert pixels.ndim == 2
    assert pixels.dtype == "float32"
    assert float(pixels.min()) >= 0
    assert float(pixels.max()) <= 1


def seeds(folder: Path) -> None:
    """Write the first inputs."""
    for path in (TESTS / "vectors" / "inputs").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    sys.path.insert(0, str(TESTS / "support"))
    from hostile_files import MALFORMED, contents

    for name in MALFORMED:
        content = contents(name)
        if len(content) < 100_000:
            (folder / f"hostile-{name}").write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="?", type=Path, help="keeps what widened the coverage")
    parser.add_argument("--seconds", type=int, default=1200)
    options = parser.parse_args()
    # Sizes that a fuzzer would reach, and that only cost time.
    limits.MAX_PIXELS, limits.MAX_INFLATED_BYTES = 1_000_000, 8 * limits.MIB
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.corpus or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        seeds(folder)
        arguments = [
            sys.argv[0],
            str(folder),
            f"-max_total_time={options.seconds}",
            "-timeout=60",
            "-rss_limit_mb=4096",
            "-max_len=200000",
        ]
        atheris.Setup(arguments, one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
