/**
 * Why a file is refused: a stable code for each cause. The words are in `i18n/`, under `refusals`.
 *
 * The codes are those of `nanoray.reading.refusals` in Python; a test holds the two to each other.
 * Messages of the libraries underneath are never shown: they may quote values of the header, and
 * those may identify a patient.
 */

import en from "@/i18n/en.json";

export type RefusalCode = keyof typeof en.refusals;

/** A file is refused. */
export class Refusal extends Error {
  constructor(readonly code: RefusalCode) {
    super(code);
    this.name = "Refusal";
  }
}
