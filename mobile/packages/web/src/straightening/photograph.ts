/** Photographs of radiographs: telling them from radiographs, turning and shrinking them. */

import type { RgbaPicture } from "../reading/platform";
import type { Raster } from "../reading/raster";

/** Longer side in pixels of a photograph that is kept: four times the model's input is ample. */
export const LONGER_SIDE = 1600;

/** A colour picture, red, green, blue and opacity, that waits to be straightened. */
export type Photograph = RgbaPicture;

// A grey picture has equal channels, also after JPEG; a camera's differ nearly everywhere.
const COLOURED_LEVELS = 6;
const COLOURED_SHARE = 0.05;

/** Whether a picture comes from a camera: by its EXIF data, or because much of it is coloured. */
export function looksLikePhotograph({ data, channels, camera }: Raster): boolean {
  if (channels < 3) return camera;
  const levels = data instanceof Uint16Array ? COLOURED_LEVELS * 257 : COLOURED_LEVELS;
  let coloured = 0;
  let seen = 0;
  // Every seventh pixel is enough, and no multiple of a row's usual length.
  for (let at = 0; at + 2 < data.length; at += 7 * channels) {
    const [r, g, b] = [data[at]!, data[at + 1]!, data[at + 2]!];
    if (Math.max(r, g, b) - Math.min(r, g, b) > levels) coloured++;
    seen++;
  }
  return camera || coloured > COLOURED_SHARE * seen;
}

/** The photograph in a picture: upright, opaque, no larger than `LONGER_SIDE`. */
export function photographOf(raster: Raster): Photograph {
  const { rows, columns } = raster;
  const scale = Math.max(1, Math.max(rows, columns) / LONGER_SIDE);
  const [height, width] = [Math.max(1, Math.round(rows / scale)), Math.max(1, Math.round(columns / scale))];
  const data = new Uint8ClampedArray(4 * height * width);
  const sample = samplerOf(raster);
  for (let row = 0; row < height; row++) {
    const [top, bottom] = [Math.floor((row * rows) / height), Math.max(1, Math.floor(((row + 1) * rows) / height))];
    for (let column = 0; column < width; column++) {
      const left = Math.floor((column * columns) / width);
      const right = Math.floor(((column + 1) * columns) / width);
      const to = 4 * (row * width + column);
      // The mean of the pixels that fall into this one.
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += sample(y * columns + x, channel);
        data[to + channel] = sum / ((bottom - top) * (right - left));
      }
      data[to + 3] = 255;
    }
  }
  return oriented({ data, rows: height, columns: width }, raster.orientation);
}

function samplerOf({ data, channels, bits }: Raster): (pixel: number, channel: number) => number {
  const shift = data instanceof Uint16Array ? bits - 8 : 0;
  const step = channels >= 3 ? 1 : 0;
  return (pixel, channel) => data[pixel * channels + channel * step]! >> shift;
}

/** Turn a picture by an EXIF orientation. */
function oriented(picture: Photograph, orientation: number): Photograph {
  if (orientation <= 1 || orientation > 8) return picture;
  const turns: Readonly<Record<number, number>> = { 3: 2, 4: 2, 5: 3, 6: 1, 7: 1, 8: 3 };
  let turned = picture;
  if ([2, 4, 5, 7].includes(orientation)) turned = mirrored(turned);
  for (let i = 0; i < (turns[orientation] ?? 0); i++) turned = quarterTurn(turned);
  return turned;
}

function mirrored({ data, rows, columns }: Photograph): Photograph {
  const pixels = wordsOf(data);
  const flipped = new Uint32Array(pixels.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      flipped[row * columns + columns - 1 - column] = pixels[row * columns + column]!;
    }
  }
  return { data: new Uint8ClampedArray(flipped.buffer), rows, columns };
}

/** Turn a picture a quarter clockwise. */
export function quarterTurn({ data, rows, columns }: Photograph): Photograph {
  const pixels = wordsOf(data);
  const turned = new Uint32Array(pixels.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      turned[column * rows + rows - 1 - row] = pixels[row * columns + column]!;
    }
  }
  return { data: new Uint8ClampedArray(turned.buffer), rows: columns, columns: rows };
}

/** A pixel's four bytes as one number. */
function wordsOf(data: Uint8Array | Uint8ClampedArray): Uint32Array {
  const aligned = data.byteOffset % 4 ? data.slice() : data;
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
}
