/** The display shutter (PS3.3 C.7.6.11): what a viewer is to hide (`nanoray.reading.dicom.shutter`). */

import { decimals } from "./numbers";

/** The text of one of the shutter's elements; null where it is absent. */
export type Shutter = (
  element: "shapes" | "left" | "right" | "upper" | "lower" | "centre" | "radius" | "vertices",
) => string | null;

type Opened = (row: number, column: number) => boolean;

/**
 * 1 where the shutter is open, 0 elsewhere. Several shapes hide what any of them hides. Null without a
 * shutter, with one that is malformed or hides nothing, and with one that would hide all but a hundredth.
 */
export function openedBy(shutter: Shutter, rows: number, columns: number): Uint8Array | null {
  const shapes = new Set((shutter("shapes") ?? "").split("\\").map((shape) => shape.trim()));
  const found = [
    shapes.has("RECTANGULAR") ? rectangle(shutter) : null,
    shapes.has("CIRCULAR") ? circle(shutter) : null,
    shapes.has("POLYGONAL") ? polygon(shutter) : null,
  ].filter((opened) => opened !== null);
  if (!found.length) return null;
  const mask = new Uint8Array(rows * columns);
  let open = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      // Rows and columns count from 1.
      if (!found.every((opened) => opened(row + 1, column + 1))) continue;
      mask[row * columns + column] = 1;
      open += 1;
    }
  }
  return open > 0.01 * mask.length && open < mask.length ? mask : null;
}

function numbers(text: string | null, count: number): number[] | null {
  const values = decimals(text).filter((value) => value !== null);
  return values.length >= count ? values : null;
}

function rectangle(shutter: Shutter): Opened | null {
  const edges = (["upper", "lower", "left", "right"] as const).map((edge) => numbers(shutter(edge), 1)?.[0]);
  if (edges.includes(undefined)) return null;
  const [top, bottom, first, last] = edges as [number, number, number, number];
  // The rows and columns of the edges belong to the inside.
  return (row, column) => row >= top && row <= bottom && column >= first && column <= last;
}

function circle(shutter: Shutter): Opened | null {
  const [at, wide] = [numbers(shutter("centre"), 2), numbers(shutter("radius"), 1)];
  if (!at || !wide || wide[0]! <= 0) return null;
  return (row, column) => (row - at[0]!) ** 2 + (column - at[1]!) ** 2 <= wide[0]! ** 2;
}

/** A pixel is inside if its centre is, or if an edge crosses it. */
function polygon(shutter: Shutter): Opened | null {
  const values = numbers(shutter("vertices"), 6);
  if (!values || values.length % 2 || values.length > 2000) return null;
  const corners = Array.from({ length: values.length / 2 }, (_, i) => ({ y: values[2 * i]!, x: values[2 * i + 1]! }));
  const edges = corners.map((from, i) => [from, corners[(i + 1) % corners.length]!] as const);
  return (row, column) => {
    let inside = false;
    for (const [a, b] of edges) {
      const [dx, dy] = [b.x - a.x, b.y - a.y];
      const share = Math.min(1, Math.max(0, ((column - a.x) * dx + (row - a.y) * dy) / (dx * dx + dy * dy || 1)));
      const [away, below] = [Math.abs(a.x + share * dx - column), Math.abs(a.y + share * dy - row)];
      if (Math.max(away, below) < 0.5) return true;
      if (a.y > row !== b.y > row && column < a.x + ((row - a.y) * dx) / dy) inside = !inside;
    }
    return inside;
  };
}
