"""Preparation of published radiographs as a data set for training and evaluation.

Every file is read as in a prediction, in separate processes. It becomes an 8-bit grey PNG without
padding, with a longer side of the requested size. A journal lists the finished images, so an
interrupted run can be resumed.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from nanoray.datasets.flow import count_flow, draw_flow
from nanoray.datasets.folder import BOX_FRAME, Case
from nanoray.datasets.framing import Framing, framed_square
from nanoray.datasets.labelled import SPLIT
from nanoray.datasets.sources import Source
from nanoray.datasets.splits import (
    PARTS,
    Split,
    shared_people,
    split_by_patient,
    split_official,
    split_published,
    split_recipe,
)
from nanoray.errors import DataSetError
from nanoray.reading import geometry
from nanoray.reading.pool import processors, read_many
from nanoray.reading.resize import to_uint8
from nanoray.reading.worker import Reading
from nanoray.version import __version__

IMAGES, LABELS, MANIFEST, UNREADABLE = "images", "labels.csv", "manifest.csv", "unreadable.csv"
ABOUT, JOURNAL = "dataset.json", "journal.jsonl"
FLOW, FLOW_COUNTS = "flow.svg", "flow.json"

# zlib's fastest level: files are a tenth larger, writing is five times as fast.
_COMPRESSION = 1


@dataclass(frozen=True, slots=True)
class Image8:
    """The record of a prepared image.

    Attributes:
        name: the image is `images/<name>.png`.
        source_bytes, source_mtime: of the original file, to detect a change.
        sha256, bytes: of the prepared file.
        rows, columns: of the original, in pixels.
        format, transfer_syntax, photometric, bits_stored: of the original.
        view, sex, age, spacing: from the original; None if unknown. Spacing in mm per row.
        framing: of the original, as numbers (see `nanoray.datasets.framing.Framing`).
    """

    name: str
    source_bytes: int
    source_mtime: int
    sha256: str
    bytes: int
    rows: int
    columns: int
    format: str
    transfer_syntax: str | None
    photometric: str | None
    bits_stored: int
    view: str | None
    sex: str | None
    age: float | None
    spacing: float | None
    framing: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A step of the preparation: a finished image, or the reason for a failure.

    Attributes:
        image: None if the file is unreadable.
        reason: of the failure; None if the file is readable.
        resumed: whether an earlier run made the image.
    """

    source: Source
    image: Image8 | None
    reason: str | None = None
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a preparation.

    Attributes:
        resumed: number of images from an earlier run.
        parts: name of an image to its part, for images in a part.
        unreadable: files with the reason.
        warnings: problems of the data set for training.
    """

    images: int
    patients: int
    resumed: int
    parts: dict[str, str]
    unreadable: list[tuple[Path, str]]
    warnings: list[str]


def prepare(
    sources: Sequence[Source],
    folder: Path,
    *,
    kind: str,
    size: int = 512,
    split: str = "",
    seed: int = 0,
    validation: float = 0.1,
    test: float = 0.1,
    workers: int | None = None,
    step: Callable[[], None] = lambda: None,
) -> Summary:
    """Make a data set: images, tables, a split, a flow diagram; resume an earlier run.

    Args:
        kind: recorded in `dataset.json`.
        split: "patient", "recipe", "official", or a CSV or folder of published lists; the default
            is official if the sources have parts, else patient.
        validation, test: shares of the patients.
        step: called after each file.

    Raises:
        DataSetError: an impossible split, or no readable file.
    """
    if not split:
        split = "official" if any(source.part for source in sources) else "patient"
    # Before the long work, since the split may be impossible.
    parts = _parts(sources, split, seed, validation, test)
    done: list[tuple[Source, Image8]] = []
    unreadable: list[tuple[Source, str]] = []
    resumed = 0
    for one in prepare_images(sources, folder, size=size, workers=workers):
        if one.image is None:
            unreadable.append((one.source, one.reason or "unreadable"))
        else:
            done.append((one.source, one.image))
            resumed += one.resumed
        step()
    if not done:
        raise DataSetError(f"{folder}: no file can be read, of {len(sources)}")
    order = {source.name: number for number, source in enumerate(sources)}
    done.sort(key=lambda pair: order[pair[0].name])
    kept = {source.name for source, _ in done}
    parts = {name: part for name, part in parts.items() if name in kept}
    about = {"kind": kind, "size": size, "split": _split_name(split), "seed": seed}
    write_tables(folder, done, unreadable, parts, about)
    flow = count_flow([source for source, _ in done], unreadable, parts)
    _write_whole(folder / FLOW_COUNTS, (json.dumps(flow, indent=1) + "\n").encode())
    _write_whole(folder / FLOW, draw_flow(flow).encode())
    return Summary(
        len(done),
        len({source.patient for source, _ in done}),
        resumed,
        parts,
        [(source.path, reason) for source, reason in unreadable],
        _warnings([source for source, _ in done], kind, parts),
    )


RSNA_MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
# Below this number, figures of a test part depend mostly on chance.
_FEW = 100


def _warnings(sources: Sequence[Source], kind: str, parts: dict[str, str]) -> list[str]:
    found = []
    alone = sum(source.patient == source.name for source in sources)
    if alone == len(sources) and kind == "rsna":
        found.append(
            "every image counts as a separate patient. Without --mapping, 70 % of the test "
            "images are of patients of the training part, and figures are too good. "
            f"The patients are in {RSNA_MAPPING}, on RSNA's page of the challenge "
            "(rsna.org, RSNA Pneumonia Detection Challenge 2018)"
        )
    elif alone > len(sources) / 2 and len(sources) > 1:
        how = "--patient-column" if kind == "csv" else "--patient-pattern"
        found.append(
            f"{alone} of {len(sources)} images count as separate patients, since their "
            f"patients are unknown. If a patient has several, name the patients by {how}; else "
            "training and test share patients, and figures are too good"
        )
    targets = {source.name: source.target for source in sources}
    for part in PARTS:
        of_part = [targets[name] for name, value in parts.items() if value == part]
        positive = sum(target == 1 for target in of_part)
        if not of_part:
            found.append(f"the {part} part is empty")
        elif None not in of_part and not 0 < positive < len(of_part):
            found.append(f"the {part} part has images of one target only")
    count = sum(value == "test" for value in parts.values())
    if 0 < count < _FEW:
        found.append(f"the test part has {count} images only: its figures will be uncertain")
    return found


def _split_name(split: str) -> str:
    """Return the split for `dataset.json`: of a file only its name."""
    return split if split in ("patient", "recipe", "official") else Path(split).name


def _parts(
    sources: Sequence[Source], split: str, seed: int, validation: float, test: float
) -> dict[str, str]:
    """Return the part of each image by its name; images in no part are omitted."""
    cases = [_case(source) for source in sources]
    found = _split(cases, sources, split, seed, validation, test)
    shared = shared_people(cases, found)
    if shared:
        raise DataSetError(
            f"the split {_split_name(split)} puts {len(shared)} patients into two parts; to "
            "reproduce the published split, omit the patients' numbers (--mapping)"
        )
    return {cases[index].path.stem: part for part in PARTS for index in found.part(part)}


def _split(
    cases: Sequence[Case],
    sources: Sequence[Source],
    split: str,
    seed: int,
    validation: float,
    test: float,
) -> Split:
    if split == "patient":
        return split_by_patient(cases, seed=seed, validation=validation, test=test)
    if split == "recipe":
        return split_recipe(cases)
    if split == "official":
        return split_official(
            cases, [source.part for source in sources], seed=seed, validation=validation
        )
    if not Path(split).exists():
        raise DataSetError(f"{split}: no such list; or choose patient, recipe or official")
    return split_published(cases, Path(split))


def _case(source: Source) -> Case:
    # Lists contain the names of the original files.
    return Case(
        path=Path(f"{source.name}.png"),
        patient=source.patient,
        class_name=source.class_name,
        target=source.target,
        source=source.source,
    )


def prepare_images(
    sources: Sequence[Source], folder: Path, *, size: int, workers: int | None = None
) -> Iterator[Prepared]:
    """Make the images of a data set and yield each one; unreadable files are skipped.

    Memory does not grow with their number, since only a few are processed at a time.

    Args:
        folder: of the data set; an earlier run there is resumed.
        size: longer side of the prepared images in pixels. A smaller radiograph is enlarged, as in
            a prediction.
        workers: number of reading processes; the default depends on the machine.

    Raises:
        DataSetError: the folder holds a data set of another size.
    """
    images = folder / IMAGES
    images.mkdir(parents=True, exist_ok=True)
    journal = folder / JOURNAL
    done = _read_journal(journal, size)
    waiting: list[Source] = []
    for source in sources:
        earlier = done.get(source.name)
        if earlier is not None and _still_there(earlier, source, images):
            yield Prepared(source, earlier, resumed=True)
        else:
            waiting.append(source)
    with journal.open("a") as notes:
        if not notes.tell():
            notes.write(json.dumps({"size": size}) + "\n")
        for step in _make(waiting, images, size, workers):
            if step.image is not None:
                notes.write(json.dumps(asdict(step.image)) + "\n")
                notes.flush()
            yield step


def _read_journal(path: Path, size: int) -> dict[str, Image8]:
    """Read the images of an earlier run by their names; remove an incomplete last line."""
    if not path.is_file():
        return {}
    text = path.read_text()
    if text and not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        _write_whole(path, text.encode())
    done: dict[str, Image8] = {}
    try:
        for number, line in enumerate(text.splitlines()):
            note: dict[str, Any] = json.loads(line)
            if not number and note["size"] != size:
                raise DataSetError(
                    f"{path.parent}: was prepared with a size of {note['size']}, not {size}"
                )
            # Images of earlier versions have no framing, which boxes need; they are read again.
            if number and "framing" in note:
                done[note["name"]] = Image8(**note)
    except (ValueError, KeyError, TypeError):
        raise DataSetError(f"{path}: damaged; delete it to begin anew") from None
    return done


def _still_there(image: Image8, source: Source, images: Path) -> bool:
    try:
        status = source.path.stat()
        written = (images / f"{image.name}.png").stat().st_size
    except OSError:
        return False
    unchanged = (status.st_size, status.st_mtime_ns) == (image.source_bytes, image.source_mtime)
    return unchanged and written == image.bytes


def _make(
    sources: Sequence[Source], images: Path, size: int, workers: int | None
) -> Iterator[Prepared]:
    readings = read_many((source.path for source in sources), size, workers=workers)
    encoders = min(4, processors())
    pending: deque[Future[Prepared]] = deque()
    with ThreadPoolExecutor(encoders, thread_name_prefix="nanoray-encoding") as threads:
        for source, reading in zip(sources, readings, strict=True):
            pending.append(threads.submit(_write, source, reading, images))
            if len(pending) > 2 * encoders:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _write(source: Source, reading: Reading, images: Path) -> Prepared:
    facts = reading.facts
    if reading.square is None or facts is None:
        return Prepared(source, None, reading.error.reason if reading.error else "unreadable")
    square, place, framing = framed_square(reading)
    buffer = BytesIO()
    Image.fromarray(to_uint8(place.crop(square))).save(buffer, "PNG", compress_level=_COMPRESSION)
    data = buffer.getvalue()
    _write_whole(images / f"{source.name}.png", data)
    status = source.path.stat()
    image = Image8(
        name=source.name,
        source_bytes=status.st_size,
        source_mtime=status.st_mtime_ns,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        rows=facts.rows,
        columns=facts.columns,
        format=facts.format,
        transfer_syntax=facts.transfer_syntax,
        photometric=facts.photometric,
        bits_stored=facts.bits_stored,
        view=facts.view,
        sex=facts.sex,
        age=facts.age_years,
        spacing=facts.pixel_spacing_mm[0] if facts.pixel_spacing_mm else None,
        framing=framing.numbers(),
    )
    return Prepared(source, image)


def _write_whole(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)


def write_tables(
    folder: Path,
    done: Sequence[tuple[Source, Image8]],
    unreadable: Sequence[tuple[Source, str]],
    parts: dict[str, str],
    about: dict[str, Any],
) -> None:
    """Write `labels.csv`, `split.csv`, the manifest, the unreadable files and `dataset.json`.

    Args:
        parts: name of an image to its part, for images in a part.
        about: the options of the preparation, for `dataset.json`.
    """
    _write_labels(folder / LABELS, done)
    _write_csv(
        folder / SPLIT,
        ("image", "part"),
        (
            (source.name, part)
            for part in PARTS
            for source, _ in done
            if parts.get(source.name) == part
        ),
    )
    _write_csv(
        folder / MANIFEST,
        (
            "file",
            "sha256",
            "bytes",
            "source",
            "source_bytes",
            "rows",
            "columns",
            "format",
            "transfer_syntax",
            "photometric",
            "bits_stored",
        ),
        (
            (
                f"{IMAGES}/{image.name}.png",
                image.sha256,
                image.bytes,
                source.path.name,
                image.source_bytes,
                image.rows,
                image.columns,
                image.format,
                image.transfer_syntax,
                image.photometric,
                image.bits_stored,
            )
            for source, image in done
        ),
    )
    _write_csv(
        folder / UNREADABLE,
        ("image", "reason"),
        ((source.name, reason) for source, reason in unreadable),
    )
    counts = {part: sum(value == part for value in parts.values()) for part in PARTS}
    document = {
        "nanoray": __version__,
        **about,
        "images": len(done),
        "patients": len({source.patient for source, _ in done}),
        "positive": sum(source.target == 1 for source, _ in done),
        "unreadable": len(unreadable),
        "parts": counts,
        "sha256": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in (LABELS, SPLIT, MANIFEST)
        },
    }
    _write_whole(folder / ABOUT, (json.dumps(document, indent=1) + "\n").encode())


def _write_labels(path: Path, done: Sequence[tuple[Source, Image8]]) -> None:
    boxed = any(source.boxes is not None for source, _ in done)
    published = any(source.publisher for source, _ in done)
    columns = ["patientId", "class_name", "Target", "source_patient", "sex", "age", "view"]
    columns += ["pixel_spacing", "rows", "columns", *(["boxes"] if boxed else []), "source"]
    columns += ["publisher"] if published else []
    rows = []
    for source, image in done:
        age = source.age if source.age is not None else image.age
        row: list[object] = [
            source.name,
            source.class_name,
            "" if source.target is None else source.target,
            source.patient,
            source.sex or image.sex or "",
            "" if age is None else f"{age:g}",
            source.view or image.view or "",
            "" if image.spacing is None else f"{image.spacing:g}",
            image.rows,
            image.columns,
        ]
        if boxed:
            row.append(json.dumps(_in_box_frame(source, image)))
        rows.append([*row, source.source, *([source.publisher] if published else [])])
    _write_csv(path, columns, rows)


def _in_box_frame(source: Source, image: Image8) -> list[list[float]]:
    """Convert boxes to pixels of a square of `BOX_FRAME`, the form of `nanoray.datasets.folder`."""
    framing = Framing.from_numbers(image.framing)
    stored = (image.columns, image.rows)
    if geometry.swaps(framing.orientation):
        stored = (image.rows, image.columns)
    columns, rows = source.frame or stored
    boxes = [
        (x / columns, y / rows, width / columns, height / rows)
        for x, y, width, height in source.boxes or ()
    ]
    return [[round(BOX_FRAME * side, 2) for side in box] for box in framing.in_content(boxes)]


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    partial.replace(path)


def verify(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Compare every file of the manifest with its checksum; yield (file, error or None).

    Raises:
        DataSetError: no manifest, or a changed one.
    """
    manifest, about = folder / MANIFEST, folder / ABOUT
    if not manifest.is_file() or not about.is_file():
        raise DataSetError(f"{folder}: no {MANIFEST}; prepare the data set first")
    recorded = json.loads(about.read_text())["sha256"]
    for name, expected in recorded.items():
        path = folder / name
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        wrong = "missing" if found is None else "changed"
        yield name, None if found == expected else wrong
    with manifest.open(newline="") as file:
        for row in csv.DictReader(file):
            path = folder / row["file"]
            if not path.is_file():
                yield row["file"], "missing"
                continue
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            yield row["file"], None if found == row["sha256"] else "changed"
