/** The service worker, which keeps the app's files: whether it is ready, and what is new. */

import { useEffect, useState } from "react";

import { base } from "./base";

let waiting: ServiceWorker | null = null;
const listeners = new Set<() => void>();

/** Whether the page works without a network: once its service worker keeps every file. */
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

/** Takes a new version in, and loads the page anew; null while there is none. */
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
      // A page that stays open for days asks for what is new when it is looked at again.
      document.addEventListener("visibilitychange", () => {
        if (document.visibilityState === "visible") void registration.update().catch(() => undefined);
      });
    })
    .catch(() => {
      // Over plain http, or forbidden: the page then works with a network only.
    });
}
