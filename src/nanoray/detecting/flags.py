"""Quality flags: reasons to read a result with care, none of them a reason to refuse the file."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from nanoray.reading.radiograph import Facts

WORDS: Final = MappingProxyType(
    {
        "lateral-view": "lateral view",
        "oblique-view": "oblique view",
        "other-body-part": "other body part",
        "other-modality": "not a projection radiograph",
        "child": "child",
        "colour": "colour image",
        "low-contrast": "very low contrast",
        "tiny-image": "tiny image",
    }
)
"""Every flag's stable identifier, and the words for it."""

ADULT_YEARS: Final = 18.0
LOW_CONTRAST: Final = 0.05
"""Standard deviation of the pixels; of 3,000 RSNA radiographs the lowest has 0.11."""
TINY_PIXELS: Final = 256
"""Shorter side of the stored image."""

# View Position (DICOM PS3.3 C.8.11.5.1.1 and C.8.1.1), and what is met in practice. The decubitus
# views (LLD, RLD) are frontal projections.
_LATERAL = frozenset({"LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "L LAT", "R LAT"})
_OBLIQUE = frozenset({"RLO", "LLO", "RAO", "LAO", "RPO", "LPO", "OBL", "OBLIQUE"})

# Body Part Examined (PS3.16 Annex L) says CHEST; other languages and local lists say these.
_CHEST = ("CHEST", "THORAX", "TORAX", "LUNG", "CXR", "POUMON", "BRUSTKORB", "PULMO", "TORACE")
_UNSAID = frozenset({"", "UNKNOWN", "UNSPECIFIED", "OTHER", "NONE", "NA", "N/A"})

# Modality (PS3.3 C.7.3.1.1.1): computed, digital and film radiography, and the modalities that
# say nothing about the acquisition (other, secondary capture).
_PROJECTION = frozenset({"CR", "DX", "DR", "RG", "XR", "OT", "SC"})


def find(facts: Facts, contrast: float) -> tuple[str, ...]:
    """Flags of a radiograph, in the order of `WORDS`.

    Args:
        facts: what the file says of itself.
        contrast: standard deviation of the pixels (0..1) outside the padding.
    """
    view = (facts.view or "").strip().upper()
    part = (facts.body_part or "").strip().upper()
    modality = (facts.modality or "").strip().upper()
    raised = {
        "lateral-view": view in _LATERAL,
        "oblique-view": view in _OBLIQUE,
        "other-body-part": part not in _UNSAID and not any(word in part for word in _CHEST),
        "other-modality": bool(modality) and modality not in _PROJECTION,
        "child": facts.age_years is not None and facts.age_years < ADULT_YEARS,
        "colour": facts.colour,
        "low-contrast": contrast < LOW_CONTRAST,
        "tiny-image": min(facts.rows, facts.columns) < TINY_PIXELS,
    }
    return tuple(flag for flag in WORDS if raised[flag])
