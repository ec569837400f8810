"""Reading radiographs: any DICOM file or picture to float32 pixels and facts without identifiers.

`read` works in this process and is for trusted files. `nanoray.reading.pool.read_many` reads files
of unknown origin in separate processes.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np

from nanoray.errors import UnreadableError
from nanoray.reading import limits
from nanoray.reading.file_kind import RASTERS, kind_of
from nanoray.reading.quiet import quiet
from nanoray.reading.radiograph import Facts, Grey, Pixels, Radiograph
from nanoray.reading.refusals import REASONS, Refusal
from nanoray.reading.resize import Placement, fit, letterbox, placement

__all__ = [
    "REASONS",
    "Facts",
    "Pixels",
    "Placement",
    "Radiograph",
    "contents",
    "fit",
    "from_array",
    "keep_memory",
    "letterbox",
    "limits",
    "needed_side",
    "placement",
    "read",
]


def read(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview,
    *,
    min_side: int | None = None,
) -> Radiograph:
    """Read one radiograph, in this process.

    Args:
        source: path of a DICOM, PNG, JPEG, TIFF, JPEG 2000, WebP, AVIF or HEIF file, or the
            contents of one. HEIF needs the extra "heif".
        min_side: number of pixels that the caller needs on the longer side. JPEG and JPEG 2000
            frames are then decoded at 1/2, 1/4 or 1/8 of their scale (from fewer coefficients of
            the cosine or wavelet transform) if the longer side stays at least twice that.

    Raises:
        UnreadableError: the file does not contain a single readable image.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        label, data = "<bytes>", bytes(source)
    else:
        label, data = os.fspath(source), None
    try:
        if data is None:
            data = _contents(label)
        with quiet():
            return _read(data, min_side)
    except Refusal as refusal:
        code = refusal.code
    except MemoryError:
        code = "memory"
    except RecursionError:
        code = "nested-too-deep"
    except Exception:
        # Unknown files may cause unexpected errors. No file may stop a batch. The message of an
        # exception, which may quote the file, be seen.
        code = "unexpected"
    raise UnreadableError(label, code, REASONS[code])


def needed_side(size: int) -> int:
    """Choose the `min_side` for a model whose square has side `size`.

    It does not depend on the request for a thumbnail, so the probability does not either.
    """
    return max(size, limits.THUMBNAIL_SIDE // 2)


def keep_memory() -> None:
    """Let this process keep up to 62 MiB of freed memory for the next file.

    glibc keeps as much as the largest block that was mapped and freed (mallopt(3),
    M_MMAP_THRESHOLD). Otherwise it returns a frame's pages after each file, and zeroing new ones
    takes a fifth of the time. The block is never accessed, so it costs nothing. Other C libraries
    ignore this.
    """
    np.empty(31 * limits.MIB, np.uint8)


def contents(path: str) -> bytes:
    """Return the bytes of a file, of at most `limits.MAX_FILE_BYTES`.

    Raises:
        UnreadableError: not a regular file, or it cannot be read.
    """
    try:
        return _contents(path)
    except Refusal as refusal:
        raise UnreadableError(path, refusal.code, refusal.reason) from None


def _contents(path: str) -> bytes:
    try:
        # Checked before opening: opening a pipe would wait for its writer.
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            raise Refusal("directory")
        if not stat.S_ISREG(status.st_mode):
            raise Refusal("special-file")
        if status.st_size > limits.MAX_FILE_BYTES:
            raise Refusal("file-too-large")
        with Path(path).open("rb", buffering=0) as file:
            # Read as much as the file's size: Python would first allocate a larger limit in full.
            data = file.read(status.st_size + 1)
            if len(data) > status.st_size:
                data += file.read(limits.MAX_FILE_BYTES + 1 - len(data))
            return data
    except PermissionError:
        code = "no-permission"
    except (FileNotFoundError, NotADirectoryError, ValueError):
        code = "missing"
    except OSError as error:
        code = "missing" if not os.path.lexists(path) else "read-failed"
        code = "link-loop" if error.errno == errno.ELOOP else code
    raise Refusal(code)


def _read(data: bytes, min_side: int | None) -> Radiograph:
    if not data:
        raise Refusal("empty-file")
    if len(data) > limits.MAX_FILE_BYTES:
        raise Refusal("file-too-large")
    kind = kind_of(data)
    if kind is None:
        raise Refusal("not-an-image")
    # Imported here to keep `import nanoray.reading` fast.
    if kind == "DICOM":
        from nanoray.reading.dicom.reader import read_dicom

        return read_dicom(data, min_side)
    if kind in RASTERS:
        from nanoray.reading.raster import read_raster

        return read_raster(data, kind, min_side)
    raise Refusal(kind)


def from_array(array: Any) -> Radiograph:
    """Return a radiograph from pixels that are already in memory, bright bone on dark.

    Args:
        array: [H, W], [H, W, 1], or [H, W, 3 or 4] of red, green, blue (and opacity, ignored).
            Floats in 0..1 are not scaled. 8-bit and boolean values are scaled by their full range,
            all others between their 0.5 and 99.5 percentiles.

    Raises:
        UnreadableError: not such an array, or more than `limits.MAX_PIXELS` pixels.
    """
    try:
        return _from_array(np.asarray(array))
    except Refusal as refusal:
        code = refusal.code
    except MemoryError:
        code = "memory"
    raise UnreadableError("<array>", code, REASONS[code])


def _from_array(array: np.ndarray[Any, np.dtype[Any]]) -> Radiograph:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    _check_array(array)
    from nanoray.reading import greyscale

    rows, columns = array.shape[:2]
    bits = 1 if array.dtype.kind == "b" else 8 * array.dtype.itemsize
    low = -(1 << (bits - 1)) if array.dtype.kind == "i" else 0
    as_is, colour = False, False
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    elif array.dtype.kind == "f":
        finite = array[np.isfinite(array)]
        if not finite.size:
            raise Refusal("not-finite")
        as_is = bool(finite.min() >= 0 and finite.max() <= 1)
    if array.ndim == 3:
        if array.dtype.kind == "f":
            array = np.nan_to_num(array, posinf=0.0, neginf=0.0)
            full_scale = max(1.0, float(array.max()))
        else:
            full_scale = 1.0 if bits == 1 else float(np.iinfo(array.dtype).max)
            array = np.maximum(array, 0)  # a colour has no negative parts
        array, colour = greyscale.luma(array, full_scale)
        as_is = as_is or bits <= 8
    if as_is:
        grey: Grey = np.nan_to_num(array.astype(np.float32), posinf=0.0, neginf=0.0)
    else:
        grey = greyscale.render(array, bits=bits, low=low)
    return Radiograph(grey, Facts("array", rows, columns, bits, colour=colour))


def _check_array(array: np.ndarray[Any, np.dtype[Any]]) -> None:
    if array.dtype.kind not in "biuf":
        raise Refusal("array-type")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise Refusal("array-shape")
    rows, columns = array.shape[:2]
    if not rows or not columns:
        raise Refusal("size-zero")
    if rows * columns > limits.MAX_PIXELS:
        raise Refusal("too-many-pixels")
