/** The decoders as WebAssembly, from the files beside the worker. */

import charlsWasm from "@cornerstonejs/codec-charls/decodewasm";
import libjpegWasm from "@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasm";
import openjpegWasm from "@cornerstonejs/codec-openjpeg/decodewasm";

import type { EmscriptenModule } from "./codecs";

// Emscripten writes into the options that it is given, so each load has its own. The decoders
// would write to the console, and what they write may quote the file.
const options = (wasm: string) => ({
  locateFile: () => new URL(wasm, import.meta.url).href,
  print: () => undefined,
  printErr: () => undefined,
});

export async function loadCharls(): Promise<EmscriptenModule<"JpegLSDecoder">> {
  const { default: load } = await import("@cornerstonejs/codec-charls/decodewasmjs");
  return load(options(charlsWasm));
}

export async function loadOpenjpeg(): Promise<EmscriptenModule<"J2KDecoder">> {
  const { default: load } = await import("@cornerstonejs/codec-openjpeg/decodewasmjs");
  return load(options(openjpegWasm));
}

export async function loadLibjpeg(): Promise<EmscriptenModule<"JPEGDecoder">> {
  const { default: load } = await import("@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs");
  return load(options(libjpegWasm));
}
