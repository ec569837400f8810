/** How photographs change the logit of a model, as `scripts/photographs.mjs` measured it. */

import measured from "./correction.json";

/** Logit of a radiograph = logit of its photograph + shift, on average. */
export interface Correction {
  readonly shift: number;
}

export const UNCORRECTED: Correction = { shift: 0 };

/** The correction for a model file: that in `correction.json` if it was measured with this very file. */
export function correctionFor(model: Uint8Array): Correction {
  return measured.model === fingerprint(model) ? measured : UNCORRECTED;
}

/** FNV-1a of a file's bytes, 32 bits: versions of the model have the same name and version. */
export function fingerprint(bytes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
