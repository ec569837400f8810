/**
 * Globals of a device that a bare Hermes lacks: Expo's TextDecoder, which
 * knows UTF-8 only, and `performance` and `console`.
 */

import { TextDecoder as ExpoTextDecoder } from "expo/src/winter/TextDecoder";

Object.assign(globalThis, { TextDecoder: ExpoTextDecoder });
const environment = globalThis as { performance?: unknown; console?: unknown };
environment.performance ??= { now: () => 0 };
environment.console ??= { log: () => undefined, warn: () => undefined, error: () => undefined };
