/** Finding corners in drawn photographs, and checking their quality. */

import type { Corners, Point } from "@nanoray/web/straightening/perspective";
import { project, projectionTo } from "@nanoray/web/straightening/perspective";
import { findCorners } from "@nanoray/web/straightening/corners";
import type { Photograph } from "@nanoray/web/straightening/photograph";
import { checkQuality } from "@nanoray/web/straightening/quality";

const [ROWS, COLUMNS] = [480, 360];

/** A chest on a viewer's black, before a wall; `frame` maps it into the picture. */
function photographed(frame: Corners): Photograph {
  const [a, b, c, d, e, f, g, h] = projectionTo(frame);
  const data = new Uint8ClampedArray(4 * ROWS * COLUMNS);
  for (let y = 0; y < ROWS; y++) {
    for (let x = 0; x < COLUMNS; x++) {
      // The inverse of the projection, by Cramer's rule.
      const [p, q, r, s] = [a - g * x, b - h * x, d - g * y, e - h * y];
      const [k, l] = [x - c, y - f];
      const u = (k * s - q * l) / (p * s - q * r);
      const v = (p * l - k * r) / (p * s - q * r);
      let grey = 120;
      if (u > -0.06 && u < 1.06 && v > -0.06 && v < 1.06) grey = 8;
      if (u >= 0 && u <= 1 && v >= 0 && v <= 1) {
        const lung = [0.3, 0.7].some((x0) => ((u - x0) / 0.15) ** 2 + ((v - 0.5) / 0.35) ** 2 < 1);
        grey = (lung ? 70 : 150) + 25 * Math.sin(40 * v) + 20 * Math.sin(23 * u);
      }
      data.set([grey * 1.05, grey, grey * 0.85, 255], 4 * (y * COLUMNS + x));
    }
  }
  return { data, rows: ROWS, columns: COLUMNS };
}

/** So many degrees to either side, a phone held askew. */
const ANGLES = Array.from({ length: 21 }, (_, i) => i - 10);

test.each(ANGLES)("corners of a chest turned by %i degrees", (degrees) => {
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  const corner = (x: number, y: number): Point => ({ x: 180 + cos * x - sin * y, y: 240 + sin * x + cos * y });
  const wanted: Corners = [corner(-110, -118), corner(112, -122), corner(105, 120), corner(-108, 124)];
  const found = findCorners(photographed(wanted));
  expect(found).not.toBeNull();
  const errors = found!.map(({ x, y }, i) => Math.hypot(x - wanted[i]!.x, y - wanted[i]!.y));
  const diagonal = Math.hypot(ROWS, COLUMNS);
  expect(errors.reduce((sum, error) => sum + error, 0) / 4 / diagonal).toBeLessThan(0.02);
});

test("a wall has no corners", () => {
  const data = Uint8ClampedArray.from({ length: 4 * ROWS * COLUMNS }, (_, i) => (i % 4 === 3 ? 255 : 100 + ((i * 7919) % 13)));
  expect(findCorners({ data, rows: ROWS, columns: COLUMNS })).toBeNull();
});

test("what is wrong with a photograph is named", () => {
  const frame: Corners = [{ x: 4, y: 5 }, { x: 352, y: 5 }, { x: 352, y: 470 }, { x: 4, y: 470 }];
  expect(project(projectionTo(frame), { x: 1, y: 1 })).toEqual({ x: 352, y: 470 });
  const sharp = photographed(frame);
  expect(checkQuality(sharp, frame).faults).toEqual([]);
  const burnt = { ...sharp, data: sharp.data.map((level, i) => (i % 4 !== 3 && i < sharp.data.length / 3 ? 255 : level)) };
  expect(checkQuality(burnt, frame).faults).toContain("glare");
  const whole: Corners = [{ x: 0, y: 0 }, { x: 360, y: 0 }, { x: 360, y: 480 }, { x: 0, y: 480 }];
  expect(checkQuality(sharp, whole).faults).toContain("cut off");
  const far: Corners = [{ x: 100, y: 100 }, { x: 200, y: 100 }, { x: 200, y: 200 }, { x: 100, y: 200 }];
  expect(checkQuality(sharp, far).faults).toContain("small");
});
