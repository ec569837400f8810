"""Decoding a compressed frame, once it agrees with the header."""

from __future__ import annotations

import io
import itertools
import struct
from dataclasses import replace
from typing import Any, Final

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from nanoray.reading.dicom import codestream
from nanoray.reading.dicom.frame import Frame, Stored
from nanoray.reading.raster import load_reduced, reduced_scale
from nanoray.reading.refusals import Refusal

NATIVE: Final = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


JPEG2000_FAMILY: Final = (*JPEG2000TransferSyntaxes, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)


JPEG_FAMILY: Final = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes)


def check_codestream(frame: Frame, syntax: UID, data: bytes) -> None:
    """Compare the header with what the compressed frame says of itself, before decoding it."""
    if syntax == RLELossless:
        _check_rle(frame, data)
        return
    is_jpeg = syntax in JPEG_FAMILY
    layout = codestream.jpeg_layout(data) if is_jpeg else codestream.jpeg2000_layout(data)
    if layout is None or (
        is_jpeg and (layout.marker == 0xF7) != (syntax in JPEGLSTransferSyntaxes)
    ):
        raise Refusal("codestream")
    if (layout.rows, layout.columns) != (frame.rows, frame.columns):
        raise Refusal("codestream-size")
    if layout.samples != frame.samples:
        raise Refusal("codestream-samples")
    if not 0 < layout.precision <= frame.allocated:
        raise Refusal("codestream-bits")
    if not codestream.complete(data, jpeg=is_jpeg):
        raise Refusal("codestream-truncated")


def _check_rle(frame: Frame, data: bytes) -> None:
    """The RLE header (PS3.5 G.5): the number of segments, then 15 offsets that ascend."""
    if len(data) < 64:
        raise Refusal("codestream-truncated")
    count, *offsets = struct.unpack_from("<16I", data)
    if not 1 <= count <= 15:
        raise Refusal("codestream")
    if frame.allocated % 8 or count != frame.samples * frame.allocated // 8:
        raise Refusal("codestream-samples")
    used = offsets[:count]
    if used[0] < 64 or any(b <= a for a, b in itertools.pairwise(used)):
        raise Refusal("codestream")
    if used[-1] >= len(data):
        raise Refusal("codestream-truncated")


def decode_compressed(
    frame: Frame, syntax: UID, data: bytes, header: Any, min_side: int | None
) -> tuple[Stored, str]:
    scale = 1
    # Averages of padding and image would be neither, so padding needs the full scale.
    if min_side is not None and frame.samples == 1 and "PixelPaddingValue" not in header:
        scale = reduced_scale(frame.rows, frame.columns, min_side)
    if syntax == JPEGBaseline8Bit and frame.samples == 1 and frame.stored == 8:
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
                loaded = load_reduced(image, scale)
                grey = loaded if loaded.mode == "L" else loaded.convert("L")
                return np.asarray(grey), frame.photometric
        except MemoryError:
            raise
        except Exception:
            raise Refusal("decoder") from None
    # What is stored without loss is read without loss: the same probability in every encoding.
    if scale > 1 and syntax == JPEG2000 and not frame.signed:
        # Twice the scale, since wavelets' low frequencies are sharper than a resized image.
        assert min_side is not None
        scale = reduced_scale(frame.rows, frame.columns, 2 * min_side)
        reduced = _reduced_jpeg2000(data, scale) if scale > 1 else None
        if reduced is not None:
            return reduced, frame.photometric
    if syntax in JPEGTransferSyntaxes:
        # The decoder fills as many bytes a sample as the codestream's precision needs, which may
        # be fewer than the header allocates.
        layout = codestream.jpeg_layout(data)
        container = 8 if layout is not None and layout.precision <= 8 else 16
        if container != frame.allocated:
            stored = min(frame.stored, container)
            frame = replace(frame, allocated=container, stored=stored, high_bit=stored - 1)
    encapsulated = encapsulate([data + b"\x00" * (len(data) % 2)], has_bot=False)
    return decode(frame, syntax, encapsulated, vr="OB")


def _reduced_jpeg2000(data: bytes, scale: int) -> Stored | None:
    """Unsigned samples at 1/`scale`, or less reduced; None where only the whole can be decoded."""
    layout, levels = codestream.jpeg2000_layout(data), codestream.jpeg2000_levels(data)
    if layout is None:
        return None
    scale = min(scale, 1 << levels)
    # Pillow rounds the reduced size, and the decoder rounds it up: where they differ, it refuses.
    while any(0 < side % scale < scale // 2 for side in (layout.rows, layout.columns)):
        scale //= 2
    if layout.signed or not 8 <= layout.precision <= 16 or scale == 1:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG2000",)) as image:
            samples = np.asarray(load_reduced(image, scale))
    except MemoryError:
        raise
    except Exception:
        # Tiles may have fewer levels than the main header says.
        return None
    if samples.ndim != 2 or samples.dtype.itemsize != (1 if layout.precision == 8 else 2):
        return None
    # Pillow fills the 16 bits from the top.
    return samples >> (8 * samples.dtype.itemsize - layout.precision)


def decode(frame: Frame, syntax: UID, value: bytes, vr: str) -> tuple[Stored, str]:
    """Stored values [H, W] or [H, W, 3], and the photometric interpretation they have."""
    left_aligned = frame.high_bit >= frame.stored
    options: dict[str, Any] = {
        "rows": frame.rows,
        "columns": frame.columns,
        "samples_per_pixel": frame.samples,
        "photometric_interpretation": frame.photometric,
        "planar_configuration": frame.planar,
        "bits_allocated": frame.allocated,
        "bits_stored": frame.stored,
        "pixel_representation": int(frame.signed),
        "number_of_frames": 1,
        "pixel_keyword": frame.keyword,
        "pixel_vr": vr,
    }
    aligned = syntax not in JPEG2000_FAMILY and syntax not in JPEGLSTransferSyntaxes
    if aligned and left_aligned:
        options["correct_unused_bits"] = False
    plugin = "" if syntax in NATIVE else "pylibjpeg"
    try:
        stored, properties = get_decoder(syntax).as_array(
            value, index=0, raw=True, decoding_plugin=plugin, **options
        )
    except (MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException:
        # Not Exception: what a decoder written in Rust raises in a panic is no subclass of it.
        raise Refusal("decoder") from None
    if aligned and left_aligned:
        # An old encoding that keeps the significant bits on top (retired from PS3.5 8.1.1).
        native = stored.astype(stored.dtype.newbyteorder("="))
        above = frame.allocated - 1 - frame.high_bit
        stored = (native << above) >> (frame.allocated - frame.stored)
    if frame.signed and not aligned:
        stored = _signed(stored, frame.stored)
    return stored, str(properties["photometric_interpretation"])


def _signed(stored: Stored, bits: int) -> Stored:
    """Signed samples whose codestream held them as unsigned ones of more than `bits` bits.

    pydicom corrects the sign by the codestream's precision, which may exceed Bits Stored. Such
    samples show: none is negative, and some are more than `bits` bits with a sign can hold.
    """
    half = 1 << (bits - 1)
    if stored.min() >= 0 and half <= stored.max() < 2 * half:
        wide = stored.astype(np.int64)
        return np.where(wide >= half, wide - 2 * half, wide).astype(stored.dtype)
    return stored
