/**
 * Jest's Node environment with ONNX Runtime's WebAssembly build, the one that the web app runs, and
 * the decoders.
 *
 * They are loaded out here: ONNX Runtime imports its module dynamically, which Jest's sandbox does
 * not allow, and all of them check for classes of this realm, whose typed arrays the sandbox shares.
 */

const { TestEnvironment } = require("jest-environment-node");

module.exports = class OrtEnvironment extends TestEnvironment {
  async setup() {
    await super.setup();
    const ort = await import("onnxruntime-web");
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = "error";
    Object.assign(this.global, {
      ort,
      openjpeg: require("@cornerstonejs/codec-openjpeg/decode"),
      charls: require("@cornerstonejs/codec-charls/decode"),
      libjpeg: require("@cornerstonejs/codec-libjpeg-turbo-8bit/decode"),
      ArrayBuffer,
      Float32Array,
      Float64Array,
      Int8Array,
      Int16Array,
      Int32Array,
      Uint8Array,
      Uint8ClampedArray,
      Uint16Array,
      Uint32Array,
      BigInt64Array,
    });
  }
};
