/** State of the service worker: readiness and updates. */

import { useEffect, useState } from "react";

import { base } from "./base";

let waiting: ServiceWorker | null = null;
const listeners = new Set<() => void>();

/** Whether the page works without a network: its service worker has cached every file. */
export function useOfflineReady(): boolean {
  const [ready, setReady] = useState(false);
  useEffect(() => {
    let current = true;
    void navigator.serviceWorker?.ready.then(() => current && setReady(true));
    return () => {
      current = false;
    };
  }, []);
  return ready;
}

/** Applies an update and reloads the page; null while there is none. */
export function useUpdate(): (() => void) | null {
  const [worker, setWorker] = useState(waiting);
  useEffect(() => {
    const changed = () => setWorker(waiting);
    listeners.add(changed);
    changed();
    return () => void listeners.delete(changed);
  }, []);
  if (!worker) return null;
  return () => {
    navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
    worker.postMessage("update");
  };
}

export function registerServiceWorker(): void {
  if (process.env.NODE_ENV !== "production" || !("serviceWorker" in navigator)) return;
  navigator.serviceWorker
    .register(`${base()}/service-worker.js`, { updateViaCache: "none" })
    .then((registration) => {
      const look = () => {
        // Without a controller it is the first version that waits, and it takes over by itself.
        waiting = navigator.serviceWorker.controller ? registration.waiting : null;
        for (const listener of listeners) listener();
      };
      look();
      registration.addEventListener("updatefound", () => {
        registration.installing?.addEventListener("statechange", look);
      });
      // A page that stays open for days checks for updates when it becomes visible.
      document.addEventListener("visibilitychange", () => {
        if (document.visibilityState === "visible") void registration.update().catch(() => undefined);
      });
    })
    .catch(() => {
      // Over plain HTTP, or forbidden: then the page needs a network.
    });
}
