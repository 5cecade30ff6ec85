// The record as it is written: the rail above the windows and the timeline below them.

import { byId, el } from "/demo/dom.js";
import { chart, describe, secondsOf } from "/demo/journey.js";

const NOTES = {
  page: { idle: "live, over WebSocket", active: "waiting for him", passed: "no answer", skipped: "not open", seen: "seen here", spared: "not needed" },
  phone: { idle: "push, by FCM", active: "waiting for a tap", passed: "no answer", skipped: "not reachable", seen: "seen here", spared: "left in peace" },
  mail: { idle: "email, by SMTP", active: "delivered", passed: "delivered", skipped: "not reachable", seen: "seen", spared: "never sent" },
};
const STATES = { pending: "on its way", acknowledged: "seen", exhausted: "every route used" };

export function showRecord({ notification, sentAt, waits, seenAt }) {
  const { stations, sentence } = chart(notification, waits, seenAt);
  showRail({ sent: { state: "passed" }, ...stations });
  setText(byId("sentence"), sentence);
  setText(byId("state"), STATES[notification.state] ?? notification.state);
  byId("state").dataset.state = notification.state;
  showSteps(notification.steps, sentAt);
}

function showRail(stations) {
  for (const item of byId("rail").children) {
    const { state, since, wait_s } = stations[item.dataset.station];
    const note = NOTES[item.dataset.station]?.[state];
    if (note) setText(item.querySelector(".note"), note);
    if (item.dataset.state === state) continue; // an animation that runs is left alone
    item.dataset.state = state;
    if (state === "active") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
    item.style.setProperty("--wait", `${wait_s ?? 0}s`);
    item.style.setProperty("--waited", `${since ? Math.min(0, since - Date.now() / 1000) : 0}s`);
  }
}

function showSteps(steps, sentAt) {
  const list = byId("steps");
  const lines = [{ at: sentAt, route: "sent", words: "Stored, and your backend has its answer" }];
  lines.push(...steps.map((step) => ({ at: secondsOf(step.at), route: step.route, outcome: step.outcome, words: describe(step) })));
  if (list.dataset.sentAt !== String(sentAt)) list.replaceChildren();
  list.dataset.sentAt = sentAt;
  for (const { at, route, outcome, words } of lines.slice(list.children.length)) {
    const after = Math.max(0, at - sentAt);
    const time = el("span", { class: "after", text: `+${after.toFixed(1)} s` });
    list.append(el("li", { "data-route": route, "data-outcome": outcome ?? "stored" }, time, el("span", { text: words })));
  }
}

/** Set a text only when it changed, so that screen readers do not hear it again. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
