/** Straightening a photograph. */

import {
  type Corners,
  isConvex,
  project,
  projectionTo,
  radiographFrom,
  straighten,
} from "@nanoray/web/straightening/perspective";
import { photographOf, quarterTurn } from "@nanoray/web/straightening/photograph";
import { turn } from "@nanoray/web/reading/orientation";
import type { Raster } from "@nanoray/web/reading/raster";

const corners: Corners = [
  { x: 20, y: 10 },
  { x: 90, y: 18 },
  { x: 84, y: 88 },
  { x: 12, y: 80 },
];

test("the unit square's corners go to the four corners, lines stay lines", () => {
  const projection = projectionTo(corners);
  const unit = [{ x: 0, y: 0 }, { x: 1, y: 0 }, { x: 1, y: 1 }, { x: 0, y: 1 }];
  unit.forEach((point, i) => {
    const found = project(projection, point);
    expect(found.x).toBeCloseTo(corners[i]!.x, 9);
    expect(found.y).toBeCloseTo(corners[i]!.y, 9);
  });
  const [a, b, c] = [0.1, 0.4, 0.9].map((x) => project(projection, { x, y: 0.3 }));
  const area = (b!.x - a!.x) * (c!.y - a!.y) - (b!.y - a!.y) * (c!.x - a!.x);
  expect(area).toBeCloseTo(0, 6);
});

test("a photographed chart comes out straight", () => {
  // A chart whose grey is 0 on its left and 1 on its right, seen at an angle.
  const projection = projectionTo(corners);
  const size = 100;
  const data = new Float32Array(size * size);
  for (let i = 0; i < 400; i++) {
    for (let j = 0; j < 400; j++) {
      const { x, y } = project(projection, { x: i / 399, y: j / 399 });
      data[Math.floor(y) * size + Math.floor(x)] = i / 399;
    }
  }
  const straight = straighten({ data, rows: size, columns: size }, corners);
  for (let row = 5; row < straight.rows - 5; row += 7) {
    for (let column = 5; column < straight.columns - 5; column += 7) {
      expect(straight.data[row * straight.columns + column]).toBeCloseTo((column + 0.5) / straight.columns, 1);
    }
  }
});

test("corners must stay in order", () => {
  expect(isConvex(corners)).toBe(true);
  expect(isConvex([corners[1], corners[0], corners[2], corners[3]])).toBe(false);
  expect(isConvex([corners[0], corners[0], corners[2], corners[3]])).toBe(false);
});

test("a photograph becomes a radiograph, with black and white swapped if asked", () => {
  const data = new Uint8Array(4 * 100).fill(51);
  const whole: Corners = [{ x: 0, y: 0 }, { x: 10, y: 0 }, { x: 10, y: 10 }, { x: 0, y: 10 }];
  const picture = { data, rows: 10, columns: 10 };
  expect(radiographFrom(picture, whole, false).pixels.data[55]).toBeCloseTo(0.2, 5);
  expect(radiographFrom(picture, whole, true).pixels.data[55]).toBeCloseTo(0.8, 5);
  expect(radiographFrom(picture, whole, false).facts.format).toBe("photograph");
});

test("four quarter turns are none", () => {
  const data = Uint8Array.from({ length: 4 * 6 }, (_, i) => i);
  let picture: { data: Uint8Array | Uint8ClampedArray; rows: number; columns: number } = { data, rows: 2, columns: 3 };
  picture = quarterTurn(picture);
  expect([picture.rows, picture.columns]).toEqual([3, 2]);
  expect(picture.data[0]).toBe(12); // what was below on the left is above on the left
  for (let i = 0; i < 3; i++) picture = quarterTurn(picture);
  expect(Array.from(picture.data)).toEqual(Array.from(data));
});

test("a photograph is turned by its EXIF orientation as a radiograph is", () => {
  const data = Uint8Array.from({ length: 6 }, (_, i) => 10 * i);
  for (let orientation = 1; orientation <= 8; orientation++) {
    const raster: Raster = {
      format: "JPEG",
      data,
      rows: 2,
      columns: 3,
      channels: 1,
      bits: 8,
      orientation,
      aspect: 1,
      camera: true,
      clear: null,
    };
    const photograph = photographOf(raster);
    const wanted = turn({ data: Float32Array.from(data), rows: 2, columns: 3 }, orientation);
    expect([photograph.rows, photograph.columns]).toEqual([wanted.rows, wanted.columns]);
    const red = Array.from(wanted.data, (_, i) => photograph.data[4 * i]);
    expect([orientation, red]).toEqual([orientation, Array.from(wanted.data)]);
  }
});
