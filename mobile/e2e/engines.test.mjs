/**
 * The exported web app in Firefox (WebDriver BiDi) and WebKit (WebKitGTK's MiniBrowser by its
 * WebDriver): judged as in Chromium, also after a reload and without a network.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";

import { serve } from "../scripts/serve-web.mjs";

import { input, INPUTS, PATIENCE } from "./browser.mjs";
import { findFirefox, findWebKit, openFirefox, openWebKit } from "./engines.mjs";
import { colouredPicture, hand } from "./page.mjs";

const expected = JSON.parse(readFileSync(path.join(INPUTS, "../expected.json"), "utf8")).files;
const TOLERANCE = 0.02 + 0.0005;
const RELOADS = 10;

const ENGINES = [
  { name: "Firefox", open: openFirefox, obstacle: findFirefox() ? undefined : "no Firefox (set FIREFOX to its path)" },
  {
    name: "WebKit",
    open: openWebKit,
    obstacle: findWebKit() ? undefined : "no WebKitWebDriver and MiniBrowser of WebKitGTK, or no Xvfb",
  },
];

for (const { name, open, obstacle } of ENGINES) {
  describe(`the web app in ${name}`, { skip: obstacle, timeout: 5 * PATIENCE, concurrency: 1 }, () => {
    let page;
    let server;
    beforeEach(async () => {
      server = await serve();
      page = await open();
      await page.goto(server.url);
    });
    afterEach(async () => {
      await page?.close();
      await server.close();
    });

    test(`judges, reloads ${RELOADS} times, and works offline`, async () => {
      await click(page, "Begin");
      for (const file of ["grey-8bit.png", "grey.jpg", "jpeg2000-12bit.dcm", "explicit-12bit.dcm"]) await judge(page, file);
      // The service worker controls the page: the following reloads go through it.
      await page.evaluate(async () => {
        await navigator.serviceWorker.ready;
        while (!navigator.serviceWorker.controller) await new Promise((resolve) => setTimeout(resolve, 50));
      });
      for (let i = 0; i < RELOADS; i++) {
        await page.reload();
        await ready(page);
      }
      await server.close();
      await page.reload();
      await judge(page, "rle-8bit.dcm");
    });

    test("straightens a photograph and judges it", async () => {
      await click(page, "Begin");
      await ready(page);
      const content = await page.evaluate(colouredPicture);
      await pick(page, "photo.jpg", content);
      await click(page, "Straighten and judge");
      await until(page, () => document.querySelector('[data-testid="decision"]') !== null);
      assert.match(await page.evaluate(() => document.body.innerText), /photograph of a film or screen/);
    });

    test("without storage a result is shown all the same", async () => {
      // Denied once the first screen is shown; the app uses storage after that.
      await page.evaluate(() => {
        const deny = () => {
          throw new DOMException("denied", "SecurityError");
        };
        IDBFactory.prototype.open = deny;
        Storage.prototype.setItem = deny;
        Storage.prototype.getItem = deny;
      });
      await click(page, "Begin");
      await judge(page, "grey-8bit.png");
    });
  });
}

async function ready(page) {
  await until(page, () => document.querySelector('[aria-label="Files"]:not([aria-disabled="true"])') !== null);
}

/** Choose a file with the app's picker. */
async function pick(page, name, content) {
  await page.evaluate(hand, { how: "pick", name, content });
  await click(page, "Files");
}

/** Add a vector, and compare its logit with the other runtimes'. */
async function judge(page, file) {
  await ready(page);
  await pick(page, file, readFileSync(input(file)).toString("base64"));
  await until(page, () => document.querySelector('[data-testid="decision"]') !== null);
  await click(page, "Details");
  await until(page, () => /Logit -?[\d.]+/.test(document.body.innerText));
  const logit = Number(await page.evaluate(() => document.body.innerText.match(/Logit (-?[\d.]+)/)[1]));
  const wanted = expected[file].predicted_logit;
  assert.ok(Math.abs(logit - wanted) < TOLERANCE, `${file}: ${logit}, ${wanted}`);
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
