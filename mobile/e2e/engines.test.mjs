/**
 * The exported web app in Firefox (WebDriver BiDi) and WebKit (WebKitGTK's MiniBrowser by its
 * WebDriver): judged as in Chromium, also after a reload and without a network.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";

import { serve } from "../scripts/serve-web.mjs";

import { input, INPUTS, PATIENCE } from "./browser.mjs";
import { findFirefox, findWebKit, openFirefox, openWebKit } from "./engines.mjs";
import { hand } from "./page.mjs";

const expected = JSON.parse(readFileSync(path.join(INPUTS, "../expected.json"), "utf8")).files;
const TOLERANCE = 0.02 + 0.0005;

const ENGINES = [
  { name: "Firefox", open: openFirefox, obstacle: findFirefox() ? undefined : "no Firefox (set FIREFOX to its path)" },
  { name: "WebKit", open: openWebKit, obstacle: findWebKit() ? undefined : "no WebKitWebDriver and MiniBrowser of WebKitGTK" },
];

for (const { name, open, obstacle } of ENGINES) {
  describe(`the web app in ${name}`, { skip: obstacle, timeout: 2 * PATIENCE }, () => {
    test("judges, reloads, and works offline", async () => {
      const server = await serve();
      const page = await open();
      try {
        await page.goto(server.url);
        await click(page, "Begin");
        for (const file of ["grey-8bit.png", "grey.jpg", "jpeg2000-12bit.dcm", "explicit-12bit.dcm"]) await judge(page, file);
        // The worker that keeps the files is in charge: what follows are reloads under it.
        await page.evaluate(async () => {
          await navigator.serviceWorker.ready;
          while (!navigator.serviceWorker.controller) await new Promise((resolve) => setTimeout(resolve, 50));
        });
        for (let i = 0; i < 3; i++) {
          await page.goto(server.url);
          await until(page, () => document.querySelector('[aria-label="Files"]:not([aria-disabled="true"])') !== null);
        }
        await server.close();
        await page.goto(server.url);
        await judge(page, "rle-8bit.dcm");
      } finally {
        await page.close();
        await server.close();
      }
    });
  });
}

/** Hand over a vector by a drop, and hold its logit to the other runtimes'. */
async function judge(page, file) {
  await until(page, () => document.querySelector('[aria-label="Files"]:not([aria-disabled="true"])') !== null);
  await page.evaluate(hand, { how: "drop", name: file, content: readFileSync(input(file)).toString("base64") });
  await until(page, () => document.querySelector('[data-testid="decision"]') !== null);
  await click(page, "Details");
  await until(page, () => /Logit -?[\d.]+/.test(document.body.innerText));
  const logit = Number(await page.evaluate(() => document.body.innerText.match(/Logit (-?[\d.]+)/)[1]));
  assert.ok(Math.abs(logit - expected[file].logit) < TOLERANCE, `${file}: ${logit}, ${expected[file].logit}`);
  await click(page, "Another radiograph");
}

async function click(page, label) {
  await until(page, (name) => document.querySelector(`[aria-label="${name}"]`) !== null, label);
  await page.evaluate((name) => [...document.querySelectorAll(`[aria-label="${name}"]`)].at(-1).click(), label);
}

async function until(page, holds, ...args) {
  const end = Date.now() + PATIENCE;
  while (!(await page.evaluate(holds, ...args))) {
    if (Date.now() > end) throw new Error(`waited too long for ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
