"""A row for every file of an archive: the prediction and harmless facts, or the error."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from nanoray.detecting.prediction import Prediction, Result, Unread
from nanoray.errors import UnreadableError
from nanoray.files import exact
from nanoray.reading.fingerprint import Fingerprint, keyed_hash
from nanoray.reading.refusals import REASONS

if TYPE_CHECKING:
    import pyarrow as pa

OLDEST: Final = 90
"""Ages from here on are one group, since a high age could identify a patient (45 CFR
164.514(b)(2)(i)(C))."""

# Allowed values of coded elements. Anything else is free text, which may contain names.
_VIEWS = frozenset({"PA", "AP", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "LAT", "LATERAL"})
_PARTS = frozenset({"CHEST", "THORAX", "LUNG", "ABDOMEN", "HAND", "FOOT", "KNEE", "HIP", "PELVIS",
                    "SKULL", "SPINE", "CSPINE", "TSPINE", "LSPINE", "SHOULDER", "ELBOW", "WRIST",
                    "ANKLE", "NECK", "HEAD", "RIB", "CLAVICLE", "BREAST"})  # fmt: skip
_MODALITIES = frozenset({"CR", "DX", "DR", "RG", "XR", "OT", "SC", "RF", "XA", "MG", "PX", "IO",
                         "CT", "MR", "US", "NM", "PT"})  # fmt: skip
OTHER: Final = "other"


@cache
def schema() -> pa.Schema:
    """Columns of the rows. Times are omitted, so every run writes the same bytes."""
    import pyarrow as pa

    word = pa.dictionary(pa.int8(), pa.string())
    return pa.schema(
        [
            ("source", pa.string()),
            ("content", pa.string()),
            ("probability", pa.float64()),
            ("decision", word),
            ("reason", word),
            ("threshold", pa.float64()),
            ("operating_point", word),
            ("logit", pa.float64()),
            ("novelty", pa.float64()),
            ("flags", pa.list_(pa.string())),
            ("brightness", pa.float64()),
            ("contrast", pa.float64()),
            ("sharpness", pa.float64()),
            ("format", word),
            ("rows", pa.int32()),
            ("columns", pa.int32()),
            ("bits_stored", pa.int16()),
            ("transfer_syntax", word),
            ("modality", word),
            ("body_part", word),
            ("view", word),
            ("sex", word),
            ("age_years", pa.int16()),
            ("row_spacing_mm", pa.float64()),
            ("column_spacing_mm", pa.float64()),
            ("patient", pa.string()),
            ("study", pa.string()),
            ("instance", pa.string()),
            ("model", word),
            ("model_version", word),
            ("code", word),
            ("error", word),
        ]
    )


def row(location: str, result: Result, key: bytes | None) -> dict[str, Any]:
    """Return the row of one file; keys that are not set are null.

    `source` is the location, or with a key its keyed hash, since folders and names often contain
    identifiers. A part's rows have the order of its listing, which maps hashes back to files.
    """
    values = _of_mark(result.fingerprint)
    values["source"] = exact(location) if key is None else keyed_hash(key, "source", location)
    if isinstance(result, Unread):
        return values | {"code": result.error.code, "error": result.error.reason}
    return values | _of_prediction(result)


def unread(location: str, code: str) -> Unread:
    """Return the result of a file that could not be fetched."""
    return Unread(location, UnreadableError(location, code, REASONS[code]))


def _of_mark(mark: Fingerprint | None) -> dict[str, Any]:
    if mark is None:
        return {}
    return {
        "content": mark.content,
        "patient": mark.patient,
        "study": mark.study,
        "instance": mark.instance,
    }


def _of_prediction(result: Prediction) -> dict[str, Any]:
    facts, statistics = result.facts, result.statistics
    spacing = facts.pixel_spacing_mm or (None, None)
    return {
        "probability": _finite(result.probability),
        "decision": result.decision,
        "reason": result.reason,
        "threshold": result.threshold,
        "operating_point": result.operating_point,
        "logit": _finite(result.logit),
        "novelty": _finite(result.novelty),
        "flags": list(result.flags),
        "brightness": statistics.brightness if statistics else None,
        "contrast": statistics.contrast if statistics else None,
        "sharpness": statistics.sharpness if statistics else None,
        "format": facts.format,
        "rows": facts.rows,
        "columns": facts.columns,
        "bits_stored": facts.bits_stored,
        "transfer_syntax": facts.transfer_syntax,
        "modality": _coded(facts.modality, _MODALITIES),
        "body_part": _coded(facts.body_part, _PARTS),
        "view": _coded(facts.view, _VIEWS),
        "sex": facts.sex if facts.sex in ("M", "F", "O") else None,
        "age_years": _age(facts.age_years),
        "row_spacing_mm": spacing[0],
        "column_spacing_mm": spacing[1],
        "model": result.model,
        "model_version": result.model_version,
    }


def _coded(value: str | None, allowed: frozenset[str]) -> str | None:
    text = (value or "").strip().upper()
    if not text:
        return None
    return text if text in allowed else OTHER


def _age(years: float | None) -> int | None:
    if years is None or not math.isfinite(years):
        return None
    return min(int(years), OLDEST)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
