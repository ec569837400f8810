/** The exported web app in a real Chromium. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";

import { choose, closeApps, input, installed, INPUTS, launch, obstacle, openApp, PATIENCE, ready } from "./browser.mjs";

const expected = JSON.parse(readFileSync(path.join(INPUTS, "../expected.json"), "utf8")).files;
// As for the other runtimes; the page shows three decimals.
const TOLERANCE = 0.02 + 0.0005;

describe("the web app", { skip: obstacle(), timeout: 4 * PATIENCE, concurrency: 1 }, () => {
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
      const shown = await page.getByText(/^Logit /).textContent();
      const logit = Number(shown.match(/Logit (-?[\d.]+)/)[1]);
      assert.ok(Math.abs(logit - vector.logit) < TOLERANCE, `${name}: ${logit}, ${vector.logit}`);
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
    // What the page still asks for, the service worker answers from what it keeps.
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
    // Still alive.
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
    const text = await page.getByText("Quality flags").evaluate((node) => getComputedStyle(node).color);
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
    const opacity = page.getByRole("slider", { name: "Heat map opacity" });
    await opacity.focus();
    await page.keyboard.press("ArrowLeft");
    await opacity.and(page.locator("[aria-valuenow='50']")).waitFor();
  });

  test("Arabic is written from right to left, throughout", async () => {
    const { page, errors } = await openApp(browser, { locale: "ar" });
    await ready(page, "اختر ملفات");
    assert.equal(await page.evaluate(() => document.documentElement.dir), "rtl");
    assert.equal(await page.evaluate(() => document.documentElement.lang), "ar");
    await page.getByText("للأبحاث فقط").first().waitFor();
    await choose(page, input("grey-8bit.png"), "اختر ملفات");
    await page.getByTestId("decision").waitFor();
    const label = await page.getByText("عتامة الخريطة الحرارية").boundingBox();
    const slider = await page.getByRole("slider", { name: "عتامة الخريطة الحرارية" }).boundingBox();
    assert.ok(label.x > slider.x, "the label stands on the right of its control");
    // Back to English by hand, and it stays.
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
    // Two fingers spread; the first steps only tell a pinch from a tap.
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
    const grey = () =>
      page.locator("canvas").first().evaluate((canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.reduce((sum, value) => sum + value, 0) / data.length;
      });
    const before = await grey();
    await page.getByRole("button", { name: "More: Window level" }).click();
    await page.waitForFunction(
      (was) => {
        const canvas = document.querySelector("canvas");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.reduce((sum, value) => sum + value, 0) / data.length < was;
      },
      before,
    );
  });

  test("a photograph is straightened by its corners and judged", async () => {
    const { page, errors } = await openApp(browser);
    await ready(page);
    await choose(page, input("grey.jpg"), "Photograph a film or screen");
    const corner = page.getByRole("button", { name: "Upper left corner" });
    const start = await corner.boundingBox();
    await page.mouse.move(start.x + 22, start.y + 22);
    await page.mouse.down();
    await page.mouse.move(start.x + 42, start.y + 52, { steps: 5 });
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
    await page.getByRole("button", { name: "Straighten and judge" }).click();
    await page.getByTestId("decision").waitFor();
    await page.getByText(/photograph of a film or screen/).waitFor();
    assert.deepEqual(errors, []);
  });

  test("the history is searched, shared as JSON and PDF, and deleted", async () => {
    const { page } = await openApp(browser, { hasTouch: false, isMobile: false });
    await ready(page);
    await choose(page, [input("grey-8bit.png"), input("grey-16bit.png"), input("decoy.png")]);
    await page.getByText("Judged (3)").waitFor();
    await page.getByRole("button", { name: "History" }).click();
    await page.getByText("3 results").waitFor();
    await page.getByLabel("Search by file name").fill("16bit");
    await page.getByText("1 result", { exact: true }).waitFor();
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
    await page.getByText("No result has that name.").waitFor();
    await page.getByLabel("Search by file name").fill("");
    await page.getByText("2 results").waitFor();
    await page.getByRole("button", { name: "Delete all" }).click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByText(/Nothing yet/).waitFor();
  });
});

/** Noise, damaged radiographs and things that are none, the same in every run. */
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
