/**
 * Build the package for browsers: `node scripts/build.mjs [--out FOLDER] [--model FILE.onnx]`.
 *
 * dist/index.js is for pages; dist/worker.js, its chunks, the WebAssembly files and the model lie
 * beside it and are fetched when they are needed.
 */

import { copyFileSync, existsSync, mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { build } from "esbuild";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PACKAGED = path.join(ROOT, "../../../src/nanoray/detecting/models/nanoray-student-int8.onnx");

const { values } = parseArgs({
  options: { out: { type: "string", default: path.join(ROOT, "dist") }, model: { type: "string", default: PACKAGED } },
});
const out = path.resolve(values.out);
if (!existsSync(values.model)) {
  console.error(`${values.model}: no such model file`);
  process.exit(1);
}
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
  absWorkingDir: ROOT,
  entryPoints: ["src/index.ts", "src/worker.ts"],
  outdir: out,
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["es2022", "chrome111", "firefox114", "safari16.4"],
  minify: true,
  legalComments: "none",
  loader: { ".wasm": "file" },
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  // A file that ends in .web.ts replaces its neighbour in browsers.
  resolveExtensions: [".web.ts", ".ts", ".mjs", ".js", ".json"],
  // Emscripten's scripts ask for Node's modules only in Node.
  external: ["fs", "path", "crypto", "module", "node:*", "worker_threads", "ws", "perf_hooks"],
  logLevel: "warning",
});
copyFileSync(values.model, path.join(out, "nanoray.onnx"));
