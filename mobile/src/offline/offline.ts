/** Whether the app works without a network, and whether a new version waits: for browsers only. */

export function useOfflineReady(): boolean {
  return true;
}

/** Applies an update; null while there is none. Installed apps are updated by a store. */
export function useUpdate(): (() => void) | null {
  return null;
}

export function registerServiceWorker(): void {
  // Only browsers need one.
}
