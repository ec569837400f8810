/** Bounds on what is read, so that a hostile file costs little time and memory. */

const MIB = 1024 * 1024;

/** Larger files are refused before they are opened. A phone has less memory than a workstation. */
export const MAX_FILE_BYTES = 128 * MIB;

/** Bound on what a deflated DICOM data set, or a PNG, may inflate to. */
export const MAX_INFLATED_BYTES = 256 * MIB;

/** Rows x columns above this are refused from the header, before decoding. */
export const MAX_PIXELS = 50_000_000;

/** Longer side in pixels of the picture that is kept. */
export const THUMBNAIL_SIDE = 512;

/** Longer side in pixels of the picture that is shown while a result is new. */
export const DETAIL_SIDE = 4096;
