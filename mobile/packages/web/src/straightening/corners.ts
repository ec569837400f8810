/**
 * Finding the corners of a radiograph in a photograph.
 *
 * A radiograph on a screen or a light box is bounded by four straight edges, has texture within and
 * next to none just outside: the black of a viewer, the white of a light box. Lines are found by a
 * Hough transform that lets each edge pixel vote only for lines along its own direction (Ballard,
 * Pattern Recognition 13, 1981). The best four are chosen by how much the grey changes in one
 * direction along them, where texture changes to and fro, and by what lies on their two sides. They
 * are then fitted to the steepest places in a larger picture.
 */

import { BILINEAR, resize } from "../reading/resize";

import { type Corners, isConvex, type Point } from "./perspective";
import type { Photograph } from "./photograph";

/** Longer sides in pixels of the picture in which lines are found, and of the one they are fitted in. */
const SIDE = 160;
const FINE_SIDE = 640;
/** Lines deviate from upright or level by at most this angle, in radians. */
const SLANT = 0.42;
const ANGLES = 43;
/** Number of candidates for each direction. */
const LINES = 18;
/** A pixel that changes by less does not vote. */
const FAINT = 0.005;
/** Shorter sides of the picture that a radiograph covers at least. */
const LEAST = 0.3;
/** Number of segments in which a side's change of grey is rated. */
const SEGMENTS = 8;
/** Changes of grey from pixel to pixel that are noise, after shrinking. */
const NOISE = 0.0015;
/** Frames with a lower score are rejected. */
const CERTAIN = 0.55;

/** An upright line x = at + slope * y, or a level one y = at + slope * x. */
interface Line {
  readonly at: number;
  readonly slope: number;
}

interface Picture {
  readonly rows: number;
  readonly columns: number;
  readonly grey: Float32Array;
  /** Change from left to right, and from top to bottom. */
  readonly across: Float32Array;
  readonly down: Float32Array;
}

/** The corners in pixels of the photograph; null if they are not found. */
export function findCorners(photograph: Photograph): Corners | null {
  const plane = greyOf(photograph);
  const picture = prepare(plane, SIDE);
  const frame = bestFrame(picture);
  if (!frame || frame.score < CERTAIN) return null;
  const fine = prepare(plane, FINE_SIDE);
  const scale = fine.columns / picture.columns;
  const corners = fit(fine, frame.corners.map(({ x, y }) => ({ x: x * scale, y: y * scale })) as unknown as Corners);
  const up = photograph.columns / fine.columns;
  const [width, height] = [photograph.columns, photograph.rows];
  const found = corners.map(({ x, y }) => ({
    x: Math.min(width, Math.max(0, x * up)),
    y: Math.min(height, Math.max(0, y * up)),
  })) as unknown as Corners;
  return isConvex(found) ? found : null;
}

/** The four lines most similar to the edges of a radiograph, with their score, 0 to 1. */
function bestFrame(picture: Picture): { readonly corners: Corners; readonly score: number } | null {
  const upright = lines(picture, true);
  const level = lines(picture, false);
  const crossings = upright.map((line) => level.map((other) => meet(line, other)));
  const sides = new Map<number, Side>();
  // A side is the same in all frames that share its two corners.
  const side = (from: number, to: number) => {
    const key = from * 4096 + to;
    let found = sides.get(key);
    if (!found) {
      const at = (corner: number) => crossings[Math.floor(corner / 64)]![corner % 64]!;
      sides.set(key, (found = sideOf(picture, at(from), at(to))));
    }
    return found;
  };
  let best: { corners: Corners; score: number } | null = null;
  for (const [l, left] of upright.entries()) {
    for (const [r, right] of upright.entries()) {
      if (middle(right, picture.rows) - middle(left, picture.rows) < LEAST * picture.columns) continue;
      for (const [t, top] of level.entries()) {
        for (const [b, bottom] of level.entries()) {
          if (middle(bottom, picture.columns) - middle(top, picture.columns) < LEAST * picture.rows) continue;
          const ids = [64 * l + t, 64 * r + t, 64 * r + b, 64 * l + b] as const;
          const corners = ids.map((id) => crossings[Math.floor(id / 64)]![id % 64]!) as unknown as Corners;
          if (!within(corners, picture) || !isConvex(corners)) continue;
          const shape = shapeFault(corners);
          if (shape > 0.5) continue;
          const score = scoreOf(ids.map((id, i) => side(id, ids[(i + 1) % 4]!))) - shape;
          if (!best || score > best.score) best = { corners, score };
        }
      }
    }
  }
  return best;
}

/** Grey levels, 0 to 1. */
function greyOf({ data, rows, columns }: Photograph): { data: Float32Array; rows: number; columns: number } {
  const plane = new Float32Array(rows * columns);
  for (let i = 0; i < plane.length; i++) {
    plane[i] = (0.299 * data[4 * i]! + 0.587 * data[4 * i + 1]! + 0.114 * data[4 * i + 2]!) / 255;
  }
  return { data: plane, rows, columns };
}

/** Shrink a photograph, and find how its greys change. */
function prepare(plane: { data: Float32Array; rows: number; columns: number }, side: number): Picture {
  const { rows, columns } = plane;
  const scale = Math.min(1, side / Math.max(rows, columns));
  const [height, width] = [Math.max(8, Math.round(rows * scale)), Math.max(8, Math.round(columns * scale))];
  const { data: grey } = resize(plane, height, width, BILINEAR);
  const [across, down] = [new Float32Array(grey.length), new Float32Array(grey.length)];
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const i = y * width + x;
      // Sobel's kernels.
      const g = (dy: number, dx: number) => grey[i + dy * width + dx]!;
      across[i] = (g(-1, 1) + 2 * g(0, 1) + g(1, 1) - g(-1, -1) - 2 * g(0, -1) - g(1, -1)) / 8;
      down[i] = (g(1, -1) + 2 * g(1, 0) + g(1, 1) - g(-1, -1) - 2 * g(-1, 0) - g(-1, 1)) / 8;
    }
  }
  return { rows: height, columns: width, grey, across, down };
}

/** The lines with the most edge along them, none twice. */
function lines({ rows, columns, across, down }: Picture, upright: boolean): Line[] {
  // A line's place is where it crosses the middle of the picture.
  const length = upright ? columns : rows;
  const half = (upright ? rows : columns) / 2;
  const margin = Math.ceil(half * Math.tan(SLANT));
  const places = length + 2 * margin;
  const votes = new Float32Array(ANGLES * places);
  for (let y = 1; y < rows - 1; y++) {
    for (let x = 1; x < columns - 1; x++) {
      const i = y * columns + x;
      const edge = Math.hypot(across[i]!, down[i]!);
      if (edge < FAINT) continue;
      const [with_, against] = upright ? [across[i]!, down[i]!] : [down[i]!, across[i]!];
      // The line is at a right angle to the change.
      const slope = -against / (with_ || 1e-9);
      if (Math.abs(slope) > Math.tan(SLANT)) continue;
      const step = ((Math.atan(slope) / SLANT + 1) / 2) * (ANGLES - 1);
      const [place, along] = upright ? [x, y - half] : [y, x - half];
      // Faint edges count nearly as much as strong ones: a film's edge may be faint.
      const weight = Math.min(1, edge / 0.06);
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
    found.push({ at: at - margin - slope * half, slope });
    for (let near = Math.max(0, angle - 4); near <= Math.min(ANGLES - 1, angle + 4); near++) {
      for (let by = -2; by <= 2; by++) {
        if (at + by >= 0 && at + by < places) votes[near * places + at + by] = 0;
      }
    }
  }
  return found;
}

/** Coherence of changes, -1 to 1; 0 for noise. */
function coherence(sum: number, squares: number, count: number): number {
  return sum / Math.sqrt(count * (squares + count * NOISE ** 2));
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

/** Measurements along one side of a frame. */
interface Side {
  /** Coherence of the step along it, -1 to 1; above 0 where the inside is brighter. */
  readonly step: number;
  /** Variation of grey just inside, and calm just outside, 0 to 1. */
  readonly texture: number;
  readonly calm: number;
  /** Mean grey outside; null beyond the picture's edge, where nothing is known. */
  readonly outside: number | null;
}

/** Similarity of four sides to the edges of a radiograph, 0 to 1. */
function scoreOf(sides: readonly Side[]): number {
  let [sum, least, darkest, lightest, signed, unsigned] = [0, 1, 1, 0, 0, 0];
  for (const { step, texture, calm, outside } of sides) {
    const score = 0.42 * Math.min(1, Math.abs(step) / 0.8) + 0.25 * texture + 0.33 * calm;
    sum += score;
    least = Math.min(least, score);
    signed += step;
    unsigned += Math.abs(step);
    if (outside === null) continue;
    darkest = Math.min(darkest, outside);
    lightest = Math.max(lightest, outside);
  }
  // The same surface lies around a radiograph: a viewer's black, or the white of a light box.
  const around = Math.max(0, lightest - darkest - 0.12);
  // So all steps go the same way. The edge of a viewer's black is a step down from a dull frame.
  const mixed = unsigned > 0 ? 1 - Math.abs(signed) / unsigned : 1;
  const dull = signed < 0 ? Math.min(1, Math.max(0, 0.7 - (darkest + lightest) / 2) / 0.2) : 0;
  return 0.6 * (sum / 4) + 0.4 * least - 0.6 * around - 0.3 * mixed - 0.25 * dull;
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

/** Distances in pixels, inside and outside, at which a side is measured. */
const INSIDE = [2.5, 5];
const OUTSIDE = [2.5, 4.5, 7];

/** One side, clockwise. */
function sideOf({ rows, columns, grey, across, down }: Picture, from: Point, to: Point): Side {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const [dx, dy] = [(to.x - from.x) / length, (to.y - from.y) / length];
  // Inwards, since the corners go clockwise as seen.
  const [nx, ny] = [-dy, dx];
  const count = Math.max(SEGMENTS, Math.round(length));
  const at = (x: number, y: number) => {
    const [column, row] = [Math.round(x - 0.5), Math.round(y - 0.5)];
    return column < 0 || row < 0 || column >= columns || row >= rows ? -1 : row * columns + column;
  };
  const along = (i: number) => (0.04 + (0.92 * (i + 0.5)) / count) * length;
  let step = 0;
  for (let segment = 0; segment < SEGMENTS; segment++) {
    let [sum, squares, samples] = [0, 0, 0];
    for (let i = Math.floor((segment * count) / SEGMENTS); i < Math.floor(((segment + 1) * count) / SEGMENTS); i++) {
      const [x, y] = [from.x + dx * along(i), from.y + dy * along(i)];
      // The change across the side within a pixel of it.
      let change = 0;
      for (const by of [-1, 0, 1]) {
        const place = at(x + by * nx, y + by * ny);
        const here = place < 0 ? 0 : across[place]! * nx + down[place]! * ny;
        if (Math.abs(here) > Math.abs(change)) change = here;
      }
      sum += change;
      squares += change * change;
      samples += 1;
    }
    if (samples) step += coherence(sum, squares, samples) / SEGMENTS;
  }
  /** Mean grey along a parallel, and its deviation from a straight line; null beyond the picture. */
  const strip = (away: number) => {
    let [n, sx, sy, sxx, sxy, syy] = [0, 0, 0, 0, 0, 0];
    for (let i = 0; i < count; i++) {
      const place = at(from.x + dx * along(i) + away * nx, from.y + dy * along(i) + away * ny);
      if (place < 0) continue;
      const [x, y] = [i / count, grey[place]!];
      [n, sx, sy, sxx, sxy, syy] = [n + 1, sx + x, sy + y, sxx + x * x, sxy + x * y, syy + y * y];
    }
    if (n < count / 2) return null;
    const [mean, vxx, vxy, vyy] = [sy / n, sxx / n - (sx / n) ** 2, sxy / n - (sx * sy) / n / n, syy / n - (sy / n) ** 2];
    return { mean, deviation: Math.sqrt(Math.max(0, vyy - (vxx > 0 ? (vxy * vxy) / vxx : 0))) };
  };
  const mean = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  const [inside, outside] = [INSIDE.map((away) => strip(away)), OUTSIDE.map((away) => strip(-away))];
  return {
    step,
    texture: mean(inside.map((one) => (one ? Math.min(1, one.deviation / 0.08) : 0))),
    calm: mean(outside.map((one) => (one ? 1 - Math.min(1, one.deviation / 0.08) : 0.5))),
    outside: outside[0]?.mean ?? null,
  };
}

/** Move each side to the steepest places near it, by a line that is fitted to them. */
function fit(picture: Picture, corners: Corners): Corners {
  const reach = 1.5 * (FINE_SIDE / SIDE);
  const fitted = corners.map((from, i) => fitSide(picture, from, corners[(i + 1) % 4]!, reach));
  const found = fitted.map((side, i) => {
    // The corner between a side and the one before it.
    const before = fitted[(i + 3) % 4]!;
    return crossing(before, side) ?? corners[i]!;
  });
  return found as unknown as Corners;
}

type Through = readonly [Point, Point];

/** Where two lines, each through two points, cross. */
function crossing([a, b]: Through, [c, d]: Through): Point | null {
  const [ux, uy, vx, vy] = [b.x - a.x, b.y - a.y, d.x - c.x, d.y - c.y];
  const area = ux * vy - uy * vx;
  if (Math.abs(area) < 1e-9) return null;
  const share = ((c.x - a.x) * vy - (c.y - a.y) * vx) / area;
  return { x: a.x + share * ux, y: a.y + share * uy };
}

function fitSide({ rows, columns, across, down }: Picture, from: Point, to: Point, reach: number): Through {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const [dx, dy] = [(to.x - from.x) / length, (to.y - from.y) / length];
  const [nx, ny] = [-dy, dx];
  const offsets = 2 * Math.ceil(reach) + 1;
  const count = Math.max(8, Math.floor(length / 2));
  const change = (x: number, y: number) => {
    const [column, row] = [Math.round(x - 0.5), Math.round(y - 0.5)];
    if (column < 0 || row < 0 || column >= columns || row >= rows) return 0;
    return across[row * columns + column]! * nx + down[row * columns + column]! * ny;
  };
  // Two ends' offsets that together give the steepest step in one direction.
  const profile = Array.from({ length: count }, (_, i) => {
    const along = (0.03 + (0.94 * (i + 0.5)) / count) * length;
    return Float32Array.from({ length: offsets }, (_, k) => {
      const by = k - (offsets - 1) / 2;
      const value = change(from.x + dx * along + nx * by, from.y + dy * along + ny * by);
      // Faint steps count nearly as much as strong ones.
      return value / (Math.abs(value) + 0.02);
    });
  });
  let best = { start: 0, end: 0, sum: 0 };
  for (let start = 0; start < offsets; start++) {
    for (let end = 0; end < offsets; end++) {
      let sum = 0;
      for (let i = 0; i < count; i++) {
        sum += profile[i]![Math.round(start + ((end - start) * (0.03 + (0.94 * (i + 0.5)) / count)))]!;
      }
      if (Math.abs(sum) > Math.abs(best.sum)) best = { start, end, sum };
    }
  }
  // A sub-pixel place: the parabola through the best sum and its neighbours, at both ends together.
  const sumAt = (by: number) => {
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const k = Math.round(best.start + by + ((best.end - best.start) * (0.03 + (0.94 * (i + 0.5)) / count)));
      sum += profile[i]![Math.min(offsets - 1, Math.max(0, k))]!;
    }
    return Math.abs(sum);
  };
  const [low, high] = [sumAt(-1), sumAt(1)];
  const curve = low + high - 2 * Math.abs(best.sum);
  const sub = curve < 0 ? Math.max(-0.5, Math.min(0.5, (low - high) / (2 * curve))) : 0;
  const moved = (point: Point, k: number) => {
    const by = k + sub - (offsets - 1) / 2;
    return { x: point.x + nx * by, y: point.y + ny * by };
  };
  return [moved(from, best.start), moved(to, best.end)];
}
