// The way of notifications: what waits in the lanes, how carriers and the processes behind them are, guards, the status webhook.

import { ask } from "/admin/ask.js";
import { badge, button, card, duration, el, empty, facts, fill, moment, number, perSecond, renew, renewIfChanged, table, toast } from "/admin/parts.js";
import { Rates, sumOf } from "/admin/rates.js";

const BREAKERS = { open: ["open", "bad"], half_open: ["half open", "warn"], closed: ["closed", "good"] }; // the worst first
const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);
const PAUSES = [["15m", "15 minutes", 900], ["1h", "An hour", 3600], ["8h", "Eight hours", 28_800], ["24h", "A day", 86_400]];

export const pipeline = {
  id: "pipeline",
  title: "Pipeline",
  needs: [],
  make(panel, { api, figures }) {
    const [lanes, carriers, processes, guards, webhook] = Array.from({ length: 5 }, () => el("div"));
    const rates = new Rates();
    panel.append(el("h1", { text: "Pipeline" }), card("Lanes", lanes), card("Carriers", carriers), card("Processes that deliver", processes), el("div", { class: "columns" }, card("Deletion guards", guards), card("Status webhook", webhook)));
    const canOverride = api.has("override_set", "override_remove");

    const isSaid = (kind, target) => figures().health.overrides.find((one) => one.kind === kind && (one.target ?? "") === target);

    function pauseButton(kind, target) {
      const said = isSaid(kind, target);
      const name = `${kind}:${target}`;
      if (said) return button("Resume", () => resume(kind, target), { key: name, label: `Resume ${target}` });
      return button("Pause", () => pause(kind, target), { key: name, label: `Pause ${target}` });
    }

    async function pause(kind, target) {
      const fields = [
        { name: "expires", label: "For how long", options: PAUSES.map(([key, text]) => [key, text]), value: "1h" },
        { name: "reason", label: "Why", maxlength: 500, required: "" },
      ];
      const act = ({ expires, reason }) => api.call("override_set", { kind, target, reason, expires_in_s: PAUSES.find(([key]) => key === expires)[2] });
      if (await ask({ title: `Pause ${target}?`, text: "Nothing is lost: what is due waits, and goes out when the pause ends.", fields, confirm: "Pause", danger: true, act })) toast(`${target} is paused.`);
    }

    async function resume(kind, target) {
      if (await ask({ title: `Resume ${target}?`, text: "What waited goes out, the most important first.", confirm: "Resume", act: () => api.call("override_remove", { kind, target }) })) toast(`${target} goes on.`);
    }

    function showLanes({ lanes: all }) {
      const columns = [
        { title: "Lane", cell: ({ lane }) => lane },
        { title: "Waiting", numeric: true, cell: ({ waiting }) => (waiting >= 100_000 ? "100,000 or more" : number(waiting)) },
        { title: "The oldest for", numeric: true, cell: ({ waiting, age_s }) => (waiting ? duration(age_s) : "–") },
        { title: "State", long: true, cell: ({ lane }) => (isSaid("pause_lane", lane) ? badge("paused", "warn") : badge("runs", "good")) },
        ...(canOverride ? [{ title: "", cell: ({ lane }) => pauseButton("pause_lane", lane) }] : []),
      ];
      return table("Lanes", columns, all, "The queue could not be read.");
    }

    /** Each carrier once, with what all processes say of it. */
    function showCarriers(all) {
      const columns = [
        { title: "Carrier", cell: ({ name }) => name },
        { title: "Breaker", cell: breakerOf },
        { title: "Under way", numeric: true, cell: ({ told }) => number(sum(told.map(({ under_way }) => under_way))) },
        { title: "In line", numeric: true, cell: ({ told }) => number(sum(told.map(({ queued }) => queued))) },
        { title: "Rate", numeric: true, cell: ({ rate }) => (rate === null ? "–" : `${perSecond(rate)} /s`) },
        { title: "Limit", numeric: true, cell: ({ told }) => limitOf(told) },
        { title: "State", long: true, cell: ({ told }) => stateOf(told) },
        ...(canOverride ? [{ title: "", cell: ({ name }) => pauseButton("pause_carrier", name) }] : []),
      ];
      return table("Carriers", columns, all, "No process has told of a provider: set one under [providers], and start a pipeline.");
    }

    function carriersOf({ pipelines }) {
      const carriers = new Map();
      for (const { worker, at, carriers: told } of pipelines)
        for (const one of told) {
          const entry = carriers.get(one.name) ?? { name: one.name, told: [], rates: [] };
          carriers.set(one.name, entry);
          entry.told.push(one);
          entry.rates.push(rates.of(`${worker} ${one.name}`, at, one.ended));
        }
      return [...carriers.values()].map(({ name, told, rates: each }) => ({ name, told, rate: sumOf(each) }));
    }

    function showProcesses({ at, pipelines }, perProcess) {
      const columns = [
        { title: "Process", long: true, cell: ({ worker, name, here }) => el("span", { title: worker }, name, ...(here ? [" ", badge("this one")] : [])) },
        { title: "Heard of", cell: ({ here, at: toldAt }) => (here ? "now" : `${duration(Math.max(0, Math.round(at - toldAt)))} ago`) },
        { title: "Attempts", numeric: true, cell: ({ deliveries }) => number(sum(Object.values(deliveries))) },
        { title: "Accepted", numeric: true, cell: ({ deliveries }) => number(deliveries.accepted ?? 0) },
        { title: "Rate", numeric: true, cell: ({ worker }) => (perProcess.get(worker) === null ? "–" : `${perSecond(perProcess.get(worker))} /s`) },
        { title: "Breakers", long: true, cell: ({ carriers: told }) => openOnes(told) },
      ];
      return table("Processes that deliver", columns, pipelines, "None has been heard of: start one with a pipeline, by heliograph serve or heliograph pusher.");
    }

    async function showGuards() {
      if (!api.has("deletion_guard_list")) return empty("Not told to this role.");
      const { items } = await api.call("deletion_guard_list");
      const columns = [
        { title: "Carrier", cell: ({ provider }) => provider },
        { title: "Closed", cell: ({ closed_at }) => moment(closed_at) },
        { title: "Devices kept", numeric: true, cell: ({ kept }) => number(kept) },
        ...(api.has("deletion_guard_open") ? [{ title: "", cell: ({ provider }) => button("Believe it", () => believe(provider), { label: `Believe ${provider}` }) }] : []),
      ];
      return table("Guards that are closed", columns, items, "All open: providers are believed about devices that are gone.");
    }

    async function believe(provider) {
      const text = `${provider} has called unusually many devices gone. If that is true, have them removed; they can be restored for a while.`;
      if (await ask({ title: "Believe the provider?", text, confirm: "Believe it", danger: true, act: () => api.call("deletion_guard_open", { provider }) })) fill(guards, showGuards);
    }

    async function showWebhook() {
      if (!api.has("status_webhook_info")) return empty("Not told to this role.");
      const { enabled, failing_since, disabled_at, cause } = await api.call("status_webhook_info");
      const state = enabled ? (failing_since ? badge("failing", "warn") : badge("on", "good")) : badge(disabled_at ? "switched off" : "not set", disabled_at ? "bad" : "");
      const pairs = [["State", state]];
      if (failing_since) pairs.push(["Failing since", moment(failing_since)]);
      if (disabled_at) pairs.push(["Switched off", moment(disabled_at)]);
      if (cause) pairs.push(["Cause", cause]);
      const enable = () => ask({ title: "Switch the status webhook on?", text: "What has waited is sent.", confirm: "Switch on", act: () => api.call("status_webhook_enable") }).then(() => fill(webhook, showWebhook));
      return [facts(pairs), ...(disabled_at && api.has("status_webhook_enable") ? [button("Switch on", enable)] : [])];
    }

    return {
      open() {
        fill(guards, showGuards);
        fill(webhook, showWebhook);
      },
      show(now) {
        const said = now.health.overrides;
        renewIfChanged(lanes, [now.lanes, said], () => showLanes(now));
        const all = carriersOf(now);
        const perProcess = new Map(now.pipelines.map(({ worker, at, deliveries }) => [worker, rates.of(worker, at, sum(Object.values(deliveries)))]));
        renewIfChanged(carriers, [all, said], () => showCarriers(all));
        renew(processes, showProcesses(now, perProcess));
      },
    };
  },
};

function breakerOf({ told }) {
  const worst = Object.keys(BREAKERS).find((state) => told.some(({ breaker }) => breaker === state)) ?? told[0].breaker;
  const count = told.filter(({ breaker }) => breaker === worst).length;
  const [word, kind] = BREAKERS[worst] ?? [worst, ""];
  return badge(worst === "closed" || told.length === 1 ? word : `${word} in ${count} of ${told.length}`, kind);
}

/** What all processes together may call; where they differ, for their settings do, the least and the most. */
function limitOf(told) {
  const limits = [...new Set(told.map(({ rate_per_s }) => rate_per_s))].sort((a, b) => a - b);
  return limits.map((limit) => (limit ? `${perSecond(limit)} /s` : "none")).join(" or ");
}

function stateOf(told) {
  const complaints = [...new Set(told.map(({ complaint }) => complaint).filter(Boolean))];
  if (complaints.length) return badge(complaints.join("; "), "bad");
  if (told.some(({ is_paused }) => is_paused)) return badge("paused", "warn");
  const share = Math.min(...told.map(({ rate_share }) => rate_share));
  return share < 1 ? badge(`slowed to ${Math.round(share * 100)} %`, "warn") : badge("runs", "good");
}

function openOnes(told) {
  const open = told.filter(({ breaker }) => breaker !== "closed");
  if (!open.length) return badge("all closed", "good");
  return el("span", { class: "chips" }, ...open.map(({ name, breaker }) => badge(`${name} ${BREAKERS[breaker]?.[0] ?? breaker}`, BREAKERS[breaker]?.[1])));
}
