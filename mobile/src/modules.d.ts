/** The parts of untyped packages that are used. */

declare module "@cornerstonejs/codec-charls/decode" {
  import type { EmscriptenDecoder } from "@/reading/codecs";

  export default function load(): Promise<{ JpegLSDecoder: new () => EmscriptenDecoder }>;
}

declare module "@cornerstonejs/codec-openjpeg/decode" {
  import type { EmscriptenDecoder } from "@/reading/codecs";

  export default function load(): Promise<{ J2KDecoder: new () => EmscriptenDecoder }>;
}

declare module "*.onnx" {
  const asset: number;
  export default asset;
}
