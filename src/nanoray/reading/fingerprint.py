"""A file's fingerprint: a digest of its content, and keyed hashes in place of its identifiers."""

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
    """What tells one file from another without saying whose radiograph it is.

    Attributes:
        content: SHA-256 of the file's bytes, hexadecimal.
        patient, study, instance: keyed hashes of Patient ID (with its issuer), Study Instance UID
            and SOP Instance UID; None without a key, outside DICOM and where absent.
    """

    content: str
    patient: str | None = None
    study: str | None = None
    instance: str | None = None


def keyed_hash(key: bytes, kind: str, value: str) -> str:
    """HMAC-SHA-256 (RFC 2104) of a value, cut to 128 bits, hexadecimal.

    `kind` keeps equal values of different meaning apart. Whoever lacks the key can neither undo it
    nor try names.
    """
    message = f"{kind}\0{value}".encode("utf-8", "surrogateescape")
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:HASH_CHARACTERS]


def fingerprint(data: bytes, key: bytes | None = None) -> Fingerprint:
    """Fingerprint a file's content; identifiers are hashed with `key`, or not read.

    It parses the header, so files of unknown origin are for a reading process.
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
        # The reader finds out what is wrong with the file; here it only has no identifiers.
        return "", "", ""
    patient, issuer, study, instance = values
    # IDs are unique only together with who gave them (DICOM PS3.3 C.7.1.1).
    return (f"{issuer}\0{patient}" if issuer else patient) if patient else "", study, instance
