"""Decoding a compressed frame that agrees with its header."""

from __future__ import annotations

import io
import itertools
import struct
from dataclasses import replace
from typing import IO, Any, Final, NamedTuple, cast

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000MC,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000MCLossless,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSNearLossless,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from nanoray.reading import codestream
from nanoray.reading.codestream import Codestream
from nanoray.reading.dicom.frame import Frame, Stored
from nanoray.reading.raster import (
    JPEG2000_MARGIN,
    centred,
    load_levels,
    load_reduced,
    reduced_scale,
    reduced_size,
)
from nanoray.reading.refusals import Refusal
from nanoray.reading.steps import Step, Steps

NATIVE: Final = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


JPEG2000_FAMILY: Final = (*JPEG2000TransferSyntaxes, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)


JPEG_FAMILY: Final = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes)


RETIRED_JPEG: Final = tuple(
    UID(f"1.2.840.10008.1.2.4.{number}") for number in (*range(52, 57), *range(58, 67))
)
"""JPEG processes that PS3.5 no longer has; their frames are read if a decoder knows them."""

ENCAPSULATED_NATIVE: Final = UID("1.2.840.10008.1.2.1.98")
"""Explicit VR Little Endian, not compressed, in items (PS3.5 A.4.11)."""

# What decodes the frames of a JPEG, by its start of frame marker (T.81 table B.1, T.87).
_HUFFMAN: Final = frozenset((0xC0, 0xC1, 0xC2))
_ARITHMETIC: Final = frozenset((0xC9, 0xCA))
_LOSSLESS, _JPEG_LS = 0xC3, 0xF7


def actual_syntax(stated: UID, data: Codestream) -> UID:
    """Return the transfer syntax by the header of a JPEG or JPEG 2000 frame.

    Writers state the wrong one of these syntaxes; the frame itself is unambiguous.

    Args:
        stated: the file's transfer syntax; returned if the frame may be of it, or is unknown.
        data: the compressed frame.

    Raises:
        Refusal: no decoder knows this kind of JPEG.
    """
    layout = codestream.jpeg_layout(data)
    if layout is None:
        # No decoder is registered for the multi-component extensions, whose frames rarely use them.
        family = set(JPEG2000_FAMILY) - {JPEG2000MC, JPEG2000MCLossless}
        other = stated not in family and codestream.jpeg2000_layout(data) is not None
        if stated in RETIRED_JPEG and not other:
            raise Refusal("codestream")
        return JPEG2000 if other else stated
    if layout.marker == _JPEG_LS:
        return stated if stated in JPEGLSTransferSyntaxes else JPEGLSNearLossless
    if layout.marker == _LOSSLESS:
        return stated if stated in (JPEGLossless, JPEGLosslessSV1) else JPEGLossless
    if layout.marker in _HUFFMAN and stated == JPEGExtended12Bit:
        return stated
    if layout.precision == 8 and layout.marker in _HUFFMAN | _ARITHMETIC:
        return JPEGBaseline8Bit
    if layout.marker in _HUFFMAN:
        return JPEGExtended12Bit
    raise Refusal("transfer-syntax")


class Decoded(NamedTuple):
    """Stored values, their photometric interpretation, and the number of highest bits to ignore.

    These bits may contain overlays (PS3.5 8.1.1), or tell padding from samples.
    """

    stored: Stored
    photometric: str
    unused: int = 0


class Compressed(NamedTuple):
    """A compressed frame that agrees with its header.

    Attributes:
        frame: the header's image pixel module, with the samples per pixel of the codestream.
        data: the codestream, up to its end marker; possibly a view of the file.
        ended: whether it has an end marker.
        precision: bits of a sample in the codestream.
    """

    frame: Frame
    data: Codestream
    ended: bool
    precision: int


def checked(frame: Frame, syntax: UID, data: Codestream) -> Compressed:
    """Compare the header with the compressed frame's layout, before decoding it.

    Raises:
        Refusal: they contradict each other, so that the image is ambiguous.
    """
    if syntax == RLELossless:
        _check_rle(frame, data)
        return Compressed(frame, data, True, frame.allocated)
    is_jpeg = syntax in JPEG_FAMILY
    layout = codestream.jpeg_layout(data) if is_jpeg else codestream.jpeg2000_layout(data)
    if layout is None or (
        is_jpeg and (layout.marker == 0xF7) != (syntax in JPEGLSTransferSyntaxes)
    ):
        raise Refusal("codestream")
    if (layout.rows, layout.columns) != (frame.rows, frame.columns):
        raise Refusal("codestream-size")
    if layout.samples != frame.samples:
        frame = _with_samples(frame, layout.samples, bytes(data), is_jpeg=is_jpeg)
    if not 0 < layout.precision <= frame.allocated:
        raise Refusal("codestream-bits")
    cut = codestream.cut(data, jpeg=is_jpeg)
    if cut is None:
        raise Refusal("codestream-truncated")
    data, ended = cut
    if is_jpeg:
        data = codestream.sequential(bytes(data))
    return Compressed(frame, data, ended, layout.precision)


def _with_samples(frame: Frame, samples: int, data: bytes, *, is_jpeg: bool) -> Frame:
    """Return the frame with the codestream's samples per pixel, if the header has others.

    A grey picture with a header for colour, or vice versa, is read by its codestream.
    """
    if samples not in (1, 3) or frame.photometric == "PALETTE COLOR":
        raise Refusal("codestream-samples")
    if samples == 1:
        return replace(frame, samples=1, photometric="MONOCHROME2")
    ybr = is_jpeg and not codestream.jpeg_is_rgb(data)
    return replace(frame, samples=3, photometric="YBR_FULL" if ybr else "RGB")


def _check_rle(frame: Frame, data: Codestream) -> None:
    """Check the RLE header (PS3.5 G.5): the number of segments, then 15 offsets that ascend."""
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


_END: Final = b"\xff\xd9"


def decode_compressed(
    compressed: Compressed, syntax: UID, min_side: int | None, steps: Steps
) -> Decoded:
    """Decode a compressed frame to stored values [H, W] or [H, W, 3].

    Args:
        compressed: see `checked`.
        syntax: the transfer syntax.
        min_side: see `nanoray.reading.read`; None decodes the whole.
        steps: list to which the steps are appended.

    Raises:
        Refusal: the frame is damaged, or ends before its last pixel.
    """
    frame, data, ended, _ = compressed
    if ended or syntax == RLELossless:
        return _decode_ended(compressed, syntax, min_side, steps)
    if syntax in JPEG2000_FAMILY:
        return _decode_ended(compressed._replace(data=bytes(data) + _END), syntax, min_side, steps)
    try:
        decoded = [
            _decode_ended(compressed._replace(data=attempt), syntax, min_side, [])
            for attempt in _attempts(bytes(data), syntax)
        ]
    except Refusal:
        raise Refusal("codestream-truncated") from None
    changed = (not np.array_equal(decoded[0].stored, other.stored) for other in decoded[1:])
    if not decoded or any(changed):
        raise Refusal("codestream-truncated")
    steps.append(Step("decoding", f"the end marker is missing, no pixel is ({frame.rows} rows)"))
    return decoded[0]


def _attempts(data: bytes, syntax: UID) -> list[bytes]:
    """Complete a JPEG without end marker in several ways, which must decode to the same pixels."""
    if syntax not in JPEGLSTransferSyntaxes:
        return codestream.completions(data)
    # CharLS refuses one byte too many or too few, so padding must be removed. Of its bytes, the
    # first may be coded data, which can end with a code word's up to 47 zero bits (T.87 A.5.3).
    least = len(data.rstrip(b"\0\xff "))
    for end in range(least, min(len(data), least + 5) + 1):
        if _charls(data[:end] + _END) is not None:
            return [data[:end] + _END]
    return []


def _decode_ended(
    compressed: Compressed,
    syntax: UID,
    min_side: int | None,
    steps: Steps,
) -> Decoded:
    frame, _, _, precision = compressed
    scale = 1
    if min_side is not None and frame.samples == 1:
        scale = reduced_scale(frame.rows, frame.columns, min_side)
    if scale > 1 and syntax in JPEG2000_FAMILY and not frame.signed and precision <= frame.stored:
        levels = reduced_scale(frame.rows, frame.columns, min_side or 0, JPEG2000_MARGIN)
        reduced = _reduced_jpeg2000(compressed.data, levels)
        if reduced is not None:
            steps.append(Step("decoding", f"wavelet levels for 1/{levels} of the size"))
            return Decoded(reduced, frame.photometric)
    data = bytes(compressed.data)
    if syntax == JPEGBaseline8Bit and frame.samples == 1 and frame.stored == 8:
        baseline = _decode_baseline(frame, data, scale)
        if scale > 1:
            steps.append(Step("decoding", f"cosine coefficients for 1/{scale} of the size"))
        return Decoded(baseline, frame.photometric)
    if syntax in JPEGLSTransferSyntaxes:
        stored = _decode_jpeg_ls(frame, data)
        if stored is not None:
            return _masked(Decoded(stored, frame.photometric), frame, precision)
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        stored = _decode_lossless_jpeg(frame, data, precision)
        if stored is not None:
            return Decoded(stored, frame.photometric)
    if syntax in JPEGTransferSyntaxes:
        # The codestream's precision determines the decoder's bytes per sample, which may be fewer
        # than the header allocates.
        container = 8 if precision <= 8 else 16
        if container != frame.allocated:
            stored_bits = min(frame.stored, container)
            frame = replace(
                frame, allocated=container, stored=stored_bits, high_bit=stored_bits - 1
            )
    encapsulated = encapsulate([data + b"\x00" * (len(data) % 2)], has_bot=False)
    frame, unused = _with_kept_bits(frame, syntax, precision)
    decoded = Decoded(*decode(frame, syntax, encapsulated, vr="OB"), unused)
    if syntax in (*JPEG2000_FAMILY, *JPEGLSTransferSyntaxes):
        return _masked(decoded, frame, precision)
    return decoded


def _with_kept_bits(frame: Frame, syntax: UID, precision: int) -> tuple[Frame, int]:
    """Return the frame with which a lossless decoder keeps unused bits, and their number."""
    lossless = syntax in (RLELossless, JPEGLossless, JPEGLosslessSV1)
    grey = frame.samples == 1 and frame.allocated in (8, 16) and frame.high_bit == frame.stored - 1
    if not lossless or not grey or precision <= frame.stored:
        return frame, 0
    whole = replace(frame, stored=frame.allocated, high_bit=frame.allocated - 1)
    return whole, frame.allocated - frame.stored


def _decode_baseline(frame: Frame, data: bytes, scale: int) -> Stored:
    """Decode a grey baseline JPEG at 1/`scale` of its size.

    simplejpeg and Pillow contain the same libjpeg-turbo. The former takes a quarter less time, the
    latter tolerates small errors.
    """
    stored = _decode_undamaged(frame, data, scale)
    if stored is not None:
        return stored
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            loaded = load_reduced(image, scale)
            return np.asarray(loaded if loaded.mode == "L" else loaded.convert("L"))
    except MemoryError:
        raise
    except Exception:
        raise Refusal("decoder") from None


def _decode_undamaged(frame: Frame, data: bytes, scale: int) -> Stored | None:
    """Decode a baseline JPEG without errors; None for others."""
    rows, columns = frame.rows // scale, frame.columns // scale
    try:
        from simplejpeg import decode_jpeg

        stored: Stored = decode_jpeg(data, "GRAY", min_height=rows, min_width=columns)[..., 0]
    except MemoryError:
        raise
    except Exception:
        return None
    if stored.shape != (-(-frame.rows // scale), -(-frame.columns // scale)):
        return None
    height, width = reduced_size(frame.rows, frame.columns, scale)
    return np.ascontiguousarray(stored[:height, :width])


def _decode_jpeg_ls(frame: Frame, data: bytes) -> Stored | None:
    """Decode a JPEG-LS frame of one component by CharLS; None if CharLS refuses it."""
    values = _charls(data) if frame.samples == 1 and frame.allocated <= 16 else None
    if values is None:
        return None
    width = len(values) // (frame.rows * frame.columns)
    if width not in (1, 2) or len(values) != width * frame.rows * frame.columns:
        return None
    stored = np.frombuffer(values, f"<u{width}").reshape(frame.rows, frame.columns)
    return stored.view(f"<i{width}") if frame.signed and 8 * width == frame.stored else stored


def _charls(data: bytes) -> bytearray | None:
    from jpeg_ls import decode_pixel_data

    try:
        values: bytearray = decode_pixel_data(data)[0]
    except MemoryError:
        raise
    except Exception:
        return None
    return values


def _decode_lossless_jpeg(frame: Frame, data: bytes, precision: int) -> Stored | None:
    """Decode a plain lossless JPEG by libjpeg-turbo, of the extra "codecs"; None without it.

    It takes a fifth of the time of the core's decoder and returns the same samples. Its wheels have
    12 to 28 MB, too much for the core.
    """
    plain = frame.samples == 1 and not frame.signed and frame.high_bit == frame.stored - 1
    if not plain or precision > frame.stored:
        return None
    try:
        from imagecodecs import jpeg8_decode

        stored: Stored = jpeg8_decode(data)
    except MemoryError:
        raise
    except Exception:
        return None
    width = 1 if precision <= 8 else 2
    if stored.shape != (frame.rows, frame.columns) or stored.dtype != np.dtype(f"u{width}"):
        return None
    return stored


def _masked(decoded: Decoded, frame: Frame, precision: int) -> Decoded:
    """Find the bits above Bits Stored in samples, and give them the header's sign (PS3.5 8.1.1).

    These bits may contain overlays, or the sign of a codestream of fewer bits.
    """
    stored = decoded.stored
    size = 8 * stored.dtype.itemsize
    if stored.dtype.kind not in "iu" or frame.stored >= size:
        return decoded
    if not frame.signed and precision <= frame.stored:
        return decoded
    half = 1 << (frame.stored - 1)
    low, high = (-half, half - 1) if frame.signed else (0, 2 * half - 1)
    slack, least, most = half // 2, int(stored.min()), int(stored.max())
    unsigned_code = frame.signed and least >= 0 and most >= half
    if low - slack <= least and most <= high + slack and not unsigned_code:
        # Lossy compression overshoots a little; values in unused bits deviate more.
        return decoded._replace(stored=np.clip(stored, low, high))
    above = size - frame.stored
    kind = f"i{size // 8}" if frame.signed else f"u{size // 8}"
    native = stored.astype(stored.dtype.newbyteorder("=")).view(kind)
    if size > 16:
        return decoded._replace(stored=(native << above) >> above)
    return decoded._replace(stored=native, unused=above)


def _reduced_jpeg2000(data: Codestream, scale: int) -> Stored | None:
    """Decode unsigned samples at 1/`scale`, or less reduced; None if only the whole is possible."""
    layout, levels = codestream.jpeg2000_layout(data), codestream.jpeg2000_levels(data)
    if layout is None:
        return None
    scale = min(scale, 1 << levels)
    if layout.signed or not 8 <= layout.precision <= 16 or scale == 1:
        return None
    try:
        with Image.open(cast(IO[bytes], _View(data)), formats=("JPEG2000",)) as image:
            width, height = image.size
            samples = np.asarray(load_levels(image, scale))
    except MemoryError:
        raise
    except Exception:
        # Tiles may have fewer levels than the main header states.
        return None
    if samples.ndim != 2 or samples.dtype.itemsize != (1 if layout.precision == 8 else 2):
        return None
    # Pillow fills the 16 bits from the most significant one.
    samples = samples >> (8 * samples.dtype.itemsize - layout.precision)
    return centred(samples, scale, height, width)


_PART: Final = 1 << 20


class _View(io.RawIOBase):
    """A frame as a file, without the copy of `io.BytesIO`."""

    def __init__(self, data: Codestream) -> None:
        self._data, self._place = memoryview(data), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: len(self._data)}[whence]
        self._place = begin + offset
        return self._place

    def read(self, size: int = -1) -> bytes:
        # OpenJPEG asks for a whole tile, and asks again for what is missing.
        end = len(self._data) if size < 0 else self._place + min(size, _PART)
        part = bytes(self._data[self._place : end])
        self._place += len(part)
        return part


def decode(frame: Frame, syntax: UID, value: bytes, vr: str) -> tuple[Stored, str]:
    """Decode to stored values [H, W] or [H, W, 3], with their photometric interpretation."""
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
        # Not Exception: a panic of a decoder in Rust is no subclass of it.
        raise Refusal("decoder") from None
    if aligned and left_aligned:
        # An old encoding with the significant bits at the top (retired from PS3.5 8.1.1).
        native = stored.astype(stored.dtype.newbyteorder("="))
        above = frame.allocated - 1 - frame.high_bit
        stored = (native << above) >> (frame.allocated - frame.stored)
    return stored, str(properties["photometric_interpretation"])
