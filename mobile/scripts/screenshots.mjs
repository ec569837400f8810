/**
 * Pictures of the app at the size of a phone, of radiographs that the project draws itself.
 *
 *   node scripts/screenshots.mjs FOLDER [RADIOGRAPH PHOTOGRAPH]
 */

import { mkdirSync } from "node:fs";
import path from "node:path";

import { choose, input, launch, obstacle, openApp, ready, ROOT } from "../e2e/browser.mjs";

const reason = obstacle();
const folder = process.argv[2];
if (reason || !folder) {
  console.error(reason ?? "usage: node scripts/screenshots.mjs FOLDER [RADIOGRAPH PHOTOGRAPH]");
  process.exit(1);
}
const radiograph = process.argv[3] ?? input("explicit-12bit.dcm");
const photograph = process.argv[4] ?? input("grey.jpg");
mkdirSync(folder, { recursive: true });

const browser = await launch();
await shoot("light", {});
await shoot("dark", { colorScheme: "dark" });
await shoot("arabic", { locale: "ar" });
await browser.close();

async function shoot(name, options) {
  const { page, close } = await openApp(browser, options);
  const picture = async (what) => {
    await page.waitForLoadState("networkidle");
    await page.screenshot({ path: path.join(folder, `${what}-${name}.jpg`), type: "jpeg", quality: 80, scale: "css" });
  };
  const arabic = options.locale === "ar";
  const [files, camera] = arabic ? ["اختر ملفات", "صوّر فيلماً أو شاشة"] : ["Choose files", "Photograph a film or screen"];
  await ready(page, files);
  await picture("home");
  await choose(page, radiograph, files);
  await page.getByTestId("decision").waitFor();
  await picture("result");
  if (name === "light") {
    await page.setViewportSize({ width: 844, height: 390 });
    await picture("result-landscape");
    await page.setViewportSize({ width: 390, height: 844 });
  }
  await page.goBack();
  await choose(page, [radiograph, input("decoy.png"), path.join(ROOT, "package.json")], files);
  await page.getByTestId("refused").waitFor();
  await picture("several");
  await page.goto(new URL("/history", page.url()).href);
  await page.getByRole("link").first().waitFor();
  await picture("history");
  await page.goto(new URL("/", page.url()).href);
  await ready(page, files);
  await choose(page, photograph, camera);
  await page.getByTestId("photograph").waitFor();
  await picture("straighten");
  await close();
}
