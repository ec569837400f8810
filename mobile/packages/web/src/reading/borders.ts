/** Finding the radiograph inside bars, frames and padding (`nanoray.reading.borders`). */

import { roundHalfToEven } from "./greyscale";
import type { Plane } from "./radiograph";
import { letterbox, type Placement } from "./resize";

/** The part of a picture that is the radiograph, in shares of the picture's sides. */
export interface Crop {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

type Kind = "black" | "white" | "flat" | null;

// A line belongs to a border if it is white or black with little in it, such as a letter, or flat.
const WHITE = { mean: 0.9, deviation: 0.1 };
const BLACK = { mean: 0.03, deviation: 0.03 };
const FLAT_DEVIATION = 0.004;
/** Black beside the film is ordinary: it is cut off where it takes this share of a side. */
const BLACK_SHARE = 0.25;
/** Borders that are narrower than this share of a side stay. */
const LEAST_SHARE = 0.01;
/** A radiograph has at least this share of each side; with less, nothing is cut off. */
const REST = 0.25;
const LAYERS = 4;

/** A rectangle of a picture: rows top..bottom, columns left..right. */
interface Part {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/** The radiograph in a picture with values in 0..1; null if it fills the picture. */
export function findCrop(picture: Plane): Crop | null {
  const { rows, columns } = picture;
  let part: Part = { top: 0, bottom: rows, left: 0, right: columns };
  for (let layer = 0; layer < LAYERS; layer++) {
    const before = part;
    const [firstRow, lastRow] = ends(part.bottom - part.top, rowKind(picture, part));
    part = { ...part, top: part.top + firstRow, bottom: part.top + lastRow };
    if (part.top >= part.bottom) return null;
    const [firstColumn, lastColumn] = ends(part.right - part.left, columnKind(picture, part));
    part = { ...part, left: part.left + firstColumn, right: part.left + lastColumn };
    if (part.left >= part.right) return null;
    if (before.top === part.top && before.bottom === part.bottom && before.left === part.left && before.right === part.right) break;
  }
  const { top, bottom, left, right } = part;
  if (bottom - top < REST * rows || right - left < REST * columns) return null;
  if (rows - bottom + top < LEAST_SHARE * rows && columns - right + left < LEAST_SHARE * columns) return null;
  // A line of the small picture may be half border: one more goes, but at the picture's edge.
  const inner = {
    top: top + Number(top > 0),
    left: left + Number(left > 0),
    bottom: bottom - Number(bottom < rows),
    right: right - Number(right < columns),
  };
  return {
    top: inner.top / rows,
    left: inner.left / columns,
    height: (inner.bottom - inner.top) / rows,
    width: (inner.right - inner.left) / columns,
  };
}

/** First and last line (exclusive) of `count` inside the border. */
function ends(count: number, kind: (line: number) => Kind): [number, number] {
  let first = 0;
  let last = count;
  const opening = kind(0);
  const closing = kind(count - 1);
  while (opening && first < last && kind(first) === opening) first += 1;
  while (closing && last > first && kind(last - 1) === closing) last -= 1;
  const dark = (opening === "black" ? first : 0) + (closing === "black" ? count - last : 0);
  if (dark < BLACK_SHARE * count) {
    if (opening === "black") first = 0;
    if (closing === "black") last = count;
  }
  return [first, last];
}

function rowKind({ data, columns }: Plane, { top, left, right }: Part): (line: number) => Kind {
  return (line) => kindOf(right - left, (i) => data[(top + line) * columns + left + i]!);
}

function columnKind({ data, columns }: Plane, { top, bottom, left }: Part): (line: number) => Kind {
  return (line) => kindOf(bottom - top, (i) => data[(top + i) * columns + left + line]!);
}

function kindOf(count: number, value: (index: number) => number): Kind {
  let mean = 0;
  for (let i = 0; i < count; i++) mean += value(i) / count;
  let variance = 0;
  for (let i = 0; i < count; i++) variance += (value(i) - mean) ** 2 / count;
  const deviation = Math.sqrt(variance);
  if (mean <= BLACK.mean && deviation <= BLACK.deviation) return "black";
  if (mean >= WHITE.mean && deviation <= WHITE.deviation) return "white";
  return deviation <= FLAT_DEVIATION ? "flat" : null;
}

/** The network's square of a picture, without a border around the radiograph. */
export function framed(pixels: Plane, size: number): { square: Plane; place: Placement; crop: Crop | null } {
  const whole = letterbox(pixels, size);
  const { top, left, height, width } = whole.place;
  const crop = findCrop(part(whole.square, { top, bottom: top + height, left, right: left + width }));
  if (!crop) return { ...whole, crop };
  const inside = exact(pixels, crop, whole.place);
  const share = {
    top: inside.top / pixels.rows,
    left: inside.left / pixels.columns,
    height: (inside.bottom - inside.top) / pixels.rows,
    width: (inside.right - inside.left) / pixels.columns,
  };
  return { ...letterbox(part(pixels, inside), size), crop: share };
}

/**
 * The radiograph in the whole picture. A crop of the small picture may lack two of its lines at a
 * side, or have a line of the border. The lines of the whole picture are looked through from there,
 * to the edge of the border.
 */
function exact(pixels: Plane, crop: Crop, place: Placement): Part {
  const { rows, columns } = pixels;
  const top = roundHalfToEven(crop.top * rows);
  const left = roundHalfToEven(crop.left * columns);
  const bottom = Math.max(top + 1, roundHalfToEven((crop.top + crop.height) * rows));
  const right = Math.max(left + 1, roundHalfToEven((crop.left + crop.width) * columns));
  const high = Math.ceil((2 * rows) / place.height);
  const wide = Math.ceil((2 * columns) / place.width);
  const whole = { top, bottom, left, right };
  const row = rowKind(pixels, { ...whole, top: 0 });
  const column = columnKind(pixels, { ...whole, left: 0 });
  const tall = Math.min(high, bottom - top);
  const broad = Math.min(wide, right - left);
  return {
    top: top - moved(Math.min(high, top), tall, (line) => row(top - 1 - line)),
    bottom: bottom + moved(Math.min(high, rows - bottom), tall, (line) => row(bottom + line)),
    left: left - moved(Math.min(wide, left), broad, (line) => column(left - 1 - line)),
    right: right + moved(Math.min(wide, columns - right), broad, (line) => column(right + line)),
  };
}

/**
 * By how many lines an edge moves outwards. `kind` counts lines outwards from 0, inwards from -1.
 */
function moved(outside: number, inside: number, kind: (line: number) => Kind): number {
  if (!outside) return 0;
  let border = 0;
  while (border < inside && kind(-1 - border)) border += 1;
  if (border && border < inside) return -border;
  let film = 0;
  while (film < outside && !kind(film)) film += 1;
  return film;
}

function part({ data, columns }: Plane, { top, bottom, left, right }: Part): Plane {
  const found = new Float32Array((bottom - top) * (right - left));
  for (let row = top; row < bottom; row++) {
    found.set(data.subarray(row * columns + left, row * columns + right), (row - top) * (right - left));
  }
  return { data: found, rows: bottom - top, columns: right - left };
}

/** The map of the whole picture from the map of a part; 0 elsewhere. Cells keep their size. */
export function inFrame(local: Plane, crop: Crop | null): Plane {
  if (!crop) return local;
  const rows = Math.max(local.rows, roundHalfToEven(local.rows / crop.height));
  const columns = Math.max(local.columns, roundHalfToEven(local.columns / crop.width));
  const top = Math.min(roundHalfToEven(crop.top * rows), rows - local.rows);
  const left = Math.min(roundHalfToEven(crop.left * columns), columns - local.columns);
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < local.rows; row++) {
    const source = local.data.subarray(row * local.columns, (row + 1) * local.columns);
    data.set(source, (top + row) * columns + left);
  }
  return { data, rows, columns };
}
