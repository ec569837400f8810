"""Refusals of files: a stable code and a message for each cause.

Messages of libraries are never passed on, because they may quote values of the header, which may
identify a patient.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from nanoray.reading import limits

REASONS: Final = MappingProxyType(
    {
        # The file itself.
        "missing": "no such file",
        "directory": "is a folder, not a file",
        "special-file": "is not a regular file",
        "no-permission": "reading the file is not permitted",
        "read-failed": "the file could not be read from its device",
        "not-fetched": "the file could not be fetched from where it is stored",
        "empty-file": "the file is empty",
        "file-too-large": f"the file is larger than {limits.MAX_FILE_BYTES // limits.MIB} MiB",
        "link-loop": "is a symbolic link that leads back to itself",
        "not-an-image": "is not a DICOM file or a supported picture",
        "unsupported-format": "is a picture of a format that is not supported; save it as PNG",
        "heif": "is an HEIF picture; pip install 'nanoray[heif]' reads it",
        "document": "is a PDF document, not an image",
        "archive": "is an archive; unpack it first",
        "archive-damaged": "the archive is damaged or ends too early; copy it anew",
        "archive-encrypted": "is encrypted or compressed by an unknown method; unpack it",
        "archive-empty": "is an archive without an image",
        "encrypted": "is encrypted (a CMS envelope); decrypt it first",
        # DICOM objects without a radiograph.
        "dicomdir": "is a DICOMDIR, an index of other files",
        "structured-report": "is a DICOM structured report, not an image",
        "encapsulated-document": "is a DICOM-encapsulated document, not an image",
        "presentation-state": "is a DICOM presentation state, not an image",
        "waveform": "is a DICOM waveform, not an image",
        "radiotherapy": "is a DICOM radiotherapy object, not an image",
        "non-image": "is a DICOM object without an image",
        "no-pixel-data": "the DICOM image has no pixel data",
        # DICOM structure.
        "malformed-dicom": "the DICOM data set is malformed",
        "nested-too-deep": "the DICOM sequences are nested too deeply",
        "deflate-damaged": "the deflated DICOM data set is damaged",
        "deflate-truncated": "the deflated DICOM data set ends too early",
        "deflate-bomb": "the deflated DICOM data set inflates to more than "
        f"{limits.MAX_INFLATED_BYTES // limits.MIB} MiB",
        "transfer-syntax": "the transfer syntax is not supported",
        "video": "the pixel data is a video stream",
        "transfer-syntax-missing": "the transfer syntax of the compressed pixel data is missing",
        "truncated": "the file ends before its pixel data does",
        "empty-pixel-data": "the pixel data is empty",
        # DICOM image pixel module.
        "size-missing": "Rows or Columns is missing or malformed",
        "size-zero": "Rows or Columns is zero",
        "too-many-pixels": f"has more than {limits.MAX_PIXELS // 1_000_000} megapixels",
        "size-mismatch": "Rows and Columns do not agree with the length of the pixel data",
        "multi-frame": "has more than one frame or page",
        "frames-mismatch": "the number of frames does not agree with the pixel data",
        "frames-malformed": "the number of frames is malformed",
        "samples": "the number of samples per pixel is neither 1 nor 3",
        "bits": "Bits Stored is not between 1 and Bits Allocated",
        "bits-allocated": "Bits Allocated is not 1, 8, 16, 32 or 64",
        "bits-packed": "12 bits are allocated to a sample; packed samples are not supported",
        "pixel-representation": "the pixel representation is neither unsigned nor signed",
        "planar-configuration": "the planar configuration is neither 0 nor 1",
        "photometric": "the photometric interpretation is not supported",
        "photometric-samples": "the photometric interpretation contradicts the samples per pixel",
        "palette": "the colour palette is missing or malformed",
        "rescale": "the rescale slope or intercept is malformed",
        # Compressed frames.
        "encapsulation": "the compressed pixel data is not split into items as DICOM requires",
        "native-but-compressed": "the pixel data is compressed, unlike the transfer syntax",
        "codestream": "the compressed frame does not match the transfer syntax",
        "codestream-size": "Rows and Columns do not agree with the compressed frame",
        "codestream-samples": "the samples per pixel do not agree with the compressed frame",
        "codestream-bits": "the bits per sample do not agree with the compressed frame",
        "codestream-truncated": "the compressed frame ends too early",
        "decoder": "the compressed frame is damaged and cannot be decoded",
        # PNG, JPEG and TIFF.
        "raster-header": "the header of the image is damaged or of an unsupported kind",
        "raster-truncated": "the image ends too early",
        "raster-damaged": "the image data is damaged",
        "raster-mode": "the pixel format of the image is not supported",
        "metadata-bomb": "the compressed text of the image inflates to too much",
        # Arrays.
        "array-shape": "the array is not [rows, columns] or [rows, columns, 1, 3 or 4]",
        "array-type": "the array does not hold real numbers",
        "not-finite": "no pixel holds a finite number",
        # Unexpected: a defect of this package, not of the file.
        "unexpected": "reading failed in an unforeseen way; please report it",
        # Limits of the reading process.
        "memory": "reading the file needs more memory than allowed",
        "timeout": "reading the file took too long and was stopped",
        "crash": "the decoder crashed on the file",
    }
)


class Refusal(Exception):  # noqa: N818
    """A file is refused; `nanoray.reading.read` adds its name."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
        self.reason = REASONS[code]
