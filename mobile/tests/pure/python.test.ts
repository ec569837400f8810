/**
 * Real files, read by Python and by TypeScript: RG1 of pydicom-data and pydicom's own test files,
 * in every encoding that they come in. The files stay where pip put them.
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { equalize } from "@nanoray/web/reading/equalize";
import { read } from "@nanoray/web/reading/read";
import { letterbox } from "@nanoray/web/reading/resize";
import { Refusal } from "@nanoray/web/reading/refusals";

import { bytes, floats, packagedDetector, REPOSITORY } from "../support/detector";
import { parityTable } from "../support/parity";

interface Entry {
  readonly name: string;
  readonly path: string;
  readonly code?: string;
  readonly square?: string;
  readonly placement?: readonly number[];
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly logit?: number;
}

// Files that only Python reads, with the app's reason; see README.md.
const LEFT_OUT: Readonly<Record<string, string>> = {
  "SC_rgb_rle_32bit.dcm": "bits",
  "rtdose_rle_1frame.dcm": "bits",
  "SC_rgb_jpeg.dcm": "malformed-dicom", // implicit VR where the header says explicit
};
// The JavaScript build of OpenJPEG takes seconds for a whole radiograph.
const SLOW = new Set(["RG1_J2KI.dcm", "RG1_J2KR.dcm"]);
const LOSSY = /jpeg|jpg|dcmtk_\+eb/i;
const LEVEL = 1 / 255;
// JPEG of 12 bits, whose picture spans 112 stored levels: decoders differ by one of these.
const DEEP = new Set(["JPGExtended.dcm", "JPEG-lossy.dcm"]);
const DEEP_LEVEL = 1 / 112;
const LOGIT = 0.001; // see vectors.test.ts

const python = process.env.NANORAY_PYTHON ?? path.join(REPOSITORY, ".venv/bin/python");
const ready =
  existsSync(python) &&
  spawnSync(python, ["-c", "import nanoray, importlib.metadata as m; m.version('pydicom-data')"]).status === 0;

if (!ready) {
  test.skip(`${python}: no Python with nanoray and pydicom-data (set NANORAY_PYTHON)`, () => undefined);
} else {
  describe("against Python", () => {
    let folder = "";
    let side = 0;
    let entries: readonly Entry[] = [];

    beforeAll(() => {
      folder = mkdtempSync(path.join(tmpdir(), "nanoray-"));
      const script = path.join(__dirname, "../support/python_reads.py");
      const done = spawnSync(python, [script, folder], { encoding: "utf8" });
      if (done.status !== 0) throw new Error(done.stderr);
      ({ side, files: entries } = JSON.parse(readFileSync(path.join(folder, "expected.json"), "utf8")) as {
        side: number;
        files: Entry[];
      });
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    test("there is something to compare", () => {
      expect(entries.filter(({ square }) => square).length).toBeGreaterThan(40);
      expect(entries.filter(({ name }) => name.startsWith("RG1_")).length).toBe(4);
    });

    test("pixels and facts agree, or both refuse", async () => {
      const wrong: unknown[] = [];
      for (const entry of entries) {
        if (SLOW.has(entry.name) && !process.env.NANORAY_SLOW) continue;
        let code: string | null = null;
        try {
          const radiograph = await read(bytes(entry.path));
          if (!entry.square) {
            wrong.push({ name: entry.name, python: entry.code, typescript: "read" });
            continue;
          }
          const { square, place } = letterbox(radiograph.pixels, side);
          const wanted = floats(path.join(folder, entry.square));
          const furthest = square.data.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0);
          const allowed = DEEP.has(entry.name) ? DEEP_LEVEL : LOSSY.test(entry.name) ? LEVEL : 1e-6;
          if (furthest > allowed) wrong.push({ name: entry.name, furthest });
          expect([place.top, place.left, place.height, place.width]).toEqual(entry.placement);
          for (const [fact, value] of Object.entries(entry.facts ?? {})) {
            const found = radiograph.facts[fact as keyof typeof radiograph.facts];
            const same = typeof value === "number" ? Math.abs(Number(found) - value) < 1e-6 : found === value;
            if (!same) wrong.push({ name: entry.name, fact, python: value, typescript: found });
          }
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          code = error.code;
        }
        if (code && entry.square && LEFT_OUT[entry.name] !== code) {
          wrong.push({ name: entry.name, python: "read", typescript: code });
        }
      }
      expect(wrong).toEqual([]);
    });

    test("RG1's logit", async () => {
      const detector = await packagedDetector();
      const table = parityTable("rg1");
      const chosen = entries.filter(({ name }) => /^RG1_/.test(name) && (!SLOW.has(name) || process.env.NANORAY_SLOW));
      expect(chosen.length).toBeGreaterThanOrEqual(2);
      for (const entry of chosen) {
        const { square } = letterbox((await read(bytes(entry.path))).pixels, side);
        const { logit } = await detector.infer(detector.card.equalize ? equalize(square) : square);
        const wanted = floats(path.join(folder, entry.square!));
        const furthest = square.data.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0);
        table.add(entry.name, furthest, entry.logit!, logit);
        expect(Math.abs(logit - entry.logit!)).toBeLessThan(LOGIT);
      }
      table.write();
    });
  });
}
