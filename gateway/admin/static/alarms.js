// What needs attention, the worst first: a strip above every section.

import { button, duration, el, moment, number, renewIfChanged } from "/admin/parts.js";

const SHOWN = 4;
const SOON_S = 14 * 86_400;
// How long the oldest of a lane may wait, in seconds; as the alerts that we ship have it.
const PATIENCE_S = { critical: 5, high: 60, normal: 300, bulk: 3600 };
const REASONS = { draining: "This node is draining.", overloaded: "The loop of this node is overloaded.", refusing: "New connections are refused here." };
const KINDS = { pause_lane: "Lane paused", pause_carrier: "Carrier paused", only_critical: "Only critical notifications are taken", maintenance: "Maintenance", refuse_connections: "New connections refused", connection_limit: "Connections limited", command_rate: "Commands limited", carrier_rate: "Carrier limited" };
const WEIGHTS = { bad: 0, warn: 1, note: 2 };

export class Alarms {
  #place;
  #count;
  #go;
  #isOpen = false;
  #figures = null;

  /** `count` is where their number is said, for those who hear the page; `go(section)` opens one. */
  constructor(place, count, go) {
    this.#place = place;
    this.#count = count;
    this.#go = go;
  }

  show(figures) {
    this.#figures = figures;
    const all = alarmsOf(figures);
    this.#place.hidden = !all.length;
    const said = all.length === 1 ? "One thing needs attention." : all.length ? `${all.length} things need attention.` : "";
    if (this.#count.textContent !== said) this.#count.textContent = said; // told once, however often the figures come
    renewIfChanged(this.#place, [all, this.#isOpen], () => this.#make(all));
  }

  clear() {
    this.#place.replaceChildren();
    this.#place.hidden = true;
    this.#count.textContent = "";
    delete this.#place.dataset.told;
  }

  #make(all) {
    const shown = this.#isOpen ? all : all.slice(0, SHOWN);
    const toggle = () => {
      this.#isOpen = !this.#isOpen;
      this.show(this.#figures);
    };
    const more = button(this.#isOpen ? "Show fewer" : `Show ${all.length - SHOWN} more`, toggle, { key: "more", kind: "alarm" });
    more.setAttribute("aria-expanded", String(this.#isOpen));
    return el("ul", { class: "strip" }, ...shown.map((one, index) => this.#line(one, index)), ...(all.length > SHOWN ? [el("li", {}, more)] : []));
  }

  /** One is a button where there is something to be looked at. */
  #line({ kind, text, until, where }, index) {
    const told = el("span", { text }, ...(until ? [" until ", moment(until)] : []));
    if (!where) return el("li", {}, el("span", { class: "alarm", "data-kind": kind }, told));
    const attributes = { type: "button", class: "alarm", "data-kind": kind, "data-key": `${where}:${index}`, title: "Show" };
    return el("li", {}, el("button", { ...attributes, on: { click: () => this.#go(where) } }, told));
  }
}

/** Tell what needs attention: {kind: bad | warn | note, text, until, where}. */
export function alarmsOf(figures) {
  const { health, missing } = figures;
  const alarms = [
    ...away(health),
    ...breakers(figures),
    ...lanes(figures),
    ...certificates(figures),
    ...missing.map((name) => ({ kind: "warn", text: `The figures of ${name} could not be read just now.` })),
    ...[...health.concerns, ...others(figures)].map((text) => ({ kind: "warn", text })),
    ...health.overrides.map(override),
  ];
  return alarms.sort((a, b) => WEIGHTS[a.kind] - WEIGHTS[b.kind]);
}

function away({ reasons, dependencies }) {
  const gone = dependencies.filter(({ state }) => state === "away").map(({ name }) => name);
  const told = reasons.filter((reason) => !gone.includes(reason));
  return [...gone.map((name) => `The ${name} does not answer.`), ...told.map((reason) => REASONS[reason] ?? `Not ready: ${reason}.`)].map((text) => ({ kind: "bad", text, where: "overview" }));
}

function breakers({ pipelines }) {
  const names = new Set(pipelines.flatMap(({ carriers }) => carriers.filter(({ breaker }) => breaker !== "closed").map(({ name }) => name)));
  return [...names].sort().map((name) => {
    const all = pipelines.flatMap(({ carriers }) => carriers.filter((one) => one.name === name));
    const open = all.filter(({ breaker }) => breaker === "open").length;
    const word = open ? "open" : "half open";
    const count = all.filter(({ breaker }) => breaker !== "closed").length;
    return { kind: open ? "bad" : "warn", text: `The breaker of ${name} is ${word}${all.length > 1 ? ` in ${count} of ${all.length} processes` : ""}.`, where: "pipeline" };
  });
}

function lanes({ lanes: all, pipelines, health }) {
  const paused = new Set(health.overrides.filter(({ kind }) => kind === "pause_lane").map(({ target }) => target));
  const old = all.filter(({ lane, waiting, age_s }) => waiting && age_s > PATIENCE_S[lane] && !paused.has(lane));
  const idle = !pipelines.length && all.some(({ waiting }) => waiting);
  return [
    ...(idle ? [{ kind: "bad", text: "Notifications wait, and no process delivers them.", where: "pipeline" }] : []),
    ...old.map(({ lane, waiting, age_s }) => ({ kind: "bad", text: `Lane ${lane}: ${number(waiting)} wait, the oldest for ${duration(age_s)}.`, where: "pipeline" })),
  ];
}

function certificates({ at, certificates: own, pipelines }) {
  const ends = new Map(Object.entries(own));
  for (const [name, endsAt] of pipelines.flatMap((one) => Object.entries(one.certificates))) ends.set(name, Math.min(endsAt, ends.get(name) ?? Infinity));
  return [...ends]
    .filter(([, endsAt]) => endsAt - at < SOON_S)
    .map(([name, endsAt]) => ({ kind: endsAt <= at ? "bad" : "warn", text: endsAt <= at ? `The certificate of ${name} has ended.` : `The certificate of ${name} ends in ${duration(endsAt - at)}.` }));
}

/** What other processes have to say; this one's stands in its health. */
function others({ pipelines }) {
  return pipelines.filter(({ here }) => !here).flatMap(({ name, concerns }) => concerns.map((text) => `${name}: ${text}`));
}

function override({ kind, target, value, expires_at }) {
  const of = [target, kind === "maintenance" ? value : ""].filter(Boolean).join(", ");
  return { kind: "note", text: `${KINDS[kind] ?? kind}${of ? ` (${of})` : ""}`, until: expires_at, where: "overrides" };
}
