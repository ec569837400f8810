/** Borders around radiographs: what `nanoray.reading.borders.find_crop` finds in the same pictures. */

import { findCrop, framed, inFrame } from "@nanoray/web/reading/borders";
import type { Plane } from "@nanoray/web/reading/radiograph";

type Case = [string, number, number, number, [number, number, number, number], number[] | null];

// prettier-ignore
const cases = [
  ["white bar left", 1.0, 60, 80, [0, 12, 60, 68], [0.0, 0.175, 1.0, 0.825]],
  ["black beside", 0.0, 60, 80, [0, 6, 60, 70], null],
  ["black padding", 0.0, 80, 80, [20, 20, 40, 40], [0.2625, 0.275, 0.475, 0.4625]],
  ["grey frame", 0.6, 64, 64, [5, 9, 50, 48], [0.09375, 0.171875, 0.75, 0.703125]],
  ["whole", 0.0, 50, 60, [0, 0, 50, 60], [0.0, 0.03333333333333333, 1.0, 0.9666666666666667]],
  ["too little", 1.0, 80, 80, [35, 35, 10, 10], null],
  ["thin", 1.0, 200, 200, [1, 0, 199, 200], null]
] as unknown as Case[];

function picture(value: number, rows: number, columns: number, [top, left, height, width]: Case[4], phase = 0): Plane {
  const data = new Float32Array(rows * columns).fill(value);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data[(top + y) * columns + left + x] = 0.5 + 0.3 * Math.sin(x / 7 + phase) * Math.cos(y / 5);
  }
  return { data, rows, columns };
}

test.each(cases)("%s", (_, value, rows, columns, box, wanted) => {
  const crop = findCrop(picture(value, rows, columns, box));
  if (!wanted) {
    expect(crop).toBeNull();
    return;
  }
  const found = [crop!.top, crop!.left, crop!.height, crop!.width];
  found.forEach((share, i) => expect(share).toBeCloseTo(wanted[i]!, 6));
});

test.each([
  [1, 330, 400, [0, 40, 330, 360]],
  [0.6, 360, 380, [31, 0, 329, 380]],
  [0.95, 400, 400, [20, 20, 360, 360]],
] as const)("a border of %d is cut off to the line", (value, rows, columns, box) => {
  // Without the phase the first column is flat, as a border is.
  const { crop } = framed(picture(value, rows, columns, [...box], 1), 64);
  const found = [crop!.top * rows, crop!.left * columns, crop!.height * rows, crop!.width * columns];
  found.forEach((lines, i) => expect(lines).toBeCloseTo(box[i]!, 6));
});

test("the square holds the radiograph alone, and its map lies where it belongs", () => {
  const { square, place, crop } = framed(picture(1, 96, 96, [0, 24, 96, 72]), 96);
  expect(crop!.left).toBeGreaterThan(0.24);
  expect(place.width).toBeLessThan(place.height);
  expect(square.data.filter((value) => value > 0.95)).toHaveLength(0);
  const map = inFrame({ data: new Float32Array(12).fill(1), rows: 4, columns: 3 }, crop);
  expect([map.rows, map.columns]).toEqual([4, 4]);
  expect(Array.from(map.data.subarray(0, 4))).toEqual([0, 1, 1, 1]);
});
