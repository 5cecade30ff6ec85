// What could not be delivered: filtered, chosen, tried without effect first, then anew.

import { ask } from "/admin/ask.js";
import { badge, button, card, el, fill, given, moment, renew, searchForm, table, toast } from "/admin/parts.js";

const PROVIDERS = ["apns", "fcm", "webpush", "email", "sms", "webhook"];
const REASONS = [["refused", "refused"], ["gave_up", "gave up"], ["unknown", "unknown"], ["paused", "paused"], ["failed", "no route at all"]];
const SINCE = [["", "Any time"], ["3600", "The last hour"], ["86400", "The last day"], ["604800", "The last week"]];
const RESULTS = { replayed: "would be tried anew", already: "was tried anew already", expired: "has expired", ended: "was seen or called off", device_gone: "its device is gone", not_found: "is no longer there" };
const PAGE = 50;

export const letters = {
  id: "letters",
  title: "Dead letters",
  needs: ["dead_letter_list"],
  make(panel, { api, go }) {
    const found = el("div");
    const fields = [
      { name: "provider", label: "Provider", options: [["", "All"], ...PROVIDERS.map((name) => [name, name])] },
      { name: "reason", label: "Reason", options: [["", "All"], ...REASONS] },
      { name: "since", label: "Since", options: SINCE },
      { name: "include_replayed", label: "Replayed ones too", type: "checkbox" },
    ];
    let filter = {};
    let rows = [];
    const chosen = new Set();
    const form = searchForm(fields, "Show", ({ since, ...more }) => {
      filter = given({ ...more, since: since && Date.now() / 1000 - Number(since) });
      reload();
    });
    panel.append(el("h1", { text: "Dead letters" }), form, found);
    const canReplay = api.has("dead_letter_replay");

    function reload() {
      rows = [];
      chosen.clear();
      return fill(found, () => more(""));
    }

    async function more(cursor) {
      const { items, next_cursor } = await api.call("dead_letter_list", given({ ...filter, cursor, limit: PAGE }));
      rows.push(...items);
      return show(next_cursor);
    }

    function show(next) {
      const replay = button("Replay the chosen", () => plan(), { kind: "primary", key: "replay" });
      const all = button("Choose all shown", () => choose(rows.map(({ id }) => id)), { key: "all" });
      const follow = button("Show more", () => fill(found, () => more(next)), { key: "more" });
      const choose = (ids) => {
        ids.forEach((id) => chosen.add(id));
        renew(found, show(next));
      };
      const count = () => {
        replay.textContent = chosen.size ? `Replay ${chosen.size}` : "Replay the chosen";
        replay.disabled = !chosen.size;
      };
      const box = ({ id, replayed_at }) => {
        if (replayed_at) return badge("replayed");
        const input = el("input", { type: "checkbox", "aria-label": `Choose ${id}`, "data-key": id, on: { change: ({ target }) => (chosen[target.checked ? "add" : "delete"](id), count()) } });
        input.checked = chosen.has(id);
        return input;
      };
      const columns = [
        ...(canReplay ? [{ title: "", cell: box }] : []),
        { title: "When", cell: ({ time }) => moment(time) },
        { title: "User", long: true, cell: ({ user }) => user },
        { title: "Way", long: true, cell: ({ provider, route, address }) => [provider || route || "every route", address].filter(Boolean).join(" · ") },
        { title: "Reason", long: true, cell: ({ reason, detail }) => el("span", {}, badge(reason.replace("_", " "), "bad"), " ", el("span", { class: "soft", text: detail })) },
        { title: "", cell: ({ notification_id: id }) => button("Timeline", () => go("notifications", id), { kind: "link", key: `t${id}`, label: `Timeline of ${id}` }) },
      ];
      count();
      const buttons = rows.length ? [...(canReplay ? [all, replay] : []), ...(next ? [follow] : [])] : [];
      return card("Could not be delivered", table("Dead letters", columns, rows, "Nothing lies here."), el("div", { class: "buttons" }, ...buttons));
    }

    /** Say first what would come of it; nothing is done before that was read. */
    async function plan() {
      const ids = [...chosen];
      let outcome;
      try {
        outcome = await api.call("dead_letter_replay", { ids, dry_run: true });
      } catch (error) {
        toast(error.message);
        return;
      }
      const counts = Map.groupBy ? Map.groupBy(outcome.items, ({ result }) => result) : group(outcome.items);
      const lines = [...counts].map(([result, items]) => el("li", { text: `${items.length}: ${RESULTS[result] ?? result}` }));
      const fields = [el("ul", { class: "plan" }, ...lines), { name: "extend", label: "Let what has expired live anew for", options: [["", "not at all"], ["3600", "an hour"], ["86400", "a day"]] }];
      const act = ({ extend }) => api.call("dead_letter_replay", given({ ids, extend_ttl_s: extend && Number(extend) }));
      const done = await ask({ title: `Replay ${ids.length === 1 ? "one letter" : `${ids.length} letters`}?`, fields, confirm: "Replay", act });
      if (!done) return;
      const begun = done.items.filter(({ result }) => result === "replayed").length;
      toast(`${begun} of ${ids.length} are tried anew.`);
      reload();
    }

    return { open: () => chosen.size || reload() }; // what somebody has chosen stays
  },
};

function group(items) {
  const groups = new Map();
  for (const item of items) groups.set(item.result, [...(groups.get(item.result) ?? []), item]);
  return groups;
}
