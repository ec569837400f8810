// Loaded outside Jest's sandbox, see `OrtEnvironment.cjs`.
module.exports = globalThis.libjpeg;
