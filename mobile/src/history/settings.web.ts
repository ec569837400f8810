/** Settings that persist, if the browser permits storage. */

import type { Setting } from "./settings";

const PREFIX = "nanoray.";
const held = new Map<string, string>();

export function getSetting(name: Setting): string | null {
  try {
    return held.get(name) ?? localStorage.getItem(PREFIX + name);
  } catch {
    // Storage is denied, or absent as while pages are rendered at build time.
    return null;
  }
}

export function setSetting(name: Setting, value: string): void {
  held.set(name, value);
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // Then it lasts as long as the page.
  }
}
