/** Histogram equalisation of a model's square, for models whose card asks for it. */

import type { Plane } from "./radiograph";

const LEVELS = 4096;
/** Levels below this one (under 4/255) are padding or collimator: they become black and do not count. */
const BLACK = 65;

/**
 * Replace every grey value by its cumulative share among the non-black pixels
 * (`nanoray.reading.equalize`): a level gets the middle of its step of the cumulative distribution.
 */
export function equalize(square: Plane): Plane {
  const counts = new Float64Array(LEVELS);
  const levels = new Uint16Array(square.data.length);
  const most = Math.fround(LEVELS - 1);
  for (let i = 0; i < levels.length; i++) {
    const level = Math.trunc(Math.fround(Math.fround(square.data[i]! * most) + 0.5));
    levels[i] = level;
    if (level >= BLACK) counts[level] = counts[level]! + 1;
  }
  const shares = new Float32Array(LEVELS);
  let below = 0;
  for (let level = BLACK; level < LEVELS; level++) {
    shares[level] = below + counts[level]! / 2;
    below += counts[level]!;
  }
  const total = Math.max(below, 1);
  for (let level = BLACK; level < LEVELS; level++) shares[level] = shares[level]! / total;
  const data = new Float32Array(levels.length);
  for (let i = 0; i < data.length; i++) data[i] = shares[levels[i]!]!;
  return { ...square, data };
}
