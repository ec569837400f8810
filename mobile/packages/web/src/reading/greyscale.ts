/**
 * From stored values to grey values in 0..1: DICOM's greyscale pipeline (PS3.4 N.2).
 *
 * Modality LUT or rescale, then VOI LUT or window, then the polarity of the photometric
 * interpretation. Where a file has no VOI, 8-bit images keep their full stored range, and so do deeper
 * ones that fill two thirds of the bits that they use; others are stretched between the 0.5 and 99.5
 * percentiles of the pixels that are neither padding nor a border. The same as
 * `nanoray.reading.greyscale` in Python.
 */

import type { Plane } from "./radiograph";
import { Refusal } from "./refusals";

/** A function of one stored value. */
export type Curve = (value: number) => number;

/** Samples as they are stored. */
export type Stored =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

export const PERCENTILES = [0.5, 99.5] as const;

/** Without a VOI, an image that fills this share of its scale is shown on the whole scale. */
const FILLED = 2 / 3;
/** See `withoutClusters`. */
const [GAP, CLUSTER, REST, MANY] = [0.25, 0.05, 0.2, 0.005];

/** Weights of red, green and blue (ITU-R BT.601), as in YBR_FULL and in JPEG. */
export const LUMA = [0.299, 0.587, 0.114] as const;

/** Channels of one pixel further apart than this, in 0..1, are colour, not compression noise. */
export const COLOUR_SPREAD = 16 / 255;

/** More than this share of coloured pixels make a coloured image. */
export const COLOUR_SHARE = 0.001;

/** A Modality or VOI LUT (PS3.3 C.11.1.1, C.11.2.1.1): input `first` maps to `entries[0]`. */
export interface LookupTable {
  readonly first: number;
  readonly entries: ArrayLike<number>;
  readonly fullScale: number;
}

/** The entry for a value; the end entries for values outside the table. */
export function lookUp(table: LookupTable, value: number): number {
  const index = roundHalfToEven(value) - table.first;
  return table.entries[Math.min(Math.max(index, 0), table.entries.length - 1)]!;
}

/** A window (PS3.3 C.11.2). */
export interface Window {
  readonly centre: number;
  readonly width: number;
  readonly shape: "LINEAR" | "LINEAR_EXACT" | "SIGMOID";
}

/**
 * The window as a curve onto 0..1; null for one that the standard does not allow (a width below 1
 * for LINEAR, of 0 or less for the others).
 */
export function windowCurve({ centre, width, shape }: Window): Curve | null {
  if (!(width > 0) || !Number.isFinite(centre) || (shape === "LINEAR" && width < 1)) return null;
  switch (shape) {
    case "SIGMOID":
      return (value) => 1 / (1 + Math.exp((-4 * (value - centre)) / width));
    case "LINEAR_EXACT":
      return ramp(centre, width);
    case "LINEAR":
      return ramp(centre - 0.5, width - 1);
  }
}

/** In the order of pydicom's arithmetic, so that results agree to the last bit. */
function ramp(centre: number, width: number): Curve {
  return (value) => {
    if (value <= centre - width / 2) return 0;
    return value > centre + width / 2 ? 1 : (((value - centre) / width + 0.5) * 65_535) / 65_535;
  };
}

export interface Rendering {
  /** Significant bits of a sample; above 8, a missing VOI means stretching. */
  readonly bits: number;
  readonly modality?: Curve | null;
  readonly voi?: Curve | null;
  /** Whether low values are bright (MONOCHROME1, WhiteIsZero). */
  readonly inverted?: boolean;
  /** Inclusive range of stored values outside the image (PS3.3 C.7.5.1.1.2); black. */
  readonly padding?: readonly [number, number] | null;
  /** Lowest value that can be stored: 0, or negative for signed samples. */
  readonly low?: number;
  /** The part that a shutter leaves open; the range is taken from it. */
  readonly seen?: Part | null;
}

/** Rows top..bottom and columns left..right of an image, the ends exclusive. */
export interface Part {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/** The samples in a part of an image. */
export function within<T extends Stored>(stored: T, columns: number, { top, bottom, left, right }: Part): T {
  const wide = right - left;
  const found = new (stored.constructor as new (length: number) => T)((bottom - top) * wide);
  for (let row = top; row < bottom; row++) {
    found.set(stored.subarray(row * columns + left, row * columns + right), (row - top) * wide);
  }
  return found;
}

/** Grey values in 0..1 of stored values. Values that are not finite count as padding. */
export function render(stored: Stored, rows: number, columns: number, how: Rendering): Plane {
  const short = stored.BYTES_PER_ELEMENT <= 2;
  const ranged = how.seen && !how.voi ? within(stored, columns, how.seen) : stored;
  const data = short ? throughTable(stored, ranged, how) : directly(stored, ranged, how);
  return { data, rows, columns };
}

/** Samples of up to 16 bits: the pipeline is computed once for each possible value. */
function throughTable(stored: Stored, ranged: Stored, how: Rendering): Float32Array {
  const { bits, modality, voi, inverted = false, padding, low = 0 } = how;
  const size = stored.BYTES_PER_ELEMENT === 1 ? 256 : 65_536;
  const negative = stored instanceof Int8Array || stored instanceof Int16Array ? -size / 2 : 0;
  const values = new Float64Array(size);
  for (let i = 0; i < size; i++) values[i] = modality ? modality(i + negative) : i + negative;
  const isPadding = (i: number) =>
    !!padding && i + negative >= padding[0] && i + negative <= padding[1];

  let curve = voi;
  if (!curve) {
    let from = Infinity;
    let to = -Infinity;
    if (bits <= 8) {
      for (let value = low; value < low + 2 ** bits; value++) {
        from = Math.min(from, values[value - negative]!);
        to = Math.max(to, values[value - negative]!);
      }
    } else {
      const counts = new Float64Array(size);
      for (const value of ranged) {
        const index = value - negative;
        counts[index] = counts[index]! + 1;
      }
      let [lowest, highest] = [Infinity, -Infinity];
      for (let i = 0; i < size; i++) {
        if (isPadding(i)) counts[i] = 0;
        if (!counts[i]) continue;
        lowest = Math.min(lowest, i + negative);
        highest = Math.max(highest, i + negative);
      }
      const [first, used] = highest >= lowest ? usedBits(lowest, highest) : [low, bits];
      const scale: [number, number] = [Infinity, -Infinity];
      for (let value = first; value < first + 2 ** used; value++) {
        scale[0] = Math.min(scale[0], values[value - negative]!);
        scale[1] = Math.max(scale[1], values[value - negative]!);
      }
      [from, to] = shownRange(values, counts, scale);
    }
    curve = stretch(from, to);
  }
  const table = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    if (!isPadding(i)) table[i] = polarity(curve(values[i]!), inverted);
  }
  const pixels = new Float32Array(stored.length);
  for (let i = 0; i < stored.length; i++) pixels[i] = table[stored[i]! - negative]!;
  return pixels;
}

function directly(stored: Stored, ranged: Stored, how: Rendering): Float32Array {
  const { bits, modality, voi, inverted = false, padding } = how;
  const outside = (raw: number) =>
    !Number.isFinite(raw) || (!!padding && raw >= padding[0] && raw <= padding[1]);
  let curve = voi;
  if (!curve) {
    const seen = new Float32Array(ranged.length);
    let count = 0;
    for (const raw of ranged) {
      if (outside(raw)) continue;
      const value = modality ? modality(raw) : raw;
      if (Number.isFinite(value)) seen[count++] = value;
    }
    if (!count) throw new Refusal("not-finite");
    const sorted = seen.subarray(0, count).sort();
    const [from, to] = bits > 8 ? rangeOf(sorted, how, ranged) : [sorted[0]!, sorted[count - 1]!];
    curve = stretch(from, to);
  }
  const pixels = new Float32Array(stored.length);
  for (let i = 0; i < stored.length; i++) {
    const raw = stored[i]!;
    if (!outside(raw)) pixels[i] = polarity(curve(modality ? modality(raw) : raw), inverted);
  }
  return pixels;
}

/** The values that become 0 and 1, of samples that are too many or too fine for a table. */
function rangeOf(sorted: Float32Array, { modality, padding }: Rendering, stored: Stored): [number, number] {
  let [lowest, highest] = [Infinity, -Infinity];
  for (const raw of stored) {
    if (!Number.isFinite(raw) || (padding && raw >= padding[0] && raw <= padding[1])) continue;
    lowest = Math.min(lowest, raw);
    highest = Math.max(highest, raw);
  }
  const [first, used] = usedBits(lowest, highest);
  let ends: [number, number] | null = [first, first + 2 ** used - 1];
  if (stored instanceof Float32Array || stored instanceof Float64Array) ends = lowest >= 0 && highest <= 1 ? [0, 1] : null;
  const mapped = ends && (ends.map((value) => (modality ? modality(value) : value)) as [number, number]);
  const scale = mapped && ([Math.min(...mapped), Math.max(...mapped)] as [number, number]);
  const [from, to] = [sorted[0]!, sorted[sorted.length - 1]!];
  const bins = 4096;
  const width = (to - from) / bins;
  const counts = new Float64Array(bins);
  for (const value of sorted) {
    const bin = width > 0 ? Math.min(bins - 1, Math.floor((value - from) / width)) : 0;
    counts[bin] = counts[bin]! + 1;
  }
  const centres = Float64Array.from({ length: bins }, (_, bin) => from + (bin + 0.5) * width);
  const [bottom, top] = withoutClusters(centres, counts);
  const near = sorted.filter((value) => value >= bottom - width && value <= top + width);
  return scaled([quantile(near, PERCENTILES[0]), quantile(near, PERCENTILES[1])], scale);
}

function polarity(grey: number, inverted: boolean): number {
  const value = inverted ? 1 - grey : grey;
  return Number.isNaN(value) ? 0 : Math.min(1, Math.max(0, value));
}

/** Linear from low..high to 0..1; all 0 where the range is empty. */
function stretch(low: number, high: number): Curve {
  return high > low ? (value) => (value - low) / (high - low) : () => 0;
}

/** The lowest value and the number of the bits that values need, at least 8 bits. */
function usedBits(least: number, most: number): [number, number] {
  if (least >= 0) return [0, Math.max(8, bitLength(most))];
  const bits = Math.max(8, 1 + bitLength(Math.max(-1 - least, most, 0)));
  return [-(2 ** (bits - 1)), bits];
}

function bitLength(value: number): number {
  return value ? Math.floor(Math.log2(value)) + 1 : 0;
}

/** The values that become 0 and 1, of values that occur `counts` times on a scale. */
function shownRange(values: Float64Array, counts: Float64Array, scale: readonly [number, number]): [number, number] {
  const [bottom, top] = withoutClusters(values, counts);
  const kept = counts.map((count, i) => (values[i]! >= bottom && values[i]! <= top ? count : 0));
  return scaled(percentilesOfCounts(values, kept), scale);
}

/** The whole scale for what fills two thirds of it, as every 8-bit image has; else the range. */
function scaled([low, high]: [number, number], scale: readonly [number, number] | null): [number, number] {
  return scale && high - low >= FILLED * (scale[1] - scale[0]) ? [scale[0], scale[1]] : [low, high];
}

/**
 * Lowest and highest value of the image without a border far from it.
 *
 * A border, such as a saturated frame or a collimator's shadow, shows as a narrow cluster of values
 * beside a gap of a quarter of the range; the rest must be a fifth of the pixels.
 */
function withoutClusters(values: Float64Array, counts: Float64Array): [number, number] {
  const order = Array.from(values.keys())
    .filter((i) => counts[i]! > 0)
    .sort((a, b) => values[a]! - values[b]!);
  const occurring = order.map((i) => values[i]!);
  if (!occurring.length) return [0, 0];
  const end = occurring.length - 1;
  if (end < 2) return [occurring[0]!, occurring[end]!];
  const span = occurring[end]! - occurring[0]!;
  const total = order.reduce((sum, i) => sum + counts[i]!, 0);
  let [first, last, below] = [0, end, 0];
  for (let at = 0; at < end; at++) {
    below += counts[order[at]!]!;
    if (!(occurring[at + 1]! - occurring[at]! > GAP * span)) continue;
    const above = total - below;
    const narrowBelow = occurring[at]! - occurring[0]! < CLUSTER * span;
    if (narrowBelow && below >= MANY * total && above >= REST * total) first = at + 1;
    const narrowAbove = occurring[end]! - occurring[at + 1]! < CLUSTER * span;
    if (narrowAbove && above >= MANY * total && below >= REST * total) {
      last = at;
      break;
    }
  }
  return first > last ? [occurring[0]!, occurring[end]!] : [occurring[first]!, occurring[last]!];
}

/** Percentile of sorted values, interpolated linearly as `numpy.percentile` does. */
function quantile(sorted: Float32Array, percent: number): number {
  const position = (percent / 100) * (sorted.length - 1);
  const below = Math.floor(position);
  const left = sorted[below]!;
  const right = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return left + (right - left) * (position - below);
}

/** `PERCENTILES` of values that occur `counts` times. */
function percentilesOfCounts(values: Float64Array, counts: Float64Array): [number, number] {
  const order = Array.from(values.keys()).sort((a, b) => values[a]! - values[b]!);
  let total = 0;
  for (const count of counts) total += count;
  if (!total) return [0, 0];
  const ranks = PERCENTILES.map((percent) => (percent / 100) * (total - 1));
  const wanted = ranks.flatMap((rank) => [Math.floor(rank), Math.min(Math.floor(rank) + 1, total - 1)]);
  const found: number[] = [];
  let cumulated = 0;
  for (const index of order) {
    cumulated += counts[index]!;
    while (found.length < wanted.length && cumulated > wanted[found.length]!) {
      found.push(values[index]!);
    }
    if (found.length === wanted.length) break;
  }
  const at = (i: number) =>
    found[2 * i]! + (found[2 * i + 1]! - found[2 * i]!) * (ranks[i]! - Math.floor(ranks[i]!));
  return [at(0), at(1)];
}

/** How the channels of a colour image lie in memory. */
export interface Channels {
  readonly data: Stored;
  readonly rows: number;
  readonly columns: number;
  /** Distance from one pixel to the next, and from one channel to the next. */
  readonly pixelStride: number;
  readonly channelStride: number;
}

export interface Grey {
  readonly pixels: Plane;
  readonly colour: boolean;
}

/** Grey values of red, green and blue, and whether the image has colour. */
export function luma(rgb: Channels, fullScale: number): Grey {
  const [red, green, blue] = LUMA.map((weight) => Math.fround(weight / fullScale)) as [number, number, number];
  const data = new Float32Array(rgb.rows * rgb.columns);
  let coloured = 0;
  for (let i = 0; i < data.length; i++) {
    const at = i * rgb.pixelStride;
    const r = rgb.data[at]!;
    const g = rgb.data[at + rgb.channelStride]!;
    const b = rgb.data[at + 2 * rgb.channelStride]!;
    if (Math.max(r, g, b) - Math.min(r, g, b) > COLOUR_SPREAD * fullScale) coloured++;
    data[i] = Math.min(1, Math.max(0, r * red + g * green + b * blue));
  }
  return grey(data, rgb, coloured);
}

/** The largest value of the bits, at least 8 and at most `bits`, that values from 0 to `most` need. */
export function fullScaleOf(most: number, bits: number): number {
  return 2 ** Math.min(bits, Math.max(8, bitLength(most))) - 1;
}

/** Grey values as integers, since sums of weighted channels lie between their levels. */
export function in16Bits(grey: Float32Array): Uint16Array<ArrayBuffer> {
  return Uint16Array.from(grey, (value) => roundHalfToEven(Math.fround(value * 65_535)));
}

/** As `luma`, of luminance and the chrominances CB and CR (YBR_FULL, PS3.3 C.7.6.3.1.2). */
export function lumaOfYbr(ybr: Channels, fullScale: number): Grey {
  const data = new Float32Array(ybr.rows * ybr.columns);
  const neutral = (fullScale + 1) / 2;
  let coloured = 0;
  for (let i = 0; i < data.length; i++) {
    const at = i * ybr.pixelStride;
    const cb = ybr.data[at + ybr.channelStride]!;
    const cr = ybr.data[at + 2 * ybr.channelStride]!;
    // A blue pixel's spread is 1.772 times its CB, a red one's 1.402 times its CR.
    const spread = Math.max(Math.abs(cb - neutral) * 1.772, Math.abs(cr - neutral) * 1.402);
    if (spread > COLOUR_SPREAD * fullScale) coloured++;
    data[i] = Math.min(1, Math.max(0, ybr.data[at]! / fullScale));
  }
  return grey(data, ybr, coloured);
}

function grey(data: Float32Array, { rows, columns }: Channels, coloured: number): Grey {
  return { pixels: { data, rows, columns }, colour: coloured > COLOUR_SHARE * data.length };
}

/** As NumPy's `rint`: a half goes to the even neighbour. */
export function roundHalfToEven(value: number): number {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
