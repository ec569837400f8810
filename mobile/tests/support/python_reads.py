"""What Python makes of real files, for `tests/python.test.ts` to be held to.

python python_reads.py FOLDER: reads RG1 of pydicom-data and pydicom's own test files with nanoray,
and writes FOLDER/expected.json and, for each file that was read, its square as float32.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pydicom.data

import nanoray
from nanoray.errors import UnreadableError
from nanoray.reading import letterbox, read

LARGEST = 2_000_000  # bytes, of pydicom's files; RG1 is always taken


def candidates() -> list[Path]:
    """Files of the two packages that hold images."""
    found = []
    for file in importlib.metadata.files("pydicom-data") or ():
        if Path(file.name).stem.startswith("RG1_"):
            found.append(Path(str(file.locate())))
    inside = Path(pydicom.data.__file__).parent / "test_files"
    for path in sorted(inside.rglob("*.dcm")):
        if "dicomdirtests" not in path.parts and path.stat().st_size <= LARGEST:
            found.append(path)
    return found


def main(folder: Path) -> None:
    detector = nanoray.load()
    side = detector.card.input_size
    expected = []
    for number, path in enumerate(candidates()):
        entry: dict[str, object] = {"name": path.name, "path": str(path)}
        try:
            radiograph = read(path)
        except UnreadableError as error:
            entry["code"] = error.code
        else:
            square, place = letterbox(radiograph.pixels, side)
            square.astype("<f4").tofile(folder / f"{number}.f32")
            facts = radiograph.facts
            entry["square"] = f"{number}.f32"
            entry["placement"] = [place.top, place.left, place.height, place.width]
            entry["facts"] = {
                "rows": facts.rows,
                "columns": facts.columns,
                "bitsStored": facts.bits_stored,
                "photometric": facts.photometric,
                "modality": facts.modality,
                "bodyPart": facts.body_part,
                "view": facts.view,
                "sex": facts.sex,
                "ageYears": facts.age_years,
                "colour": facts.colour,
            }
            if path.name.startswith("RG1_"):
                entry["logit"] = float(detector.infer(square[None, None]).logit[0])
        expected.append(entry)
    (folder / "expected.json").write_text(json.dumps({"side": side, "files": expected}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
