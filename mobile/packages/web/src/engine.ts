/** All processing of files and photographs, without a user interface. */

import { Detector, type Prediction } from "./detecting/detector";
import type { ModelCard } from "./detecting/modelcard";
import { pictureSetRight } from "./detecting/pose";
import type { OpenSession } from "./detecting/runtime";
import { DETAIL_SIDE } from "./reading/limits";
import type { DecodeByPlatform } from "./reading/platform";
import type { Radiograph } from "./reading/radiograph";
import { open } from "./reading/read";
import { type GreyPicture, thumbnail } from "./reading/resize";
import { findCorners } from "./straightening/corners";
import { type Corners, radiographFrom, wholeOf } from "./straightening/perspective";
import type { Photograph } from "./straightening/photograph";
import { checkQuality, type Quality } from "./straightening/quality";

/** Progress of an engine. */
export type Stage = "reading" | "judging";

export interface JudgeOptions {
  /** Name of the operating point; the model's default one for null. */
  readonly point?: string | null;
  /** Level of a guarantee of the model, for example 0.05; none for null. */
  readonly guarantee?: number | null;
  /** A photograph is either returned, or straightened with the corners that are found. */
  readonly photographs?: "hand back" | "straighten";
  /** The file comes straight from the camera. */
  readonly camera?: boolean;
  readonly onStage?: (stage: Stage) => void;
}

/** A judged radiograph. */
export interface Judged {
  readonly kind: "judged";
  readonly prediction: Prediction;
  /** The radiograph as it is shown, at full size. */
  readonly detail: GreyPicture;
}

/** A photograph to straighten; corners are null if not found. */
export interface Unstraightened {
  readonly kind: "photograph";
  readonly photograph: Photograph;
  readonly corners: Corners | null;
}

/** The interface of an engine; in browsers `NanoRay` uses one in a worker. */
export interface Engine {
  readonly card: ModelCard;
  judge(file: Blob | Uint8Array, options?: JudgeOptions, signal?: AbortSignal): Promise<Judged | Unstraightened>;
  judgePhotograph(
    photograph: Photograph,
    corners: Corners,
    options?: JudgeOptions & { readonly inverted?: boolean },
  ): Promise<Judged>;
  findCorners(photograph: Photograph): Promise<Corners | null>;
  checkQuality(photograph: Photograph, corners: Corners): Promise<Quality>;
}

/** An engine in the caller's thread: in a worker, on a device, in tests. */
export class LocalEngine implements Engine {
  private constructor(
    private readonly detector: Detector,
    private readonly decodeByPlatform?: DecodeByPlatform,
  ) {}

  static async load(model: Uint8Array, openSession: OpenSession, decode?: DecodeByPlatform): Promise<LocalEngine> {
    return new LocalEngine(await Detector.load(model, openSession), decode);
  }

  get card(): ModelCard {
    return this.detector.card;
  }

  async judge(file: Blob | Uint8Array, options: JudgeOptions = {}): Promise<Judged | Unstraightened> {
    options.onStage?.("reading");
    const bytes = file instanceof Uint8Array ? file : new Uint8Array(await file.arrayBuffer());
    const opened = await open(bytes, this.decodeByPlatform, options.camera);
    if (opened.kind === "radiograph") return this.judged(opened.radiograph, options);
    const { photograph } = opened;
    const corners = await this.findCorners(photograph);
    if (options.photographs !== "straighten") return { kind: "photograph", photograph, corners };
    return this.judgePhotograph(photograph, corners ?? wholeOf(photograph), options);
  }

  judgePhotograph(
    photograph: Photograph,
    corners: Corners,
    options: JudgeOptions & { readonly inverted?: boolean } = {},
  ): Promise<Judged> {
    return this.judged(radiographFrom(photograph, corners, options.inverted ?? false), options);
  }

  findCorners(photograph: Photograph): Promise<Corners | null> {
    return Promise.resolve(findCorners(photograph));
  }

  checkQuality(photograph: Photograph, corners: Corners): Promise<Quality> {
    return Promise.resolve(checkQuality(photograph, corners));
  }

  private async judged(radiograph: Radiograph, { point = null, guarantee = null, onStage }: JudgeOptions): Promise<Judged> {
    onStage?.("judging");
    const prediction = await this.detector.predict(radiograph, { point, guarantee });
    const detail = pictureSetRight(thumbnail(radiograph.pixels, DETAIL_SIDE), prediction.pose);
    return { kind: "judged", prediction, detail };
  }
}
