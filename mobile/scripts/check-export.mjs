/**
 * Check what can be checked of the device builds without their SDKs: the bundles for Android and
 * iOS, the projects that `expo prebuild` writes, and the reading code in Hermes.
 *
 *   node scripts/check-export.mjs
 */

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const env = { ...process.env, EXPO_NO_TELEMETRY: "1", EXPO_OFFLINE: "1", CI: "1" };

run("node", ["scripts/prepare-assets.mjs"]);
run("node", ["scripts/check-hermes.mjs"]);
for (const platform of ["android", "ios"]) {
  const out = `dist/${platform}`;
  rmSync(path.join(ROOT, out), { recursive: true, force: true });
  run("npx", ["--no-install", "expo", "export", "--platform", platform, "--output-dir", out]);
  const bundles = find(path.join(ROOT, out, "_expo"), /\.hbc$/);
  const models = find(path.join(ROOT, out), /./).filter((file) => isModel(file));
  check(`${platform}: a bundle`, bundles.length > 0);
  check(`${platform}: the model, byte for byte`, models.length === 1);
  console.log(`${platform}: ${bundles.map((file) => statSync(file).size)} bytes of code`);
}

// The template of the very SDK that is installed: it comes in the package `expo` itself.
const template = path.join(ROOT, "node_modules/expo/template.tgz");
check("the template of this SDK is there", existsSync(template));
for (const platform of ["android", "ios"]) {
  rmSync(path.join(ROOT, platform), { recursive: true, force: true });
  run("npx", ["--no-install", "expo", "prebuild", "--platform", platform, "--no-install", "--template", template]);
}
const [reactNative] = read("node_modules/react-native/package.json").match(/(?<="version": ")[^"]+/);
const project = JSON.parse(read("package.json")).dependencies["react-native"];
check(`the projects are React Native ${reactNative}'s`, project === reactNative);

const release = read("android/app/src/release/AndroidManifest.xml");
check("release builds have no network permission", /INTERNET" tools:node="remove"/.test(release));
const main = read("android/app/src/main/AndroidManifest.xml");
const libraries = manifestsOfLibraries();
check("the libraries' manifests are found", libraries.length > 3);
const asked = new Set([main, ...libraries].flatMap((manifest) => permissions(manifest, false)));
for (const removed of [main, release].flatMap((manifest) => permissions(manifest, true))) asked.delete(removed);
console.log(`permissions of a release, merged: ${[...asked].sort().join(", ")}`);
// The camera is asked for when it is first used.
const known = new Set(["android.permission.CAMERA", "android.permission.VIBRATE"]);
check("no other permission is asked for", [...asked].every((name) => known.has(name)));
check("the system's dark mode is followed", /user_interface_style"[^>]*>automatic</.test(read("android/app/src/main/res/values/strings.xml")));
check("backups are off", /android:allowBackup="false"/.test(main));
check("Gradle has the runtime", read("android/app/build.gradle").includes("project(':onnxruntime-react-native')"));

const apple = readdirSync(path.join(ROOT, "ios"), { recursive: true }).map(String);
const privacy = apple.find((name) => name.endsWith("PrivacyInfo.xcprivacy"));
check("the iOS project has a privacy manifest", privacy !== undefined);
check("it names the reasons", read(path.join("ios", privacy ?? "")).includes("NSPrivacyAccessedAPICategoryFileTimestamp"));
const info = apple.find((name) => /^[^/]+\/Info\.plist$/.test(name)) ?? "";
check("iOS is told why the camera is used", read(path.join("ios", info)).includes("NSCameraUsageDescription"));

const linked = autolinked("react-native-config", "--platform", "android", "--json");
check("onnxruntime-react-native is autolinked", "onnxruntime-react-native" in linked.dependencies);
console.log("all checks passed");

/** The manifests that Gradle merges into the app's. */
function manifestsOfLibraries() {
  const modules = autolinked("resolve", "--platform", "android", "--json").modules.flatMap(({ projects }) => projects ?? []);
  const others = Object.values(autolinked("react-native-config", "--platform", "android", "--json").dependencies);
  const folders = [...modules.map(({ sourceDir }) => sourceDir), ...others.map(({ platforms }) => platforms?.android?.sourceDir)];
  return folders
    .filter(Boolean)
    .map((folder) => path.join(folder, "src/main/AndroidManifest.xml"))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, "utf8"));
}

/** The permissions that a manifest asks for, or those that it removes. */
function permissions(manifest, removed) {
  return [...manifest.matchAll(/<uses-permission[^>]*android:name="([^"]+)"[^>]*>/g)]
    .filter(([element]) => element.includes('tools:node="remove"') === removed)
    .map((match) => match[1]);
}

function autolinked(...args) {
  const { stdout, status } = spawnSync("npx", ["--no-install", "expo-modules-autolinking", ...args], { cwd: ROOT, env, encoding: "utf8" });
  if (status !== 0) process.exit(status ?? 1);
  return JSON.parse(stdout);
}

function run(command, args) {
  const { status } = spawnSync(command, args, { cwd: ROOT, stdio: "inherit", env });
  if (status !== 0) process.exit(status ?? 1);
}

function read(file) {
  // A file that is not there fails the check, and not a pattern that it cannot match.
  return readFileSync(path.join(ROOT, file), "utf8");
}

function find(folder, pattern) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

function isModel(file) {
  return readFileSync(file).equals(readFileSync(path.join(ROOT, "assets/model/nanoray.onnx")));
}

function check(what, holds) {
  console.log(`${holds ? "ok  " : "FAIL"} ${what}`);
  if (!holds) process.exit(1);
}
