/** A prediction for tests of what shows it. */

import type { Prediction } from "@nanoray/web/detecting/detector";
import { plainFacts } from "@nanoray/web/reading/radiograph";

export function prediction(changes: Partial<Prediction> = {}): Prediction {
  return {
    probability: 0.734,
    decision: "opacity suspected",
    reason: null,
    threshold: 0.458,
    operatingPoint: "balanced",
    view: null,
    guarantee: null,
    clearBelow: null,
    pose: null,
    logit: 1.015,
    novelty: 3.2,
    noveltyLimit: 9.1,
    heatmap: { data: Float32Array.from([0, 0.2, 0.5, 1]), rows: 2, columns: 2 },
    flags: ["tiny-image"],
    model: "nanoray-student",
    modelVersion: "0.1.0",
    target: "lung opacity",
    facts: plainFacts("PNG", 4, 6, 8, false),
    picture: { data: Uint8Array.from({ length: 24 }, (_, i) => i * 10), rows: 4, columns: 6 },
    inferMilliseconds: 12,
    ...changes,
  };
}
