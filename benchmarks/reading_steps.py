"""The steps of reading a radiograph, as NanoRay takes them and as libraries take them by default.

    python benchmarks/reading_steps.py [--output docs/results/reading-steps.md]

Both ways take turns in one process; times are processor time of the one thread that works, medians
over rounds, and ratios with the 95 % bootstrap interval of their median. The second table says how
far decoding at a reduced scale moves the model's input and output, beside decoding the whole.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
from end_to_end import KINDS, interval, processor, words, write_samples
from PIL import Image
from pydicom import dcmread

import nanoray
from nanoray.datasets.phantom import draw
from nanoray.reading import contents, fit, letterbox, limits, needed_side, placement, read
from nanoray.reading.prepared import prepared
from nanoray.reading.raster import load_reduced

SIDE = 256
Step = tuple[str, str, Callable[[], Any], Callable[[], Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keeps the files; default: a temporary one")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="write the tables here too (Markdown)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        samples = write_samples((options.folder or Path(scratch)) / "samples")
        text = f"{processor()}, of which one is used.\n\n"
        text += steps_table(steps(samples), options.rounds) + "\n" + by_model(samples) + "\n"
        text += moved_table(samples)
    print(text)
    if options.output is not None:
        options.output.write_text(text)


def steps(samples: dict[str, Path]) -> list[Step]:
    """(step, file, default way, NanoRay's way)."""
    found: list[Step] = []
    for kind in ("jpeg", "native12"):
        path = samples[kind]
        found.append(("the file's bytes", kind, partial(slurp, path), partial(contents, str(path))))
    for kind in ("native12", "native16", "jpeg", "jpeg2000-12", "jpeg2000-16"):
        path = samples[kind]
        data = path.read_bytes()
        found.append(
            (
                "bytes to grey values",
                kind,
                partial(pixel_array, data),
                partial(read, data, min_side=needed_side(SIDE)),
            )
        )
    frame = jpeg_frame(samples["jpeg"])
    found.append(
        (
            "JPEG: 1/8 of the scale (entropy decoding, the floor) and 1/2",
            "jpeg",
            lambda: decoded(frame, 8),
            lambda: decoded(frame, 2),
        )
    )
    for kind in ("jpeg", "png", "native12", "native16"):
        pixels = read(samples[kind], min_side=needed_side(SIDE)).pixels
        place = placement(pixels.shape[0], pixels.shape[1], SIDE)
        size = (place.width, place.height)
        found.append(
            (
                f"{pixels.shape[0]} x {pixels.shape[1]} to {place.height} x {place.width}",
                kind,
                partial(Image.fromarray(pixels).resize, size, Image.Resampling.BILINEAR),
                partial(fit, pixels, place.height, place.width),
            )
        )
    return found


def pixel_array(data: bytes) -> Any:
    """Return pydicom's samples of a DICOM file."""
    return dcmread(io.BytesIO(data)).pixel_array


def slurp(path: Path) -> bytes:
    """Asking for more than there is, as a bounded read of a file of unknown size does."""
    with path.open("rb") as file:
        return file.read(limits.MAX_FILE_BYTES + 1)


def jpeg_frame(path: Path) -> bytes:
    from pydicom.encaps import get_frame

    return get_frame(dcmread(path).PixelData, 0, number_of_frames=1)


def decoded(frame: bytes, scale: int) -> Any:
    with Image.open(io.BytesIO(frame), formats=("JPEG",)) as image:
        return np.asarray(load_reduced(image, scale))


def steps_table(found: list[Step], rounds: int) -> str:
    lines = ["| step | file | default, ms | NanoRay, ms | ratio |", "|---|---|---|---|---|"]
    for name, kind, default, own in found:
        seconds = np.zeros((rounds, 2))
        for number in range(-2, rounds):
            for column in (0, 1) if number % 2 else (1, 0):
                start = thread_time()
                (default, own)[column]()
                if number >= 0:
                    seconds[number, column] = thread_time() - start
        first, second = 1000 * np.median(seconds, axis=0)
        ratio = words(interval(seconds[:, 1] / seconds[:, 0]))
        lines.append(f"| {name} | {KINDS[kind]} | {first:.2f} | {second:.2f} | {ratio} |")
    return "\n".join(lines) + "\n"


def by_model(samples: dict[str, Path], rounds: int = 100) -> str:
    """Compare reading a JPEG DICOM, from its path to the square, with a run of the network."""
    detector = nanoray.load()

    def seconds(call: Callable[[], Any]) -> float:
        start = thread_time()
        call()
        return thread_time() - start

    def square() -> Any:
        radiograph = read(samples["jpeg"], min_side=needed_side(SIDE))
        return prepared("", radiograph, SIDE, thumbnail=False).square

    batch = square()[None, None]
    ratios = [seconds(square) / seconds(lambda: detector.infer(batch)) for _ in range(rounds)]
    return (
        f"Reading a JPEG DICOM takes {words(interval(ratios[rounds // 10 :]))} times as long as "
        f"the network with its equalisation.\n"
    )


def moved_table(samples: dict[str, Path]) -> str:
    """How far a reduced scale moves the square and the logit, against the whole frame."""
    detector = nanoray.load()
    frames = []
    for seed in range(12):
        pixels = draw(seed, size=1024, opacity=seed % 2 == 1).pixels
        buffer = io.BytesIO()
        image = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
        image.save(buffer, "JPEG", quality=92)
        frames.append(buffer.getvalue())

    def at(scale: int) -> list[Any]:
        return [decoded(frame, scale).astype(np.float32) / np.float32(255) for frame in frames]

    cases = {
        "12 phantoms of 1024, JPEG at 1/2": (at(1), at(2)),
        "12 phantoms of 1024, JPEG at 1/4 (not used)": (at(1), at(4)),
    }
    lines = [
        "| frames | input, mean absolute difference | logit, median | logit, largest |",
        "|---|---|---|---|",
    ]
    for name, (whole, reduced) in cases.items():
        squares, logits = [], []
        for pair_of_pixels in zip(whole, reduced, strict=True):
            both = np.stack([letterbox(pixels, SIDE)[0] for pixels in pair_of_pixels])
            squares.append(float(np.abs(both[0] - both[1]).mean()))
            logits.append(abs(float(np.subtract(*detector.infer(both[:, None]).logit))))
        lines.append(
            f"| {name} | {np.mean(squares):.4f} | {np.median(logits):.3f} | {max(logits):.3f} |"
        )
    other = dcmread(samples["jpeg"]).pixel_array.astype(int)
    levels = np.abs(other - decoded(jpeg_frame(samples["jpeg"]), 1))
    lines += [
        "",
        f"Pillow's decoder and pydicom's default one, the whole JPEG frame: {levels.max()} grey "
        f"level at most, {100 * np.mean(levels > 0):.1f} % of the pixels differ.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
