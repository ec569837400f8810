"""Quality flags: reasons to interpret a result with care, or to abstain."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from nanoray.reading.dicom.vocabulary import is_chest, is_lateral, is_oblique, is_unsaid
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
        "for-processing": "raw data, not for presentation",
        "turned": "was turned or mirrored",
        "inverted": "was a negative",
        "tiny-image": "tiny image",
    }
)
"""Stable identifier of each flag, and its description."""

NOT_FRONTAL_CHEST: Final = ("lateral-view", "oblique-view", "other-body-part", "other-modality")
"""Flags for headers that state another image than a frontal chest radiograph."""

LATERAL: Final = frozenset({"lateral-view", "oblique-view"})
OUT_OF_SCOPE: Final = frozenset({*NOT_FRONTAL_CHEST, "child"})
"""Flags of images that the model is not for: it knows adults' frontal chest radiographs."""

ADULT_YEARS: Final = 18.0
LOW_CONTRAST: Final = 0.05
"""Standard deviation of the pixels; the lowest of 3,000 RSNA radiographs is 0.11."""
TINY_PIXELS: Final = 256
"""Shorter side of the stored image."""

# Modality (PS3.3 C.7.3.1.1.1): computed, digital and film radiography, and the modalities that
# do not name an acquisition (other, secondary capture).
_PROJECTION = frozenset({"CR", "DX", "DR", "RG", "XR", "OT", "SC"})


def find(
    facts: Facts, contrast: float, *, turned: bool = False, inverted: bool = False
) -> tuple[str, ...]:
    """List the flags of a radiograph, in the order of `WORDS`.

    Args:
        facts: metadata of the file.
        contrast: standard deviation of the pixels (0..1) outside the padding.
        turned, inverted: whether the network turned the radiograph, or inverted a negative.
    """
    modality = (facts.modality or "").strip().upper()
    raised = {
        "lateral-view": is_lateral(facts.view),
        "oblique-view": is_oblique(facts.view),
        "other-body-part": not is_unsaid(facts.body_part) and not is_chest(facts.body_part),
        "other-modality": bool(modality) and modality not in _PROJECTION,
        # Protocols for children serve small adults too, so a stated age decides.
        "child": facts.child if facts.age_years is None else facts.age_years < ADULT_YEARS,
        "colour": facts.colour,
        "low-contrast": contrast < LOW_CONTRAST,
        "for-processing": facts.for_processing,
        "turned": turned or (facts.format == "DICOM" and facts.orientation != 1),
        "tiny-image": min(facts.rows, facts.columns) < TINY_PIXELS,
    }
    raised["inverted"] = inverted
    return tuple(flag for flag in WORDS if raised[flag])
