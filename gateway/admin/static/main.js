// The page as a whole: who is here, which section is open, and the figures that all sections may use.

import { Alarms } from "/admin/alarms.js";
import { Api } from "/admin/api.js";
import { audit } from "/admin/audit.js";
import { campaigns } from "/admin/campaigns.js";
import { channels } from "/admin/channels.js";
import { connections } from "/admin/connections.js";
import { letters } from "/admin/letters.js";
import { Live } from "/admin/live.js";
import { notifications } from "/admin/notifications.js";
import { overrides } from "/admin/overrides.js";
import { overview } from "/admin/overview.js";
import { byId, el } from "/admin/parts.js";
import { pipeline } from "/admin/pipeline.js";
import { rules } from "/admin/rules.js";

// A section: {id, title, needs: methods, make(panel, context) → {open?(argument), show?(figures)}}
const SECTIONS = [overview, connections, channels, pipeline, notifications, letters, campaigns, overrides, rules, audit];
const STATES = { ready: "Ready", draining: "Draining", degraded: "Degraded" };
const WAYS = { live: "Live", asking: "Asking", lost: "No answer" };

const api = new Api();
const live = new Live(api);
const alarms = new Alarms(byId("alarms"), byId("alarm-count"), (section) => go(made.has(section) ? section : "overview"));
let made = new Map(); // id → what `make` gave
let figures = null;

function enter() {
  byId("gate").hidden = true;
  byId("app").hidden = false;
  byId("who").textContent = api.isOperator ? api.session.name : `${api.session.name} (may only look)`;
  figures = null;
  build();
  openFromAddress();
  live.start();
}

function leave(reason = "") {
  live.stop();
  byId("ask").close();
  byId("app").hidden = true;
  byId("gate").hidden = false;
  byId("tabs").replaceChildren();
  alarms.clear();
  byId("main").replaceChildren(); // nothing of what was seen stays in the page
  byId("wrong").textContent = reason;
  byId("name").focus();
}

// ---- sections

function build() {
  made = new Map();
  const sections = SECTIONS.filter(({ needs }) => api.has(...needs));
  byId("tabs").replaceChildren(...sections.map(({ id, title }) => makeTab(id, title)));
  byId("main").replaceChildren(
    ...sections.map(({ id }) => el("section", { id: `panel-${id}`, class: "panel", role: "tabpanel", "aria-labelledby": `tab-${id}`, hidden: "" })),
  );
  for (const section of sections) made.set(section.id, section.make(byId(`panel-${section.id}`), { api, go, figures: () => figures }));
}

function makeTab(id, title) {
  const attributes = { id: `tab-${id}`, type: "button", role: "tab", "aria-controls": `panel-${id}`, "aria-selected": "false", tabindex: "-1" };
  return el("button", { ...attributes, text: title, on: { click: () => go(id), keydown: roam } });
}

/** Arrows roam among tabs, Enter or Space opens: the one that is open is the only stop for Tab. */
function roam(event) {
  const tabs = [...byId("tabs").children];
  const at = tabs.indexOf(event.currentTarget);
  const steps = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: tabs.length - 1 };
  if (!(event.key in steps)) return;
  event.preventDefault();
  tabs.at(steps[event.key] % tabs.length).focus();
}

/** Open a section, by its address: so that a reload and the way back lead to the same place. */
function go(id, argument = "") {
  const address = `#${id}${argument ? `/${encodeURIComponent(argument)}` : ""}`;
  if (location.hash === address) openFromAddress();
  else location.hash = address;
}

function openFromAddress() {
  if (byId("app").hidden) return;
  const [asked, argument = ""] = location.hash.slice(1).split("/");
  if (asked === "main") return; // the skip link
  const id = made.has(asked) ? asked : "overview";
  for (const tab of byId("tabs").children) {
    const isOpen = tab.id === `tab-${id}`;
    tab.setAttribute("aria-selected", String(isOpen));
    tab.tabIndex = isOpen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !isOpen;
  }
  showOpenTab();
  document.title = `${byId(`tab-${id}`).textContent} · heliograph`;
  made.get(id).open?.(decode(argument));
  if (figures) made.get(id).show?.(figures);
}

/** Where tabs stand in a row that is longer than the screen, bring the open one into sight; nothing else is scrolled. */
function showOpenTab() {
  const row = byId("tabs");
  const open = row.querySelector('[aria-selected="true"]');
  if (open) row.scrollLeft = open.offsetLeft - (row.clientWidth - open.offsetWidth) / 2;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

// ---- figures

live.onFigures = (told) => {
  figures = told;
  const { health, node } = told;
  byId("where").textContent = `${node.name} · ${health.version}`;
  setState("state", health.state, STATES[health.state] ?? health.state);
  alarms.show(told);
  // Plots go on in sections that are not seen; what else they show is drawn when they are opened.
  for (const [id, section] of made) if (section.always || !byId(`panel-${id}`).hidden) section.show?.(told);
};
live.onState = (way) => setState("live", way, WAYS[way]);

/** Set a text only when it changed, so that screen readers do not hear it again. */
function setState(id, state, text) {
  const place = byId(id);
  place.dataset.state = state;
  if (place.textContent !== text) place.textContent = text;
}

// ---- coming and going

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  const password = byId("password");
  button.disabled = true;
  byId("wrong").textContent = "";
  try {
    await api.login(byId("name").value.trim(), password.value);
    password.value = "";
    enter();
  } catch (error) {
    byId("wrong").textContent = error.status === 401 ? "Name or password is wrong." : error.message;
    password.select();
  } finally {
    button.disabled = false;
  }
});

byId("logout").addEventListener("click", async () => {
  try {
    await api.logout();
    leave();
  } catch (error) {
    leave(`This browser is logged out, but the server could not be told: ${error.message}`);
  }
});

api.onEnded = () => leave("The session has ended. Log in again.");
window.addEventListener("hashchange", openFromAddress);
window.addEventListener("resize", showOpenTab);

try {
  if (await api.resume()) enter();
  else leave();
} catch (error) {
  leave(error.message);
}
