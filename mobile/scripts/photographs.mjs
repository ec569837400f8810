/**
 * Changes of results by photographs: corners and logits of simulated photographs.
 *
 *   node scripts/photographs.mjs [--data DATA [--fold 1]] [--count 100] [--photographs FOLDER] [--write]
 *
 * needs a Python with nanoray; --photographs keeps the simulated photographs there, and uses those that are.
 *
 * Photographs of COUNT radiographs are fitted on, and those of COUNT others, of other patients, are
 * measured: the radiograph's own logit against that of the photograph straightened by its true
 * corners, by the corners that are found, and not at all. DATA is a folder with labels.csv (see
 * scripts/photographs.py); without it radiographs are drawn, which only shows that the script
 * works. Writes measurements/photographs.json, and with --write the fitted correction of the logit into
 * the web package, where it holds for this very model file.
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
const { values } = parseArgs({
  options: {
    data: { type: "string" },
    fold: { type: "string", default: "1" },
    count: { type: "string", default: "100" },
    photographs: { type: "string" },
    write: { type: "boolean", default: false },
  },
});
if (values.write && !values.data) {
  console.error("--write needs --data: a correction is not fitted on drawn radiographs");
  process.exit(2);
}

const folder = values.photographs ?? mkdtempSync(path.join(os.tmpdir(), "nanoray-photographs-"));
mkdirSync(folder, { recursive: true });
try {
  if (!existsSync(path.join(folder, "expected.json"))) {
    const from = values.data ? [path.resolve(values.data), values.fold] : [];
    const drawn = spawnSync(python, [path.join(ROOT, "scripts/photographs.py"), folder, values.count, ...from], { stdio: "inherit" });
    if (drawn.status !== 0) process.exit(drawn.status ?? 1);
  }
  const { open, read, findCorners, radiographFrom, wholeOf, checkQuality, UNCORRECTED, fingerprint, Detector, openSession } = await bundle();
  const model = new Uint8Array(readFileSync(path.join(ROOT, "../src/nanoray/detecting/models/nanoray-student-int8.onnx")));
  const detector = await Detector.load(model, openSession, UNCORRECTED);
  const expected = JSON.parse(readFileSync(path.join(folder, "expected.json"), "utf8"));
  const rows = [];
  for (const [number, { part, scene, corners }] of expected.entries()) {
    const truth = corners.map(([x, y]) => ({ x, y }));
    const own = await detector.predict(await read(new Uint8Array(readFileSync(path.join(folder, `${number}.png`)))));
    const { photograph } = await open(new Uint8Array(readFileSync(path.join(folder, `${number}.jpg`))), undefined, true);
    const found = findCorners(photograph);
    const judge = (at) => detector.predict(radiographFrom(photograph, at, false));
    const whole = wholeOf(photograph);
    const ways = { found: await judge(found ?? whole) };
    if (part === "measure") Object.assign(ways, { exact: await judge(truth), gallery: await judge(whole) });
    const diagonal = Math.hypot(photograph.rows, photograph.columns);
    const error = found && found.reduce((sum, { x, y }, i) => sum + Math.hypot(x - truth[i].x, y - truth[i].y) / 4, 0) / diagonal;
    rows.push({ part, scene, error, own, ways, faults: checkQuality(photograph, truth).faults });
  }
  report(rows, detector.card, fingerprint(model));
} finally {
  if (!values.photographs) rmSync(folder, { recursive: true, force: true });
}

function report(rows, card, model) {
  const located = (part) => rows.filter((row) => row.part === part && row.error !== null);
  const measured = rows.filter(({ part }) => part === "measure");
  // One number: a slope fitted on patients of the training, whose logits are extreme, does worse on others.
  const shift = -mean(located("fit").map(({ own, ways }) => ways.found.logit - own.logit));
  const errors = located("measure").map(({ error }) => error);
  const result = {
    model,
    photographs: measured.length,
    cornersFound: errors.length / measured.length,
    meanCornerError: mean(errors),
    medianCornerError: median(errors),
    shift,
  };
  for (const way of ["exact", "found", "gallery"]) {
    const used = way === "found" ? located("measure") : measured;
    const pairs = used.map(({ own, ways }) => ({ own, seen: ways[way] }));
    result[way] = summary(pairs, card);
    if (way !== "gallery") result[`${way}Corrected`] = summary(pairs, card, shift);
  }
  const faults = measured.flatMap((row) => row.faults);
  result.faults = Object.fromEntries([...new Set(faults)].map((fault) => [fault, faults.filter((one) => one === fault).length]));
  console.log(JSON.stringify(result, null, 2));
  const written = rows.map(({ part, scene, error, own, ways }) => ({
    part,
    scene,
    error,
    own: own.logit,
    ...Object.fromEntries(Object.entries(ways).map(([way, one]) => [way, { logit: one.logit, decision: one.decision, view: one.view }])),
    decision: own.decision,
    view: own.view,
  }));
  mkdirSync(path.join(ROOT, "measurements"), { recursive: true });
  writeFileSync(path.join(ROOT, "measurements/photographs.json"), `${JSON.stringify({ ...result, rows: written }, null, 2)}\n`);
  if (!values.write) return;
  const file = path.join(ROOT, "packages/web/src/straightening/correction.json");
  const kept = { model, photographs: located("fit").length, shift: Math.round(shift * 1e4) / 1e4 };
  writeFileSync(file, `${JSON.stringify(kept, null, 2)}\n`);
}

function mean(numbers) {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

/** Changes by photographs; a correction moves the logit and the decision. */
function summary(pairs, card, shift = 0) {
  const changes = pairs.map(({ own, seen }) => seen.logit + shift - own.logit);
  const suspected = ({ logit, view, threshold }) => {
    const calibration = card.views.find((one) => one.view === view) ?? { temperature: card.temperature, shift: 0 };
    return 1 / (1 + Math.exp(-(logit + calibration.shift) / calibration.temperature)) >= threshold;
  };
  const decided = pairs.filter(({ own, seen }) => own.decision !== "abstained" && seen.decision !== "abstained");
  const changed = decided.filter(({ own, seen }) => suspected(own) !== suspected({ ...seen, logit: seen.logit + shift }));
  const abstained = pairs.filter(({ own, seen }) => own.decision !== "abstained" && seen.decision === "abstained");
  return {
    meanChangeOfLogit: mean(changes.map(Math.abs)),
    meanShiftOfLogit: mean(changes),
    decisionsChanged: changed.length / pairs.length,
    viewsChanged: pairs.filter(({ own, seen }) => own.view !== seen.view).length / pairs.length,
    abstained: abstained.length / pairs.length,
  };
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
        export { Detector } from "./detecting/detector";
        export { open, read } from "./reading/read";
        export { findCorners } from "./straightening/corners";
        export { radiographFrom, wholeOf } from "./straightening/perspective";
        export { checkQuality } from "./straightening/quality";
        export { UNCORRECTED, fingerprint } from "./straightening/correction";
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
