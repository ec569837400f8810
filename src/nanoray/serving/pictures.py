"""Pictures of stored radiographs for the viewer, made in the reading processes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nanoray.detecting import pose
from nanoray.errors import UnreadableError
from nanoray.reading import geometry, read
from nanoray.reading.resize import placement
from nanoray.reading.worker import refused

PICTURE_SIDE = 1536
"""Longer side of the pictures in pixels."""
FULL_SIDE = 65_535
"""Longer side of any DICOM image (PS3.3 C.7.6.3): keeps all pixels."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A radiograph at the viewer's size.

    Attributes:
        rows, columns: of the picture.
        data: zlib-compressed uint16 [rows, columns], little endian, row by row; 0 is black.
        error: reason for a missing picture.
    """

    rows: int = 0
    columns: int = 0
    data: bytes = b""
    error: UnreadableError | None = None

    def array(self) -> NDArray[np.float32]:
        """float32 [rows, columns] in 0..1."""
        values = np.frombuffer(zlib.decompress(self.data), "<u2").reshape(self.rows, self.columns)
        picture: NDArray[np.float32] = values.astype(np.float32) / np.float32(65_535)
        return picture


@dataclass(frozen=True, slots=True)
class MakePicture:
    """A task for a reading process: a picture of a file.

    Attributes:
        path: of the file.
        side: longer side of the picture in pixels, at most.
        timeout: largest duration in seconds.
        orientation: EXIF orientation by which to turn the stored image, that of the result's map;
            None for the file's own. They differ if the detector corrected the pose.
        inverted: whether to invert the image, since the detector corrected a negative.
    """

    path: str
    side: int
    timeout: float
    orientation: int | None = None
    inverted: bool = False

    def run(self) -> Picture:
        """Make the picture."""
        try:
            radiograph = read(self.path, min_side=self.side)
            pixels = radiograph.pixels
            if self.orientation is not None:
                own = geometry.undone(radiograph.facts.orientation)
                pixels = geometry.turned_array(pixels, geometry.composed(own, self.orientation))
            if self.inverted:
                pixels = pose.positive(pixels)
            rows, columns = pixels.shape
            place = placement(rows, columns, min(self.side, max(rows, columns)))
            small = np.asarray(
                Image.fromarray(np.ascontiguousarray(pixels, np.float32)).resize(
                    (place.width, place.height), Image.Resampling.BOX
                ),
                np.float32,
            )
            values = np.rint(np.clip(small, 0, 1) * 65_535).astype("<u2")
            return Picture(place.height, place.width, zlib.compress(values.tobytes(), 1))
        except UnreadableError as error:
            return Picture(error=UnreadableError("<spool>", error.code, error.reason))
        except MemoryError:
            return Picture(error=refused("<spool>", "memory"))
