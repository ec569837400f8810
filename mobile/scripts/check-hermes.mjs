/**
 * Run the reading code in Hermes, the engine of devices, with Expo's TextDecoder, and compare
 * the result with Node's.
 *
 *   node scripts/check-hermes.mjs [FILE ...]
 *
 * It reads the shared vectors, a JPEG-LS image made here, and the given files.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import babel from "@babel/core";
import { build } from "esbuild";

import { jpegLsDicom } from "../tests/hermes/jpegls.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const INPUTS = path.join(ROOT, "../tests/vectors/inputs");
const require = createRequire(import.meta.url);

const BINARIES = { linux: "linux64-bin/hermes", darwin: "osx-bin/hermes", win32: "win64-bin/hermes.exe" };
const hermes = path.join(path.dirname(require.resolve("hermes-engine-cli/package.json")), BINARIES[process.platform]);

const given = Object.fromEntries(process.argv.slice(2).map((file) => [path.basename(file), readFileSync(file)]));
const vectors = Object.fromEntries(readdirSync(INPUTS).map((name) => [name, readFileSync(path.join(INPUTS, name))]));
const files = { ...vectors, "jpegls-12bit.dcm": await jpegLsDicom(), ...given };

const folder = mkdtempSync(path.join(os.tmpdir(), "nanoray-hermes-"));
try {
  const content = Object.entries(files).map(([name, bytes]) => [name, Buffer.from(bytes).toString("base64")]);
  const list = `globalThis.FILES = ${JSON.stringify(Object.fromEntries(content))};`;
  const bundle = path.join(folder, "bundle.js");
  await build({
    absWorkingDir: ROOT,
    entryPoints: ["tests/hermes/entry.ts"],
    outfile: bundle,
    bundle: true,
    format: "iife",
    target: "es2016",
    define: { "process.env.NODE_ENV": '"production"', "import.meta.url": '"file:///"' },
    external: ["fs", "path", "crypto", "module", "worker_threads"],
    logLevel: "error",
  });
  // Syntax that this Hermes does not know, rewritten as Metro's preset does it for devices.
  const { code } = await babel.transformFileAsync(bundle, {
    configFile: false,
    babelrc: false,
    compact: true,
    plugins: ["@babel/plugin-transform-classes", "@babel/plugin-transform-block-scoping"],
  });
  const script = path.join(folder, "hermes.js");
  // Asked for in browsers and in Node only; a device has neither. TextEncoder is React Native's own there.
  const encoder =
    "globalThis.TextEncoder = function () {}; TextEncoder.prototype.encode = function (text) {" +
    " return Uint8Array.from(unescape(encodeURIComponent(text)), function (c) { return c.charCodeAt(0); }); };";
  writeFileSync(script, `var require = undefined; var process = undefined;\n${encoder}\n${list}\n${code}`);
  const data = path.join(folder, "files.js");
  writeFileSync(data, list);
  const onDevice = lines(spawnSync(hermes, ["-O", "-w", "-Xes6-promise", script], { encoding: "utf8", maxBuffer: 1 << 26, timeout: 500_000 }));
  const inNode = lines(
    spawnSync(process.execPath, ["-e", `globalThis.print = console.log; require(${JSON.stringify(data)}); require(${JSON.stringify(bundle)})`], { encoding: "utf8" }),
  );
  let failed = 0;
  for (const name of Object.keys(files)) {
    const [here, there] = [onDevice.get(name), inNode.get(name)];
    const holds = here !== undefined && here === there && !/threw|unexpected/.test(here) && !(name in vectors && /refused/.test(here));
    console.log(`${holds ? "ok  " : "FAIL"} ${name}: ${here ?? "nothing"}${here === there ? "" : ` (Node: ${there})`}`);
    if (!holds) failed += 1;
  }
  if (failed) {
    console.error(`${failed} of ${Object.keys(files).length} files differ in Hermes`);
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function lines({ stdout, stderr, status }) {
  if (status !== 0) console.error(stderr.slice(-1500));
  return new Map(stdout.split("\n").filter(Boolean).map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
}
