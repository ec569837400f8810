/**
 * Caches every file of the app, so that it works without a network.
 *
 * `scripts/build-web.mjs` fills in the version and the list. A new version is fetched whole beside
 * the old one and waits; it takes over when every page of the old one is gone, or when the user asks
 * for it. Files of an old version stay as long as any page is open that may need them.
 */

const VERSION = "nanoray-__VERSION__";
const FILES = [/* __FILES__ */];
const SHARED = "nanoray-shared";
const BASE = new URL(self.registration.scope).pathname;

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(VERSION)
      .then((cache) => cache.addAll(FILES.map((name) => new Request(BASE + name, { cache: "no-cache" })))),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(self.clients.claim().then(() => prune(0)));
});

self.addEventListener("message", (event) => {
  if (event.data === "update") void self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== self.location.origin || !url.pathname.startsWith(BASE)) return;
  if (request.method === "POST" && url.pathname === `${BASE}share`) event.respondWith(receive(request));
  else if (request.method === "GET") event.respondWith(answer(request, url));
});

async function answer(request, url) {
  const navigating = request.mode === "navigate";
  if (navigating) await prune(1);
  const cache = await caches.open(VERSION);
  // Every address of the app has the same page.
  const kept = await cache.match(navigating ? BASE : url.pathname);
  return kept ?? (await caches.match(url.pathname)) ?? fetch(request);
}

/** Delete other versions, unless more than this number of pages is open. */
async function prune(pages) {
  const open = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (open.length > pages) return;
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name !== VERSION && name !== SHARED).map((name) => caches.delete(name)));
}

/** Files from the system's share sheet: kept until the page has taken them. */
async function receive(request) {
  const form = await request.formData();
  const cache = await caches.open(SHARED);
  let number = 0;
  for (const file of form.getAll("files")) {
    if (!(file instanceof File)) continue;
    const headers = { "Content-Type": file.type, "X-Name": encodeURIComponent(file.name) };
    await cache.put(`${BASE}shared/${Date.now()}-${number++}`, new Response(file, { headers }));
  }
  return Response.redirect(`${BASE}?shared`, 303);
}
