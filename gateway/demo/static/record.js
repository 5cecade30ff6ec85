// The record as it is written: the rail above the windows and the timeline below them.

import { byId, el } from "/demo/dom.js";
import { chart, describe } from "/demo/journey.js";

const NOTES = {
  page: { idle: "live, over WebSocket", active: "waiting for him", passed: "no answer", skipped: "not open", seen: "seen here" },
  phone: { idle: "push, by FCM", active: "waiting for a tap", passed: "no answer", skipped: "not reachable", seen: "seen here" },
  mail: { idle: "email, by SMTP", active: "delivered", passed: "delivered", skipped: "not reachable", seen: "seen" },
};
const SPARED = { page: "not needed", phone: "left in peace", mail: "never sent" };
const STATES = { pending: "on its way", acknowledged: "seen", exhausted: "every route used" };

export function showRecord({ notification, waits, seenAt }) {
  const { stations, sentence } = chart(notification, waits, seenAt);
  showRail({ sent: { state: "passed" }, ...stations });
  setText(byId("sentence"), sentence);
  setText(byId("state"), STATES[notification.state] ?? notification.state);
  byId("state").dataset.state = notification.state;
  showSteps(notification);
}

function showRail(stations) {
  for (const item of byId("rail").children) {
    const { state, since, wait_s } = stations[item.dataset.station];
    const note = state === "spared" ? SPARED[item.dataset.station] : NOTES[item.dataset.station]?.[state];
    if (note) setText(item.querySelector(".note"), note);
    if (item.dataset.state === state) continue; // an animation that runs is left alone
    item.dataset.state = state;
    if (state === "active") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
    item.style.setProperty("--wait", `${wait_s ?? 0}s`);
    item.style.setProperty("--waited", `${since ? Math.min(0, since - Date.now() / 1000) : 0}s`);
  }
}

/** Add the lines that are new; another notification starts the list afresh. */
function showSteps({ id, created_at, steps }) {
  const list = byId("steps");
  if (list.dataset.of !== id) list.replaceChildren();
  list.dataset.of = id;
  const stored = { time: created_at, route: "sent", outcome: "stored", words: "Stored, and your backend has its answer" };
  const lines = [stored, ...steps.map((step) => ({ ...step, words: describe(step) }))];
  for (const { time, route, outcome, words } of lines.slice(list.children.length)) {
    const after = el("span", { class: "after", text: `+${Math.max(0, time - created_at).toFixed(1)} s` });
    list.append(el("li", { "data-route": route, "data-outcome": outcome }, after, el("span", { text: words })));
  }
}

/** Set a text only when it changed, so that screen readers do not hear it again. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
