/** The detector: a model file, a runtime and a threshold. */

import { framed, inFrame } from "../reading/borders";
import { equalize } from "../reading/equalize";
import type { Facts, Plane, Radiograph } from "../reading/radiograph";
import { contrast, type GreyPicture, thumbnail } from "../reading/resize";
import { type Correction, correctionFor } from "../straightening/correction";
import { THUMBNAIL_SIDE } from "../reading/limits";

import { findFlags, type Flag, NOT_FRONTAL_CHEST } from "./flags";
import { crop } from "./heatmap";
import { clearBelow, type Guarantee, type ModelCard, operatingPoint, readCard } from "./modelcard";
import { corrected, isUpright, NEGATIVE, type Pose, pictureSetRight, type Seen, toCorrect } from "./pose";
import type { OpenSession, Session } from "./runtime";
import { type View, viewOf } from "./view";

/** The network's outputs for one square. */
export interface Outputs {
  readonly logit: number;
  /** Local evidence over the square; see `ModelCard.pooling`. */
  readonly cam: Plane;
  readonly novelty: number;
  /** Logits of the poses; null if the network has no such output. */
  readonly pose: Float32Array | null;
  /** Logit of AP against PA; null if the network has no such output. */
  readonly view: number | null;
}

/** "unsure" occurs only with a guarantee: not suspected, but the bound does not allow "clear". */
export type Decision = "opacity suspected" | "no opacity suspected" | "unsure" | "abstained";

/** Why there is no decision: the header, the novelty, or an image that may be turned or negative. */
export type Reason = "header" | "unlike" | "pose";

export interface PredictOptions {
  /** Name of the operating point; the card's default one for null. */
  readonly point?: string | null;
  /** Level of a guarantee of the card; null for none. */
  readonly guarantee?: number | null;
}

/** The prediction for one radiograph. Research use only. */
export interface Prediction {
  /** Calibrated probability of the model's target; not a finding where the decision is "abstained". */
  readonly probability: number;
  readonly decision: Decision;
  readonly reason: Reason | null;
  readonly threshold: number;
  readonly operatingPoint: string;
  /** The view, AP or PA, whose calibration and threshold were used; null if unknown. */
  readonly view: View | null;
  /** Level of the guarantee, and the probability below which a radiograph is called clear. */
  readonly guarantee: number | null;
  readonly clearBelow: number | null;
  /** The corrected pose; null if the image was upright. */
  readonly pose: Pose | null;
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
    private readonly photographs: Correction,
  ) {}

  /** Load a model file with the runtime of `open`. */
  static async load(model: Uint8Array, open: OpenSession, photographs = correctionFor(model)): Promise<Detector> {
    const card = readCard(model);
    return new Detector(card, await open(model), photographs);
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
      pose: pose?.data ?? null,
      view: view ? (view.data[0] ?? NaN) : null,
    };
  }

  /** Judge a radiograph. */
  async predict(radiograph: Radiograph, { point = null, guarantee = null }: PredictOptions = {}): Promise<Prediction> {
    const { card } = this;
    const { square, place, crop: part } = framed(radiograph.pixels, card.inputSize);
    let seen: Seen = { square, place, crop: part, facts: radiograph.facts, contrast: contrast(square) };
    const start = performance.now();
    let outputs = await this.inferPrepared(seen);
    const pose = outputs.pose && toCorrect(outputs.pose, card.pose);
    if (pose !== null) {
      seen = corrected(seen, pose);
      outputs = await this.inferPrepared(seen);
    }
    const inferMilliseconds = performance.now() - start;
    const logit = this.correctedLogit(outputs.logit, seen);
    const view = viewOf(seen.facts.view, outputs.view);
    const own = card.views.find((calibration) => calibration.view === view);
    const { temperature, shift } = own ?? { temperature: card.temperature, shift: 0 };
    const { name, threshold } = operatingPoint(card, point, own?.operatingPoints);
    const probability = sigmoid((logit + shift) / temperature);
    const flags = findFlags(seen.facts, seen.contrast, {
      turned: pose !== null && pose !== NEGATIVE,
      inverted: pose === NEGATIVE,
    });
    const reason = this.reasonToAbstain(outputs, flags);
    const kept = card.guarantees.find(({ level }) => level === guarantee) ?? null;
    const local = outputs.cam.data.map((value) => sigmoid((value + card.camBias + shift) / temperature));
    return {
      probability,
      decision: reason ? "abstained" : decisionOf(probability, threshold, outputs.novelty, view, kept),
      reason,
      threshold,
      operatingPoint: name,
      view,
      guarantee: kept?.level ?? null,
      clearBelow: kept && clearBelow(kept, view),
      pose,
      logit,
      novelty: outputs.novelty,
      noveltyLimit: card.noveltyLimit,
      heatmap: inFrame(crop({ ...outputs.cam, data: local }, seen.place), seen.crop),
      flags,
      model: card.name,
      modelVersion: card.version,
      target: card.target,
      facts: seen.facts,
      picture: pictureSetRight(thumbnail(radiograph.pixels, THUMBNAIL_SIDE), pose),
      inferMilliseconds,
    };
  }

  private inferPrepared({ square }: Seen): Promise<Outputs> {
    return this.infer(this.card.equalize ? equalize(square) : square);
  }

  /** The logit of a photograph on the scale of radiographs. */
  private correctedLogit(logit: number, { facts }: Seen): number {
    return facts.format === "photograph" ? logit + this.photographs.shift : logit;
  }

  /** The reason for no decision; null if there is one. */
  private reasonToAbstain({ logit, novelty, pose }: Outputs, flags: readonly Flag[]): Reason | null {
    if (flags.some((flag) => NOT_FRONTAL_CHEST.includes(flag))) return "header";
    // In this form a novelty, logit or pose that is NaN abstains too.
    if (!(novelty <= this.card.noveltyLimit && Number.isFinite(logit))) return "unlike";
    return pose && !isUpright(pose, this.card.pose) ? "pose" : null;
  }
}

function decisionOf(
  probability: number,
  threshold: number,
  novelty: number,
  view: View | null,
  guarantee: Guarantee | null,
): Decision {
  if (probability >= threshold) return "opacity suspected";
  if (!guarantee) return "no opacity suspected";
  const clear = probability < clearBelow(guarantee, view) && novelty <= guarantee.noveltyLimit;
  return clear ? "no opacity suspected" : "unsure";
}

/** 1 / (1 + exp(-value)) without overflow. */
function sigmoid(value: number): number {
  return 0.5 * (1 + Math.tanh(0.5 * value));
}
