// A service worker, to be copied: shows what is pushed, tells the backend when it was shown, clicked or swept away, and leads
// a click to the page. A push is JSON, {"title", "options"}: exactly what showNotification() takes. The gateway puts into
// options.data what the application sent, the notification's id as `hg_id`, and its `link`.

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => event.waitUntil(show(event.data.json())));

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { hg_id: id, link } = event.notification.data;
  event.waitUntil(Promise.all([tell(id, "clicked"), open(link)]));
});

self.addEventListener("notificationclose", (event) => event.waitUntil(tell(event.notification.data.hg_id, "dismissed")));

// The browser has renewed its subscription: the next page that opens registers the new one (`enablePush` does so).
self.addEventListener("pushsubscriptionchange", (event) =>
  event.waitUntil(self.registration.pushManager.subscribe(event.oldSubscription.options)),
);

async function show({ title, options }) {
  await self.registration.showNotification(title, options); // the same `tag` replaces: a repeat never doubles
  await tell(options.data.hg_id, "ack");
}

async function open(link) {
  const target = new URL(link ?? "/", self.location.origin);
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find(({ url }) => url === target.href) ?? (link ? null : pages[0]);
  return page ? page.focus() : self.clients.openWindow(target.href);
}

/** What is told is lost when it fails: the notification then goes its way, and somebody may be told twice, never too little. */
async function tell(id, what) {
  await backend(id, what).catch((error) => console.info(`not told that it was ${what}: ${error.message}`));
}

// ---- In your application: ask your own backend, which knows the user by a cookie and calls POST /api/notification_<what>.
// Here the worker plays the backend, with the key of development mode; a key of the API has no place in a browser otherwise.
async function backend(id, what) {
  const { api_key } = await (await fetch("/dev/session")).json();
  const user = new URL(self.location).searchParams.get("user");
  const headers = { "Content-Type": "application/json", "X-API-Key": api_key };
  await fetch(`/api/notification_${what}`, { method: "POST", headers, body: JSON.stringify({ id, user }), keepalive: true });
}

// ---- In development mode a simulator plays the browser's push service: the page brings what it took in.
self.addEventListener("message", (event) => event.data.push && event.waitUntil(show(event.data.push)));
