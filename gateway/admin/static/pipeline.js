// The way of notifications: what waits in the lanes, how carriers are, guards, and the status webhook.

import { ask } from "/admin/ask.js";
import { badge, button, card, duration, el, empty, facts, fill, moment, number, renewIfChanged, table, toast } from "/admin/parts.js";

const BREAKERS = { closed: ["closed", "good"], half_open: ["half open", "warn"], open: ["open", "bad"] };
const PAUSES = [["15m", "15 minutes", 900], ["1h", "An hour", 3600], ["8h", "Eight hours", 28_800], ["24h", "A day", 86_400]];

export const pipeline = {
  id: "pipeline",
  title: "Pipeline",
  needs: [],
  make(panel, { api, figures }) {
    const [lanes, carriers, guards, webhook] = Array.from({ length: 4 }, () => el("div"));
    panel.append(el("h1", { text: "Pipeline" }), card("Lanes", lanes), card("Carriers of this process", carriers), el("div", { class: "columns" }, card("Deletion guards", guards), card("Status webhook", webhook)));
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
        { title: "State", long: true, cell: ({ lane }) => (isSaid("pause_lane", lane) ? badge("paused", "warn") : badge("goes", "good")) },
        ...(canOverride ? [{ title: "", cell: ({ lane }) => pauseButton("pause_lane", lane) }] : []),
      ];
      return table("Lanes", columns, all, "The queue could not be read.");
    }

    function showCarriers({ health }) {
      const columns = [
        { title: "Carrier", cell: ({ name }) => name },
        { title: "Breaker", cell: ({ breaker }) => badge(...(BREAKERS[breaker] ?? [breaker])) },
        { title: "Under way", numeric: true, cell: ({ under_way }) => number(under_way) },
        { title: "State", long: true, cell: ({ paused, complaint }) => (complaint ? badge(complaint, "bad") : paused ? badge("paused", "warn") : badge("goes", "good")) },
        ...(canOverride ? [{ title: "", cell: ({ name }) => pauseButton("pause_carrier", name) }] : []),
      ];
      return table("Carriers", columns, health.carriers, "This process has no pipeline: look at a pusher's own port, or at its metrics.");
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
        renewIfChanged(carriers, [now.health.carriers, said], () => showCarriers(now));
      },
    };
  },
};
