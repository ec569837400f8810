/** The correction of photographs' logits. */

import { Detector } from "@nanoray/web/detecting/detector";
import type { Session } from "@nanoray/web/detecting/runtime";
import { plainFacts, type Radiograph } from "@nanoray/web/reading/radiograph";
import { correctionFor, fingerprint, UNCORRECTED } from "@nanoray/web/straightening/correction";
import measured from "@nanoray/web/straightening/correction.json";

import { bytes, MODEL } from "../support/detector";

// A network that always gives a logit of 1.
const session: Session = {
  run: () =>
    Promise.resolve({
      logit: { data: Float32Array.of(1), dims: [1, 1] },
      cam: { data: new Float32Array(64), dims: [1, 1, 8, 8] },
      novelty: { data: Float32Array.of(0), dims: [1] },
    }),
};

const radiograph = (format: Radiograph["facts"]["format"]): Radiograph => ({
  pixels: { data: Float32Array.from({ length: 4096 }, (_, i) => (i % 64) / 64), rows: 64, columns: 64 },
  facts: plainFacts(format, 64, 64, 8, false),
});

test("a file's fingerprint is its FNV-1a", () => {
  const of = (text: string) => fingerprint(new TextEncoder().encode(text));
  expect([of(""), of("a"), of("foobar")]).toEqual(["811c9dc5", "e40c292c", "bf9cf968"]);
});

test("a correction moves the logit of photographs and of nothing else", async () => {
  const detector = await Detector.load(bytes(MODEL), () => Promise.resolve(session), { shift: -0.25 });
  expect((await detector.predict(radiograph("photograph"))).logit).toBe(0.75);
  expect((await detector.predict(radiograph("PNG"))).logit).toBe(1);
});

test("the measured correction holds for the very file that it was measured with", () => {
  expect(correctionFor(new Uint8Array(10))).toBe(UNCORRECTED);
  const model = bytes(MODEL);
  const same = measured.model === fingerprint(model);
  expect(correctionFor(model)).toBe(same ? measured : UNCORRECTED);
  if (!measured.model) return;
  // A correction is small, or something is wrong with it.
  expect(measured.photographs).toBeGreaterThan(30);
  expect(Math.abs(measured.shift)).toBeLessThan(1);
});
