/**
 * Why a file is refused: a stable code for each cause, with its words in English.
 *
 * The codes are those of `nanoray.reading.refusals` in Python, and a few of this package's own; a
 * test holds the two to each other. Messages of the libraries underneath are never shown: they may
 * quote values of the header, and those may identify a patient.
 */

import words from "./refusals.json";

export type RefusalCode = keyof typeof words;

export const REFUSALS: Readonly<Record<RefusalCode, string>> = words;

/** A file is refused. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(readonly code: RefusalCode) {
    super(words[code]);
  }
}
