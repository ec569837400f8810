/** Settings that persist. */

import Storage from "expo-sqlite/kv-store";

export type Setting = "language" | "operating-point" | "guarantee" | "welcomed";

export function getSetting(name: Setting): string | null {
  return Storage.getItemSync(name);
}

export function setSetting(name: Setting, value: string): void {
  Storage.setItemSync(name, value);
}
