// Keeps the viewer's own files of this version, and the page that says that there is no line.
// Nothing of a patient is ever kept: whatever else is asked for goes to the archive.

const CACHE = `light-${HERE.version}`;

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll([...HERE.files, HERE.away]);
    await self.skipWaiting();
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    const names = await caches.keys();
    await Promise.all(names.filter((name) => name.startsWith("light-") && name !== CACHE).map((name) => caches.delete(name)));
    await self.clients.claim();
  })());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== self.location.origin) return;
  if (HERE.files.includes(pathname)) {
    event.respondWith(caches.match(pathname, { cacheName: CACHE }).then((kept) => kept ?? fetch(request)));
  } else if (request.mode === "navigate" && pathname.startsWith("/light/")) {
    event.respondWith(fetch(request).catch(() => caches.match(HERE.away, { cacheName: CACHE })));
  }
});
