"""A report as an HL7 v2 message: ORU^R01 (version 2.5.1) over MLLP.

It is made from the structured report, so both have the same contents. The message has the same
control id at each attempt.
"""

from __future__ import annotations

import hashlib
import io
import re
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset, dcmread

from nanoray.reading.quiet import quiet
from nanoray.serving.dicom.contents import (
    OPACITY,
    PROBABILITY,
    PROCEDURE,
    conclusion,
    moment,
    observed,
)
from nanoray.serving.dicom.delivery_error import DeliveryError
from nanoray.serving.dicom.source import as_it_is
from nanoray.version import __version__

VERSION: Final = "2.5.1"
_START, _END = b"\x0b", b"\x1c\r"
_ANSWER_BYTES: Final = 65536
_TIMEOUT: Final = 30.0
_ESCAPES: Final = str.maketrans(
    {character: f"\\{letter}\\" for character, letter in zip("\\|^~&", "EFSRT", strict=True)}
)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_PRELIMINARY: Final = "P"
_REFUSALS: Final = ("AE", "AR", "CE", "CR")


def message(report: bytes, application: str = "") -> bytes:
    """Return the message of a structured report from `documents`, in UTF-8.

    Args:
        report: the DICOM file.
        application: the receiving application; "" for none.
    """
    with quiet(), as_it_is():
        document = dcmread(io.BytesIO(report))
        segments = list(_segments(document, application))
    return "".join(f"{segment}\r" for segment in segments).encode()


def control_id(report: Dataset) -> str:
    """Return the message control id of a report: 20 characters, derived from its UID."""
    return hashlib.sha256(str(report.SOPInstanceUID).encode()).hexdigest()[:20]


def _segments(document: Dataset, application: str) -> Iterator[str]:
    made = moment(document).strftime("%Y%m%d%H%M%S%z")
    yield _segment(
        "MSH",
        {
            # The separator itself is MSH-1.
            2: r"^~\&",
            3: "NANORAY",
            5: _text(application),
            7: made,
            9: _parts("ORU", "R01", "ORU_R01"),
            10: control_id(document),
            11: "P",
            12: VERSION,
            18: "UNICODE UTF-8",
        },
    )
    model = str(document.get("ManufacturerModelName") or "")
    serial = str(document.get("DeviceSerialNumber") or "")
    yield _segment(
        "SFT", {1: "NanoRay", 2: __version__, 3: _text(f"NanoRay {model}"), 4: _text(serial)}
    )
    yield _segment("PID", _patient(document))
    yield _segment("OBR", _order(document, made))
    observation = _Observations(made, _parts(serial, "NanoRay"))
    for number, result in enumerate(observed(document), 1):
        code, scheme, meaning = result.presence
        flag = "A" if result.present else ""
        yield observation.segment("CWE", OPACITY, _parts(code, meaning, scheme), number, flag=flag)
        yield observation.segment(
            "NM",
            PROBABILITY,
            f"{result.probability:.6g}",
            number,
            unit=_parts("1", "no units", "UCUM"),
        )
        for comment in (result.name, *result.comments):
            yield observation.segment("TX", ("121106", "DCM", "Comment"), _text(comment), number)
    yield observation.segment("TX", ("121077", "DCM", "Conclusion"), _text(conclusion(document)))
    yield observation.segment(
        "ST", ("110180", "DCM", "Study Instance UID"), _text(str(document.StudyInstanceUID))
    )


def _patient(document: Dataset) -> dict[int, str]:
    identifier, issuer = (
        str(document.get(keyword) or "") for keyword in ("PatientID", "IssuerOfPatientID")
    )
    return {
        1: "1",
        3: _parts(identifier, "", "", issuer) if identifier else "",
        5: _names(document),
        7: str(document.get("PatientBirthDate") or ""),
        8: str(document.get("PatientSex") or "") or "U",
    }


def _names(document: Dataset) -> str:
    """Return a person's name (XPN), repeated for each of its scripts.

    The components of DICOM are family, given and middle name, prefix, suffix; in HL7 the suffix
    comes before the prefix.
    """
    found = []
    groups = str(document.get("PatientName") or "").split("=")
    for group, script in zip(groups, "AIP", strict=False):
        if group.strip("^ "):
            family, given, middle, prefix, suffix, *_ = (*group.split("^"), *[""] * 5)
            found.append(_parts(family, given, middle, suffix, prefix, "", "L", script))
    # An unspecified name, since the field is required.
    return "~".join(found) or _parts("", "", "", "", "", "", "U")


def _order(document: Dataset, made: str) -> dict[int, str]:
    requests = document.get("ReferencedRequestSequence") or [Dataset()]
    placer, filler = (
        str(requests[0].get(f"{side}OrderNumberImagingServiceRequest") or "")
        for side in ("Placer", "Filler")
    )
    accession = str(document.get("AccessionNumber") or "")
    study = f"{document.get('StudyDate') or ''}{str(document.get('StudyTime') or '')[:6]}"
    code, scheme, meaning = PROCEDURE
    return {
        1: "1",
        2: _text(placer),
        3: _text(filler or accession),
        4: _parts(code, meaning, scheme),
        7: study if document.get("StudyDate") else "",
        18: _text(accession),
        22: made,
        24: "RAD",
        25: _PRELIMINARY,
    }


class _Observations:
    """Makes the OBX segments of a message, numbered."""

    def __init__(self, made: str, device: str) -> None:
        self._count = 0
        self._made = made
        self._device = device

    def segment(
        self,
        kind: str,
        name: tuple[str, str, str],
        value: str,
        number: int | None = None,
        *,
        unit: str = "",
        flag: str = "",
    ) -> str:
        """Return the next segment; `number` is of the result, the study's first."""
        self._count += 1
        code, scheme, meaning = name
        return _segment(
            "OBX",
            {
                1: str(self._count),
                2: kind,
                3: _parts(code, meaning, scheme),
                4: "" if number is None else str(number),
                5: value,
                6: unit,
                8: flag,
                11: _PRELIMINARY,
                18: self._device,
                19: self._made,
            },
        )


def _segment(name: str, fields: dict[int, str]) -> str:
    first = 2 if name == "MSH" else 1
    values = [fields.get(number, "") for number in range(first, max(fields) + 1)]
    return "|".join([name, *values])


def _parts(*components: str) -> str:
    return "^".join(map(_text, components)).rstrip("^")


def _text(value: str) -> str:
    """Escape a text; control characters, among them line ends, become spaces."""
    return _CONTROLS.sub(" ", value).strip().translate(_ESCAPES)


@dataclass(frozen=True, slots=True)
class Hl7Destination:
    """An HL7 v2 receiver, by MLLP.

    Attributes:
        host, port: its address.
        application: name of the receiving application; "" for none.
        tls: the context for TLS; None for none.
    """

    host: str
    port: int
    application: str = ""
    tls: ssl.SSLContext | None = None

    @property
    def name(self) -> str:
        """Return the configured URL of the destination."""
        application = f"{self.application}@" if self.application else ""
        return f"{'mllps' if self.tls else 'mllp'}://{application}{self.host}:{self.port}"

    def send(self, objects: Sequence[bytes], own_title: str) -> None:
        """Send the structured report among the objects, and wait for its acknowledgement.

        Raises:
            DeliveryError: the receiver did not accept it.
        """
        try:
            content = message(objects[0], self.application)
        except Exception:
            # Messages of the libraries may quote the header.
            raise DeliveryError("no-report") from None
        try:
            answer = self._exchange(content)
        except (ssl.SSLError, OSError):
            raise DeliveryError("unreachable") from None
        code, identifier = _acknowledgement(answer)
        if code not in ("AA", "CA"):
            raise DeliveryError(f"ack-{code.lower()}" if code in _REFUSALS else "no-ack")
        if identifier != content.split(b"\r", 1)[0].split(b"|")[9].decode():
            raise DeliveryError("other-ack")

    def _exchange(self, content: bytes) -> bytes:
        deadline = time.monotonic() + _TIMEOUT
        with socket.create_connection((self.host, self.port), timeout=10.0) as plain:
            plain.settimeout(_TIMEOUT)
            wrapped = self.tls.wrap_socket(plain, server_hostname=self.host) if self.tls else plain
            with wrapped:
                wrapped.sendall(_START + content + _END)
                answer = b""
                while not answer.endswith(_END):
                    left = deadline - time.monotonic()
                    if left <= 0 or len(answer) > _ANSWER_BYTES:
                        raise DeliveryError("no-ack")
                    wrapped.settimeout(left)
                    part = wrapped.recv(4096)
                    if not part:
                        raise DeliveryError("interrupted")
                    answer += part
        return answer.removeprefix(_START).removesuffix(_END)


def _acknowledgement(answer: bytes) -> tuple[str, str]:
    """Return code and control id of an acknowledgement, empty without an MSA segment."""
    for segment in answer.decode("utf-8", "replace").split("\r"):
        if segment.startswith("MSA") and len(segment) > 3:
            fields = segment.split(segment[3])
            if len(fields) > 2:
                return fields[1].strip(), fields[2].strip()
    return "", ""
