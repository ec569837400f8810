/**
 * The offline web app, in dist/web: Metro's export, the list of files for the service worker, and
 * every file compressed for the server.
 *
 *   node scripts/build-web.mjs [MODEL.onnx]
 */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const OUT = path.join(ROOT, "dist/web");
const COMPRESSED = /\.(js|mjs|css|html|json|wasm|onnx|svg|webmanifest)$/;

run(process.execPath, ["scripts/prepare-assets.mjs", ...process.argv.slice(2)]);
rmSync(OUT, { recursive: true, force: true });
run("npx", ["--no-install", "expo", "export", "--platform", "web", "--output-dir", "dist/web"]);

// The page names its manifest, and says how wide a phone is.
const page = path.join(OUT, "index.html");
const html = readFileSync(page, "utf8").replace(
  "</head>",
  '<link rel="manifest" href="/manifest.webmanifest"><meta name="theme-color" content="#0b5cad">' +
    '<meta name="description" content="Chest radiographs, judged on this device. Research use only."></head>',
);
writeFileSync(page, html);

// What the service worker keeps: everything, under a name that changes when any of it does.
const files = list(OUT).filter((name) => !/(^|\/)(service-worker\.js|metadata\.json)$|\.map$/.test(name));
const hash = createHash("sha256");
for (const name of files) hash.update(name).update(readFileSync(path.join(OUT, name)));
const urls = files.map((name) => (name === "index.html" ? "/" : `/${name}`));
const worker = path.join(OUT, "service-worker.js");
writeFileSync(
  worker,
  readFileSync(worker, "utf8")
    .replace("__VERSION__", hash.digest("hex").slice(0, 16))
    .replace("/* __FILES__ */", urls.map((url) => JSON.stringify(url)).join(", ")),
);

for (const name of list(OUT)) {
  if (!COMPRESSED.test(name)) continue;
  const file = path.join(OUT, name);
  const bytes = readFileSync(file);
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 9,
    [constants.BROTLI_PARAM_LGWIN]: 22,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params }));
  writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 6 }));
}
console.log(`dist/web: ${files.length} files`);

function list(folder, inside = "") {
  return readdirSync(path.join(folder, inside))
    .flatMap((name) => {
      const relative = path.posix.join(inside, name);
      return statSync(path.join(folder, relative)).isDirectory() ? list(folder, relative) : [relative];
    })
    .sort();
}

function run(command, args) {
  const env = { ...process.env, EXPO_NO_TELEMETRY: "1", EXPO_OFFLINE: "1", CI: "1" };
  const { status } = spawnSync(command, args, { cwd: ROOT, stdio: "inherit", env });
  if (status !== 0) process.exit(status ?? 1);
}
