/** Quality flags: reasons for caution with a result. Some of them rule out a decision. */

import type { Facts } from "../reading/radiograph";
import { isChest, isLateral, isOblique, isUnsaid } from "../reading/vocabulary";

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
  const modality = (facts.modality ?? "").trim().toUpperCase();
  const raised: Record<Flag, boolean> = {
    "lateral-view": isLateral(facts.view),
    "oblique-view": isOblique(facts.view),
    "other-body-part": !isUnsaid(facts.bodyPart) && !isChest(facts.bodyPart),
    "other-modality": modality !== "" && !PROJECTION.has(modality),
    // Protocols for children serve small adults too, so a stated age decides.
    child: facts.ageYears === null ? facts.child : facts.ageYears < ADULT_YEARS,
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
