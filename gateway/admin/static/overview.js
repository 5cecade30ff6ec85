// How things are: the figures of the moment, what needs attention, the nodes, and what this one leans on.

import { Plot, Series } from "/admin/plots.js";
import { badge, bytes, card, duration, el, empty, facts, moment, number, renewIfChanged, table } from "/admin/parts.js";

const perSecond = (value) => (value < 10 ? number(Math.round(value * 10) / 10) : number(Math.round(value)));
const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);

// Each tile: what it is called, the value of a moment (or the counter that a rate is made of), its unit, and a line below.
const TILES = [
  { id: "clients", title: "Connections", value: (f) => sum(f.nodes.map((n) => n.num_clients)) || f.node.clients, below: (f) => `${number(f.node.clients)} here, of ${number(f.node.users)} users` },
  { id: "messages", title: "Messages to clients", counter: (f) => f.node.messages, unit: "/s", below: (f) => `${number(f.node.messages)} since the start` },
  { id: "commands", title: "Commands of clients", counter: (f) => f.node.commands, unit: "/s", below: (f) => `${number(f.node.command_errors)} of ${number(f.node.commands)} failed` },
  { id: "calls", title: "API calls", counter: (f) => f.node.calls, unit: "/s", below: (f) => `${number(f.node.call_errors)} of ${number(f.node.calls)} failed` },
  { id: "deliveries", title: "Deliveries", counter: (f) => sum(Object.values(f.deliveries ?? {})), unit: "/s", below: (f) => (f.deliveries ? `${number(f.deliveries.accepted ?? 0)} accepted by providers` : "this process has no pipeline") },
  { id: "waiting", title: "Waiting in the lanes", value: (f) => sum(f.lanes.map((lane) => lane.waiting)), below: (f) => `the oldest for ${duration(Math.max(0, ...f.lanes.map((lane) => lane.age_s)))}` },
  { id: "lag", title: "Loop lag", value: (f) => f.node.lag_ms, unit: "ms", below: () => "how late this process is" },
  { id: "subscriptions", title: "Subscriptions", value: (f) => f.node.subscriptions, below: (f) => `in ${number(f.node.channels)} channels here` },
];

class Tile {
  #spec;
  #series = new Series();
  #plot;
  #number = el("span", { class: "figure" });
  #below = el("p", { class: "below" });
  #before = null;

  constructor(spec) {
    this.#spec = spec;
    this.#plot = new Plot(spec.title);
    const unit = el("span", { class: "unit", text: spec.unit ?? "" });
    const value = el("p", { class: "value" }, this.#number, unit);
    this.element = el("section", { class: "tile", "data-tile": spec.id }, el("h2", { text: spec.title }), value, this.#plot.element, this.#below);
  }

  show(figures) {
    const value = this.#spec.counter ? this.#rate(this.#spec.counter(figures), figures) : this.#spec.value(figures);
    if (value !== null) this.#series.add(value);
    const write = this.#spec.counter ? perSecond : number;
    this.#number.textContent = write(this.#series.last);
    this.#below.textContent = this.#spec.below(figures);
    if (this.#series.points.length) this.#plot.draw(this.#series, write);
  }

  /** Make a rate of a counter; none for the first look, and after a start or another node's answer. */
  #rate(count, { at, node }) {
    const before = this.#before;
    this.#before = { at, count, uid: node.uid };
    if (!before || before.uid !== node.uid || count < before.count || at <= before.at) return null;
    return (count - before.count) / (at - before.at);
  }
}

export const overview = {
  id: "overview",
  title: "Overview",
  needs: [],
  make(panel, { go }) {
    const tiles = TILES.map((spec) => new Tile(spec));
    const [attention, nodes, dependencies, process, disconnects] = Array.from({ length: 5 }, () => el("div"));
    panel.append(
      el("h1", { class: "hidden", text: "Overview" }),
      el("div", { class: "attention", role: "status" }, attention),
      el("div", { class: "tiles" }, ...tiles.map(({ element }) => element)),
      card("Nodes", nodes),
      el("div", { class: "columns" }, card("Dependencies", dependencies), card("This process", process), card("Why connections ended here", disconnects)),
    );
    return {
      always: true,
      show(figures) {
        for (const tile of tiles) tile.show(figures);
        renewIfChanged(attention, concernsOf(figures), () => showAttention(concernsOf(figures), go));
        renewIfChanged(nodes, figures.nodes, () => showNodes(figures));
        renewIfChanged(dependencies, figures.health.dependencies, () => showDependencies(figures.health.dependencies));
        renewIfChanged(process, [figures.health.process, figures.health.uptime_s], () => showProcess(figures.health));
        renewIfChanged(disconnects, figures.node.disconnects, () => showDisconnects(figures.node.disconnects));
      },
    };
  },
};

const REASONS = { draining: "This node is draining.", overloaded: "The loop of this node is overloaded.", refusing: "New connections are refused here." };

function concernsOf({ health, missing }) {
  const open = health.carriers.filter(({ breaker }) => breaker !== "closed");
  return [
    ...(health.maintenance ? [{ kind: "note", text: `Maintenance: ${health.maintenance}` }] : []),
    ...health.reasons.map((reason) => ({ kind: "bad", text: REASONS[reason] ?? `The ${reason} does not answer.` })),
    ...health.concerns.map((text) => ({ kind: "warn", text })),
    ...open.map(({ name, breaker }) => ({ kind: "warn", text: `The breaker of ${name} is ${breaker.replace("_", " ")}.`, go: "pipeline" })),
    ...missing.map((name) => ({ kind: "warn", text: `The figures of ${name} could not be read just now.` })),
    ...(health.overrides.length ? [{ kind: "note", text: `${health.overrides.length === 1 ? "One override is" : `${health.overrides.length} overrides are`} in force.`, go: "overrides" }] : []),
  ];
}

function showAttention(concerns, go) {
  if (!concerns.length) return el("p", { class: "calm", text: "Nothing needs attention." });
  const line = ({ kind, text, go: where }) =>
    el("li", { "data-kind": kind }, el("span", { text }), ...(where ? [el("button", { type: "button", class: "plain", text: "Show", "data-key": where, on: { click: () => go(where) } })] : []));
  return el("ul", { class: "concerns" }, ...concerns.map(line));
}

function showNodes({ nodes, node }) {
  const columns = [
    { title: "Node", long: true, cell: (row) => el("span", { title: row.uid }, row.name, ...(row.uid === node.uid ? [" ", badge("this one")] : [])) },
    { title: "Version", cell: ({ version }) => version },
    { title: "Connections", numeric: true, cell: (row) => number(row.num_clients) },
    { title: "Users", numeric: true, cell: (row) => number(row.num_users) },
    { title: "Channels", numeric: true, cell: (row) => number(row.num_channels) },
    { title: "Subscriptions", numeric: true, cell: (row) => number(row.num_subs) },
    { title: "Up for", numeric: true, cell: ({ uptime }) => duration(uptime) },
  ];
  return table("Nodes", columns, nodes, "No node answers.");
}

function showDependencies(dependencies) {
  if (!dependencies.length) return empty("Nothing was looked at yet.");
  const word = ({ state, latency_ms }) => (state === "well" ? `answers in ${number(latency_ms)} ms` : state === "away" ? "does not answer" : "not looked at yet");
  return facts(
    dependencies.map((one) => [
      one.name === "engine" ? "Real-time engine" : one.name === "store" ? "Store" : one.name,
      el(
        "span",
        {},
        badge(word(one), one.state === "well" ? "good" : one.state === "away" ? "bad" : ""),
        ...(one.last_error ? [el("span", { class: "soft" }, ` last trouble: ${one.last_error}, `, moment(one.last_error_at))] : []),
      ),
    ]),
  );
}

function showProcess({ process, uptime_s }) {
  const pairs = [["Up for", duration(uptime_s)]];
  if (process.memory_bytes !== undefined) pairs.push(["Memory", bytes(process.memory_bytes)]);
  if (process.descriptors_used !== undefined) pairs.push(["Descriptors", `${number(process.descriptors_used)} of ${process.descriptor_limit < 0 ? "no limit" : number(process.descriptor_limit)}`]);
  if (process.disk_free_bytes !== undefined) pairs.push(["Disk of the store", `${bytes(process.disk_free_bytes)} free of ${bytes(process.disk_total_bytes)}`]);
  return facts(pairs);
}

const CODES = { 3000: "closed by the client", 3001: "shutdown", 3004: "server error", 3005: "expired", 3008: "too slow", 3011: "sent elsewhere", 3012: "no pong", 3014: "token revoked", 3500: "token invalid", 3501: "bad request", 3503: "disconnected by an operator", 3504: "too many connections", 3507: "not permitted" };

function showDisconnects(byCode) {
  const rows = Object.entries(byCode).sort(([, a], [, b]) => b - a).slice(0, 6);
  if (!rows.length) return empty("No connection has ended here yet.");
  return facts(rows.map(([code, count]) => [`${code} ${CODES[code] ?? ""}`, number(count)]));
}
