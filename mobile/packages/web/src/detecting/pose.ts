/** The pose of a radiograph as the network sees it, and its correction (`nanoray.detecting.pose`). */

import { contrast, type GreyPicture, type Placement } from "../reading/resize";
import type { Crop } from "../reading/borders";
import { turn } from "../reading/orientation";
import type { Facts, Plane } from "../reading/radiograph";

/** Upright, turned by 1 to 3 quarter turns counter-clockwise, or a negative: the output `pose` in its order. */
export type Pose = 0 | 1 | 2 | 3 | 4;
const UPRIGHT = 0;
export const NEGATIVE = 4;

/** Limits on the probability of a pose. */
export interface PoseLimits {
  /** A decision needs at least this probability of upright. */
  readonly upright: number;
  /** A correction needs at least this probability of a turned or inverted pose. */
  readonly sure: number;
}

export const POSE_LIMITS: PoseLimits = { upright: 0.5, sure: 0.9 };

// The EXIF orientation that undoes this number of quarter turns counter-clockwise.
const UNDONE: Readonly<Record<number, number>> = { 1: 6, 2: 3, 3: 8 };

/** Probabilities of the poses; NaN for a logit that is not finite. */
function probabilities(logits: Float32Array): number[] {
  const highest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = Array.from(logits, (logit) => Math.exp(logit - highest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** The pose to correct, with a sufficient probability; null if there is none. */
export function toCorrect(logits: Float32Array, { sure }: PoseLimits): Pose | null {
  const shares = probabilities(logits);
  const pose = shares.reduce((best, share, i) => (share > shares[best]! ? i : best), 0) as Pose;
  return pose !== UPRIGHT && shares[pose]! >= sure ? pose : null;
}

/** Whether the probability of upright is sufficient for a decision. */
export function isUpright(logits: Float32Array, { upright }: PoseLimits): boolean {
  return probabilities(logits)[UPRIGHT]! >= upright;
}

/** A radiograph with the network's square and the facts of its file. */
export interface Seen {
  readonly square: Plane;
  readonly place: Placement;
  readonly crop: Crop | null;
  readonly facts: Facts;
  readonly contrast: number;
}

/** The same with the radiograph turned or inverted back. */
export function corrected({ square, place, crop, facts }: Seen, pose: Pose): Seen {
  if (pose === NEGATIVE) {
    // Black stays black: padding and shutters.
    const inverted = { ...square, data: square.data.map((value) => (value > 0 ? 1 - value : value)) };
    return { square: inverted, place, crop, facts, contrast: contrast(inverted) };
  }
  const turned = turn(square, UNDONE[pose]!);
  let [at, part] = [place, crop];
  for (let i = 0; i < pose; i++) {
    at = { ...at, top: at.left, left: at.size - at.top - at.height, height: at.width, width: at.height };
    part = part && { top: part.left, left: 1 - part.top - part.height, height: part.width, width: part.height };
  }
  const [rows, columns] = pose % 2 ? [facts.columns, facts.rows] : [facts.rows, facts.columns];
  const orientation = composed(facts.orientation, UNDONE[pose]!);
  return { square: turned, place: at, crop: part, facts: { ...facts, rows, columns, orientation }, contrast: contrast(turned) };
}

/** A picture of the radiograph, turned or inverted back. */
export function pictureSetRight(picture: GreyPicture, pose: Pose | null): GreyPicture {
  if (pose === null) return picture;
  if (pose === NEGATIVE) return { ...picture, data: picture.data.map((level) => 255 - level) };
  const turned = turn({ ...picture, data: Float32Array.from(picture.data) }, UNDONE[pose]!);
  return { ...turned, data: Uint8Array.from(turned.data) };
}

/** The EXIF orientation equal to one followed by another. */
function composed(first: number, second: number): number {
  const marked = { data: Float32Array.from([0, 1, 2, 3, 4, 5]), rows: 2, columns: 3 };
  const same = (a: Plane, b: Plane) => a.rows === b.rows && a.data.every((value, i) => value === b.data[i]);
  const wanted = turn(turn(marked, first), second);
  return [1, 2, 3, 4, 5, 6, 7, 8].find((code) => same(turn(marked, code), wanted))!;
}
