/** Choices that outlive the app: the language and the operating point. */

import Storage from "expo-sqlite/kv-store";

export type Setting = "language" | "operating-point";

export function getSetting(name: Setting): string | null {
  return Storage.getItemSync(name);
}

export function setSetting(name: Setting, value: string): void {
  Storage.setItemSync(name, value);
}
