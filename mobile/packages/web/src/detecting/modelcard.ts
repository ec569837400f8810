/**
 * The model card that travels in the metadata of the ONNX file (`nanoray.detecting.model_file`).
 *
 * The card is read from the file's protocol buffer (onnx.proto3: ModelProto.metadata_props,
 * field 14), since neither ONNX Runtime for the web nor the one for React Native gives it.
 */

import { POSE_LIMITS, type PoseLimits } from "./pose";
import type { View } from "./view";

const METADATA_KEY = "nanoray";
const METADATA_PROPS = 14;
const FORMAT = 1;

/** A threshold on the calibrated probability, with its results on the validation images. */
export interface OperatingPoint {
  readonly name: string;
  readonly threshold: number;
  readonly sensitivity: number;
  readonly specificity: number;
  readonly sensitivityInterval: readonly [number, number];
  readonly specificityInterval: readonly [number, number];
}

/** From logit to probability, sigmoid((logit + shift) / temperature), and the thresholds of a view. */
export interface Calibration {
  readonly view: View;
  readonly temperature: number;
  readonly shift: number;
  readonly operatingPoints: readonly OperatingPoint[];
}

/** A bound on missed opacities: below which probability a radiograph may be called clear. */
export interface Guarantee {
  /** At most this share of patients with an opacity is called clear. */
  readonly level: number;
  readonly confidence: number;
  /** By view, "any" for an unknown one. */
  readonly clearBelow: Readonly<Record<string, number>>;
  readonly noveltyLimit: number;
}

/** Metadata stored in a model file; see the Python class of the same name. */
export interface ModelCard {
  readonly name: string;
  readonly version: string;
  readonly date: string;
  readonly architecture: string;
  readonly precision: string;
  readonly inputSize: number;
  readonly target: string;
  readonly temperature: number;
  readonly camBias: number;
  /** Whether the square is histogram-equalised before the network sees it. */
  readonly equalize: boolean;
  /** How the map plus `camBias` becomes the logit: its mean, or its log-mean-exp with a sharpness. */
  readonly pooling: "mean" | "lse";
  readonly poolingSharpness: number;
  readonly operatingPoints: readonly OperatingPoint[];
  readonly defaultOperatingPoint: string;
  readonly noveltyLimit: number;
  /** Calibrations of single views; empty where all views have one. */
  readonly views: readonly Calibration[];
  /** By rising level; empty if the file has none. */
  readonly guarantees: readonly Guarantee[];
  readonly pose: PoseLimits;
  readonly trainingData: string;
  readonly licence: string;
  readonly notice: string;
  readonly metrics: Readonly<Record<string, readonly [number, number, number]>>;
}

/** A file that is not a NanoRay model, or one of a version that this app cannot use. */
export class ModelFileError extends Error {
  override readonly name = "ModelFileError";
}

/** Read the card of a model file. */
export function readCard(model: Uint8Array): ModelCard {
  const text = readMetadata(model).get(METADATA_KEY);
  if (text === undefined) throw new ModelFileError("the file has no NanoRay model card");
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    throw new ModelFileError("the model card is damaged");
  }
  const card = new Fields(values, "model card");
  if (card.number("format") > FORMAT) {
    throw new ModelFileError(`the model file has format ${card.number("format")}; update the app`);
  }
  const metrics = card.fields("metrics");
  return {
    name: card.text("name"),
    version: card.text("version"),
    date: card.text("date"),
    architecture: card.text("architecture"),
    precision: card.text("precision"),
    inputSize: card.number("input_size"),
    target: card.text("target"),
    temperature: card.number("temperature"),
    camBias: card.number("cam_bias"),
    equalize: card.flag("equalize", false),
    pooling: card.option("pooling", ["mean", "lse"], "mean"),
    poolingSharpness: card.number("pooling_sharpness", 1),
    operatingPoints: card.list("operating_points").map(readPoint),
    defaultOperatingPoint: card.text("default_operating_point"),
    noveltyLimit: card.number("novelty_limit"),
    views: card.list("views", []).map((one) => ({
      view: one.option("view", ["AP", "PA"]),
      temperature: one.number("temperature"),
      shift: one.number("shift"),
      operatingPoints: one.list("operating_points").map(readPoint),
    })),
    guarantees: card.list("guarantees", []).map((one) => ({
      level: one.number("level"),
      confidence: one.number("confidence"),
      clearBelow: one.fields("clear_below").all(),
      noveltyLimit: one.number("novelty_limit"),
    })),
    pose: card.has("pose")
      ? { upright: card.fields("pose").number("upright"), sure: card.fields("pose").number("sure") }
      : POSE_LIMITS,
    trainingData: card.text("training_data"),
    licence: card.text("licence"),
    notice: card.text("notice"),
    metrics: Object.fromEntries(
      metrics.keys().map((key) => [key, metrics.numbers(key, 3) as [number, number, number]]),
    ),
  };
}

function readPoint(point: Fields): OperatingPoint {
  return {
    name: point.text("name"),
    threshold: point.number("threshold"),
    sensitivity: point.number("sensitivity"),
    specificity: point.number("specificity"),
    sensitivityInterval: point.numbers("sensitivity_interval", 2) as [number, number],
    specificityInterval: point.numbers("specificity_interval", 2) as [number, number],
  };
}

/** The probability below which a radiograph of a view may be called clear. */
export function clearBelow({ clearBelow: views }: Guarantee, view: View | null): number {
  return (view && views[view]) ?? views.any ?? 0;
}

/** The operating point of that name; the card's default for null or a name that is unknown. */
export function operatingPoint(
  { operatingPoints, defaultOperatingPoint }: ModelCard,
  name: string | null,
  points: readonly OperatingPoint[] = operatingPoints,
): OperatingPoint {
  const found =
    points.find((point) => point.name === name) ??
    points.find((point) => point.name === defaultOperatingPoint);
  if (!found) throw new ModelFileError("the model card has no operating point");
  return found;
}

/** The metadata of an ONNX file: the map fields of ModelProto, skipping everything else. */
export function readMetadata(model: Uint8Array): Map<string, string> {
  const found = new Map<string, string>();
  for (const [field, contents] of messages(model)) {
    if (field !== METADATA_PROPS) continue;
    const entry = new Map(messages(contents));
    const [key, value] = [entry.get(1), entry.get(2)];
    if (key) found.set(utf8(key), value ? utf8(value) : "");
  }
  return found;
}

/** The length-delimited fields of a protocol buffer message: field number and contents. */
function* messages(buffer: Uint8Array): Generator<[number, Uint8Array]> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = buffer[at++];
      if (byte === undefined || scale > 2 ** 63) throw new ModelFileError("not an ONNX model");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < buffer.length) {
    const key = varint();
    switch (key & 7) {
      case 0:
        varint();
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const length = varint();
        if (at + length > buffer.length) throw new ModelFileError("the model file is cut short");
        yield [Math.floor(key / 8), buffer.subarray(at, at + length)];
        at += length;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        throw new ModelFileError("not an ONNX model");
    }
  }
}

function utf8(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Checked access to the fields of parsed JSON. */
class Fields {
  private readonly values: Readonly<Record<string, unknown>>;

  constructor(
    value: unknown,
    private readonly of: string,
  ) {
    if (typeof value !== "object" || value === null) throw this.damaged();
    this.values = value as Record<string, unknown>;
  }

  keys(): string[] {
    return Object.keys(this.values);
  }

  has(key: string): boolean {
    return this.values[key] !== undefined && this.values[key] !== null;
  }

  /** Every field, as numbers. */
  all(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.keys().map((key) => [key, this.number(key)]));
  }

  text(key: string): string {
    const value = this.values[key];
    if (typeof value !== "string") throw this.damaged(key);
    return value;
  }

  /** A number; `missing` if the file has no such key. */
  number(key: string, missing?: number): number {
    const value = this.values[key] ?? missing;
    if (typeof value !== "number") throw this.damaged(key);
    return value;
  }

  /** True or false; `missing` if the file has no such key. */
  flag(key: string, missing: boolean): boolean {
    const value = this.values[key] ?? missing;
    if (typeof value !== "boolean") throw this.damaged(key);
    return value;
  }

  option<T extends string>(key: string, options: readonly T[], missing?: T): T {
    const value = this.values[key] ?? missing;
    const found = options.find((option) => option === value);
    if (!found) throw new ModelFileError(`the model file needs ${key} ${String(value)}; update the app`);
    return found;
  }

  numbers(key: string, count: number): number[] {
    const value = this.values[key];
    if (!Array.isArray(value) || value.length !== count || value.some((n) => typeof n !== "number")) {
      throw this.damaged(key);
    }
    return value as number[];
  }

  /** Several objects; `missing` if the file has no such key. */
  list(key: string, missing?: readonly unknown[]): Fields[] {
    const value = this.values[key] ?? missing;
    if (!Array.isArray(value)) throw this.damaged(key);
    return value.map((item) => new Fields(item, key));
  }

  fields(key: string): Fields {
    return new Fields(this.values[key] ?? {}, key);
  }

  private damaged(key?: string): ModelFileError {
    return new ModelFileError(`the ${this.of} is damaged${key ? `: ${key}` : ""}`);
  }
}
