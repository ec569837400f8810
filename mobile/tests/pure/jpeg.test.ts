/** JPEG files of several encoders, qualities and depths: the same pixels as Python's, and the same logits. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { decodeJpeg12 } from "@nanoray/web/reading/jpeg12";
import { read } from "@nanoray/web/reading/read";
import { letterbox } from "@nanoray/web/reading/resize";

import { bytes, floats, packagedDetector, REPOSITORY } from "../support/detector";

const python = process.env.NANORAY_PYTHON ?? path.join(REPOSITORY, ".venv/bin/python");
const LOGIT = 0.001; // see vectors.test.ts
const available = existsSync(python) && spawnSync(python, ["-c", "import nanoray"]).status === 0;

(available ? test : test.skip)("thirty JPEG files are read as Python reads them", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "nanoray-jpeg-"));
  try {
    const done = spawnSync(python, [path.join(__dirname, "../support/jpeg_files.py"), folder], { encoding: "utf8" });
    if (done.status !== 0) throw new Error(done.stderr);
    const { side, files } = JSON.parse(readFileSync(path.join(folder, "expected.json"), "utf8")) as {
      side: number;
      files: { name: string; logit: number }[];
    };
    expect(files).toHaveLength(30);
    const detector = await packagedDetector();
    const wrong: unknown[] = [];
    for (const { name, logit } of files) {
      const radiograph = await read(bytes(path.join(folder, name)));
      const { square } = letterbox(radiograph.pixels, side);
      const wanted = floats(path.join(folder, `${name}.f32`));
      const furthest = square.data.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0);
      const found = (await detector.predict(radiograph)).logit;
      if (furthest > 1e-6 || Math.abs(found - logit) > LOGIT) wrong.push({ name, furthest, python: logit, typescript: found });
    }
    expect(wrong).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

(available ? test : test.skip)("JPEG of 12 bits is decoded exactly, and within a level of Python's decoder but for one pixel of a thousand", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "nanoray-jpeg-"));
  try {
    const done = spawnSync(python, [path.join(__dirname, "../support/jpeg12_file.py"), folder], { encoding: "utf8" });
    if (done.status !== 0) throw new Error(done.stderr);
    const expected = JSON.parse(readFileSync(path.join(folder, "expected.json"), "utf8")) as { step: number; levels: number }[];
    expect(expected).toHaveLength(4);
    for (const [number, { step, levels }] of expected.entries()) {
      // Far more levels than 8 bits have.
      expect(levels).toBeGreaterThan(2000);
      const { data } = decodeJpeg12(bytes(path.join(folder, `${number}.jpg`)));
      const apart = (from: string) => {
        const wanted = new Uint16Array(bytes(path.join(folder, `${number}.${from}.u16`)).buffer);
        expect(data).toHaveLength(wanted.length);
        const differences = wanted.map((level, at) => Math.abs(level - data[at]!));
        return { step, most: Math.max(...differences), second: differences.filter((one) => one > 1).length / wanted.length };
      };
      expect(apart("exact")).toEqual({ step, most: 0, second: 0 });
      // Python's decoder computes in integers and is itself up to two levels from the exact transform.
      const { most, second } = apart("python");
      if (most > 2 || second > 0.001) throw new Error(`quantization step ${step}: ${most} levels apart, ${second} above one`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
