/**
 * The offline web app, in dist/web: Metro's export, the engine of `@nanoray/web`, the list of files
 * for the service worker, and every file compressed for the server.
 *
 *   node scripts/build-web.mjs [--base /folder] [--model MODEL.onnx] [--out FOLDER]
 *
 * `--base` is the path that the app is hosted below.
 */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const COMPRESSED = /\.(js|mjs|css|html|json|wasm|onnx|svg|webmanifest)$/;

const { values } = parseArgs({
  options: { base: { type: "string", default: "" }, model: { type: "string" }, out: { type: "string", default: "dist/web" } },
});
const out = path.resolve(ROOT, values.out);
const base = values.base.replace(/\/+$/, "");
if (base && !/^(\/[\w.-]+)+$/.test(base)) {
  console.error(`--base ${values.base}: a path such as /radiographs is needed`);
  process.exit(2);
}
const model = values.model ? [path.resolve(values.model)] : [];
const env = { ...process.env, EXPO_NO_TELEMETRY: "1", EXPO_OFFLINE: "1", CI: "1", NANORAY_BASE: base };

run(process.execPath, ["scripts/prepare-assets.mjs", ...model]);
const engine = path.join(ROOT, "dist/engine");
run(process.execPath, ["packages/web/scripts/build.mjs", "--out", engine, ...model.flatMap((file) => ["--model", file])]);
// Named by its contents: a page of an old version finds its own engine beside a new one.
const engineName = `engine-${hashOf(engine, list(engine)).slice(0, 12)}`;
rmSync(out, { recursive: true, force: true });
// Metro keeps what it transformed, and with it the base of before.
const clear = base ? ["--clear"] : [];
run("npx", ["--no-install", "expo", "export", ...clear, "--platform", "web", "--output-dir", path.relative(ROOT, out)]);
cpSync(engine, path.join(out, engineName), { recursive: true });

// The page names its manifest and its engine.
const page = path.join(out, "index.html");
const html = readFileSync(page, "utf8").replace(
  "</head>",
  `<link rel="manifest" href="${base}/manifest.webmanifest"><meta name="theme-color" content="#0b5cad">` +
    `<meta name="nanoray-engine" content="${engineName}">` +
    '<meta name="description" content="Chest radiographs, judged on this device. Research use only."></head>',
);
writeFileSync(page, html);

// What the service worker keeps: everything, under a name that changes when any of it does.
const files = list(out).filter((name) => !/(^|\/)(service-worker\.js|metadata\.json)$|\.map$/.test(name));
const names = files.map((name) => (name === "index.html" ? "" : name));
const worker = path.join(out, "service-worker.js");
writeFileSync(
  worker,
  readFileSync(worker, "utf8")
    .replace("__VERSION__", hashOf(out, files).slice(0, 16))
    .replace("/* __FILES__ */", names.map((name) => JSON.stringify(name)).join(", ")),
);

for (const name of list(out)) {
  if (!COMPRESSED.test(name)) continue;
  const file = path.join(out, name);
  const bytes = readFileSync(file);
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 9,
    [constants.BROTLI_PARAM_LGWIN]: 22,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params }));
  writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 6 }));
}
if (base) {
  // So that the folder can be served as it is: its contents lie below the base.
  const inside = `${out}-inside`;
  renameSync(out, inside);
  cpSync(inside, path.join(out, base), { recursive: true });
  rmSync(inside, { recursive: true });
}
console.log(`${path.relative(ROOT, out)}: ${files.length} files${base ? ` below ${base}` : ""}`);

function hashOf(folder, inside) {
  const hash = createHash("sha256");
  for (const name of inside) hash.update(name).update(readFileSync(path.join(folder, name)));
  return hash.digest("hex");
}

function list(folder, inside = "") {
  return readdirSync(path.join(folder, inside))
    .flatMap((name) => {
      const relative = path.posix.join(inside, name);
      return statSync(path.join(folder, relative)).isDirectory() ? list(folder, relative) : [relative];
    })
    .sort();
}

function run(command, args) {
  const { status } = spawnSync(command, args, { cwd: ROOT, stdio: "inherit", env });
  if (status !== 0) process.exit(status ?? 1);
}
