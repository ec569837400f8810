/**
 * Let Expo autolink onnxruntime-react-native.
 *
 * The package carries a `unimodule.json` of 2022. Expo's autolinking takes any package with that
 * file for an Expo module and leaves it out of React Native's list; being no Expo module, it is
 * then registered nowhere, and the app fails at its first line with "Cannot read property
 * 'install' of null" (microsoft/onnxruntime issues 26796 and 29004, pull request 29005). Without
 * the file it is linked like any other native package.
 */

import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const marker = new URL("../node_modules/onnxruntime-react-native/unimodule.json", import.meta.url);
rmSync(fileURLToPath(marker), { force: true });
