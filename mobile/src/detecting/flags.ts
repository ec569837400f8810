/** Quality flags: reasons to read a result with care, none of them a reason to refuse the file. */

import type { Facts } from "@/reading/radiograph";

/** Every flag's stable identifier, in the order of `nanoray.detecting.flags.WORDS`. */
export const FLAGS = [
  "lateral-view",
  "oblique-view",
  "other-body-part",
  "other-modality",
  "child",
  "colour",
  "low-contrast",
  "tiny-image",
  "photograph",
] as const;

export type Flag = (typeof FLAGS)[number];

const ADULT_YEARS = 18;
/** Standard deviation of the pixels. */
const LOW_CONTRAST = 0.05;
/** Shorter side of the stored image. */
const TINY_PIXELS = 256;

// View Position (DICOM PS3.3 C.8.11.5.1.1 and C.8.1.1), and what is met in practice.
const LATERAL = new Set(["LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "L LAT", "R LAT"]);
const OBLIQUE = new Set(["RLO", "LLO", "RAO", "LAO", "RPO", "LPO", "OBL", "OBLIQUE"]);

// Body Part Examined (PS3.16 Annex L) says CHEST; other languages and local lists say these.
const CHEST = ["CHEST", "THORAX", "TORAX", "LUNG", "CXR", "POUMON", "BRUSTKORB", "PULMO", "TORACE"];
const UNSAID = new Set(["", "UNKNOWN", "UNSPECIFIED", "OTHER", "NONE", "NA", "N/A"]);

// Modality (PS3.3 C.7.3.1.1.1): radiography, and what says nothing about the acquisition.
const PROJECTION = new Set(["CR", "DX", "DR", "RG", "XR", "OT", "SC"]);

/** Flags of a radiograph whose pixels outside the padding have the standard deviation `contrast`. */
export function findFlags(facts: Facts, contrast: number): Flag[] {
  const view = (facts.view ?? "").trim();
  const part = (facts.bodyPart ?? "").trim();
  const modality = (facts.modality ?? "").trim();
  const raised: Record<Flag, boolean> = {
    "lateral-view": LATERAL.has(view),
    "oblique-view": OBLIQUE.has(view),
    "other-body-part": !UNSAID.has(part) && !CHEST.some((word) => part.includes(word)),
    "other-modality": modality !== "" && !PROJECTION.has(modality),
    child: facts.ageYears !== null && facts.ageYears < ADULT_YEARS,
    colour: facts.colour,
    "low-contrast": contrast < LOW_CONTRAST,
    "tiny-image": Math.min(facts.rows, facts.columns) < TINY_PIXELS,
    photograph: facts.format === "photograph",
  };
  return FLAGS.filter((flag) => raised[flag]);
}
