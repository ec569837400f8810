/**
 * How much a photograph changes a result: corners and logits of simulated photographs.
 *
 *   node scripts/photographs.mjs [--count 200] [--photographs FOLDER] [--write] [RADIOGRAPH ...]
 *
 * needs a Python with nanoray; --photographs keeps the simulated photographs there, and uses those that are.
 *
 * For each photograph the radiograph's own logit is compared with that of the photograph straightened
 * by its true corners, by the corners that are found, and not at all. A correction of the logit for
 * photographs is fitted on the even ones and tried on the odd ones. Writes measurements/photographs.json,
 * and with --write the correction of all into the web package, for this model.
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { build } from "esbuild";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const python = process.env.NANORAY_PYTHON ?? path.join(ROOT, "../.venv/bin/python");
const { values, positionals } = parseArgs({ options: { count: { type: "string", default: "200" }, write: { type: "boolean", default: false }, photographs: { type: "string" } }, allowPositionals: true });

const folder = values.photographs ?? mkdtempSync(path.join(os.tmpdir(), "nanoray-photographs-"));
mkdirSync(folder, { recursive: true });
try {
  if (!existsSync(path.join(folder, "expected.json"))) {
    const drawn = spawnSync(python, [path.join(ROOT, "scripts/photographs.py"), folder, values.count, ...positionals], { stdio: "inherit" });
    if (drawn.status !== 0) process.exit(drawn.status ?? 1);
  }
  const { LocalEngine, open, read, radiographFrom, checkQuality, correction, Detector, openSession } = await bundle();
  const model = new Uint8Array(readFileSync(path.join(ROOT, "../src/nanoray/detecting/models/nanoray-student-int8.onnx")));
  const engine = await LocalEngine.load(model, openSession);
  const detector = await Detector.load(model, openSession);
  const expected = JSON.parse(readFileSync(path.join(folder, "expected.json"), "utf8"));
  const rows = [];
  for (const [number, { scene, corners: [a, b, c, d] }] of expected.entries()) {
    const truth = [a, b, c, d].map(([x, y]) => ({ x, y }));
    const own = await detector.predict(await read(new Uint8Array(readFileSync(path.join(folder, `${number}.png`)))));
    const file = new Uint8Array(readFileSync(path.join(folder, `${number}.jpg`)));
    const opened = await open(file, undefined, true);
    const { photograph } = opened;
    const found = await engine.findCorners(photograph);
    const judge = async (corners) => {
      const prediction = await detector.predict(radiographFrom(photograph, corners, false));
      // As it was before the correction that an earlier run of this script measured.
      const corrected = correction.model === detector.card.name && correction.version === detector.card.version;
      return corrected ? { ...prediction, logit: (prediction.logit - correction.shift) / correction.slope } : prediction;
    };
    const whole = [[0, 0], [1, 0], [1, 1], [0, 1]].map(([x, y]) => ({ x: x * photograph.columns, y: y * photograph.rows }));
    const ways = { exact: await judge(truth), found: await judge(found ?? whole), gallery: await judge(whole) };
    const diagonal = Math.hypot(photograph.rows, photograph.columns);
    const error = found && found.reduce((sum, { x, y }, i) => sum + Math.hypot(x - truth[i].x, y - truth[i].y) / 4, 0) / diagonal;
    rows.push({ scene, error, own, ways, quality: checkQuality(photograph, truth) });
  }
  report(rows, detector.card);
} finally {
  if (!values.photographs) rmSync(folder, { recursive: true, force: true });
}

function report(rows, { name, version }) {
  const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  const located = rows.filter(({ error }) => error !== null);
  const result = {
    photographs: rows.length,
    cornersFound: located.length / rows.length,
    meanCornerError: mean(located.map(({ error }) => error)),
    medianCornerError: located.map(({ error }) => error).sort((a, b) => a - b)[Math.floor(located.length / 2)],
  };
  for (const way of ["exact", "found", "gallery"]) {
    const used = way === "found" ? located : rows;
    result[way] = {
      meanChangeOfLogit: mean(used.map(({ own, ways }) => Math.abs(ways[way].logit - own.logit))),
      meanShiftOfLogit: mean(used.map(({ own, ways }) => ways[way].logit - own.logit)),
      decisionsChanged: mean(
        used.map(({ own, ways }) => Number(ways[way].decision !== "abstained" && own.decision !== "abstained" && ways[way].decision !== own.decision)),
      ),
      abstained: mean(used.map(({ own, ways }) => Number(ways[way].decision === "abstained" && own.decision !== "abstained"))),
    };
  }
  // logit of the radiograph = slope x logit of its photograph + shift, by least squares.
  const fitted = (used) => {
    const [x, y] = [used.map(({ ways }) => ways.found.logit), used.map(({ own }) => own.logit)];
    const [mx, my] = [mean(x), mean(y)];
    const slope = mean(x.map((value, i) => (value - mx) * (y[i] - my))) / mean(x.map((value) => (value - mx) ** 2));
    return { slope, shift: my - slope * mx };
  };
  const { slope, shift } = fitted(located.filter((_, i) => i % 2 === 0));
  const odd = located.filter((_, i) => i % 2 === 1);
  const changes = (correct) => mean(odd.map(({ own, ways }) => Math.abs(correct(ways.found.logit) - own.logit)));
  result.correction = {
    ...fitted(located),
    meanChangeOfOddOnes: changes((logit) => logit),
    meanChangeOfOddOnesCorrected: changes((logit) => slope * logit + shift),
  };
  if (values.write) {
    const file = path.join(ROOT, "packages/web/src/straightening/correction.json");
    const rounded = (value) => Math.round(value * 1e4) / 1e4;
    const { slope: all, shift: by } = result.correction;
    writeFileSync(file, `${JSON.stringify({ model: name, version, photographs: located.length, slope: rounded(all), shift: rounded(by) }, null, 2)}\n`);
  }
  result.rows = rows.map(({ scene, error, own, ways }) => ({
    scene,
    error,
    own: own.logit,
    ...Object.fromEntries(Object.entries(ways).map(([way, one]) => [way, { logit: one.logit, decision: one.decision }])),
    decision: own.decision,
  }));
  const faults = rows.flatMap(({ quality }) => quality.faults);
  result.faults = Object.fromEntries([...new Set(faults)].map((fault) => [fault, faults.filter((one) => one === fault).length]));
  console.log(JSON.stringify({ ...result, rows: undefined }, null, 2));
  mkdirSync(path.join(ROOT, "measurements"), { recursive: true });
  writeFileSync(path.join(ROOT, "measurements/photographs.json"), `${JSON.stringify(result, null, 2)}\n`);
}

/** The package's own code, for Node. */
async function bundle() {
  const out = path.join(ROOT, "node_modules/.nanoray-photographs.built.mjs");
  await build({
    absWorkingDir: ROOT,
    stdin: {
      resolveDir: path.join(ROOT, "packages/web/src"),
      loader: "ts",
      contents: `
        export { LocalEngine } from "./engine";
        export { Detector } from "./detecting/detector";
        export { open, read } from "./reading/read";
        export { radiographFrom } from "./straightening/perspective";
        export { checkQuality } from "./straightening/quality";
        export { default as correction } from "./straightening/correction.json";
        import * as ort from "onnxruntime-web";
        import { fromOrt } from "./detecting/runtime";
        ort.env.wasm.numThreads = 1;
        export async function openSession(model) {
          const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
          return fromOrt(session, (data, dims) => new ort.Tensor("float32", data, dims));
        }`,
    },
    outfile: out,
    bundle: true,
    platform: "node",
    format: "esm",
    external: ["onnxruntime-web"],
    banner: { js: `import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url); const __dirname = ${JSON.stringify(ROOT)}; const __filename = "";` },
    logLevel: "error",
  });
  // Where `onnxruntime-web` is found.
  const beside = path.join(ROOT, "node_modules/.nanoray-photographs.mjs");
  writeFileSync(beside, readFileSync(out));
  try {
    return await import(pathToFileURL(beside).href);
  } finally {
    rmSync(beside);
    rmSync(out);
  }
}
