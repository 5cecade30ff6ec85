// Puts the page together: two people, a backend, the three places, the record.

import { Api, development } from "/demo/api.js";
import { Bell } from "/demo/bell.js";
import { byId } from "/demo/dom.js";
import { Drawer } from "/demo/drawer.js";
import { Guide } from "/demo/guide.js";
import { isFinal } from "/demo/journey.js";
import { Person } from "/demo/person.js";
import { markSeen, showNotice, showOutbox, showPhoneTime } from "/demo/places.js";
import { BrowserPush } from "/demo/push.js";
import { showRecord } from "/demo/record.js";

// Short enough to watch the whole way in ten seconds; in earnest they are 5 s and 30 s unless told otherwise.
const WAITS = { ack_wait_s: 3, push_wait_s: 4 };
const POLL_MS = 250;
const ALICE_LINES = ["Could you read the draft?", "Thank you!"];
const BOB_LINES = ["On it.", "Looks good to me."];

const guide = new Guide();
const api = new Api((call) => drawer.addCall(call));
const drawer = new Drawer(api);
const journeys = new Map(); // notification id → its journey, see journeyOf()
let current = null; // the notification that rail and timeline show
let browserPush = null;
let sending = 0; // calls of notify without an answer yet

async function start() {
  const seat = await takeSeat();
  const users = { alice: `alice${seat}`, bob: `bob${seat}` };
  const channel = `chat${seat}`;
  const names = { [users.alice]: "Alice", [users.bob]: "Bob" };
  const onFrame = (frame) => drawer.addFrame(frame);
  const onMessage = (isForeign) => isForeign && guide.finish("chat");
  const shared = { channel, names, onFrame, onMessage };
  const alice = new Person({ id: "alice", user: users.alice, nextLines: ALICE_LINES, ...shared });
  const bob = new Person({ id: "bob", user: users.bob, nextLines: BOB_LINES, ...shared });
  await api.open();
  drawer.showRecipes(recipes(channel, users.bob));
  wireGateway(alice.client);
  wireBob(bob);
  new Bell(bob.client);
  browserPush = new BrowserPush(bob, () => development.subscription());
  byId("notify").addEventListener("submit", (event) => notify(event, bob));
  alice.client.connect();
  bob.client.connect();
  await registerDevices(users.bob);
  guide.tell();
}

/** Each open tab has users of its own, so that a second one does not answer for the first: alice, then alice-2, … */
async function takeSeat() {
  for (let number = 1; ; number += 1) {
    const isFree = await new Promise((resolve) => {
      // Held until the tab goes away: the promise returned from inside never settles.
      navigator.locks.request(`heliograph-demo-${number}`, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock && new Promise(() => {});
      });
    });
    if (isFree) return number === 1 ? "" : `-${number}`;
  }
}

async function registerDevices(user) {
  const place = { locale: navigator.language, timezone: Intl.DateTimeFormat().resolvedOptions().timeZone };
  await api.call("device_register", { user, provider: "fcm", token: `${user}-phone-1`, platform: "android", ...place });
  await api.call("device_register", { user, provider: "email", token: `${user}@example.com`, ...place });
}

function recipes(channel, user) {
  return [
    { title: "Publish a message to both windows", method: "publish", body: { channel, data: { text: "Hello from a terminal" } } },
    { title: "Notify Bob", method: "notify", body: { user, title: "From a terminal", body: "Was it seen?", ...WAITS } },
  ];
}

function wireGateway(client) {
  const show = (state, text) => {
    byId("gateway").dataset.state = state;
    byId("gateway-text").textContent = text;
  };
  client.on("connected", () => show("connected", `live on ${location.host}`));
  client.on("connecting", () => show("connecting", "looking for the gateway…"));
  client.on("disconnected", ({ reason }) => show("disconnected", reason));
}

// ---- Bob's page

function wireBob(bob) {
  bob.client.on("publication", ({ publication }) => {
    const notification = publication.data?.notification;
    if (!notification) return; // or it tells how many there are in the inbox, which is for the bell
    const { id } = notification;
    const onAck = () => acknowledge(id, "page", () => bob.client.rpc("notification.ack", { id }));
    showNotice(notification, journeyOf(id).waits.ack_wait_s, onAck);
    guide.tell();
    follow(id, bob); // also when somebody else sent it, from a terminal
  });
  byId("bob-door").addEventListener("click", () => {
    if (bob.client.state === "disconnected") bob.client.connect();
    else bob.client.disconnect();
  });
  const showDoor = (isAway) => {
    byId("bob-door").textContent = isAway ? "Bob comes back" : "Bob leaves";
    byId("away").hidden = !isAway;
    guide.tell({ isBobAway: isAway });
  };
  bob.client.on("disconnected", () => showDoor(true));
  bob.client.on("connecting", () => showDoor(false));
}

async function acknowledge(id, station, call) {
  const journey = journeyOf(id);
  journey.seenAt ??= station;
  try {
    await call();
  } catch (error) {
    journey.seenAt = null;
    byId("sentence").textContent = `Not acknowledged: ${error.message}`;
    return;
  }
  markSeen(id);
  if (station === "page") guide.finish("live");
  guide.tell();
  await look(id);
}

// ---- the notification

async function notify(event, bob) {
  event.preventDefault();
  const [title, body] = [byId("notify-title").value.trim(), byId("notify-body").value.trim()];
  sending += 1;
  try {
    const { notifications } = await api.call("notify", { user: bob.user, title, body, ...WAITS }).finally(() => (sending -= 1));
    const { id } = notifications[0];
    journeyOf(id).waits = WAITS;
    guide.tell({ isTravelling: bob.client.state === "disconnected" });
    await follow(id, bob);
  } catch (error) {
    byId("sentence").textContent = `Not sent: ${error.message}`;
  }
}

/** The one object of a notification: its live publication may be here before the answer to the call that sent it. */
function journeyOf(id) {
  if (!journeys.has(id)) {
    const waits = sending ? WAITS : {}; // of one that came from elsewhere we do not know how long it waits
    journeys.set(id, { waits, seenAt: null, notification: null, isFollowed: false });
  }
  return journeys.get(id);
}

/** Watch a notification until nothing more can happen to it. */
async function follow(id, bob) {
  const journey = journeyOf(id);
  journey.tap ??= () => acknowledge(id, "phone", () => api.call("notification_ack", { user: bob.user, id }));
  current = id;
  if (journey.isFollowed) return;
  journey.isFollowed = true;
  while (!isFinal(journey.notification?.state)) {
    await look(id).catch((error) => (byId("sentence").textContent = `No answer from the gateway: ${error.message}`));
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  await look(id); // its mail may have been taken in a moment after the step was recorded
  guide.tell({ isTravelling: false });
}

async function look(id) {
  const journey = journeyOf(id);
  const [{ notification }, items] = await Promise.all([
    api.call("notification_status", { id }, { isRoutine: true }),
    development.outbox(id),
  ]);
  journey.notification = notification;
  showOutbox(items, journey.tap);
  browserPush.bring(items, notification);
  if (notification.state === "acknowledged") markSeen(id);
  if (id === current) showRecord(journey);
  const wentAway = notification.steps.some(({ route, outcome }) => route === "live" && outcome === "offline");
  if (isFinal(notification.state) && wentAway) guide.finish("away");
}

showPhoneTime(new Date());
setInterval(() => showPhoneTime(new Date()), 15_000);
start().catch((error) => {
  byId("gateway").dataset.state = "disconnected";
  byId("gateway-text").textContent = error.message;
});
