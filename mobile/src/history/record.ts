/** A stored result: exactly what the result screen and an export need. */

import type { Prediction } from "@nanoray/web/detecting/detector";
import { type GreyPicture, thumbnail } from "@nanoray/web/reading/resize";

export interface HistoryRecord {
  readonly id: string;
  /** ISO 8601, UTC. */
  readonly date: string;
  /** Name of the file, as the user knows it. */
  readonly name: string;
  readonly prediction: Prediction;
}

/** The part of a stored result that a list shows; its picture is fetched separately. */
export interface Entry {
  readonly id: string;
  readonly date: string;
  readonly name: string;
  readonly decision: Prediction["decision"];
  readonly probability: number;
  /** AP or PA, by whose threshold it was decided; null if unknown. */
  readonly view: Prediction["view"];
}

export interface Page {
  readonly entries: readonly Entry[];
  /** How many results match, of which this page is a part. */
  readonly total: number;
}

/** Where results are kept; on the device only. */
export interface HistoryStore {
  put(record: HistoryRecord): Promise<void>;
  get(id: string): Promise<HistoryRecord | null>;
  /** Results whose name contains `query`, the latest first: those from `offset` on, at most `limit`. */
  search(query: string, offset: number, limit: number): Promise<Page>;
  /** A small picture of a result; null if it is gone. */
  thumbnail(id: string): Promise<GreyPicture | null>;
  remove(ids: readonly string[]): Promise<void>;
  clear(): Promise<void>;
  /** Whether results are kept when the app ends. */
  lasting(): Promise<boolean>;
}

/** Longer side in pixels of the pictures in lists. */
export const LIST_SIDE = 96;

export function entryOf({ id, date, name, prediction }: HistoryRecord): Entry {
  const { decision, probability, view } = prediction;
  // Results of earlier versions have no view.
  return { id, date, name, decision, probability, view: view ?? null };
}

export function thumbnailOf({ prediction: { picture } }: HistoryRecord): GreyPicture {
  const pixels = { ...picture, data: Float32Array.from(picture.data, (level) => level / 255) };
  return thumbnail(pixels, LIST_SIDE);
}

export function newRecord(name: string, prediction: Prediction, now = new Date()): HistoryRecord {
  const random = Math.random().toString(36).slice(2, 10);
  return { id: `${now.getTime().toString(36)}-${random}`, date: now.toISOString(), name, prediction };
}

/** A record as text: typed arrays become base64. */
export function serialise(record: HistoryRecord): string {
  const { heatmap, picture } = record.prediction;
  const floats = new Uint8Array(heatmap.data.buffer, heatmap.data.byteOffset, heatmap.data.byteLength);
  return JSON.stringify({
    ...record,
    prediction: {
      ...record.prediction,
      heatmap: { ...heatmap, data: toBase64(floats) },
      picture: { ...picture, data: toBase64(picture.data) },
    },
  });
}

export function deserialise(text: string): HistoryRecord {
  const record = JSON.parse(text) as HistoryRecord;
  const { heatmap, picture } = record.prediction;
  const floats = fromBase64(heatmap.data as unknown as string);
  return {
    ...record,
    prediction: {
      ...record.prediction,
      heatmap: { ...heatmap, data: new Float32Array(floats.buffer) },
      picture: { ...picture, data: fromBase64(picture.data as unknown as string) },
    },
  };
}

const CHUNK = 0x8000;

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  }
  return btoa(text);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
