/**
 * Finding the corners of a radiograph in a photograph.
 *
 * A radiograph on a screen or a light box is bounded by four straight edges, has texture within and
 * next to none just outside: the black of a viewer, the white of a light box. Lines are found by a
 * Hough transform that lets each edge pixel vote only for lines along its own direction (Ballard,
 * Pattern Recognition 13, 1981), and the best four are chosen by how much edge lies along them and
 * by the texture on their two sides.
 */

import { BILINEAR, resize } from "../reading/resize";

import { type Corners, isConvex, type Point } from "./perspective";
import type { Photograph } from "./photograph";

/** Longer side in pixels of the picture in which corners are looked for. */
const SIDE = 160;
/** Lines deviate from upright or level by at most this angle, in radians. */
const SLANT = 0.42;
const ANGLES = 43;
/** So many candidates for each direction. */
const LINES = 14;
/** Shorter sides of the picture that a radiograph covers at least. */
const LEAST = 0.3;
/** A frame of lower score is not believed. */
const CERTAIN = 0.66;

/** An upright line x = at + slope * y, or a level one y = at + slope * x. */
interface Line {
  readonly at: number;
  readonly slope: number;
  readonly votes: number;
}

interface Picture {
  readonly rows: number;
  readonly columns: number;
  readonly grey: Float32Array;
  /** Change from left to right, and from top to bottom. */
  readonly across: Float32Array;
  readonly down: Float32Array;
  readonly edge: Float32Array;
}

/** The corners in pixels of the photograph; null if they are not found. */
export function findCorners(photograph: Photograph): Corners | null {
  const picture = prepare(photograph);
  const frame = bestFrame(picture);
  if (!frame || frame.score < CERTAIN) return null;
  const scale = photograph.columns / picture.columns;
  const [width, height] = [photograph.columns, photograph.rows];
  const corners = frame.corners.map(({ x, y }) => ({
    x: Math.min(width, Math.max(0, x * scale)),
    y: Math.min(height, Math.max(0, y * scale)),
  })) as unknown as Corners;
  return isConvex(corners) ? corners : null;
}

/** The four lines that look most like the edges of a radiograph, and how much, 0 to 1. */
export function bestFrame(picture: Picture): { readonly corners: Corners; readonly score: number } | null {
  const upright = lines(picture, true);
  const level = lines(picture, false);
  let best: { corners: Corners; score: number } | null = null;
  for (const left of upright) {
    for (const right of upright) {
      if (middle(right, picture.rows) - middle(left, picture.rows) < LEAST * picture.columns) continue;
      for (const top of level) {
        for (const bottom of level) {
          if (middle(bottom, picture.columns) - middle(top, picture.columns) < LEAST * picture.rows) continue;
          const corners: Corners = [meet(left, top), meet(right, top), meet(right, bottom), meet(left, bottom)];
          if (!within(corners, picture) || !isConvex(corners)) continue;
          const score = scoreOf(picture, corners);
          if (!best || score > best.score) best = { corners, score };
        }
      }
    }
  }
  return best;
}

/** Shrink a photograph, and find how its greys change. */
export function prepare({ data, rows, columns }: Photograph): Picture {
  const plane = new Float32Array(rows * columns);
  for (let i = 0; i < plane.length; i++) {
    plane[i] = (0.299 * data[4 * i]! + 0.587 * data[4 * i + 1]! + 0.114 * data[4 * i + 2]!) / 255;
  }
  const scale = Math.min(1, SIDE / Math.max(rows, columns));
  const [height, width] = [Math.max(8, Math.round(rows * scale)), Math.max(8, Math.round(columns * scale))];
  const { data: grey } = resize({ data: plane, rows, columns }, height, width, BILINEAR);
  const [across, down, edge] = [new Float32Array(grey.length), new Float32Array(grey.length), new Float32Array(grey.length)];
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const i = y * width + x;
      // Sobel's kernels.
      const g = (dy: number, dx: number) => grey[i + dy * width + dx]!;
      across[i] = (g(-1, 1) + 2 * g(0, 1) + g(1, 1) - g(-1, -1) - 2 * g(0, -1) - g(1, -1)) / 8;
      down[i] = (g(1, -1) + 2 * g(1, 0) + g(1, 1) - g(-1, -1) - 2 * g(-1, 0) - g(-1, 1)) / 8;
      edge[i] = Math.hypot(across[i]!, down[i]!);
    }
  }
  return { rows: height, columns: width, grey, across, down, edge };
}

/** The lines with the most edge along them, none twice. */
function lines({ rows, columns, across, down, edge }: Picture, upright: boolean): Line[] {
  // A line's place is where it crosses the middle of the picture.
  const length = upright ? columns : rows;
  const half = (upright ? rows : columns) / 2;
  const margin = Math.ceil(half * Math.tan(SLANT));
  const places = length + 2 * margin;
  const votes = new Float32Array(ANGLES * places);
  for (let y = 1; y < rows - 1; y++) {
    for (let x = 1; x < columns - 1; x++) {
      const i = y * columns + x;
      if (edge[i]! < 0.012) continue;
      const [with_, against] = upright ? [across[i]!, down[i]!] : [down[i]!, across[i]!];
      // The line is at a right angle to the change.
      const slope = -against / (with_ || 1e-9);
      if (Math.abs(slope) > Math.tan(SLANT)) continue;
      const step = ((Math.atan(slope) / SLANT + 1) / 2) * (ANGLES - 1);
      const [place, along] = upright ? [x, y - half] : [y, x - half];
      // Faint edges count nearly as much as strong ones: a film's edge may be faint.
      const weight = Math.min(1, edge[i]! / 0.06);
      for (let angle = Math.max(0, Math.floor(step) - 1); angle <= Math.min(ANGLES - 1, Math.ceil(step) + 1); angle++) {
        const at = Math.round(place - slopeOf(angle) * along) + margin;
        if (at >= 0 && at < places) votes[angle * places + at] = votes[angle * places + at]! + weight;
      }
    }
  }
  const found: Line[] = [];
  while (found.length < LINES) {
    let best = 0;
    for (let i = 1; i < votes.length; i++) if (votes[i]! > votes[best]!) best = i;
    const strength = votes[best]!;
    if (strength < 0.07 * 2 * half) break;
    const [angle, at] = [Math.floor(best / places), best % places];
    const slope = slopeOf(angle);
    found.push({ at: at - margin - slope * half, slope, votes: strength });
    for (let near = Math.max(0, angle - 4); near <= Math.min(ANGLES - 1, angle + 4); near++) {
      for (let by = -2; by <= 2; by++) {
        if (at + by >= 0 && at + by < places) votes[near * places + at + by] = 0;
      }
    }
  }
  return found;
}

function slopeOf(angle: number): number {
  return Math.tan(SLANT * ((2 * angle) / (ANGLES - 1) - 1));
}

function middle({ at, slope }: Line, length: number): number {
  return at + (slope * length) / 2;
}

/** Where an upright and a level line cross. */
function meet(upright: Line, level: Line): Point {
  const x = (upright.at + upright.slope * level.at) / (1 - upright.slope * level.slope);
  return { x, y: level.at + level.slope * x };
}

function within(corners: Corners, { rows, columns }: Picture): boolean {
  const [x, y] = [0.02 * columns, 0.02 * rows];
  return corners.every((corner) => corner.x > -x && corner.y > -y && corner.x < columns + x && corner.y < rows + y);
}

/** How much four lines look like the edges of a radiograph, 0 to 1. */
function scoreOf(picture: Picture, corners: Corners): number {
  const shape = shapeFault(corners);
  if (shape > 0.5) return 0;
  let [sum, least, darkest, lightest] = [0, 1, 1, 0];
  for (let i = 0; i < 4; i++) {
    const side = sideOf(picture, corners[i]!, corners[(i + 1) % 4]!);
    sum += side.score;
    least = Math.min(least, side.score);
    if (side.outside === null) continue;
    darkest = Math.min(darkest, side.outside);
    lightest = Math.max(lightest, side.outside);
  }
  // The same surface lies around a radiograph: a viewer's black, or the white of a light box.
  const around = Math.max(0, lightest - darkest - 0.12);
  return Math.max(0, 0.6 * (sum / 4) + 0.4 * least - 0.6 * around - shape);
}

/** How far a frame is from a rectangle of a film's proportions, seen from the front; 0 for such. */
function shapeFault([p0, p1, p2, p3]: Corners): number {
  const side = (from: Point, to: Point) => ({ x: to.x - from.x, y: to.y - from.y });
  const [top, right, bottom, left] = [side(p0, p1), side(p1, p2), side(p3, p2), side(p0, p3)];
  const length = ({ x, y }: Point) => Math.hypot(x, y);
  const aspect = Math.abs(Math.log((length(top) + length(bottom)) / (length(left) + length(right))));
  const turn = [top, bottom].map(({ x, y }) => Math.atan2(y, x));
  const lean = [left, right].map(({ x, y }) => Math.atan2(-x, y));
  const spread = Math.max(...turn, ...lean) - Math.min(...turn, ...lean);
  return 0.8 * Math.max(0, aspect - 0.32) + 0.8 * Math.max(0, spread - 0.14);
}

/** One side, clockwise: edge along it, texture within, none outside; and the grey outside. */
function sideOf({ rows, columns, grey, across, down }: Picture, from: Point, to: Point): { score: number; outside: number | null } {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const [dx, dy] = [(to.x - from.x) / length, (to.y - from.y) / length];
  // Inwards, since the corners go clockwise as seen.
  const [nx, ny] = [-dy, dx];
  const count = Math.max(8, Math.round(length));
  let [edges, samples] = [0, 0];
  let [insideSum, insideSquares, outsideSum, outsideSquares, outside] = [0, 0, 0, 0, 0];
  const at = (x: number, y: number) => {
    const [column, row] = [Math.round(x), Math.round(y)];
    return column < 0 || row < 0 || column >= columns || row >= rows ? -1 : row * columns + column;
  };
  for (let step = 0; step < count; step++) {
    const share = 0.04 + (0.92 * (step + 0.5)) / count;
    const [x, y] = [from.x + dx * length * share, from.y + dy * length * share];
    // The strongest change across the side within a pixel of it.
    let strongest = 0;
    for (const by of [-1, 0, 1]) {
      const i = at(x + by * nx, y + by * ny);
      if (i >= 0) strongest = Math.max(strongest, Math.abs(across[i]! * nx + down[i]! * ny));
    }
    edges += Math.min(1, strongest / 0.035);
    samples += 1;
    const [near, far] = [at(x + 2.5 * nx, y + 2.5 * ny), at(x - 2.5 * nx, y - 2.5 * ny)];
    if (near >= 0) {
      insideSum += grey[near]!;
      insideSquares += grey[near]! ** 2;
    }
    if (far >= 0) {
      outsideSum += grey[far]!;
      outsideSquares += grey[far]! ** 2;
      outside += 1;
    }
  }
  const spread = (squares: number, sum: number, n: number) => Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2));
  const texture = Math.min(1, spread(insideSquares, insideSum, samples) / 0.09);
  // Beyond the picture nothing is known.
  const calm = outside > samples / 2 ? 1 - Math.min(1, spread(outsideSquares, outsideSum, outside) / 0.12) : 0.5;
  return {
    score: 0.42 * (edges / samples) + 0.25 * texture + 0.33 * calm,
    outside: outside > samples / 2 ? outsideSum / outside : null,
  };
}
