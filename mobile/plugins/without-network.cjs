/**
 * Expo config plugin: no network permission in release builds for Android.
 *
 * React Native's template asks for android.permission.INTERNET, which development builds need to
 * load their code from Metro. A manifest of the release build type takes it away again, so that
 * the installed app cannot reach a network at all.
 */

const { withDangerousMod } = require("expo/config-plugins");
const fs = require("node:fs");
const path = require("node:path");

const MANIFEST = `<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android"
    xmlns:tools="http://schemas.android.com/tools">
  <uses-permission android:name="android.permission.INTERNET" tools:node="remove" />
  <uses-permission android:name="android.permission.ACCESS_NETWORK_STATE" tools:node="remove" />
  <uses-permission android:name="android.permission.ACCESS_WIFI_STATE" tools:node="remove" />
  <uses-permission android:name="android.permission.SYSTEM_ALERT_WINDOW" tools:node="remove" />
</manifest>
`;

module.exports = (config) =>
  withDangerousMod(config, [
    "android",
    (modified) => {
      const folder = path.join(modified.modRequest.platformProjectRoot, "app", "src", "release");
      fs.mkdirSync(folder, { recursive: true });
      fs.writeFileSync(path.join(folder, "AndroidManifest.xml"), MANIFEST);
      return modified;
    },
  ]);
