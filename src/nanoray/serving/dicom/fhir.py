"""A report as FHIR R4: a DiagnosticReport, and Observations for the study and each image.

They are made from the structured report, so both have the same contents. A server that receives the
bundle twice keeps one of each (conditional create).
"""

from __future__ import annotations

import io
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
from pydicom import Dataset, dcmread

from nanoray.detecting.model_file import NOTICE
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

_SYSTEMS: Final = {
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "SCT": "http://snomed.info/sct",
    "UCUM": "http://unitsofmeasure.org",
    "99NANORAY": "urn:oid:2.25.133817208365926487913067203586187331843",
}


def bundle(report: bytes) -> dict[str, Any]:
    """Return a transaction with the resources of a structured report from `documents`."""
    with quiet(), as_it_is():
        document = dcmread(io.BytesIO(report))
        resources = [diagnostic_report(document), *observations(document)]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": _url(resource),
                "resource": resource,
                "request": {
                    "method": "POST",
                    "url": resource["resourceType"],
                    "ifNoneExist": "identifier="
                    f"{resource['identifier'][0]['system']}|{resource['identifier'][0]['value']}",
                },
            }
            for resource in resources
        ],
    }


def contained(report: bytes, name: str) -> dict[str, Any]:
    """Return a DiagnosticReport with the id `name` that contains its Observations."""
    with quiet(), as_it_is():
        document = dcmread(io.BytesIO(report))
        resource, found = diagnostic_report(document), observations(document)
    for number, item in enumerate(found):
        item["id"] = f"observation-{number}"
    resource |= {
        "id": name,
        "contained": found,
        "result": [{"reference": f"#{item['id']}"} for item in found],
    }
    return {key: value for key, value in resource.items() if value != []}


def diagnostic_report(document: Dataset) -> dict[str, Any]:
    """Return the DiagnosticReport of a structured report."""
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "identifier": [_identifier(str(document.SOPInstanceUID))],
        "status": "preliminary",
        "category": [{"coding": [_coding("394914008", "SCT", "Radiology")]}],
        "code": {"coding": [_coding(*PROCEDURE)]},
        "issued": _instant(document),
        "result": [{"reference": _url(item)} for item in observations(document)],
        "conclusion": conclusion(document),
        "imagingStudy": [
            {"identifier": _identifier(str(document.StudyInstanceUID), "urn:dicom:uid")}
        ],
    }
    if accession := str(document.get("AccessionNumber") or ""):
        report["basedOn"] = [{"identifier": {"value": accession}}]
    return report | _subject(document)


def observations(document: Dataset) -> list[dict[str, Any]]:
    """Return an Observation for the study and for each image with a result, the study first."""
    return [
        {
            "resourceType": "Observation",
            "identifier": [
                _identifier(f"{document.SOPInstanceUID}/{number}", "urn:nanoray:observation")
            ],
            "status": "preliminary",
            "code": {"coding": [_coding(*OPACITY)], "text": result.name},
            "valueCodeableConcept": {"coding": [_coding(*result.presence)]},
            "component": [
                {
                    "code": {"coding": [_coding(*PROBABILITY)]},
                    "valueQuantity": {
                        "value": result.probability,
                        "system": _SYSTEMS["UCUM"],
                        "code": "1",
                    },
                }
            ],
            "effectiveDateTime": _instant(document),
            "device": {"display": f"NanoRay, model {document.get('ManufacturerModelName', '')}"},
            "note": [{"text": text} for text in (*result.comments, NOTICE)],
        }
        | _subject(document)
        for number, result in enumerate(observed(document))
    ]


@dataclass(frozen=True, slots=True)
class FhirDestination:
    """A FHIR server that receives reports.

    Attributes:
        url: base of its services, without a trailing slash.
        authorization: value of the Authorization header; None for none.
        tls: trusted certificates, for https.
    """

    url: str
    authorization: str | None = None
    tls: ssl.SSLContext | None = None

    @property
    def name(self) -> str:
        """The destination as it was configured."""
        return f"fhir+{self.url}"

    def send(self, objects: Sequence[bytes], own_title: str) -> None:
        """Post the structured report among the objects as a transaction.

        Raises:
            DeliveryError: the server did not accept it.
        """
        headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        try:
            body = bundle(objects[0])
        except Exception:
            raise DeliveryError("no-report") from None
        try:
            answer = httpx.post(
                self.url,
                json=body,
                headers=headers,
                timeout=30.0,
                verify=self.tls if self.tls is not None else True,
                follow_redirects=False,
                trust_env=False,
            )
        except (httpx.HTTPError, ssl.SSLError, OSError):
            raise DeliveryError("unreachable") from None
        if not answer.is_success:
            raise DeliveryError(f"http-{answer.status_code}")


def _coding(code: str, scheme: str, words: str) -> dict[str, str]:
    return {"system": _SYSTEMS.get(scheme, f"urn:{scheme}"), "code": code, "display": words}


def _identifier(value: str, system: str = "urn:dicom:uid") -> dict[str, str]:
    return {"system": system, "value": f"urn:oid:{value}"}


def _subject(document: Dataset) -> dict[str, Any]:
    patient = document.get("PatientID")
    if not patient:
        return {}
    identifier = {"value": str(patient)}
    if issuer := str(document.get("IssuerOfPatientID") or ""):
        identifier["system"] = f"urn:nanoray:issuer:{issuer}"
    return {"subject": {"identifier": identifier}}


def _instant(document: Dataset) -> str:
    return moment(document).isoformat(timespec="seconds")


def _url(resource: dict[str, Any]) -> str:
    from uuid import NAMESPACE_OID, uuid5

    return f"urn:uuid:{uuid5(NAMESPACE_OID, resource['identifier'][0]['value'])}"
