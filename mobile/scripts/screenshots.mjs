/**
 * Pictures of each screen at four sizes, of radiographs that the project draws itself.
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

const SIZES = {
  phone: { width: 390, height: 844 },
  small: { width: 320, height: 568 },
  landscape: { width: 844, height: 390 },
  desk: { width: 1280, height: 800 },
};

const browser = await launch();
for (const [name, viewport] of Object.entries(SIZES)) await shoot(name, { viewport });
await shoot("dark", { colorScheme: "dark" });
await shoot("arabic", { locale: "ar" });
await browser.close();

async function shoot(name, options) {
  const { page, close } = await openApp(browser, { ...options, welcomed: false });
  const picture = async (what) => {
    await page.waitForTimeout(300);
    await page.screenshot({ path: path.join(folder, `${what}-${name}.jpg`), type: "jpeg", quality: 80, scale: "css" });
  };
  const arabic = options.locale === "ar";
  const [begin, files, camera, map] = arabic
    ? ["ابدأ", "الملفات", "الكاميرا", "أظهر المنطقة المشتبهة"]
    : ["Begin", "Files", "Camera", "Show the suspect area"];
  const start = page.getByRole("button", { name: begin });
  await start.waitFor();
  await page.getByText(/95\s?%|95٪/).first().waitFor();
  await picture("welcome");
  await start.click();
  await ready(page, files);
  await picture("home");
  await choose(page, radiograph, files);
  await page.getByTestId("decision").waitFor();
  await picture("result");
  const places = page.getByRole("button", { name: map });
  if (await places.count()) {
    await places.click();
    await picture("map");
  }
  await page.goBack();
  await choose(page, [radiograph, input("decoy.png"), path.join(ROOT, "package.json")], files);
  await page.getByTestId("refused").waitFor();
  await picture("several");
  await page.goto(new URL("/history", page.url()).href);
  await page.getByRole("link").first().waitFor();
  await picture("history");
  await page.goto(new URL("/about", page.url()).href);
  await page.getByRole("radiogroup").first().waitFor();
  await picture("about");
  await page.goto(new URL("/", page.url()).href);
  await ready(page, files);
  await choose(page, photograph, camera);
  await page.getByTestId("photograph").waitFor();
  await page.getByTestId("quality").waitFor();
  await picture("straighten");
  await close();
}
