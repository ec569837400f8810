/** Heat maps: cropping and colouring of the class-activation map for an overlay. */

import { roundHalfToEven } from "../reading/greyscale";
import type { Plane } from "../reading/radiograph";
import { BICUBIC, BILINEAR, type Placement, resize } from "../reading/resize";

// Lightness rises evenly from black to pale yellow, so that the map also reads in grey and with
// impaired colour vision; control points after "inferno" (S. van der Walt and N. Smith, CC0).
const STOPS = [
  [0, 0, 4],
  [31, 12, 72],
  [85, 15, 109],
  [136, 34, 106],
  [186, 54, 85],
  [227, 89, 51],
  [249, 140, 10],
  [249, 201, 50],
  [252, 255, 164],
] as const;

// Values below CLEAR are transparent; values from FULL on have the strongest colour.
const CLEAR = 0.05;
const FULL = 0.6;

/** The part of the square's map that covers the radiograph. */
export function crop(map: Plane, place: Placement): Plane {
  const { rows, columns } = map;
  const top = (place.top * rows) / place.size;
  const left = (place.left * columns) / place.size;
  const height = (place.height * rows) / place.size;
  const width = (place.width * columns) / place.size;
  if (height === rows && width === columns) return map;
  return resize(
    map,
    Math.max(1, roundHalfToEven(height)),
    Math.max(1, roundHalfToEven(width)),
    BILINEAR,
    { left, top, right: left + width, bottom: top + height },
  );
}

/** A picture with red, green, blue and opacity, 8 bits each. */
export interface ColourPicture {
  readonly data: Uint8ClampedArray<ArrayBuffer>;
  readonly rows: number;
  readonly columns: number;
}

/** The coloured map as an overlay for a picture of that size; the strongest colour is opaque. */
export function layer(map: Plane, rows: number, columns: number): ColourPicture {
  const large = resize(map, rows, columns, BICUBIC);
  const data = new Uint8ClampedArray(4 * rows * columns);
  for (let i = 0; i < large.data.length; i++) {
    const value = Math.min(1, Math.max(0, large.data[i]!));
    const position = value * (STOPS.length - 1);
    const below = Math.min(Math.floor(position), STOPS.length - 2);
    const [from, to] = [STOPS[below]!, STOPS[below + 1]!];
    for (let channel = 0; channel < 3; channel++) {
      data[4 * i + channel] = from[channel]! + (to[channel]! - from[channel]!) * (position - below);
    }
    const step = Math.min(1, Math.max(0, (value - CLEAR) / (FULL - CLEAR)));
    data[4 * i + 3] = 255 * step * step * (3 - 2 * step);
  }
  return { data, rows, columns };
}

/** A radiograph through a display window in grey levels (LINEAR, DICOM PS3.3 C.11.2.1.2). */
export function windowed(
  picture: { data: Uint8Array; rows: number; columns: number },
  centre: number,
  width: number,
): ColourPicture {
  const levels = Uint8ClampedArray.from({ length: 256 }, (_, level) => ((level - centre + 0.5) / (width - 1) + 0.5) * 255);
  const data = new Uint8ClampedArray(4 * picture.data.length);
  for (let i = 0; i < picture.data.length; i++) {
    const level = levels[picture.data[i]!]!;
    data[4 * i] = level;
    data[4 * i + 1] = level;
    data[4 * i + 2] = level;
    data[4 * i + 3] = 255;
  }
  return { data, rows: picture.rows, columns: picture.columns };
}

// Red, green and blue of the outline, and the opacity of the tint inside. It is light, so that the
// radiograph under it stays visible.
const OUTLINE = [255, 196, 0] as const;
const TINT = 0.16;

/** An outline and a light tint where the local probability reaches the threshold; null if nowhere. */
export function outline(map: Plane, threshold: number, rows: number, columns: number): ColourPicture | null {
  const { data: values } = resize(map, rows, columns, BICUBIC);
  const within = (row: number, column: number) =>
    row >= 0 && column >= 0 && row < rows && column < columns && values[row * columns + column]! >= threshold;
  const reach = Math.max(1, Math.round(Math.max(rows, columns) / 350));
  const data = new Uint8ClampedArray(4 * rows * columns);
  let any = false;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (!within(row, column)) continue;
      any = true;
      const edge =
        !within(row - reach, column) ||
        !within(row + reach, column) ||
        !within(row, column - reach) ||
        !within(row, column + reach);
      data.set([...OUTLINE, 255 * (edge ? 1 : TINT)], 4 * (row * columns + column));
    }
  }
  return any ? { data, rows, columns } : null;
}
