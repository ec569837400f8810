/** Whether the app works without a network: an installed app always does. */

export function useOfflineReady(): boolean {
  return true;
}

export function registerServiceWorker(): void {
  // Only browsers need one.
}
