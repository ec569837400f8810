/** Pages of Firefox and WebKit with the four methods that the tests need: goto, reload, evaluate, close. */

import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import net from "node:net";

import puppeteer from "puppeteer-core";

import { PATIENCE } from "./browser.mjs";

/** Path of a Firefox; undefined if there is none. */
export function findFirefox() {
  return [process.env.FIREFOX, "/usr/bin/firefox-esr", "/usr/bin/firefox"].find((file) => file && existsSync(file));
}

/** Paths of WebKitGTK's WebDriver and MiniBrowser (Debian's webkit2gtk-driver and libwebkit2gtk). */
export function findWebKit() {
  const driver = "/usr/bin/WebKitWebDriver";
  const folders = existsSync("/usr/lib") ? readdirSync("/usr/lib").filter((name) => name.endsWith("-linux-gnu")) : [];
  const browser = folders
    .flatMap((folder) => ["4.1", "4.0", "6.0"].map((version) => `/usr/lib/${folder}/webkit2gtk-${version}/MiniBrowser`))
    .find((file) => existsSync(file));
  const drawn = process.env.DISPLAY || existsSync("/usr/bin/Xvfb");
  return existsSync(driver) && browser && drawn ? { driver, browser } : undefined;
}

export async function openFirefox() {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: findFirefox(),
    headless: true,
    protocolTimeout: PATIENCE,
    timeout: PATIENCE,
  });
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  return {
    goto: (url) => page.goto(url, { waitUntil: "load", timeout: PATIENCE }),
    reload: () => page.reload({ waitUntil: "load", timeout: PATIENCE }),
    evaluate: (work, ...args) => page.evaluate(work, ...args),
    close: () => browser.close(),
  };
}

/** By the W3C WebDriver protocol; Xvfb provides a display if there is none. */
export async function openWebKit() {
  const { driver, browser } = findWebKit();
  const port = await freePort();
  const display = process.env.DISPLAY ? undefined : await startXvfb();
  const env = { ...process.env, ...(display ? { DISPLAY: display.name } : {}), WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1", LIBGL_ALWAYS_SOFTWARE: "1", WEBKIT_DISABLE_COMPOSITING_MODE: "1" };
  const process_ = spawn(driver, [`--port=${port}`], { env, stdio: "ignore" });
  const address = `http://127.0.0.1:${port}`;
  const ask = async (method, path, body) => {
    const response = await fetch(address + path, { method, ...(body ? { body: JSON.stringify(body) } : {}) });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`WebDriver ${path}: ${value?.error}: ${value?.message}`);
    return value;
  };
  const end = Date.now() + 60_000;
  while (!(await ask("GET", "/status").catch(() => null))) {
    if (Date.now() > end) throw new Error("WebKitWebDriver did not start");
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const capabilities = { alwaysMatch: { "webkitgtk:browserOptions": { binary: browser, args: ["--automation"] } } };
  const { sessionId } = await ask("POST", "/session", { capabilities });
  const session = `/session/${sessionId}`;
  await ask("POST", `${session}/timeouts`, { script: PATIENCE, pageLoad: PATIENCE });
  return {
    goto: (url) => ask("POST", `${session}/url`, { url }),
    reload: () => ask("POST", `${session}/refresh`, {}),
    async evaluate(work, ...args) {
      const script = `const [done] = [arguments[arguments.length - 1]];
        Promise.resolve((${work})(...Array.prototype.slice.call(arguments, 0, -1)))
          .then((value) => done({ value: value ?? null }), (error) => done({ error: String(error) }));`;
      const { value, error } = await ask("POST", `${session}/execute/async`, { script, args });
      if (error) throw new Error(error);
      return value;
    },
    async close() {
      await ask("DELETE", session).catch(() => undefined);
      process_.kill();
      display?.process.kill();
    },
  };
}

async function startXvfb() {
  const name = `:${90 + Math.floor(Math.random() * 900)}`;
  const started = spawn("Xvfb", [name, "-screen", "0", "1280x1024x24"], { stdio: "ignore" });
  await new Promise((resolve, reject) => {
    started.on("error", () => reject(new Error("no DISPLAY, and no Xvfb to draw one")));
    setTimeout(resolve, 1500);
  });
  return { name, process: started };
}

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
