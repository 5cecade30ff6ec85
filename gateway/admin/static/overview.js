// How things are: the figures of the moment, the nodes, and what this one leans on.

import { alarmsOf } from "/admin/alarms.js";
import { badge, bytes, card, duration, el, empty, facts, moment, number, perSecond, renewIfChanged, table } from "/admin/parts.js";
import { Plot, Series } from "/admin/plots.js";
import { Rates, sumOf } from "/admin/rates.js";

const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);

// Each tile: what it is called, the value of a moment (or the rate that counters make), its unit, and a line below.
const own = (count) => (figures, rates) => rates.of(figures.node.uid, figures.at, count(figures.node));
const TILES = [
  { id: "clients", title: "Connections", value: (f) => sum(f.nodes.map((n) => n.num_clients)) || f.node.clients, below: (f) => `${number(f.node.clients)} here, of ${number(f.node.users)} users` },
  { id: "messages", title: "Messages to clients", rate: own((n) => n.messages), unit: "/s", below: (f) => `${number(f.node.messages)} since the start` },
  { id: "commands", title: "Commands of clients", rate: own((n) => n.commands), unit: "/s", below: (f) => `${number(f.node.command_errors)} of ${number(f.node.commands)} failed` },
  { id: "calls", title: "API calls", rate: own((n) => n.calls), unit: "/s", below: (f) => `${number(f.node.call_errors)} of ${number(f.node.calls)} failed` },
  { id: "deliveries", title: "Deliveries", rate: deliveryRate, unit: "/s", below: deliveriesBelow },
  { id: "waiting", title: "Waiting in the lanes", value: (f) => sum(f.lanes.map((lane) => lane.waiting)), below: (f) => `the oldest for ${duration(Math.max(0, ...f.lanes.map((lane) => lane.age_s)))}` },
  { id: "lag", title: "Loop lag", value: (f) => f.node.lag_ms, unit: "ms", below: () => "how late this process is" },
  { id: "subscriptions", title: "Subscriptions", value: (f) => f.node.subscriptions, below: (f) => `in ${number(f.node.channels)} channels here` },
];

function deliveryRate({ pipelines }, rates) {
  return sumOf(pipelines.map(({ worker, at, deliveries }) => rates.of(worker, at, sum(Object.values(deliveries)))));
}

function deliveriesBelow({ pipelines }) {
  if (!pipelines.length) return "no process delivers";
  const accepted = sum(pipelines.map(({ deliveries }) => deliveries.accepted ?? 0));
  return `${number(accepted)} accepted${pipelines.length > 1 ? `, ${pipelines.length} processes` : " by providers"}`;
}

class Tile {
  #spec;
  #series = new Series();
  #rates = new Rates();
  #plot;
  #number = el("span", { class: "figure", text: "–" });
  #below = el("p", { class: "below" });

  constructor(spec) {
    this.#spec = spec;
    this.#plot = new Plot(spec.title);
    const unit = el("span", { class: "unit", text: spec.unit ?? "" });
    const value = el("p", { class: "value" }, this.#number, unit);
    this.element = el("section", { class: "tile", "data-tile": spec.id }, el("h2", { text: spec.title }), value, this.#below, this.#plot.element);
  }

  show(figures) {
    const { rate, value, unit, below } = this.#spec;
    const now = rate ? rate(figures, this.#rates) : value(figures);
    this.#below.textContent = below(figures);
    if (now === null) return; // a rate needs a second look
    this.#series.add(figures.at, now);
    const write = rate ? perSecond : number;
    this.#number.textContent = write(now);
    this.#plot.draw(this.#series, (told) => [write(told), unit].filter(Boolean).join(" "));
  }
}

export const overview = {
  id: "overview",
  title: "Overview",
  needs: [],
  make(panel) {
    const tiles = TILES.map((spec) => new Tile(spec));
    const calm = el("p", { class: "calm", text: "Nothing needs attention." });
    const [nodes, dependencies, process, disconnects] = Array.from({ length: 4 }, () => el("div"));
    panel.append(
      el("h1", { class: "hidden", text: "Overview" }),
      calm,
      el("div", { class: "tiles" }, ...tiles.map(({ element }) => element)),
      card("Nodes", nodes),
      el("div", { class: "columns" }, card("Dependencies", dependencies), card("This process", process), card("Why connections ended here", disconnects)),
    );
    return {
      always: true,
      show(figures) {
        for (const tile of tiles) tile.show(figures);
        calm.hidden = alarmsOf(figures).length > 0;
        renewIfChanged(nodes, figures.nodes, () => showNodes(figures));
        renewIfChanged(dependencies, figures.health.dependencies, () => showDependencies(figures.health.dependencies));
        renewIfChanged(process, [figures.health.process, figures.health.uptime_s], () => showProcess(figures.health));
        renewIfChanged(disconnects, figures.node.disconnects, () => showDisconnects(figures.node.disconnects));
      },
    };
  },
};

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
