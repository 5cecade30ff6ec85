// What a notification's record means: pure functions from the answer of `notification_status` to what the page shows.

/** @typedef {{route: string, provider?: string, address?: string, outcome: string, time: number, detail?: string}} Step
 *  `time` in Unix seconds */

const STATION_OF_ROUTE = { live: "page", push: "phone", email: "mail" };
const FINAL = new Set(["acknowledged", "exhausted", "failed", "expired", "cancelled"]);
const ON_ITS_WAY = new Set(["published", "accepted", "unknown"]); // somebody may be looking at it now
const COMES_AGAIN = new Set(["retry", "paused"]);

const CARRIERS = { fcm: "Firebase", apns: "Apple", webpush: "The browser’s push service", email: "The mail server" };
const carrier = ({ provider }) => CARRIERS[provider] ?? provider ?? "The gateway";
const because = ({ detail }) => (detail ? `: ${detail}` : "");
const WORDS = {
  "live offline": () => "Bob has no open page: no wait",
  "live published": () => "Shown on Bob’s open page",
  accepted: (step) => `${carrier(step)} took it for ${step.address}`,
  retry: (step) => `${carrier(step)} is busy: trying again`,
  unregistered: ({ address }) => `${address} is gone, and was forgotten`,
  refused: (step) => `${carrier(step)} refused it${because(step)}`,
  muted: ({ route }) => `Bob does not want ${route}`,
  acknowledged: () => "Bob has seen it: nothing more is sent",
};

export const isFinal = (state) => FINAL.has(state);

/** One line of the timeline in words. */
export function describe(step) {
  const words = WORDS[`${step.route} ${step.outcome}`] ?? WORDS[step.outcome];
  return words ? words(step) : [step.route, step.outcome.replaceAll("_", " "), step.detail].filter(Boolean).join(": ");
}

/**
 * Place a notification on the way page → phone → mail.
 *
 * A station is `idle` (not reached), `active` (being waited for), `passed` (reached, unanswered), `skipped` (not usable),
 * `seen` (answered there) or `spared` (not needed any more).
 *
 * @param notification {{state: string, steps: Step[]}}
 * @param waits {{ack_wait_s?: number, push_wait_s?: number}} as asked for, where that is known
 * @param seenAt the station where Bob answered, if the page knows; otherwise the last one reached
 * @returns {{stations: Record<string, {state: string, since?: number, wait_s?: number}>, sentence: string}}
 */
export function chart({ state, steps }, waits, seenAt = null) {
  const waitOf = { page: waits.ack_wait_s, phone: waits.push_wait_s };
  const order = ["page", "phone", "mail"];
  const stations = Object.fromEntries(order.map((name) => [name, reached(name, steps)]));
  const last = order.filter((name) => stations[name].state !== "idle").at(-1) ?? "page";

  for (const name of order) {
    const station = stations[name];
    const isOver = isFinal(state) || order.indexOf(name) < order.indexOf(last);
    if (station.state === "active" && isOver) station.state = "passed";
    if (station.state === "active" && station.since !== undefined) station.wait_s = waitOf[name];
  }
  if (state === "pending" && stations.page.state === "idle") stations.page.state = "active";
  if (state === "exhausted" && stations.mail.state === "passed") stations.mail.state = "active"; // it lies there to be read
  if (state === "acknowledged") {
    const seen = seenAt ?? last;
    stations[seen].state = "seen";
    for (const name of order) if (stations[name].state === "idle") stations[name].state = "spared";
    return { stations, sentence: seenSentence(seen) };
  }
  return { stations, sentence: sentence(state, stations, waits) };
}

function reached(name, steps) {
  const mine = steps.filter((step) => STATION_OF_ROUTE[step.route] === name && step.outcome !== "acknowledged");
  const lying = mine.find((step) => ON_ITS_WAY.has(step.outcome));
  if (lying) return { state: "active", since: lying.time };
  if (mine.some((step) => COMES_AGAIN.has(step.outcome))) return { state: "active" };
  return { state: mine.length ? "skipped" : "idle" };
}

function seenSentence(station) {
  if (station === "page") return "Seen on his open page. His phone and his mailbox are left in peace.";
  if (station === "phone") return "Seen on his phone. The mail is not needed any more, so it is never sent.";
  return "Seen, after the mail.";
}

function sentence(state, { page, phone, mail }, { ack_wait_s, push_wait_s }) {
  if (state === "failed") return "No route could take it: no open page, no device and no address that works.";
  if (state === "expired") return "It was not worth telling any more.";
  if (state === "cancelled") return "It was taken back.";
  if (state === "exhausted" || mail.state === "active") return "Nobody answered, so a mail is in his mailbox. Every route has been used.";
  if (phone.state === "active") {
    const before = page.state === "skipped" ? "He has no open page, so it went straight" : "No answer on his page, so it went";
    return `${before} to his phone. If nobody taps it ${within(push_wait_s)}, a mail follows.`;
  }
  if (page.state === "skipped") return "He has no open page. On to his phone…";
  return `On his open page. If he does not acknowledge ${within(ack_wait_s)}, it goes on to his phone.`;
}

const within = (seconds) => (seconds === undefined ? "in time" : `within ${seconds} s`);
