/** The decoders of JPEG-LS and JPEG 2000 as WebAssembly, from this site's own files. */

import type { EmscriptenModule } from "./codecs";

const FOLDER = "/codecs/";

type Load<Name extends string> = (options: object) => Promise<EmscriptenModule<Name>>;

declare global {
  interface Window {
    CharLSWASM?: Load<"JpegLSDecoder">;
    OpenJPEGWASM?: Load<"J2KDecoder">;
  }
}

export async function loadCharls(): Promise<EmscriptenModule<"JpegLSDecoder">> {
  if (!window.CharLSWASM) await runScript(`${FOLDER}charlswasm_decode.js`);
  return window.CharLSWASM!(options());
}

export async function loadOpenjpeg(): Promise<EmscriptenModule<"J2KDecoder">> {
  if (!window.OpenJPEGWASM) await runScript(`${FOLDER}openjpegwasm_decode.js`);
  return window.OpenJPEGWASM!(options());
}

// Emscripten writes into the options that it is given, so each load has its own. The decoders
// would write to the console, and what they write may quote the file.
function options(): object {
  return {
    locateFile: (name: string) => FOLDER + name,
    print: () => undefined,
    printErr: () => undefined,
  };
}

function runScript(source: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: source });
    script.onload = () => resolve();
    script.onerror = () => reject(new Error("a decoder could not be loaded"));
    document.head.append(script);
  });
}
