/**
 * Copy the packaged model of the Python package into the app's assets. The repository has it
 * in one place only.
 *
 *   node scripts/prepare-assets.mjs [MODEL.onnx]
 */

import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PACKAGED = path.join(ROOT, "../src/nanoray/detecting/models/nanoray-student-int8.onnx");

const model = path.resolve(process.argv[2] ?? PACKAGED);
if (!existsSync(model)) {
  console.error(`${model}: no such model file`);
  process.exit(1);
}
copy(model, path.join(ROOT, "assets/model/nanoray.onnx"));

/** Copy unless the same bytes are there, so that bundlers see a change only where there is one. */
function copy(from, to) {
  if (existsSync(to) && readFileSync(from).equals(readFileSync(to))) return;
  mkdirSync(path.dirname(to), { recursive: true });
  copyFileSync(from, to);
}
