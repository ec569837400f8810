"""Write thirty JPEG files of drawn radiographs, and the squares that Python reads from them.

    python jpeg_files.py FOLDER

For `tests/pure/jpeg.test.ts`. Encodes with Pillow (libjpeg-turbo) and, if installed, torchvision,
at several qualities, subsamplings and quantization tables. Writes FOLDER/expected.json and the
squares as float32.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import nanoray
from nanoray.datasets.phantom import draw
from nanoray.reading import letterbox, read

QUALITIES = (35, 60, 75, 85, 92, 97)


def encoded() -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files."""
    for seed, quality in enumerate(QUALITIES):
        grey = Image.fromarray(np.rint(draw(seed, size=320).pixels * 255).astype(np.uint8))
        colour = grey.convert("RGB")
        yield f"baseline-{quality}.jpg", pillow(grey, quality=quality)
        yield f"progressive-{quality}.jpg", pillow(grey, quality=quality, progressive=True)
        yield f"colour-420-{quality}.jpg", pillow(colour, quality=quality, subsampling="4:2:0")
        yield f"restarts-{quality}.jpg", pillow(grey, quality=quality, restart_marker_rows=1)
        if (other := torchvision(grey, quality)) is not None:
            yield f"torchvision-{quality}.jpg", other
        else:
            yield f"colour-444-{quality}.jpg", pillow(colour, quality=quality, subsampling="4:4:4")


def pillow(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def torchvision(image: Image.Image, quality: int) -> bytes | None:
    try:
        import torch
        from torchvision.io import encode_jpeg
    except Exception:
        return None
    coded: bytes = (
        encode_jpeg(torch.from_numpy(np.asarray(image)[None].copy()), quality).numpy().tobytes()
    )
    return coded


def main(folder: Path) -> None:
    detector = nanoray.load()
    side = detector.card.input_size
    expected = []
    for name, content in encoded():
        path = folder / name
        path.write_bytes(content)
        square, _ = letterbox(read(path).pixels, side)
        square.astype("<f4").tofile(folder / f"{name}.f32")
        logit = float(detector.infer(square[None, None]).logit[0])
        expected.append({"name": name, "logit": logit})
    (folder / "expected.json").write_text(json.dumps({"side": side, "files": expected}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
