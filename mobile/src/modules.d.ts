/** The parts of untyped packages that are used. */

declare module "@cornerstonejs/codec-charls/decode" {
  import type { EmscriptenModule } from "@/reading/codecs";

  export default function load(options: object): Promise<EmscriptenModule<"JpegLSDecoder">>;
}

declare module "@cornerstonejs/codec-openjpeg/decode" {
  import type { EmscriptenModule } from "@/reading/codecs";

  export default function load(options: object): Promise<EmscriptenModule<"J2KDecoder">>;
}

declare module "jpeg-lossless-decoder-js" {
  export class Decoder {
    readonly frame: { readonly dimX: number; readonly dimY: number; readonly numComp: number };
    decode(buffer: ArrayBuffer, offset: number, length: number, bytesPerSample: 1 | 2): Uint8Array | Uint16Array;
  }
}

declare module "*.onnx" {
  const asset: number;
  export default asset;
}
