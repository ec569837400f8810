/** The packaged model, run as the web app runs it. */

import { readFileSync } from "node:fs";
import path from "node:path";

import type * as Ort from "onnxruntime-web";

import { Detector } from "@nanoray/web/detecting/detector";
import { fromOrt, type Session } from "@nanoray/web/detecting/runtime";
import { LocalEngine } from "@nanoray/web/engine";

export const REPOSITORY = path.join(__dirname, "../../..");
export const VECTORS = path.join(REPOSITORY, "tests/vectors");
export const MODEL = path.join(REPOSITORY, "src/nanoray/detecting/models/nanoray-student-int8.onnx");

export function bytes(file: string): Uint8Array {
  return new Uint8Array(readFileSync(file));
}

export function floats(file: string): Float32Array {
  return new Float32Array(bytes(file).buffer);
}

export async function openSession(model: Uint8Array): Promise<Session> {
  const { ort } = globalThis as unknown as { ort: typeof Ort };
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return fromOrt(session, (data, dims) => new ort.Tensor("float32", data, dims));
}

export function packagedDetector(): Promise<Detector> {
  return Detector.load(bytes(MODEL), openSession);
}

export function packagedEngine(): Promise<LocalEngine> {
  return LocalEngine.load(bytes(MODEL), openSession);
}
