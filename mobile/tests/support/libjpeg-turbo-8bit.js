// Loaded outside Jest's sandbox, as `OrtEnvironment.cjs` says.
module.exports = globalThis.libjpeg;
