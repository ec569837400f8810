/**
 * Fitting a radiograph into the model's square input, without squashing it.
 *
 * The filter is Pillow's: a separable kernel whose support grows with the reduction, coefficients
 * in float64, a float32 image between the two passes. Python resizes with Pillow, so this is what
 * keeps the two runtimes within rounding of each other.
 */

import type { Plane } from "./radiograph";

/** Where a radiograph lies in the square: rows top..top+height, columns left..left+width. */
export interface Placement {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
  readonly size: number;
}

/** A part of an image, in pixels and fractions of them. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

interface Kernel {
  readonly support: number;
  readonly weight: (distance: number) => number;
}

/** Triangle: antialiased bilinear when reducing, plain bilinear when enlarging. */
export const BILINEAR: Kernel = {
  support: 1,
  weight: (x) => Math.max(0, 1 - Math.abs(x)),
};

/** Cubic convolution with a = -0.5 (Keys 1981). */
export const BICUBIC: Kernel = {
  support: 2,
  weight: (distance) => {
    const x = Math.abs(distance);
    const a = -0.5;
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
  },
};

/** Largest centred rectangle of the same aspect ratio in a square; halves round up. */
export function placement(rows: number, columns: number, size: number): Placement {
  const longest = Math.max(rows, columns);
  const height = Math.max(1, Math.floor((rows * size) / longest + 0.5));
  const width = Math.max(1, Math.floor((columns * size) / longest + 0.5));
  return {
    top: Math.floor((size - height) / 2),
    left: Math.floor((size - width) / 2),
    height,
    width,
    size,
  };
}

/** Resize to fit a `size` x `size` square, padded with 0 (black). */
export function letterbox(pixels: Plane, size: number): { square: Plane; place: Placement } {
  const place = placement(pixels.rows, pixels.columns, size);
  const fitted = resize(pixels, place.height, place.width, BILINEAR);
  const data = new Float32Array(size * size);
  for (let row = 0; row < place.height; row++) {
    const source = fitted.data.subarray(row * place.width, (row + 1) * place.width);
    data.set(source, (place.top + row) * size + place.left);
  }
  return { square: { data, rows: size, columns: size }, place };
}

/** Resample an image, or the part of it in `box`, to `rows` x `columns`. */
export function resize(
  image: Plane,
  rows: number,
  columns: number,
  kernel: Kernel,
  box: Box = { left: 0, top: 0, right: image.columns, bottom: image.rows },
): Plane {
  let current = image;
  if (columns !== image.columns || box.left !== 0 || box.right !== columns) {
    current = across(current, weights(image.columns, box.left, box.right, columns, kernel));
  }
  if (rows !== image.rows || box.top !== 0 || box.bottom !== rows) {
    current = down(current, weights(image.rows, box.top, box.bottom, rows, kernel));
  }
  return current;
}

/** For each output sample: the first input sample, and the weights of it and those after it. */
interface Weights {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly values: Float64Array;
  readonly stride: number;
}

function weights(inputs: number, from: number, to: number, outputs: number, kernel: Kernel): Weights {
  const scale = (to - from) / outputs;
  const stretch = Math.max(scale, 1);
  const shrink = 1 / stretch;
  const support = kernel.support * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(outputs);
  const count = new Int32Array(outputs);
  const values = new Float64Array(outputs * stride);
  for (let output = 0; output < outputs; output++) {
    const centre = from + (output + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - support + 0.5));
    const high = Math.min(inputs, Math.trunc(centre + support + 0.5));
    let total = 0;
    for (let input = low; input < high; input++) {
      const weight = kernel.weight((input - centre + 0.5) * shrink);
      values[output * stride + input - low] = weight;
      total += weight;
    }
    for (let i = 0; i < high - low && total !== 0; i++) {
      values[output * stride + i] = values[output * stride + i]! / total;
    }
    first[output] = low;
    count[output] = high - low;
  }
  return { first, count, values, stride };
}

function across(image: Plane, { first, count, values, stride }: Weights): Plane {
  const columns = first.length;
  const data = new Float32Array(image.rows * columns);
  for (let row = 0; row < image.rows; row++) {
    const source = row * image.columns;
    for (let column = 0; column < columns; column++) {
      const start = source + first[column]!;
      const taps = count[column]!;
      const at = column * stride;
      let sum = 0;
      for (let i = 0; i < taps; i++) sum += image.data[start + i]! * values[at + i]!;
      data[row * columns + column] = sum;
    }
  }
  return { data, rows: image.rows, columns };
}

function down(image: Plane, { first, count, values, stride }: Weights): Plane {
  const rows = first.length;
  const { columns } = image;
  const data = new Float32Array(rows * columns);
  const sums = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    sums.fill(0);
    for (let i = 0; i < count[row]!; i++) {
      const weight = values[row * stride + i]!;
      const source = (first[row]! + i) * columns;
      for (let column = 0; column < columns; column++) {
        sums[column] = sums[column]! + image.data[source + column]! * weight;
      }
    }
    data.set(sums, row * columns);
  }
  return { data, rows, columns };
}

/** Standard deviation of the pixels that are not 0, the value of all padding; 0 without any. */
export function contrast(square: Plane): number {
  let count = 0;
  let sum = 0;
  for (const value of square.data) {
    if (value > 0) {
      count++;
      sum += value;
    }
  }
  if (!count) return 0;
  const mean = sum / count;
  let squares = 0;
  for (const value of square.data) if (value > 0) squares += (value - mean) ** 2;
  return Math.sqrt(squares / count);
}

/** The radiograph as 8-bit grey, shrunk if its longer side exceeds `side`. */
export function thumbnail(pixels: Plane, side: number): GreyPicture {
  const place = placement(pixels.rows, pixels.columns, Math.min(side, Math.max(pixels.rows, pixels.columns)));
  const small = resize(pixels, place.height, place.width, BILINEAR);
  const data = Uint8Array.from(small.data, (value) => Math.min(255, Math.max(0, value * 255 + 0.5)));
  return { data, rows: small.rows, columns: small.columns };
}

/** An 8-bit grey picture, row by row. */
export interface GreyPicture {
  readonly data: Uint8Array;
  readonly rows: number;
  readonly columns: number;
}
