/** The detector: a model file, a runtime and a threshold. */

import { framed, inFrame } from "@/reading/borders";
import { equalize } from "@/reading/equalize";
import type { Facts, Plane, Radiograph } from "@/reading/radiograph";
import { contrast, type GreyPicture, thumbnail } from "@/reading/resize";
import { THUMBNAIL_SIDE } from "@/reading/limits";

import { findFlags, type Flag, NOT_FRONTAL_CHEST } from "./flags";
import { crop } from "./heatmap";
import { type ModelCard, operatingPoint, readCard } from "./modelcard";
import type { Outputs, Session } from "./runtime";
import { type View, viewOf } from "./view";

/** At least this probability of an upright radiograph is needed (`nanoray.detecting.pose`). */
const UPRIGHT = 0.5;

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
  static async load(
    model: Uint8Array,
    open: (model: Uint8Array) => Promise<Session>,
  ): Promise<Detector> {
    const card = readCard(model);
    return new Detector(card, await open(model));
  }

  /** Run the network on a square of the card's input size. */
  infer(square: Plane): Promise<Outputs> {
    return this.session.run(square.data, this.card.inputSize);
  }

  /** Judge a radiograph at an operating point; the card's default one for null. */
  async predict(radiograph: Radiograph, point: string | null = null): Promise<Prediction> {
    const { card } = this;
    const { square, place, crop: part } = framed(radiograph.pixels, card.inputSize);
    const start = performance.now();
    const outputs = await this.infer(card.equalize ? equalize(square) : square);
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
    const local = outputs.cam.map((value) => sigmoid((value + card.camBias + shift) / temperature));
    return {
      probability,
      decision,
      threshold,
      operatingPoint: name,
      view,
      logit: outputs.logit,
      novelty: outputs.novelty,
      noveltyLimit: card.noveltyLimit,
      heatmap: inFrame(crop({ data: local, rows: outputs.camRows, columns: outputs.camColumns }, place), part),
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
