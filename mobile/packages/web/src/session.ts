/**
 * ONNX Runtime for the web: WebAssembly with SIMD, in one thread.
 *
 * More threads need a page that is isolated from other origins, which every host would have to
 * arrange by headers, and under which Firefox hung at a reload; the network takes milliseconds.
 */

import * as ort from "onnxruntime-web/wasm";
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm";

import { fromOrt, type Session } from "./detecting/runtime";

ort.env.wasm.wasmPaths = { wasm: new URL(wasm, import.meta.url).href };
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

/** Open a model file. */
export async function openSession(model: Uint8Array): Promise<Session> {
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return fromOrt(session, (data, dims) => new ort.Tensor("float32", data, dims));
}
