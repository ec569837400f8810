/**
 * ONNX Runtime for the web (WebAssembly with SIMD, and threads where the page is cross-origin
 * isolated), from this site's own files.
 *
 * It is loaded by a script element and not bundled: its loader imports the WebAssembly module's
 * own script at run time, which Metro cannot leave alone.
 */

import type * as Ort from "onnxruntime-web";

import { fromOrt, type Session } from "./runtime";

declare global {
  interface Window {
    ort?: typeof Ort;
  }
}

const FOLDER = "/ort/";
const MAX_THREADS = 4;

let loading: Promise<typeof Ort> | undefined;

function loadOrt(): Promise<typeof Ort> {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${FOLDER}ort.wasm.min.js`;
    script.onload = () => {
      if (window.ort) resolve(window.ort);
      else reject(new Error("ONNX Runtime did not load"));
    };
    script.onerror = () => {
      loading = undefined;
      reject(new Error("ONNX Runtime could not be loaded"));
    };
    document.head.append(script);
  });
  return loading;
}

/** Open a model file. */
export async function openSession(model: Uint8Array): Promise<Session> {
  const ort = await loadOrt();
  ort.env.wasm.wasmPaths = FOLDER;
  ort.env.wasm.numThreads = window.crossOriginIsolated
    ? Math.min(MAX_THREADS, navigator.hardwareConcurrency || 1)
    : 1;
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return fromOrt(session, (data, dims) => new ort.Tensor("float32", data, dims));
}
