/**
 * Jest's Node environment with ONNX Runtime's WebAssembly build, the one that the web app runs.
 *
 * It is loaded out here since it imports its module dynamically, which Jest's sandbox does not
 * allow; the sandbox then shares this realm's typed arrays, which ONNX Runtime checks for.
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
