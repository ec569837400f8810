const { getDefaultConfig } = require("expo/metro-config");

const config = getDefaultConfig(__dirname);

// The model file is an asset: the same bytes that Python loads.
config.resolver.assetExts.push("onnx");

// The JPEG 2000 and JPEG-LS decoders, built by Emscripten, ask for Node's modules only in Node.
const nodeOnly = new Set(["fs", "path", "crypto", "module"]);
config.resolver.resolveRequest = (context, name, platform) =>
  nodeOnly.has(name) ? { type: "empty" } : context.resolveRequest(context, name, platform);

module.exports = config;
