/** Choices that outlive the page: the language and the operating point. */

import type { Setting } from "./settings";

const PREFIX = "nanoray.";

export function getSetting(name: Setting): string | null {
  // Not there while pages are rendered at build time.
  return typeof localStorage === "undefined" ? null : localStorage.getItem(PREFIX + name);
}

export function setSetting(name: Setting, value: string): void {
  localStorage.setItem(PREFIX + name, value);
}
