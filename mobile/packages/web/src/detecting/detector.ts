/** The detector: a model file, a runtime and a threshold. */

import { framed, inFrame } from "../reading/borders";
import { equalize } from "../reading/equalize";
import type { Facts, Plane, Radiograph } from "../reading/radiograph";
import { contrast, type GreyPicture, thumbnail } from "../reading/resize";
import { THUMBNAIL_SIDE } from "../reading/limits";

import { findFlags, type Flag, NOT_FRONTAL_CHEST } from "./flags";
import { crop } from "./heatmap";
import { type ModelCard, operatingPoint, readCard } from "./modelcard";
import type { OpenSession, Session } from "./runtime";
import { type View, viewOf } from "./view";

/** What the network gives for one square. */
export interface Outputs {
  readonly logit: number;
  /** Local evidence over the square; see `ModelCard.pooling`. */
  readonly cam: Plane;
  readonly novelty: number;
  /** Probability that the radiograph is upright and no negative; 1 where the network does not tell. */
  readonly upright: number;
  /** Logit of AP against PA; null where the network does not tell. */
  readonly view: number | null;
}

/** At least this is needed for a decision (`nanoray.detecting.pose`). */
const UPRIGHT = 0.5;

/** Softmax of the poses' logits, of which the first is upright. */
function uprightShare(logits: Float32Array): number {
  const highest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  return Math.exp(logits[0]! - highest) / logits.reduce((sum, logit) => sum + Math.exp(logit - highest), 0);
}

export type Decision = "opacity suspected" | "no opacity suspected" | "abstained";

/** The detector's answer for one radiograph. Research use only. */
export interface Prediction {
  /** Calibrated probability of the model's target; not a finding where the decision is "abstained". */
  readonly probability: number;
  readonly decision: Decision;
  readonly threshold: number;
  readonly operatingPoint: string;
  /** AP or PA, whose calibration and threshold were used where the card has them; null if unknown. */
  readonly view: View | null;
  readonly logit: number;
  readonly novelty: number;
  readonly noveltyLimit: number;
  /** The local probability over the radiograph without the padding. */
  readonly heatmap: Plane;
  readonly flags: readonly Flag[];
  readonly model: string;
  readonly modelVersion: string;
  readonly target: string;
  readonly facts: Facts;
  readonly picture: GreyPicture;
  readonly inferMilliseconds: number;
}

/** A loaded model. */
export class Detector {
  private constructor(
    readonly card: ModelCard,
    private readonly session: Session,
  ) {}

  /** Load a model file with the runtime that `open` gives. */
  static async load(model: Uint8Array, open: OpenSession): Promise<Detector> {
    const card = readCard(model);
    return new Detector(card, await open(model));
  }

  /** Run the network on a square of the card's input size, float32 in 0..1, bright bone, padding 0. */
  async infer(square: Plane): Promise<Outputs> {
    const size = this.card.inputSize;
    const { logit, cam, novelty, pose, view } = await this.session.run("radiograph", { data: square.data, dims: [1, 1, size, size] });
    if (!logit || !cam || !novelty) throw new Error("the network lacks an output");
    const [rows, columns] = cam.dims.slice(-2) as [number, number];
    return {
      logit: logit.data[0] ?? NaN,
      cam: { data: cam.data, rows, columns },
      novelty: novelty.data[0] ?? NaN,
      upright: pose ? uprightShare(pose.data) : 1,
      view: view ? (view.data[0] ?? NaN) : null,
    };
  }

  /** Judge a radiograph at an operating point; the card's default one for null. */
  async predict(radiograph: Radiograph, point: string | null = null): Promise<Prediction> {
    const { card } = this;
    const { square, place, crop: part } = framed(radiograph.pixels, card.inputSize);
    const seen = card.equalize ? equalize(square) : square;
    const start = performance.now();
    const outputs = await this.infer(seen);
    const inferMilliseconds = performance.now() - start;
    const view = viewOf(radiograph.facts.view, outputs.view);
    const own = card.views.find((calibration) => calibration.view === view);
    const { temperature, shift } = own ?? { temperature: card.temperature, shift: 0 };
    const { name, threshold } = operatingPoint(card, point, own?.operatingPoints);
    const probability = sigmoid((outputs.logit + shift) / temperature);
    // Written so that a novelty or a logit that is not a number abstains too.
    const flags = findFlags(radiograph.facts, contrast(square));
    const stated = flags.some((flag) => NOT_FRONTAL_CHEST.includes(flag));
    const known =
      !stated && outputs.novelty <= card.noveltyLimit && Number.isFinite(outputs.logit) && outputs.upright >= UPRIGHT;
    let decision: Decision = "abstained";
    if (known) decision = probability >= threshold ? "opacity suspected" : "no opacity suspected";
    const local = outputs.cam.data.map((value) => sigmoid((value + card.camBias + shift) / temperature));
    return {
      probability,
      decision,
      threshold,
      operatingPoint: name,
      view,
      logit: outputs.logit,
      novelty: outputs.novelty,
      noveltyLimit: card.noveltyLimit,
      heatmap: inFrame(crop({ ...outputs.cam, data: local }, place), part),
      flags,
      model: card.name,
      modelVersion: card.version,
      target: card.target,
      facts: radiograph.facts,
      picture: thumbnail(radiograph.pixels, THUMBNAIL_SIDE),
      inferMilliseconds,
    };
  }
}

/** 1 / (1 + exp(-value)) without overflow. */
function sigmoid(value: number): number {
  return 0.5 * (1 + Math.tanh(0.5 * value));
}
