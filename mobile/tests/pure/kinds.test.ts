/** Kinds of files that people meet: read as `tests/test_kinds_vectors.py` reads them. */

import { readFileSync } from "node:fs";
import path from "node:path";

import { findFlags } from "@nanoray/web/detecting/flags";
import { read } from "@nanoray/web/reading/read";
import { Refusal } from "@nanoray/web/reading/refusals";
import { contrast } from "@nanoray/web/reading/resize";

import { bytes, VECTORS } from "../support/detector";

interface Kind {
  readonly file: string;
  readonly rows: number;
  readonly columns: number;
  readonly orientation: number;
  readonly view: string | null;
  readonly body_part: string | null;
  readonly flags: readonly string[];
  readonly tolerance: number;
}

const kinds = JSON.parse(readFileSync(path.join(VECTORS, "kinds.json"), "utf8")) as Readonly<Record<string, Kind>>;

test.each(Object.keys(kinds))("%s", async (name) => {
  const kind = kinds[name]!;
  const { pixels, facts } = await read(bytes(path.join(VECTORS, "kinds", kind.file)));
  expect([pixels.rows, pixels.columns, facts.orientation]).toEqual([kind.rows, kind.columns, kind.orientation]);
  expect([facts.view, facts.bodyPart]).toEqual([kind.view, kind.body_part]);
  expect(findFlags(facts, contrast(pixels))).toEqual(kind.flags);
  const stored = readFileSync(path.join(VECTORS, "kinds", `${name}.u16`));
  let furthest = 0;
  pixels.data.forEach((value, i) => {
    furthest = Math.max(furthest, Math.abs(value - stored.readUInt16LE(2 * i) / 65_535));
  });
  expect(furthest).toBeLessThanOrEqual(kind.tolerance);
});

test("a frame without end marker is refused if as little as a byte of its scan is missing", async () => {
  const file = bytes(path.join(VECTORS, "kinds", "frame-without-end.dcm"));
  // The sequence delimiter is 8 bytes, and a byte of padding may lie before it.
  const end = file.length - 8;
  for (const missing of [3, 4, 8, 40, 200]) {
    const cut = file.slice();
    cut.fill(0, end - missing, end);
    expect(await read(cut).catch((error: unknown) => error instanceof Refusal && error.code)).toBe("codestream-truncated");
  }
});

test("a JPEG file without end marker is refused if rows or scans are missing", async () => {
  const refused = async (file: Uint8Array) => read(file).catch((error: unknown) => error instanceof Refusal && error.code);
  for (const name of ["jpeg-file-without-end", "jpeg-file-progressive-without-end"]) {
    const file = bytes(path.join(VECTORS, "kinds", `${name}.jpg`));
    for (const missing of [8, 40, 100]) {
      expect(await refused(file.subarray(0, file.length - missing))).toBe("raster-truncated");
    }
    for (let at = file.indexOf(0xff, 200); at >= 0; at = file.indexOf(0xff, at + 1)) {
      const isScan = file[at + 1] === 0xda || file[at + 1] === 0xc4;
      if (isScan) expect(await refused(file.subarray(0, at))).toMatch(/^raster-(truncated|header)$/);
    }
  }
});
