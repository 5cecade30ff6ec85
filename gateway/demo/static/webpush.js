// Web Push for a page, to be copied: register a service worker, get the browser's subscription, hand it to the gateway.
//
//   import { enablePush, browserSubscription } from "./webpush.js";
//   button.onclick = () => enablePush({                       // browsers ask for permission only after a click
//     worker: "/worker.js",                                   // worker.js beside this file is one to begin with
//     subscribe: browserSubscription(VAPID_PUBLIC_KEY),       // public half of providers.webpush.vapid_private_key
//     save: (subscription) => client.rpc("devices.register", { provider: "webpush", token: subscription }),
//   });
//
// `save` is called on every start too: browsers renew subscriptions by themselves, and registering again is harmless.

export const isPushSupported = () => "serviceWorker" in navigator && "Notification" in globalThis;

/**
 * @param worker address of the service worker; it works for the pages in its folder, and may show notifications without any
 * @param subscribe async (registration) => the subscription as JSON
 * @param save async (subscription) => …, keeps it for the connected user
 * @returns the worker's registration; throws PushDenied when the user said no
 */
export async function enablePush({ worker, subscribe, save }) {
  if ((await Notification.requestPermission()) !== "granted") throw new PushDenied("notifications are not allowed here");
  const registration = await navigator.serviceWorker.register(worker);
  await isActive(registration);
  await save(await subscribe(registration));
  return registration;
}

export class PushDenied extends Error {}

/** The browser's own push service. @param publicKey base64url, 87 characters */
export function browserSubscription(publicKey) {
  return async ({ pushManager }) => {
    const options = { userVisibleOnly: true, applicationServerKey: publicKey };
    return ((await pushManager.getSubscription()) ?? (await pushManager.subscribe(options))).toJSON();
  };
}

/** A worker that has just been found installs itself first; `navigator.serviceWorker.ready` would only tell of this page's. */
async function isActive({ installing, waiting, active }) {
  const worker = active ?? waiting ?? installing;
  while (worker.state !== "activated") {
    if (worker.state === "redundant") throw new Error("the service worker could not be installed");
    await new Promise((resolve) => worker.addEventListener("statechange", resolve, { once: true }));
  }
}
