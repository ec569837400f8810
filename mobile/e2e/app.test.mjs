/** The exported web app in a real Chromium. */

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";

import { serve } from "../scripts/serve-web.mjs";

import { choose, closeApps, input, installed, INPUTS, launch, obstacle, openApp, PATIENCE, PHONE, ready, ROOT } from "./browser.mjs";
import { colouredPicture, greyPicture, hand, largePicture, multiply } from "./page.mjs";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const colouredPhotograph = async (page) => Buffer.from(await page.evaluate(colouredPicture), "base64");

const expected = JSON.parse(readFileSync(path.join(INPUTS, "../expected.json"), "utf8")).files;
// As for the other runtimes; the page shows three decimals.
const TOLERANCE = 0.02 + 0.0005;

describe("the web app", { skip: obstacle(), timeout: 15 * PATIENCE, concurrency: 1 }, () => {
  let browser;
  before(async () => {
    browser = await launch();
  });
  afterEach(closeApps);
  after(() => browser?.close());

  test("judges every encoding of the shared vectors as the other runtimes do", async () => {
    const { page, errors } = await openApp(browser);
    await ready(page);
    for (const [name, vector] of Object.entries(expected)) {
      await choose(page, input(name));
      await page.getByTestId("decision").waitFor();
      await page.getByRole("button", { name: "Details" }).click();
      const shown = await page.getByText(/^Logit /).textContent();
      const logit = Number(shown.match(/Logit (-?[\d.]+)/)[1]);
      assert.ok(Math.abs(logit - vector.predicted_logit) < TOLERANCE, `${name}: ${logit}, ${vector.predicted_logit}`);
      await page.goBack();
      await ready(page);
    }
    assert.deepEqual(errors, []);
  });

  test("works offline after a reload, and makes no request once it is loaded", async () => {
    const { page, context, server, requests, errors } = await openApp(browser);
    await ready(page);
    await installed(page);
    server.served.length = 0;
    await choose(page, input("grey-8bit.png"));
    const online = await page.getByTestId("decision").textContent();
    await page.goBack();
    await choose(page, input("explicit-12bit.dcm"));
    await page.getByTestId("decision").waitFor();
    // The service worker answers the remaining requests from its cache.
    assert.deepEqual(server.served, []);

    await context.setOffline(true);
    await server.close();
    await page.goto(server.url);
    await ready(page);
    await choose(page, input("grey-8bit.png"));
    assert.equal(await page.getByTestId("decision").textContent(), online);
    await page.goBack();
    await choose(page, input("jpeg2000-12bit.dcm"));
    await page.getByTestId("decision").waitFor();
    await page.goto(`${server.url}/history`);
    await page.getByText("4 results").waitFor();
    const strangers = requests.filter((url) => !url.startsWith(server.url) && !/^(data|blob):/.test(url));
    assert.deepEqual(strangers, []);
    assert.deepEqual(errors, []);
  });

  test("300 random and damaged files are each judged or refused by name", async () => {
    const { page, errors } = await openApp(browser);
    await ready(page);
    const files = randomFiles(300);
    await choose(page, files);
    await page.getByTestId("refused").waitFor();
    const refused = await page.getByTestId("refused").locator("> *").allTextContents();
    const judged = await page.getByText(/^Judged \(\d+\)$/).allTextContents();
    const count = judged.length ? Number(judged[0].match(/\d+/)[0]) : 0;
    assert.equal(refused.length + count, files.length);
    assert.ok(refused.length > 150, `${refused.length} refused`);
    for (const line of refused) assert.match(line, /^random-\d+\.\w+: .{8,}/);
    assert.ok(!refused.some((line) => line.includes("unforeseen")), refused.find((line) => line.includes("unforeseen")));
    // The page still responds.
    await choose(page, input("grey-8bit.png"));
    await page.getByTestId("decision").waitFor();
    assert.deepEqual(errors, []);
  });

  test("dark mode, and both ways of holding the phone", async () => {
    const { page } = await openApp(browser, { colorScheme: "dark" });
    await ready(page);
    await choose(page, input("grey-8bit.png"));
    const decision = page.getByTestId("decision");
    await decision.waitFor();
    const ground = await page.getByRole("main").evaluate((node) => getComputedStyle(node).backgroundColor);
    const text = await page.getByText("Details").evaluate((node) => getComputedStyle(node).color);
    assert.ok(luminance(ground) < 0.05, ground);
    assert.ok((luminance(text) + 0.05) / (luminance(ground) + 0.05) > 4.5, `${text} on ${ground}`);
    const before = await decision.textContent();
    for (const size of [{ width: 844, height: 390 }, { width: 390, height: 844 }, { width: 320, height: 568 }]) {
      await page.setViewportSize(size);
      await page.waitForFunction((width) => {
        const viewer = document.querySelector('[data-testid="viewer"]').getBoundingClientRect();
        return document.documentElement.scrollWidth <= width && viewer.left >= 0 && viewer.right <= width + 1;
      }, size.width);
      assert.equal(await decision.textContent(), before);
    }
  });

  test("every control has a name for screen readers, and keys reach them", async () => {
    const { page } = await openApp(browser);
    await ready(page);
    await choose(page, input("grey-8bit.png"));
    await page.getByTestId("decision").waitFor();
    for (const address of [page.url(), new URL("/", page.url()).href, new URL("/history", page.url()).href, new URL("/about", page.url()).href]) {
      await page.goto(address);
      await page.getByText(/Research use only/).first().waitFor();
      const nameless = await page.evaluate(() => {
        const controls = document.querySelectorAll("button, a, input, [role=button], [role=link], [role=radio], [role=slider], [role=img]");
        return [...controls]
          .filter((node) => node.checkVisibility() && !node.closest("[aria-hidden=true]"))
          .filter((node) => !(node.getAttribute("aria-label") || node.textContent.trim() || node.getAttribute("placeholder")))
          .map((node) => node.outerHTML.slice(0, 120));
      });
      assert.deepEqual(nameless, [], address);
    }
    await page.goto(new URL("/history", page.url()).href);
    await page.getByRole("link", { name: /grey-8bit\.png, / }).click();
    await page.getByRole("button", { name: "Window", exact: true }).click();
    const level = page.getByRole("slider", { name: "Window level" });
    await level.focus();
    await page.keyboard.press("ArrowLeft");
    await level.and(page.locator("[aria-valuenow='120']")).waitFor();
  });

  test("Arabic is written from right to left, throughout", async () => {
    const { page, errors } = await openApp(browser, { locale: "ar" });
    await ready(page, "الملفات");
    assert.equal(await page.evaluate(() => document.documentElement.dir), "rtl");
    assert.equal(await page.evaluate(() => document.documentElement.lang), "ar");
    await page.getByText("للأبحاث فقط").first().waitFor();
    const heading = await page.getByRole("heading", { name: "NanoRay" }).evaluate((node) => getComputedStyle(node).textAlign);
    assert.equal(heading, "right", "the Latin title too");
    await choose(page, input("grey-8bit.png"), "الملفات");
    await page.getByTestId("decision").waitFor();
    const back = await page.getByRole("button", { name: "رجوع" }).boundingBox();
    assert.ok(back.x > PHONE.width / 2, "the way back is on the right");
    const mirrored = await page.getByRole("button", { name: "رجوع" }).evaluate((node) => getComputedStyle(node).transform);
    assert.match(mirrored, /^matrix\(-1, /, "and its arrow points there");
    const [words, number] = await Promise.all([
      page.getByTestId("decision").locator("> *").first().boundingBox(),
      page.getByTestId("probability").boundingBox(),
    ]);
    assert.ok(number.x < words.x || number.y > words.y, "the number follows the words");
    // English is chosen by hand, and kept.
    await page.goto(new URL("/about", page.url()).href);
    await page.getByRole("radio", { name: "English" }).click();
    await page.getByRole("radiogroup", { name: "Language" }).waitFor();
    await page.reload();
    await page.getByRole("radiogroup", { name: "Language" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.dir), "ltr");
    assert.deepEqual(errors, []);
  });

  test("zooming, moving and windowing", async () => {
    const { page } = await openApp(browser);
    await ready(page);
    await choose(page, input("grey-8bit.png"));
    const content = page.getByTestId("viewer-content");
    await content.waitFor();
    const whole = await content.boundingBox();
    await page.getByRole("button", { name: "Zoom in" }).click();
    const larger = await content.boundingBox();
    assert.ok(Math.abs(larger.width / whole.width - 1.5) < 0.02);
    // Two fingers spread; the first steps distinguish a pinch from a tap.
    await page.getByRole("button", { name: "Reset the view" }).click();
    const box = await page.getByTestId("viewer").boundingBox();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const client = await page.context().newCDPSession(page);
    const fingers = (gap) => [{ x: x - gap, y, id: 0 }, { x: x + gap, y, id: 1 }];
    await client.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: fingers(40) });
    for (let gap = 50; gap <= 150; gap += 10) {
      await client.send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: fingers(gap) });
    }
    await client.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
    await page.waitForFunction(
      (width) => document.querySelector('[data-testid="viewer-content"]').getBoundingClientRect().width > width,
      1.3 * whole.width,
    );
    // The screen below has a thumbnail of the same picture.
    const shown = '[data-testid="viewer-content"] canvas';
    const grey = () =>
      page.locator(shown).evaluate((canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.reduce((sum, value) => sum + value, 0) / data.length;
      });
    const before = await grey();
    await page.getByRole("button", { name: "Window", exact: true }).click();
    // Below the picture: the mouse reaches only visible elements.
    await page.getByRole("slider", { name: "Window level" }).scrollIntoViewIfNeeded();
    const slider = await page.getByRole("slider", { name: "Window level" }).boundingBox();
    await page.mouse.move(slider.x + slider.width / 2, slider.y + slider.height / 2);
    await page.mouse.down();
    await page.mouse.move(slider.x + slider.width * 0.9, slider.y + slider.height / 2, { steps: 5 });
    await page.mouse.up();
    await page.waitForFunction(
      ([canvases, was]) => {
        const canvas = document.querySelector(canvases);
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.reduce((sum, value) => sum + value, 0) / data.length < was;
      },
      [shown, before],
    );
  });

  test("a photograph is straightened by its corners and judged", async () => {
    const { page, errors } = await openApp(browser);
    await ready(page);
    await choose(page, input("grey.jpg"), "Camera");
    const corner = page.getByRole("button", { name: "Upper left corner" });
    await corner.waitFor();
    await page.getByTestId("quality").waitFor();
    // Held sideways, all corners and the button are in view without scrolling.
    const sideways = { width: 844, height: 390 };
    await page.setViewportSize(sideways);
    await page.waitForFunction(() => innerHeight === 390);
    for (const name of ["Upper left corner", "Lower left corner", "Lower right corner", "Straighten and judge"]) {
      const box = await page.getByRole("button", { name }).boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= sideways.width, `${name}: ${JSON.stringify(box)}`);
      assert.ok(box.y >= 0 && box.y + box.height <= sideways.height, `${name}: ${JSON.stringify(box)}`);
    }
    await page.setViewportSize(PHONE);
    await page.waitForFunction(() => innerHeight === 844);
    const start = await corner.boundingBox();
    await page.mouse.move(start.x + 24, start.y + 24);
    await page.mouse.down();
    await page.mouse.move(start.x + 44, start.y + 54, { steps: 5 });
    await page.mouse.up();
    const at = (x, y) =>
      page.waitForFunction(
        ([x, y]) => {
          const found = document.querySelector('[aria-label="Upper left corner"]').getBoundingClientRect();
          return Math.abs(found.x - x) < 3 && Math.abs(found.y - y) < 3;
        },
        [x, y],
      );
    await at(start.x + 20, start.y + 30);
    await corner.focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await at(start.x + 28, start.y + 30);
    await page.getByRole("button", { name: "Turn by 90°" }).click();
    await page.getByRole("button", { name: "Straighten and judge" }).click();
    await page.getByTestId("decision").waitFor();
    await page.getByTestId("flag").getByText("photograph of a film or screen").waitFor();
    assert.deepEqual(errors, []);
  });

  test("a photograph out of the gallery goes to the straightener, and several are straightened at once", async () => {
    const { page, errors } = await openApp(browser);
    await ready(page);
    const picture = { name: "photo.jpg", mimeType: "image/jpeg", buffer: await colouredPhotograph(page) };
    await choose(page, [picture], "Gallery");
    await page.getByRole("button", { name: "Straighten and judge" }).waitFor();
    await page.getByRole("button", { name: "Back" }).click();
    const png = { name: "grey-8bit.png", mimeType: "image/png", buffer: readFileSync(input("grey-8bit.png")) };
    await choose(page, [picture, png], "Gallery");
    await page.getByText("Judged (2)").waitFor();
    assert.deepEqual(errors, []);
  });

  test("WebP and AVIF are decoded by the browser; HEIC and PDF are refused with advice", async () => {
    const { page, errors } = await openApp(browser);
    await ready(page);
    const webp = Buffer.from(await page.evaluate(greyPicture, "image/webp"), "base64");
    await choose(page, [{ name: "chest.webp", mimeType: "image/webp", buffer: webp }]);
    await page.getByTestId("decision").waitFor();
    await page.getByRole("button", { name: "Back" }).click();
    const heic = Buffer.concat([Buffer.of(0, 0, 0, 24), Buffer.from("ftypheic\0\0\0\0mif1heic"), Buffer.alloc(64)]);
    for (const [name, buffer, button] of [["photo.heic", heic, "Gallery"], ["report.pdf", Buffer.from("%PDF-1.4 "), "Files"], ["camera.heic", heic, "Camera"]]) {
      await choose(page, [{ name, mimeType: "application/octet-stream", buffer }], button);
      await page.getByTestId("refused").getByText(name).waitFor();
      const words = await page.getByTestId("refused").textContent();
      assert.match(words, /share it as JPEG|take a screenshot/);
    }
    assert.deepEqual(errors, []);
  });

  test("pasted and dropped pictures are judged", async () => {
    const { page } = await openApp(browser);
    await ready(page);
    for (const how of ["paste", "drop"]) {
      await page.evaluate(hand, { how, name: `${how}.png`, content: readFileSync(input("grey-8bit.png")).toString("base64") });
      await page.getByTestId("decision").waitFor();
      await page.getByRole("button", { name: "Back" }).click();
    }
    await page.getByRole("link", { name: /^drop\.png/ }).waitFor();
  });

  test("without storage a result is shown all the same", async () => {
    const before = () => {
      const deny = () => {
        throw new DOMException("denied", "SecurityError");
      };
      Object.defineProperty(window, "indexedDB", { get: deny });
      Object.defineProperty(window, "localStorage", { get: deny });
    };
    const { page, errors } = await openApp(browser, { welcomed: false, before });
    await page.getByRole("button", { name: "Begin" }).click();
    await ready(page);
    await choose(page, input("grey-8bit.png"));
    await page.getByTestId("decision").waitFor();
    await page.getByText(/This browser does not store results/).waitFor();
    assert.deepEqual(errors, []);
  });

  test("a new version waits while a page is open, whose files stay", async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "nanoray-e2e-"));
    cpSync(path.join(ROOT, "dist/web"), folder, { recursive: true });
    const { page, errors } = await openApp(browser, { server: await serve(0, folder, { changing: true }), hasTouch: false, isMobile: false });
    await ready(page);
    await installed(page);
    // The next version has none of the chunks of this one.
    const worker = path.join(folder, "service-worker.js");
    writeFileSync(worker, readFileSync(worker, "utf8").replace(/nanoray-[0-9a-f]{16}/, "nanoray-next"));
    for (const name of ["service-worker.js.br", "service-worker.js.gz"]) rmSync(path.join(folder, name));
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).update());
    const update = page.getByRole("button", { name: /A new version is ready/ });
    await update.waitFor();
    await choose(page, input("jpeg2000-12bit.dcm"));
    await page.getByTestId("decision").waitFor();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Share as PDF" }).click(),
    ]);
    assert.equal(readFileSync(await download.path()).subarray(0, 5).toString(), "%PDF-");
    await Promise.all([page.waitForEvent("load"), update.click()]);
    await page.getByTestId("decision").waitFor();
    const names = await page.evaluate(() => caches.keys());
    assert.ok(names.includes("nanoray-next"), names.join());
    assert.deepEqual(errors, []);
    rmSync(folder, { recursive: true });
  });

  test("there is a way home from a result after a reload, and from an unknown address", async () => {
    const { page } = await openApp(browser);
    await ready(page);
    await choose(page, input("grey-8bit.png"));
    await page.getByTestId("decision").waitFor();
    await page.reload();
    await page.getByTestId("decision").waitFor();
    await page.getByRole("button", { name: "Back" }).click();
    await ready(page);
    await page.goto(new URL("/no/such/page", page.url()).href);
    await page.getByText("Page not found.").waitFor();
    await page.getByRole("button", { name: "Home" }).click();
    await ready(page);
  });

  test("a reading that takes long can be stopped, and the page answers meanwhile", async () => {
    const { page } = await openApp(browser);
    await ready(page);
    const large = Buffer.from(await page.evaluate(largePicture), "base64");
    await choose(page, Array.from({ length: 4 }, (_, i) => ({ name: `large-${i}.jpg`, mimeType: "image/jpeg", buffer: large })));
    await page.getByTestId("progress").waitFor();
    const start = performance.now();
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    const frames = performance.now() - start;
    await page.getByRole("button", { name: "Stop" }).click();
    await ready(page);
    assert.ok(frames < 3000, `two frames took ${frames} ms`);
    await choose(page, input("grey-8bit.png"));
    await page.getByTestId("decision").waitFor();
  });

  test("a history of 10,000 results is searched as one types", async (context) => {
    const { page } = await openApp(browser);
    await ready(page);
    await choose(page, input("grey-8bit.png"));
    await page.getByTestId("decision").waitFor();
    await page.evaluate(multiply, 10_000);
    await page.goto(new URL("/history", page.url()).href);
    await page.getByText("10,000 results").or(page.getByText("10000 results")).waitFor();
    const field = page.getByLabel("Search by file name");
    const times = [];
    for (const letter of "copy-04321") {
      const wanted = (await field.inputValue()) + letter;
      const start = performance.now();
      await field.fill(wanted);
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0))));
      times.push(performance.now() - start);
    }
    await page.getByText("1 result", { exact: true }).waitFor();
    times.sort((a, b) => a - b);
    const median = times[Math.floor(times.length / 2)];
    context.diagnostic(`${Math.round(median)} ms a letter at the median, ${Math.round(times.at(-1))} ms at most`);
    assert.ok(median < 300, `${times.map(Math.round)} ms a letter`);
  });

  test("text follows the browser's size, and nothing is wider than the screen", async () => {
    const { page, context } = await openApp(browser);
    // 200 % in the browser's settings.
    const client = await context.newCDPSession(page);
    await client.send("Page.setFontSizes", { fontSizes: { standard: 32, fixed: 26 } });
    await page.reload();
    await ready(page);
    await choose(page, input("grey-8bit.png"));
    await page.getByTestId("decision").waitFor();
    const size = await page.getByTestId("probability").evaluate((node) => parseFloat(getComputedStyle(node).fontSize));
    assert.ok(size >= 60, `${size}px`);
    for (const address of ["/", "/history", "/about"]) {
      await page.goto(new URL(address, page.url()).href);
      await page.getByText(/Research use only/).first().waitFor();
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= PHONE.width, `${address}: ${width}px`);
    }
  });

  test("axe finds no fault on any screen", async () => {
    const { page } = await openApp(browser);
    await ready(page);
    const faults = [];
    const look = async (where) => {
      await page.addScriptTag({ content: axeSource });
      const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa"] }));
      for (const { id, nodes } of violations) faults.push(`${where}: ${id}: ${nodes[0].html.slice(0, 140)}`);
    };
    await look("home");
    await choose(page, input("grey-8bit.png"));
    await page.getByTestId("decision").waitFor();
    await page.getByRole("button", { name: "Details" }).click();
    await look("result");
    for (const address of ["/history", "/about", "/nowhere"]) {
      await page.goto(new URL(address, page.url()).href);
      await page.getByText(/Research use only/).first().waitFor();
      await look(address);
    }
    assert.deepEqual(faults, []);
  });

  test("the history is searched, shared as JSON and PDF, and deleted", async () => {
    const { page } = await openApp(browser, { hasTouch: false, isMobile: false });
    await ready(page);
    // Screens below the visible one stay in the page, hidden.
    const shown = (text, options) => page.getByRole("main").getByText(text, options);
    await choose(page, [input("grey-8bit.png"), input("grey-16bit.png"), input("decoy.png")]);
    await shown("Judged (3)").waitFor();
    await page.getByRole("button", { name: "History" }).click();
    await shown("3 results").waitFor();
    await page.getByLabel("Search by file name").fill("16bit");
    await shown("1 result", { exact: true }).waitFor();
    await page.getByRole("link", { name: /grey-16bit\.png, / }).click();
    const content = async (button) => {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: button }).click()]);
      return readFileSync(await download.path());
    };
    const pdf = await content("Share as PDF");
    assert.equal(pdf.subarray(0, 5).toString(), "%PDF-");
    const { notice, results } = JSON.parse((await content("Share as JSON")).toString());
    assert.match(notice, /^Research use only/);
    assert.equal(results[0].source, "grey-16bit.png");
    assert.ok(Math.abs(results[0].logit - expected["grey-16bit.png"].logit) < TOLERANCE);
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await shown("1 result deleted").waitFor();
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByTestId("decision").waitFor();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("button", { name: "Home" }).click();
    await page.getByRole("button", { name: "History" }).click();
    await shown("2 results", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Delete decoy.png" }).click();
    await shown("1 result", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Undo" }).click();
    await shown("2 results", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Delete all" }).click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await shown(/No results yet/).waitFor();
    await page.getByRole("button", { name: "Back" }).click();
    await ready(page);
    await shown(/No results yet/).waitFor();
  });
});

/** Noise, damaged radiographs and other files, the same in every run. */
function randomFiles(count) {
  let state = 987_654_321;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const sources = Object.keys(expected).map((name) => [name, readFileSync(input(name))]);
  return Array.from({ length: count }, (_, i) => {
    const [name, whole] = sources[i % sources.length];
    let buffer;
    if (i % 3 === 0) {
      buffer = Buffer.from(Array.from({ length: Math.floor(random() * 3000) }, () => random() * 256));
    } else if (i % 3 === 1) {
      buffer = Buffer.from(whole.subarray(0, Math.floor(random() * whole.length)));
    } else {
      buffer = Buffer.from(whole);
      for (let n = 0; n < 1 + random() * 40; n++) buffer[Math.floor(random() ** 3 * buffer.length)] = random() * 256;
    }
    return { name: `random-${i}${path.extname(name)}`, mimeType: "application/octet-stream", buffer };
  });
}

/** Relative luminance of a CSS colour (WCAG 2.2). */
function luminance(colour) {
  const [red, green, blue] = colour.match(/\d+/g).map((value) => {
    const share = Number(value) / 255;
    return share <= 0.040_45 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
