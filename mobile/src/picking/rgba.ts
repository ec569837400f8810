/** A colour picture in memory. */

/** Photographs are kept no larger than this: four times the model's input is ample. */
export const LONGER_SIDE = 1600;

export interface RgbaPicture {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly rows: number;
  readonly columns: number;
}
