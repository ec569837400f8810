/**
 * Measure the web app in Chromium: bytes downloaded, time to the first result from a cold start,
 * time to each further one. Writes measurements/web.json and the table of README.md.
 *
 *   node scripts/measure.mjs [RADIOGRAPH...]     (a vector of the repository by default)
 */

import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { writeTable } from "./readme.mjs";
import { choose, input, installed, launch, obstacle, openApp, ready, ROOT } from "../e2e/browser.mjs";

const COLD_STARTS = 5;
const REPEATS = 12;

const reason = obstacle();
if (reason) {
  console.error(reason);
  process.exit(1);
}
const given = process.argv.slice(2);
const files = given.length ? given : [input("grey-8bit.png"), input("explicit-12bit.dcm")];

const browser = await launch();
const cold = [];
for (let i = 0; i < COLD_STARTS; i++) {
  // A fresh profile each time: nothing is in any cache.
  const start = performance.now();
  const { page, close } = await openApp(browser);
  await ready(page);
  const loaded = performance.now();
  const judged = await judge(page, files[0]);
  cold.push({ ready: loaded - start, first: performance.now() - start, judged });
  await close();
}
const { page, close } = await openApp(browser);
await ready(page);
const warm = {};
for (const file of files) {
  const times = [];
  for (let i = 0; i < REPEATS; i++) {
    times.push(await judge(page, file));
    await page.goBack();
    await ready(page);
  }
  warm[path.basename(file)] = { median: median(times), least: Math.min(...times), most: Math.max(...times) };
}
await close();

// An installation fetches the page, then all files of the service worker.
const installation = await openApp(browser);
await ready(installation.page);
await installed(installation.page);
const kept = await installation.page.evaluate(async () => {
  const [name] = await caches.keys();
  return (await (await caches.open(name)).keys()).length;
});
const bytes = installation.server.sent();
await installation.close();
await browser.close();

const model = path.join(ROOT, "assets/model/nanoray.onnx");
const result = {
  machine: { processor: os.cpus()[0]?.model, cores: os.cpus().length, load: os.loadavg()[0] },
  files: kept,
  bytes_downloaded: bytes,
  model_bytes: statSync(model).size,
  model_bytes_downloaded: sizeSent(findModel()),
  cold_ready_ms: median(cold.map((run) => run.ready)),
  cold_first_result_ms: median(cold.map((run) => run.first)),
  next_result_ms: warm,
};
mkdirSync(path.join(ROOT, "measurements"), { recursive: true });
writeFileSync(path.join(ROOT, "measurements/web.json"), `${JSON.stringify(result, null, 2)}\n`);
console.log(JSON.stringify(result, null, 2));

const megabytes = (count) => `${(count / 1e6).toFixed(2)} MB`;
const rows = [
  ["bytes downloaded by an installation, app and model", megabytes(bytes), "12 MB"],
  ["of these the model", megabytes(result.model_bytes_downloaded), "1.5 MB"],
  ["cold start, until a file can be chosen", `${result.cold_ready_ms} ms`, ""],
  ["cold start, until the first result", `${result.cold_first_result_ms} ms`, "3 s"],
  ...Object.entries(warm).map(([name, { median, most }]) => [
    `next results, ${name}: median (slowest)`,
    `${median} ms (${Math.round(most)} ms)`,
    "150 ms",
  ]),
];
writeTable(
  "measurements",
  ["| measured | | aim: under |", "| --- | --- | --- |", ...rows.map((row) => `| ${row.join(" | ")} |`)].join("\n"),
);

/** From handing over a file to seeing the decision, in the page's own clock. */
async function judge(page, file) {
  await page.evaluate(() => {
    const state = { began: 0, took: 0 };
    window.__measured = state;
    document.addEventListener("change", () => (state.began = performance.now()), { once: true, capture: true });
    const seen = new MutationObserver(() => {
      if (!state.began || !document.querySelector('[data-testid="decision"]')) return;
      seen.disconnect();
      requestAnimationFrame(() => (state.took = performance.now() - state.began));
    });
    seen.observe(document.body, { childList: true, subtree: true });
  });
  await choose(page, file);
  await page.getByTestId("decision").waitFor();
  await page.waitForFunction(() => window.__measured.took > 0 || window.__measured.began === 0);
  return page.evaluate(() => window.__measured.took);
}

function sizeSent(file) {
  for (const ending of [".br", ".gz", ""]) {
    try {
      return statSync(file + ending).size;
    } catch {
      // Not kept in this form.
    }
  }
  throw new Error(`${file} is missing`);
}

function findModel() {
  const worker = readFileSync(path.join(ROOT, "dist/web/service-worker.js"), "utf8");
  return path.join(ROOT, "dist/web", worker.match(/"([^"]+\.onnx)"/)[1]);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(sorted[Math.floor(sorted.length / 2)]);
}
