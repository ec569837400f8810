"""Write the shared test vectors: inputs drawn by the project, and what every runtime must get.

python tests/vectors/make.py            expected values anew, after a change of the model file
python tests/vectors/make.py --inputs   the input files too
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

import nanoray
from nanoray.datasets.decoys import draw_decoy
from nanoray.datasets.phantom import draw, write_dicom
from nanoray.detecting.model_file import packaged_model
from nanoray.reading import letterbox, read

HERE = Path(__file__).parent
INPUTS = HERE / "inputs"
EXPECTED = HERE / "expected.json"
# Lossless files: rounding to 16 bits and the order of sums. JPEG: decoders may differ by a level.
SQUARE_TOLERANCE = {".dcm": 2e-4, ".png": 2e-4, ".jpg": 2e-2}
LOGIT_TOLERANCE = {".dcm": 0.001, ".png": 0.001, ".jpg": 0.1}


def draw_inputs() -> None:
    """Return the input files; small, so that a repository can carry them."""
    INPUTS.mkdir(exist_ok=True)
    ill, well = draw(101, size=180, opacity=True), draw(102, size=180)
    write_dicom(ill, INPUTS / "explicit-12bit.dcm")
    write_dicom(ill, INPUTS / "monochrome1-10bit.dcm", photometric="MONOCHROME1", bits=10)
    write_dicom(well, INPUTS / "implicit-8bit.dcm", bits=8, transfer_syntax=ImplicitVRLittleEndian)
    write_dicom(well, INPUTS / "rle-8bit.dcm", bits=8, transfer_syntax=RLELossless)
    write_dicom(ill, INPUTS / "jpeg2000-12bit.dcm", transfer_syntax=JPEG2000Lossless)
    Image.fromarray(_levels(ill.pixels, 255)).save(INPUTS / "grey-8bit.png")
    Image.fromarray(_levels(well.pixels, 65535)).save(INPUTS / "grey-16bit.png")
    Image.fromarray(_levels(well.pixels, 255)).save(INPUTS / "grey.jpg", quality=92)
    Image.fromarray(_levels(draw_decoy("skull", 5, size=160), 255)).save(INPUTS / "decoy.png")


def _levels(pixels: NDArray[Any], top: int) -> NDArray[Any]:
    levels: NDArray[Any] = np.rint(pixels * top)
    return levels.astype(np.uint8 if top < 256 else np.uint16)


def expected_values() -> dict[str, object]:
    """Read and predict every input with the packaged model."""
    detector = nanoray.load()
    size = detector.card.input_size
    files = {}
    for path in sorted(INPUTS.iterdir()):
        square, place = letterbox(read(path).pixels, size)
        _levels(square, 65535).astype("<u2").tofile(HERE / "squares" / f"{path.name}.u16")
        outputs = detector.infer(square[None, None])
        prediction = detector.predict(path)
        files[path.name] = {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "placement": [place.top, place.left, place.height, place.width],
            "square_tolerance": SQUARE_TOLERANCE[path.suffix],
            "logit": round(float(outputs.logit[0]), 5),
            "novelty": round(float(outputs.novelty[0]), 5),
            "cam": np.round(outputs.cam[0], 4).tolist(),
            "logit_tolerance": LOGIT_TOLERANCE[path.suffix],
            # Of the prediction, for which a border is cut off.
            "predicted_logit": round(float(prediction.logit), 5),
            "probability": round(float(prediction.probability), 6),
            "decision": prediction.decision,
        }
    model = packaged_model()
    return {
        "about": "squares/<name>.u16: little-endian uint16 [size, size], 65535 = 1.0",
        "size": size,
        "model": model.name,
        "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "files": files,
    }


if __name__ == "__main__":
    if "--inputs" in sys.argv[1:] or not INPUTS.is_dir():
        draw_inputs()
    (HERE / "squares").mkdir(exist_ok=True)
    EXPECTED.write_text(json.dumps(expected_values(), indent=1) + "\n")
