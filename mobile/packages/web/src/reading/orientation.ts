/** EXIF data (Exif 2.32) of JPEG and PNG files: the orientation, and whether a camera wrote it. */

import { jpegSegments } from "./codestream";
import { roundHalfToEven } from "./greyscale";
import type { Plane } from "./radiograph";
import { BILINEAR, resize } from "./resize";

const MAKE = 0x010f;
const MODEL = 0x0110;
const ORIENTATION = 0x0112;
const APP0 = 0xe0;
const APP1 = 0xe1;

/** The orientation that a JPEG states, 1 to 8; 1 if it states none. */
export function jpegOrientation(file: Uint8Array): number {
  for (const { marker, start, length } of jpegSegments(file)) {
    if (marker === APP1 && ascii(file, start, 6) === "Exif\0\0") {
      return tiffOrientation(file.subarray(start + 6, start + length));
    }
  }
  return 1;
}

/** Height of a pixel over its width, by the density in a JPEG's JFIF segment (T.871); null without one. */
export function jpegAspect(file: Uint8Array): number | null {
  for (const { marker, start, length } of jpegSegments(file)) {
    if (marker !== APP0 || length < 14 || ascii(file, start, 4) !== "JFIF") continue;
    const view = new DataView(file.buffer, file.byteOffset + start, length);
    return view.getUint16(8) / view.getUint16(10);
  }
  return null;
}

/** Whether a camera wrote its make or model into a JPEG's EXIF data. */
export function jpegCamera(file: Uint8Array): boolean {
  for (const { marker, start, length } of jpegSegments(file)) {
    if (marker !== APP1 || ascii(file, start, 6) !== "Exif\0\0") continue;
    const tags = directory(file.subarray(start + 6, start + length));
    return tags.has(MAKE) || tags.has(MODEL);
  }
  return false;
}

/** The orientation in TIFF-structured data, as EXIF blocks are. */
export function tiffOrientation(data: Uint8Array): number {
  const value = directory(data).get(ORIENTATION) ?? 1;
  return value >= 1 && value <= 8 ? value : 1;
}

/** Tags of the first directory of TIFF-structured data, each with the short in its value field. */
function directory(data: Uint8Array): Map<number, number> {
  const tags = new Map<number, number>();
  const little = ascii(data, 0, 2) === "II";
  if (data.length < 14 || (!little && ascii(data, 0, 2) !== "MM")) return tags;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const start = view.getUint32(4, little);
  if (start + 2 > data.length) return tags;
  const entries = view.getUint16(start, little);
  for (let i = 0; i < entries; i++) {
    const at = start + 2 + 12 * i;
    if (at + 12 > data.length) break;
    const tag = view.getUint16(at, little);
    if (!tags.has(tag)) tags.set(tag, view.getUint16(at + 8, little));
  }
  return tags;
}

/** Apply an orientation. */
export function turn(image: Plane, orientation: number): Plane {
  if (orientation === 1) return image;
  const transposed = orientation >= 5;
  const [rows, columns] = transposed ? [image.columns, image.rows] : [image.rows, image.columns];
  const flipColumns = [2, 3, 6, 7].includes(orientation);
  const flipRows = [3, 4, 7, 8].includes(orientation);
  const data = new Float32Array(image.data.length);
  for (let row = 0; row < rows; row++) {
    const y = flipRows ? rows - 1 - row : row;
    for (let column = 0; column < columns; column++) {
      const x = flipColumns ? columns - 1 - column : column;
      data[row * columns + column] = image.data[transposed ? x * image.columns + y : y * image.columns + x]!;
    }
  }
  return { data, rows, columns };
}

/** An aspect that is not square and can be believed (`nanoray.reading.geometry`); 1 for all others. */
export function believedAspect(aspect: number | null): number {
  return aspect === null || !(aspect >= 0.25 && aspect <= 4) || Math.abs(aspect - 1) < 0.01 ? 1 : aspect;
}

/** Square pixels, of pixels that are `aspect` times as high as wide; the longer side is divided. */
export function squared(image: Plane, aspect: number): Plane {
  if (aspect === 1) return image;
  const [rows, columns] = aspect > 1 ? [image.rows * aspect, image.columns] : [image.rows, image.columns / aspect];
  return resize(image, Math.max(1, roundHalfToEven(rows)), Math.max(1, roundHalfToEven(columns)), BILINEAR);
}

function ascii(data: Uint8Array, start: number, length: number): string {
  return String.fromCharCode(...data.subarray(start, start + length));
}
