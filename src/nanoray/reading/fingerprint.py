"""A file's fingerprint: a digest of its content, and keyed hashes of its identifiers."""

from __future__ import annotations

import hashlib
import hmac
import io
from dataclasses import dataclass
from typing import Final

from nanoray.reading.file_kind import kind_of
from nanoray.reading.quiet import quiet

HASH_CHARACTERS: Final = 32
"""Hexadecimal digits of a keyed hash: 128 bits."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Hashes that identify a file, but not its patient.

    Attributes:
        content: SHA-256 of the file's bytes, hexadecimal.
        patient, study, instance: keyed hashes of Patient ID (with its issuer), Study Instance UID
            and SOP Instance UID; None without a key, outside DICOM, and if absent.
    """

    content: str
    patient: str | None = None
    study: str | None = None
    instance: str | None = None


def keyed_hash(key: bytes, kind: str, value: str) -> str:
    """Compute the HMAC-SHA-256 (RFC 2104) of a value, cut to 128 bits, hexadecimal.

    `kind` separates equal values of different meaning. Without the key the hash can neither be
    inverted nor be searched with a list of names.
    """
    message = f"{kind}\0{value}".encode("utf-8", "surrogateescape")
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:HASH_CHARACTERS]


def fingerprint(data: bytes, key: bytes | None = None) -> Fingerprint:
    """Compute the fingerprint of a file's content; without `key` identifiers are not read.

    It parses the header, so use a reading process for files of unknown origin.
    """
    content = hashlib.sha256(data).hexdigest()
    if key is None or kind_of(data) != "DICOM":
        return Fingerprint(content)
    patient, study, instance = _identifiers(data)
    return Fingerprint(
        content,
        keyed_hash(key, "patient", patient) if patient else None,
        keyed_hash(key, "study", study) if study else None,
        keyed_hash(key, "instance", instance) if instance else None,
    )


def _identifiers(data: bytes) -> tuple[str, str, str]:
    from pydicom import dcmread

    wanted = ["PatientID", "IssuerOfPatientID", "StudyInstanceUID", "SOPInstanceUID"]
    try:
        with quiet():
            header = dcmread(
                io.BytesIO(data), stop_before_pixels=True, force=True, specific_tags=[*wanted]
            )
            values = [str(header.get(keyword) or "").strip() for keyword in wanted]
    except Exception:
        # The reader reports the error in the file; here the file only has no identifiers.
        return "", "", ""
    patient, issuer, study, instance = values
    # IDs are unique only together with their issuer (DICOM PS3.3 C.7.1.1).
    return (f"{issuer}\0{patient}" if issuer else patient) if patient else "", study, instance
