/** Quality flags: reasons for caution with a result. Some of them rule out a decision. */

import type { Facts } from "../reading/radiograph";
import { isChest, isLateral, words } from "../reading/view";

/** Every flag's stable identifier, in the order of `nanoray.detecting.flags.WORDS`. */
export const FLAGS = [
  "lateral-view",
  "oblique-view",
  "other-body-part",
  "other-modality",
  "child",
  "colour",
  "low-contrast",
  "for-processing",
  "turned",
  "inverted",
  "tiny-image",
  "photograph",
] as const;

/** Flags that mean: by its header this is not a frontal chest radiograph. */
export const NOT_FRONTAL_CHEST: readonly Flag[] = ["lateral-view", "oblique-view", "other-body-part", "other-modality"];

export type Flag = (typeof FLAGS)[number];

const ADULT_YEARS = 18;
/** Standard deviation of the pixels. */
const LOW_CONTRAST = 0.05;
/** Shorter side of the stored image. */
const TINY_PIXELS = 256;

// View Position (DICOM PS3.3 C.8.11.5.1.1 and C.8.1.1), and values found in practice. The decubitus
// views (LLD, RLD) are frontal projections.
const OBLIQUE = new Set(["RLO", "LLO", "RAO", "LAO", "RPO", "LPO", "OBL", "OBLIQUE"]);

const UNSAID = new Set([
  ...["", "UNKNOWN", "UNSPECIFIED", "UNDEFINED", "OTHER", "NONE", "NA", "N/A", "ANY"],
  ...["NOT SPECIFIED", "DEFAULT", "GENERAL", "MISC", "XR", "CR", "DX", "BODY", "WHOLEBODY"],
]);

// Modality (PS3.3 C.7.3.1.1.1): radiography, and values that do not name an acquisition.
const PROJECTION = new Set(["CR", "DX", "DR", "RG", "XR", "OT", "SC"]);

/**
 * Flags of a radiograph whose pixels outside the padding have the standard deviation `contrast`;
 * `setRight`: the detector turned or inverted it back.
 */
export function findFlags(
  facts: Facts,
  contrast: number,
  setRight: { readonly turned?: boolean; readonly inverted?: boolean } = {},
): Flag[] {
  const view = (facts.view ?? "").trim().toUpperCase();
  const part = (facts.bodyPart ?? "").trim().toUpperCase();
  const modality = (facts.modality ?? "").trim().toUpperCase();
  const raised: Record<Flag, boolean> = {
    "lateral-view": isLateral(view),
    "oblique-view": words(view).some((word) => OBLIQUE.has(word)),
    "other-body-part": !UNSAID.has(part) && !isChest(part),
    "other-modality": modality !== "" && !PROJECTION.has(modality),
    child: facts.ageYears !== null && facts.ageYears < ADULT_YEARS,
    colour: facts.colour,
    "low-contrast": contrast < LOW_CONTRAST,
    "for-processing": facts.forProcessing,
    turned: setRight.turned === true || (facts.format === "DICOM" && facts.orientation !== 1),
    inverted: setRight.inverted === true,
    "tiny-image": Math.min(facts.rows, facts.columns) < TINY_PIXELS,
    photograph: facts.format === "photograph",
  };
  return FLAGS.filter((flag) => raised[flag]);
}
