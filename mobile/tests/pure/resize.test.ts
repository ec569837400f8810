/** Resampling. That it equals Pillow's to the last bit is held by vectors.test.ts. */

import { crop, layer, windowed } from "@nanoray/web/detecting/heatmap";
import { contrast, letterbox, placement, resize, BILINEAR, thumbnail } from "@nanoray/web/reading/resize";

const plane = (rows: number, columns: number, value: (row: number, column: number) => number) => ({
  rows,
  columns,
  data: Float32Array.from({ length: rows * columns }, (_, i) => value(Math.floor(i / columns), i % columns)),
});

test("placements keep the aspect ratio; halves round up", () => {
  expect(placement(100, 200, 256)).toEqual({ top: 64, left: 0, height: 128, width: 256, size: 256 });
  expect(placement(1, 5000, 256)).toMatchObject({ height: 1, width: 256 });
  expect(placement(181, 512, 256)).toMatchObject({ height: 91 });
});

test("a constant stays constant, and padding is 0", () => {
  const { square, place } = letterbox(plane(50, 99, () => 0.7), 32);
  for (let row = 0; row < 32; row++) {
    const inside = row >= place.top && row < place.top + place.height;
    for (let column = 0; column < 32; column++) expect(square.data[row * 32 + column]).toBeCloseTo(inside ? 0.7 : 0, 6);
  }
});

test("reducing averages: stripes finer than a pixel turn grey", () => {
  const small = resize(plane(64, 64, (_, column) => column % 2), 8, 8, BILINEAR);
  for (const value of small.data) expect(value).toBeCloseTo(0.5, 1);
});

test("contrast leaves padding out", () => {
  expect(contrast(plane(2, 2, () => 0))).toBe(0);
  expect(contrast({ rows: 1, columns: 4, data: Float32Array.from([0, 0, 0.25, 0.75]) })).toBeCloseTo(0.25, 6);
});

test("thumbnails shrink, and never grow", () => {
  expect(thumbnail(plane(1000, 500, () => 1), 512)).toMatchObject({ rows: 512, columns: 256 });
  expect(thumbnail(plane(10, 5, () => 0.5), 512)).toMatchObject({ rows: 10, columns: 5 });
  expect(thumbnail(plane(1, 1, () => 0.5), 512).data[0]).toBe(128);
});

test("the map is cropped to the radiograph", () => {
  const map = plane(6, 6, (row) => row);
  const cropped = crop(map, placement(100, 200, 192));
  expect([cropped.rows, cropped.columns]).toEqual([3, 6]);
  expect(cropped.data[0]).toBeCloseTo(1.5, 0);
  expect(crop(map, placement(100, 100, 192))).toBe(map);
});

test("the layer is clear where the map is low and opaque where it is high", () => {
  const { data } = layer(plane(2, 2, (row) => row), 8, 8);
  expect(data[3]).toBe(0);
  expect(data.at(-1)).toBe(255);
});

test("the display window", () => {
  const picture = { rows: 1, columns: 3, data: Uint8Array.from([0, 128, 255]) };
  expect(Array.from(windowed(picture, 128, 256).data.filter((_, i) => i % 4 === 0))).toEqual([0, 128, 255]);
  expect(windowed(picture, 128, 16).data[0]).toBe(0);
  expect(windowed(picture, 20, 16).data[4]).toBe(255);
});
