"""The view and the body part in a header, in their many spellings."""

from __future__ import annotations

import re
from typing import Any, Final

from nanoray.reading.dicom import orientation
from nanoray.reading.dicom.values import code, text, words

# DX View (PS3.16 CID 4010), in SNOMED CT and in the SRT codes before it.
_VIEWS: Final = {
    "399348003": "AP",
    "R-10206": "AP",
    "272479007": "PA",
    "R-10214": "PA",
    "R-40888": "PA",
    "399173006": "LL",
    "R-10236": "LL",
    "399198007": "RL",
    "R-10232": "RL",
    "399067008": "LATERAL",
    "R-102CD": "LATERAL",
}
# Chest (PS3.16 CID 4009), in SNOMED CT and in the SRT code before it.
_CHEST: Final = ("51185008", "816094009", "T-D3000")

_LATERAL_WORD: Final = re.compile(
    r"LAT[LR]?|LATERAL\w*|LATERO\w*|[LR]LAT|SWIMMERS?|PROFIL\w*|SEIT\w*"
)
# A complete View Position: the side of the patient nearer to the detector.
_LATERAL_ALONE: Final = frozenset({"L", "R", "LL", "RL", "LA", "RA", "LP", "RP"})
_FRONTAL_WORDS: Final = frozenset({"PA", "AP", "FRONTAL", "FRONT", "DV", "VD", "LLD", "RLD"})
# Words that are kept from free text; they identify no patient.
_KNOWN: Final = _FRONTAL_WORDS | {
    *("LL", "RL", "L", "R", "LA", "RA", "LEFT", "RIGHT", "XTABLE", "CROSSTABLE", "TABLE"),
    *("CHEST", "THORAX", "ERECT", "SUPINE", "SITTING", "PORTABLE", "OBLIQUE", "OBL", "AXIAL"),
    *("RLO", "LLO", "RAO", "LAO", "RPO", "LPO"),
}
_DESCRIPTIONS: Final = (
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionDeviceProcessingDescription",
)

# Parts of words for the chest or the lungs, without accents. Body Part Examined (PS3.16 Annex L)
# is CHEST; other languages and local lists have these.
_CHEST_WORDS: Final = (
    *("CHEST", "THORAX", "THORAKS", "TORAX", "TORAKS", "TORACE", "LUNG", "CXR"),
    *("POUMON", "PULMO", "PULMAO", "POLMON", "BRUST", "PECHO", "PETTO", "PEITO", "POITRINE"),
    *("BORST", "BROST", "BRYST", "KLATKA", "PLUCA", "PLICE", "PLAMAN", "HRUDNIK", "HRUD"),
    *("GRUDN", "GRUDI", "KEUHKO", "RINTA", "RINDKERE", "MELLKAS", "GOGUS", "AKCIGER"),
    *("KRUTINE", "KRUSKURVIS", "DADA", "NGUC", "PHOI"),
    *("ГРУД", "ОГК", "ЛЕГК", "ΘΩΡΑΚ", "ΠΝΕΥΜ", "חזה", "صدر", "胸", "肺", "가슴", "흉부"),
)
_SPINE: Final = ("SPINE", "SPINAL", "VERTEBR", "WIRBEL", "RACHIS", "COLUMN")


def says_lateral(tokens: list[str]) -> bool:
    """Return whether the words of a view mean a lateral one.

    A lateral decubitus view is a frontal view of a patient lying on the side. Words with a frontal
    view too, as in "PA LAT", are ambiguous and return False.
    """
    if any(token in _FRONTAL_WORDS or token.startswith("DECUB") for token in tokens):
        return False
    return any(_LATERAL_WORD.fullmatch(token) for token in tokens)


def is_lateral(view: str | None) -> bool:
    """Return whether a View Position means a lateral view."""
    tokens = words(view)
    return says_lateral(tokens) or (len(tokens) == 1 and tokens[0] in _LATERAL_ALONE)


def is_chest(part: str | None) -> bool:
    """Return whether a Body Part Examined means the chest, in one of many languages."""
    joined = "".join(words(part))
    return not any(word in joined for word in _SPINE) and any(
        word in joined for word in _CHEST_WORDS
    )


def view(header: Any) -> str | None:
    """Find the view: View Position, its code, Patient Orientation, or a description.

    Of free text only the words of views are used.
    """
    written = text(header, "ViewPosition")
    if written:
        return code(written) or _known_words(words(written))
    coded = _coded_view(header)
    if coded:
        return coded
    if orientation.is_lateral(orientation.directions(header.texts("PatientOrientation"))):
        return "LATERAL"
    described = [words(text(header, keyword)) for keyword in _DESCRIPTIONS]
    return "LATERAL" if any(says_lateral(tokens) for tokens in described) else None


def body_part(header: Any) -> str | None:
    """Return Body Part Examined, else the Anatomic Region; None if both are absent."""
    written = text(header, "BodyPartExamined")
    if written:
        if code(written):
            return written
        if is_chest(written):
            return "CHEST"
        return _short(words(written))
    try:
        region = header["AnatomicRegionSequence"].value[0]
        if str(region.CodeValue).strip() in _CHEST:
            return "CHEST"
        return _short(words(str(region.CodeMeaning)))
    except Exception:
        return None


def _short(tokens: list[str]) -> str | None:
    """Return as many whole words as fit into a code string."""
    kept = ""
    for token in tokens:
        longer = f"{kept} {token}".strip()
        if not code(longer):
            break
        kept = longer
    return kept or None


def _known_words(tokens: list[str]) -> str | None:
    kept = [token for token in tokens if token in _KNOWN or _LATERAL_WORD.fullmatch(token)]
    return " ".join(kept) or None


def _coded_view(header: Any) -> str | None:
    """Return the view by View Code Sequence (PS3.3 C.8.11.5.1.1)."""
    try:
        item = header["ViewCodeSequence"].value[0]
        known = _VIEWS.get(str(item.CodeValue).strip())
        return known or ("LATERAL" if says_lateral(words(str(item.CodeMeaning))) else None)
    except Exception:
        return None
