"""Export of a model file: write the files of a format, check them, and describe them."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.datasets.phantom import draw
from nanoray.detecting.model_file import INPUT, LOGIT, open_model
from nanoray.errors import NanoRayError
from nanoray.exporting.converters import Job, write
from nanoray.exporting.description import describe, description_path
from nanoray.exporting.formats import Format
from nanoray.exporting.runtimes import RUNTIMES, Run, Square, integer_details
from nanoray.exporting.squares import as_inputs

LOGIT_TOLERANCE = 0.02
"""Largest difference of a logit from the model file's, for formats in floating point."""
CORRELATION = 0.9
"""Least correlation of the logits in integers with those of the model file."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export.

    Attributes:
        paths: the files, the one to open first; their description is beside them.
        difference: the largest of a logit from the model file's; None if the format's runtime is
            not installed and the files were not checked.
        correlation: of the logits with those of the model file; None likewise.
    """

    paths: tuple[Path, ...]
    difference: float | None
    correlation: float | None

    @property
    def size(self) -> int:
        """Size of all files in bytes."""
        return sum(size_of(path) for path in self.paths)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())


def export(
    model: Path,
    form: Format,
    folder: Path,
    *,
    squares: NDArray[np.uint8] | None = None,
) -> Exported:
    """Write a model file in another format, with a description beside it.

    If the runtime of the format is installed, the files are written to `folder` only if their
    outputs equal those of the model file.

    Args:
        model: a model file.
        squares: uint8 [N, S, S] radiographs of the training part, for integers.

    Raises:
        ModelFileError: not a model file, or not supported by the format.
        NanoRayError: the converter fails, or the written files' outputs differ.
    """
    session, card = open_model(model)
    if squares is None:
        squares = np.zeros((0, card.input_size, card.input_size), np.uint8)
    if form is Format.litert_int8 and not len(squares):
        raise NanoRayError(
            f"{model}: integers need radiographs to measure their ranges on; "
            "give a folder of the training images by --calibration"
        )
    folder.mkdir(parents=True, exist_ok=True)
    stem = model.stem
    with tempfile.TemporaryDirectory(prefix=f".{stem}.", dir=folder) as scratch:
        job = Job(model, card, form, stem, Path(scratch), squares)
        example = {INPUT: np.zeros((1, 1, card.input_size, card.input_size), np.float32)}
        names = [value.name for value in session.get_outputs()]
        shapes = {n: v.shape for n, v in zip(names, session.run(names, example), strict=True)}
        write(job)
        description = describe(form, model, card, job.paths, shapes)
        if form is Format.litert_int8:
            description["integer"] = integer_details(job.paths[0])
        description_path(job.paths[0]).write_text(json.dumps(description, indent=2) + "\n")
        difference, correlation = _check(job, session, names)
        for path in (*job.paths, description_path(job.paths[0])):
            target = folder / path.name
            if target.is_dir():
                shutil.rmtree(target)
            if target.exists() and target.samefile(model):
                raise NanoRayError(f"{target}: is the model file itself; give another --output")
            path.replace(target)
    paths = tuple(folder / path.name for path in job.paths)
    return Exported(paths, difference, correlation)


def _check(job: Job, session: object, names: list[str]) -> tuple[float | None, float | None]:
    """Compare the files with the model file on drawn radiographs, noise and the given ones.

    Raises:
        NanoRayError: they differ.
    """
    runtime = next((r for r in RUNTIMES if r.form is job.form and r.installed), None)
    if runtime is None:
        return None, None
    found = runtime.open(job.paths, 1)

    def exact(square: Square) -> dict[str, NDArray[np.float32]]:
        values = session.run(names, {INPUT: square})  # type: ignore[attr-defined]
        return dict(zip(names, values, strict=True))

    given = (square[0, 0] for square in as_inputs(job.squares[:64], job.card))
    squares = [*drawn(job.card.input_size), *given]
    difference, correlation = compare(exact, found, squares)
    if job.form is Format.litert_int8:
        equal = correlation >= CORRELATION
    else:
        equal = difference <= LOGIT_TOLERANCE
    if not equal:
        raise NanoRayError(
            f"{job.model}: the {job.form.value} export does not give the same: logits differ by up "
            f"to {difference:.3g}, correlation {correlation:.4f}; nothing was written"
        )
    return difference, correlation


def compare(exact: Run, found: Run, squares: list[Square]) -> tuple[float, float]:
    """Return the largest difference of the logits, and their correlation, over squares [S, S].

    A deviating cam or novelty counts as a difference, relative to its largest value.
    """
    logits, worst = [], 0.0
    for square in squares:
        wanted, given = exact(square[None, None]), found(square[None, None])
        logits.append((float(wanted[LOGIT].ravel()[0]), float(given[LOGIT].ravel()[0])))
        worst = max(worst, abs(logits[-1][0] - logits[-1][1]))
        for name, values in wanted.items():
            if name != LOGIT:
                scale = max(1.0, float(np.abs(values).max()))
                worst = max(worst, float(np.abs(given[name] - values).max()) / scale)
    # On a few drawings all logits of a model may be equal.
    pairs = np.array(logits)
    correlation = float(np.corrcoef(pairs.T)[0, 1]) if pairs.std(0).min() > 0 else 1.0
    return worst, correlation


def drawn(size: int) -> list[Square]:
    """Make radiographs float32 [S, S] without files: four drawings and noise."""
    squares = []
    for seed in range(4):
        pixels = draw(seed, size=size, opacity=seed % 2 == 1).pixels
        square = np.zeros((size, size), np.float32)
        square[: pixels.shape[0], : pixels.shape[1]] = pixels[:size, :size]
        squares.append(square)
    squares.append(np.random.default_rng(0).random((size, size), np.float32))
    return squares
