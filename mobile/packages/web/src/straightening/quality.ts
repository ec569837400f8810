/** Whether a photograph is good enough: sharp, without glare, large enough, nothing cut off. */

import { luma } from "../reading/greyscale";
import type { Plane } from "../reading/radiograph";
import { BILINEAR, resize } from "../reading/resize";

import { type Corners, straighten, straightSize } from "./perspective";
import type { Photograph } from "./photograph";

/** Defects of a photograph. */
export type Fault = "blurred" | "glare" | "small" | "cut off";

export interface Quality {
  readonly faults: readonly Fault[];
  /** Share of the fine detail that a sharp photograph has, and share of burnt-out pixels. */
  readonly sharpness: number;
  readonly burnt: number;
}

const SIDE = 256;
/** Shorter side in pixels of the photographed radiograph. */
const SMALL = 320;
/** A sharp photograph of a screen has 0.019, the same blurred by 4 pixels of 1,600 has 0.002. */
const BLURRED = 0.004;
const BURNT = 0.12;
/** A corner this near to the picture's edge, in parts of its side, is probably beyond it. */
const EDGE = 0.004;

/** Check a photograph of a radiograph with those corners. */
export function checkQuality(photograph: Photograph, corners: Corners): Quality {
  const { rows, columns, data } = photograph;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
  const { pixels } = luma({ data: bytes, rows, columns, pixelStride: 4, channelStride: 1 }, 255);
  const straight = straighten(pixels, corners);
  const small = resize(straight, SIDE, SIDE, BILINEAR);
  const sharpness = fineDetail(small);
  const burnt = straight.data.reduce((sum, value) => sum + (value > 0.985 ? 1 : 0), 0) / straight.data.length;
  const size = straightSize(corners);
  const near = ({ x, y }: { x: number; y: number }) =>
    Math.min(x, columns - x) < EDGE * columns || Math.min(y, rows - y) < EDGE * rows;
  const faults: Fault[] = [];
  if (Math.min(size.rows, size.columns) < SMALL) faults.push("small");
  if (sharpness < BLURRED) faults.push("blurred");
  if (burnt > BURNT) faults.push("glare");
  if (corners.some(near)) faults.push("cut off");
  return { faults, sharpness, burnt };
}

/** Mean square of the Laplacian against the variance: small where neighbours hardly differ. */
function fineDetail({ data, rows, columns }: Plane): number {
  let [sum, squares, edges, count] = [0, 0, 0, 0];
  for (let row = 1; row < rows - 1; row++) {
    for (let column = 1; column < columns - 1; column++) {
      const at = row * columns + column;
      const value = data[at]!;
      const around = data[at - 1]! + data[at + 1]! + data[at - columns]! + data[at + columns]!;
      sum += value;
      squares += value * value;
      edges += (around - 4 * value) ** 2;
      count += 1;
    }
  }
  const variance = squares / count - (sum / count) ** 2;
  return variance > 0 ? edges / count / variance : 0;
}
