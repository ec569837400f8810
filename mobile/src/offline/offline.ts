/** Whether the app works without a network, and whether a new version waits: for browsers only. */

export function useOfflineReady(): boolean {
  return true;
}

/** Takes a new version in; null while there is none. An installed app gets its own from a store. */
export function useUpdate(): (() => void) | null {
  return null;
}

export function registerServiceWorker(): void {
  // Only browsers need one.
}
