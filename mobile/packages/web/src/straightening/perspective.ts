/** Straightening a photographed film or screen: a projective transform given by four corners. */

import { luma } from "../reading/greyscale";
import { plainFacts, type Plane, type Radiograph } from "../reading/radiograph";

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Upper left, upper right, lower right and lower left corner, in pixels of the photograph. */
export type Corners = readonly [Point, Point, Point, Point];

/** Coefficients of a projective transform: x' = (a x + b y + c) / (g x + h y + 1), y' likewise. */
export type Projection = readonly [number, number, number, number, number, number, number, number];

/**
 * The transform from the unit square to a quadrilateral (P. Heckbert, "Fundamentals of texture
 * mapping and image warping", 1989, section 2.2.3).
 */
export function projectionTo([p0, p1, p2, p3]: Corners): Projection {
  const [dx1, dx2] = [p1.x - p2.x, p3.x - p2.x];
  const [dy1, dy2] = [p1.y - p2.y, p3.y - p2.y];
  const sx = p0.x - p1.x + p2.x - p3.x;
  const sy = p0.y - p1.y + p2.y - p3.y;
  const area = dx1 * dy2 - dx2 * dy1;
  const g = (sx * dy2 - dx2 * sy) / area;
  const h = (dx1 * sy - sx * dy1) / area;
  return [
    p1.x - p0.x + g * p1.x,
    p3.x - p0.x + h * p3.x,
    p0.x,
    p1.y - p0.y + g * p1.y,
    p3.y - p0.y + h * p3.y,
    p0.y,
    g,
    h,
  ];
}

export function project([a, b, c, d, e, f, g, h]: Projection, { x, y }: Point): Point {
  const scale = g * x + h * y + 1;
  return { x: (a * x + b * y + c) / scale, y: (d * x + e * y + f) / scale };
}

/** Whether corners go round a convex quadrilateral of some area, clockwise as seen. */
export function isConvex(corners: Corners): boolean {
  return corners.every((point, i) => {
    const next = corners[(i + 1) % 4]!;
    const after = corners[(i + 2) % 4]!;
    return (next.x - point.x) * (after.y - next.y) - (next.y - point.y) * (after.x - next.x) > 1;
  });
}

/** Sides of the straightened picture in pixels: the means of opposite sides. */
export function straightSize([p0, p1, p2, p3]: Corners): { rows: number; columns: number } {
  const distance = (from: Point, to: Point) => Math.hypot(to.x - from.x, to.y - from.y);
  return {
    rows: Math.max(1, Math.round((distance(p0, p3) + distance(p1, p2)) / 2)),
    columns: Math.max(1, Math.round((distance(p0, p1) + distance(p3, p2)) / 2)),
  };
}

/** The part of an image within the corners, as a rectangle; bilinear. */
export function straighten(image: Plane, corners: Corners): Plane {
  const { rows, columns } = straightSize(corners);
  const projection = projectionTo(corners);
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = project(projection, { x: (column + 0.5) / columns, y: (row + 0.5) / rows });
      data[row * columns + column] = sample(image, at.x - 0.5, at.y - 0.5);
    }
  }
  return { data, rows, columns };
}

function sample({ data, rows, columns }: Plane, x: number, y: number): number {
  const within = (value: number, high: number) => Math.min(Math.max(value, 0), high);
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [x0, x1] = [within(left, columns - 1), within(left + 1, columns - 1)];
  const [y0, y1] = [within(top, rows - 1) * columns, within(top + 1, rows - 1) * columns];
  const [across, down] = [x - left, y - top];
  const upper = data[y0 + x0]! * (1 - across) + data[y0 + x1]! * across;
  const lower = data[y1 + x0]! * (1 - across) + data[y1 + x1]! * across;
  return upper * (1 - down) + lower * down;
}

/** A straightened radiograph out of a photograph (red, green, blue, opacity). */
export function radiographFrom(
  photograph: { data: Uint8Array | Uint8ClampedArray; rows: number; columns: number },
  corners: Corners,
  inverted: boolean,
): Radiograph {
  const { rows, columns } = photograph;
  const bytes = new Uint8Array(photograph.data.buffer, photograph.data.byteOffset, photograph.data.length);
  const { pixels, colour } = luma({ data: bytes, rows, columns, pixelStride: 4, channelStride: 1 }, 255);
  const straight = straighten(pixels, corners);
  if (inverted) straight.data.forEach((value, i) => (straight.data[i] = 1 - value));
  return { pixels: straight, facts: plainFacts("photograph", straight.rows, straight.columns, 8, colour) };
}

/** The corners of the whole picture. */
export function wholeOf({ rows, columns }: { readonly rows: number; readonly columns: number }): Corners {
  return [
    { x: 0, y: 0 },
    { x: columns, y: 0 },
    { x: columns, y: rows },
    { x: 0, y: rows },
  ];
}
