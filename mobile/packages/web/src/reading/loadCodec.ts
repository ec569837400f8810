/** The decoders as JavaScript: a phone's engine has no WebAssembly. */

import "./textDecoder";

import type { EmscriptenModule } from "./codecs";

// Emscripten writes into the options that it is given, so each load has its own. The decoders
// would write to the console, and what they write may quote the file.
const silent = () => ({ print: () => undefined, printErr: () => undefined });

export async function loadCharls(): Promise<EmscriptenModule<"JpegLSDecoder">> {
  const { default: load } = await import("@cornerstonejs/codec-charls/decode");
  return load(silent());
}

export async function loadOpenjpeg(): Promise<EmscriptenModule<"J2KDecoder">> {
  const { default: load } = await import("@cornerstonejs/codec-openjpeg/decode");
  return load(silent());
}

export async function loadLibjpeg(): Promise<EmscriptenModule<"JPEGDecoder">> {
  const { default: load } = await import("@cornerstonejs/codec-libjpeg-turbo-8bit/decode");
  return load(silent());
}
