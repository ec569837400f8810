/** Chromium and the exported app's server, with helpers for the tests. */

import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

import { serve } from "../scripts/serve-web.mjs";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));
export const INPUTS = path.join(ROOT, "../tests/vectors/inputs");
export const PHONE = { width: 390, height: 844 };
// Ends a test that hangs; nothing else takes this long.
export const PATIENCE = 120_000;

const CANDIDATES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Path of a Chromium; undefined if there is none. */
export function findChromium() {
  return CANDIDATES.find((candidate) => candidate && existsSync(candidate));
}

/** The reason why the tests cannot run; undefined if they can. */
export function obstacle() {
  if (!findChromium()) return "no Chromium (set CHROMIUM to its path)";
  if (!existsSync(path.join(ROOT, "dist/web/index.html"))) return "no dist/web: run `npm run build:web`";
  return undefined;
}

export function launch() {
  return chromium.launch({
    executablePath: findChromium(),
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--font-render-hinting=none"],
    timeout: PATIENCE,
  });
}

const opened = [];

/** Close everything that `openApp` opened, also after a failed test. */
export async function closeApps() {
  for (const close of opened.splice(0)) await close();
}

/** A server, and a page of a fresh browser profile that records every request and error. */
export async function openApp(browser, { welcomed = true, before = null, server = null, ...options } = {}) {
  server ??= await serve();
  const context = await browser.newContext({
    viewport: PHONE,
    deviceScaleFactor: 2,
    hasTouch: true,
    isMobile: true,
    locale: "en-GB",
    ...options,
  });
  context.setDefaultTimeout(PATIENCE);
  const close = async () => {
    await context.close();
    await server.close();
  };
  opened.push(close);
  // The first-run page has a test of its own.
  if (welcomed) await context.addInitScript(() => localStorage.setItem("nanoray.welcomed", "1"));
  if (before) await context.addInitScript(before);
  const page = await context.newPage();
  const requests = [];
  const errors = [];
  context.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  await page.goto(server.url);
  return {
    page,
    context,
    server,
    requests,
    errors,
    close,
  };
}

/** The model is loaded: the first button can be pressed. */
export async function ready(page, name = "Files") {
  await page.getByRole("button", { name, exact: true, disabled: false }).waitFor();
}

/** The service worker keeps every file. */
export async function installed(page) {
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
    if (!navigator.serviceWorker.controller) {
      await new Promise((resolve) => {
        navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
      });
    }
  });
}

/** Add files as a user does. */
export async function choose(page, files, button = "Files") {
  const [chooser] = await Promise.all([
    page.waitForEvent("filechooser"),
    page.getByRole("button", { name: button, exact: true }).click(),
  ]);
  await chooser.setFiles(files);
}

export const input = (name) => path.join(INPUTS, name);
