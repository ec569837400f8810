/** The shared vectors: the same files and the same expected numbers as `tests/test_vectors.py`. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

import type { Detector } from "@nanoray/web/detecting/detector";
import type { ModelCard } from "@nanoray/web/detecting/modelcard";
import { equalize } from "@nanoray/web/reading/equalize";
import { read } from "@nanoray/web/reading/read";
import { letterbox } from "@nanoray/web/reading/resize";

import { bytes, MODEL, packagedDetector, VECTORS } from "../support/detector";
import { parityTable } from "../support/parity";

interface Expected {
  readonly size: number;
  readonly model_sha256: string;
  readonly files: Readonly<Record<string, Vector>>;
}

interface Vector {
  readonly sha256: string;
  readonly placement: readonly number[];
  readonly logit: number;
  readonly predicted_logit: number;
  readonly probability: number;
  readonly decision: string;
}

const expected = JSON.parse(readFileSync(path.join(VECTORS, "expected.json"), "utf8")) as Expected;
const names = Object.keys(expected.files);

const LEVEL = 1 / 255;
// Expected squares are stored with 16 bits.
const STORED = 0.5 / 65_535 + 1e-6;

// The model in WebAssembly against the same model in ONNX Runtime's native build, on equal pixels:
// they round the last digits apart (README, "Parity").
const LOGIT = 0.001;

let detector: Detector;
beforeAll(async () => {
  detector = await packagedDetector();
});

const table = parityTable("vectors");
afterAll(() => table.write());

const sha256 = (content: Uint8Array) => createHash("sha256").update(content).digest("hex");

test("the vectors are of the packaged model, and all are tested", () => {
  expect(sha256(bytes(MODEL))).toBe(expected.model_sha256);
  expect(readdirSync(path.join(VECTORS, "inputs")).sort()).toEqual([...names].sort());
  expect(detector.card.inputSize).toBe(expected.size);
});

test.each(names)("%s", async (name) => {
  const vector = expected.files[name]!;
  const file = bytes(path.join(VECTORS, "inputs", name));
  expect(sha256(file)).toBe(vector.sha256);

  const radiograph = await read(file);
  const { square, place } = letterbox(radiograph.pixels, expected.size);
  expect([place.top, place.left, place.height, place.width]).toEqual(vector.placement);

  const stored = readFileSync(path.join(VECTORS, "squares", `${name}.u16`));
  let furthest = 0;
  square.data.forEach((value, i) => {
    furthest = Math.max(furthest, Math.abs(value - stored.readUInt16LE(2 * i) / 65_535));
  });
  // Lossless files agree to the last bit; JPEG decoders may differ by a level.
  expect(furthest).toBeLessThanOrEqual(name.endsWith(".jpg") ? LEVEL + STORED : STORED);

  // Expected logits are of the whole square; a prediction has a border cut off.
  const { logit, cam } = await detector.infer(detector.card.equalize ? equalize(square) : square);
  table.add(name, furthest, vector.logit, logit);
  expect(Math.abs(logit - vector.logit)).toBeLessThan(LOGIT);
  // The pooled map is the logit: the map is of the same pass.
  expect(pooled(cam.data, detector.card)).toBeCloseTo(logit, 2);
  const prediction = await detector.predict(radiograph);
  expect(Math.abs(prediction.logit - vector.predicted_logit)).toBeLessThan(LOGIT);
  expect(Math.abs(prediction.probability - vector.probability)).toBeLessThan(LOGIT / 4);
  const margin = Math.abs(logitOf(vector.probability) - logitOf(prediction.threshold));
  if (margin > LOGIT) expect(prediction.decision).toBe(vector.decision);
});

function logitOf(probability: number): number {
  return Math.log(probability / (1 - probability));
}

test("decisions of the vectors", async () => {
  const decisions = await Promise.all(
    names.map(async (name) => {
      const { novelty, decision } = await detector.predict(await read(bytes(path.join(VECTORS, "inputs", name))));
      return { name, far: Math.abs(novelty / detector.card.noveltyLimit - 1) > 0.1, decision };
    }),
  );
  for (const { name, far, decision } of decisions) {
    const wanted = expected.files[name]!.decision;
    if (far) expect({ name, abstained: decision === "abstained" }).toEqual({ name, abstained: wanted === "abstained" });
  }
});

function pooled(cam: Float32Array, { pooling, poolingSharpness, camBias }: ModelCard): number {
  if (pooling === "mean") return cam.reduce((sum, value) => sum + value, 0) / cam.length + camBias;
  const sharp = cam.map((value) => poolingSharpness * (value + camBias));
  const highest = sharp.reduce((a, b) => Math.max(a, b), -Infinity);
  return (highest + Math.log(sharp.reduce((sum, value) => sum + Math.exp(value - highest), 0) / cam.length)) / poolingSharpness;
}
