/**
 * Check what can be checked of the device builds without their SDKs: the bundles for Android and
 * iOS, and the Android project that `expo prebuild` writes.
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

rmSync(path.join(ROOT, "android"), { recursive: true, force: true });
run("npx", ["--no-install", "expo", "prebuild", "--platform", "android", "--no-install"]);
const release = read("android/app/src/release/AndroidManifest.xml");
check("release builds have no network permission", /INTERNET" tools:node="remove"/.test(release));
const main = read("android/app/src/main/AndroidManifest.xml");
const asked = [...main.matchAll(/<uses-permission android:name="([^"]+)"(?![^>]*remove)/g)].map((match) => match[1]);
console.log(`permissions of the main manifest: ${asked.join(", ")}`);
const known = ["android.permission.INTERNET", "android.permission.VIBRATE", "android.permission.SYSTEM_ALERT_WINDOW"];
check("no other permission is asked for", asked.every((name) => known.includes(name)));
check("the system's dark mode is followed", /user_interface_style"[^>]*>automatic</.test(read("android/app/src/main/res/values/strings.xml")));
check("backups are off", /android:allowBackup="false"/.test(main));
check("Gradle has the runtime", read("android/app/build.gradle").includes("project(':onnxruntime-react-native')"));

const linked = spawnSync("npx", ["--no-install", "expo-modules-autolinking", "react-native-config", "--platform", "android", "--json"], {
  cwd: ROOT,
  env,
  encoding: "utf8",
});
check("onnxruntime-react-native is autolinked", "onnxruntime-react-native" in JSON.parse(linked.stdout).dependencies);
console.log("all checks passed");

function run(command, args) {
  const { status } = spawnSync(command, args, { cwd: ROOT, stdio: "inherit", env });
  if (status !== 0) process.exit(status ?? 1);
}

function read(file) {
  const full = path.join(ROOT, file);
  return existsSync(full) ? readFileSync(full, "utf8") : "";
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
