/** A function of dicom-parser that its types lack. */

import type { DataSet } from "dicom-parser";

declare module "dicom-parser" {
  /** The preamble and the file meta information; `position` is where the data set begins. */
  export function readPart10Header(file: Uint8Array): DataSet & { readonly position: number };
}
