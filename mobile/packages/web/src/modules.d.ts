/** Types for the used parts of untyped packages. */

declare module "@cornerstonejs/codec-charls/*" {
  import type { EmscriptenModule } from "./reading/codecs";

  const load: (options: object) => Promise<EmscriptenModule<"JpegLSDecoder">>;
  export default load;
}

declare module "@cornerstonejs/codec-openjpeg/*" {
  import type { EmscriptenModule } from "./reading/codecs";

  const load: (options: object) => Promise<EmscriptenModule<"J2KDecoder">>;
  export default load;
}

declare module "@cornerstonejs/codec-libjpeg-turbo-8bit/*" {
  import type { EmscriptenModule } from "./reading/codecs";

  const load: (options: object) => Promise<EmscriptenModule<"JPEGDecoder">>;
  export default load;
}

// Bundled as files beside the worker: the import gives their address.
declare module "@cornerstonejs/codec-charls/decodewasm" {
  const address: string;
  export default address;
}

declare module "@cornerstonejs/codec-openjpeg/decodewasm" {
  const address: string;
  export default address;
}

declare module "@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasm" {
  const address: string;
  export default address;
}

declare module "onnxruntime-web/ort-wasm-simd-threaded.wasm" {
  const address: string;
  export default address;
}

declare module "jpeg-lossless-decoder-js" {
  export class Decoder {
    readonly frame: { readonly dimX: number; readonly dimY: number; readonly numComp: number };
    decode(buffer: ArrayBuffer, offset: number, length: number, bytesPerSample: 1 | 2): Uint8Array | Uint16Array;
  }
}
