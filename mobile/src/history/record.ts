/** A kept result: everything that the result screen and an export need, and no more. */

import type { Prediction } from "@/detecting/detector";

export interface HistoryRecord {
  readonly id: string;
  /** ISO 8601, UTC. */
  readonly date: string;
  /** Name of the file, as the user knows it. */
  readonly name: string;
  readonly prediction: Prediction;
}

/** Where results are kept; on the device only. */
export interface HistoryStore {
  put(record: HistoryRecord): Promise<void>;
  get(id: string): Promise<HistoryRecord | null>;
  /** Records whose name contains `query`, the latest first. */
  search(query: string): Promise<HistoryRecord[]>;
  remove(id: string): Promise<void>;
  clear(): Promise<void>;
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
