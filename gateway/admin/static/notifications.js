// What became of a notification: found by its id or among those of a user, and drawn along time.

import { ask } from "/admin/ask.js";
import { badge, button, card, code, duration, el, empty, facts, fill, given, moment, searchForm, table, toast } from "/admin/parts.js";

const STATES = { pending: ["on its way", "warn"], acknowledged: ["seen", "good"], exhausted: ["every route used, not seen", ""], failed: ["no route could take it", "bad"], expired: ["expired", ""], cancelled: ["cancelled", ""], digested: ["told in a digest", ""], held_out: ["held out", ""] };
const GOOD = new Set(["published", "accepted", "acknowledged", "seen", "read", "clicked", "opened"]);
const BAD = new Set(["unregistered", "refused", "gave_up", "unknown", "failed"]);
const words = (text) => text.replaceAll("_", " ");
const kindOf = (outcome) => (GOOD.has(outcome) ? "good" : BAD.has(outcome) ? "bad" : outcome === "retry" || outcome === "paused" ? "warn" : "");

export const notifications = {
  id: "notifications",
  title: "Notifications",
  needs: ["notification_status"],
  make(panel, { api, go }) {
    const found = el("div");
    const fields = [
      { name: "by", label: "By", options: [["id", "Id"], ["user", "User"]] },
      { name: "text", label: "Id of the notification or user", maxlength: 255 },
    ];
    const form = searchForm(fields, "Find", ({ by, text }) => go("notifications", by === "user" ? `user:${text}` : text));
    panel.append(el("h1", { text: "Notifications" }), form, found);

    async function showOne(id) {
      const { notification } = await api.call("notification_status", { id });
      const { user, state, priority, category, created_at, expires_at, steps, marks = {} } = notification;
      const cancel = async () => {
        const act = () => api.call("notification_cancel", { id });
        if (!(await ask({ title: "Cancel this notification?", text: "What has gone out stays out; nothing more goes.", confirm: "Cancel it", danger: true, act }))) return;
        toast("Cancelled.");
        fill(found, () => showOne(id));
      };
      const buttons = [button("Look again", () => fill(found, () => showOne(id)), { key: "again" })];
      if (state === "pending" && api.has("notification_cancel")) buttons.push(button("Cancel it", cancel, { kind: "danger", key: "cancel" }));
      const [word, kind] = STATES[state] ?? [words(state), ""];
      const pairs = [
        ["State", badge(word, kind)],
        ["User", user ? button(user, () => go("notifications", `user:${user}`), { kind: "link", key: "user" }) : "–"],
        ["Priority", priority],
        ["Category", category || "–"],
        ["Stored", moment(created_at)],
        ["Expires", moment(expires_at)],
      ];
      for (const [name, told] of [["Experiment", notification.experiment], ["Variant", notification.variant], ["Told in digest", notification.digested_into]]) if (told) pairs.push([name, told]);
      const marked = Object.entries(marks).map(([outcome, time]) => ({ route: "user", outcome, time }));
      const lines = [...steps, ...marked].sort((a, b) => a.time - b.time);
      return card(id, facts(pairs), drawing(created_at, lines), timeline(created_at, lines), el("div", { class: "buttons" }, ...buttons));
    }

    async function showUser(user) {
      const cards = [];
      if (api.has("inbox_list")) {
        const [inbox, archive] = [el("section", { class: "card" }), el("section", { class: "card" })];
        cards.push(inbox);
        await showShelf(inbox, user, "", `Notifications of ${user}`);
        await showShelf(archive, user, "archived", `Archived by ${user}`);
        if (archive.querySelector("tbody")) cards.push(archive);
      }
      if (api.has("device_list")) {
        const { items } = await api.call("device_list", { user });
        const columns = [
          { title: "Provider", cell: ({ provider, app }) => (app ? `${provider}:${app}` : provider) },
          { title: "Platform", cell: ({ platform }) => platform || "–" },
          { title: "Address", long: true, cell: ({ token }) => code(token) },
          { title: "Registered", cell: ({ registered_at }) => moment(registered_at) },
        ];
        cards.push(card("Devices", table(`Devices of ${user}`, columns, items, `${user} has no device and no address.`)));
      }
      if (api.has("removed_device_list")) {
        const { items } = await api.call("removed_device_list", { user });
        if (items.length) cards.push(card("Removed devices", table(`Removed devices of ${user}`, removedColumns(user), items, "")));
      }
      return cards.length ? cards : empty("Not told to this role.");
    }

    /** A page after the other of what is told to the user and kept; the newest first. */
    async function showShelf(place, user, shelf, title) {
      const rows = [];
      const columns = [
        { title: "Stored", cell: ({ created_at }) => moment(created_at) },
        { title: "Title", long: true, cell: ({ id, title: text }) => button(text || id, () => go("notifications", id), { kind: "link", key: id }) },
        { title: "Category", long: true, cell: ({ category }) => category ?? "–" },
        { title: "Priority", cell: ({ priority }) => priority },
        { title: "User", cell: ({ seen, read }) => (read ? badge("read", "good") : seen ? badge("seen", "good") : badge("not seen")) },
      ];
      const more = async (cursor) => {
        const { items, next_cursor } = await api.call("inbox_list", given({ user, filter: shelf, cursor, limit: 50 }));
        rows.push(...items);
        const follow = next_cursor ? [button("Show more", () => fill(place, () => more(next_cursor)), { key: "more" })] : [];
        return [el("h2", { text: title }), table(title, columns, rows, `Nothing lies in the inbox of ${user}.`), el("div", { class: "buttons" }, ...follow)];
      };
      place.replaceChildren(...(await more("")));
    }

    function removedColumns(user) {
      const restore = async (id) => {
        const text = "It is registered again as it was, and gets what comes from now on.";
        if (!(await ask({ title: "Restore this device?", text, confirm: "Restore", act: () => api.call("device_restore", { user, id }) }))) return;
        toast("Restored.");
        fill(found, () => showUser(user));
      };
      return [
        { title: "Provider", cell: ({ device: { provider, app } }) => (app ? `${provider}:${app}` : provider) },
        { title: "Address", long: true, cell: ({ device }) => code(device.token) },
        { title: "Removed", cell: ({ removed_at }) => moment(removed_at) },
        { title: "Because", long: true, cell: ({ because }) => because },
        ...(api.has("device_restore") ? [{ title: "", cell: ({ device: { id } }) => button("Restore", () => restore(id), { key: id, label: `Restore ${id}` }) }] : []),
      ];
    }

    return {
      open(argument) {
        const isUser = argument.startsWith("user:");
        const text = isUser ? argument.slice(5) : argument;
        form.elements.by.value = isUser ? "user" : "id";
        form.elements.text.value = text;
        if (text) fill(found, () => (isUser ? showUser(text) : showOne(text)));
        else found.replaceChildren(empty("By its id: what became of a notification, step by step. By the id of a user: what lies in their inbox, and their devices."));
      },
    };
  },
};

/** Routes one below the other, time from left to right; the list below says the same in words. */
function drawing(beganAt, lines) {
  const spanS = Math.max(1, ...lines.map(({ time }) => time - beganAt)) * 1.02;
  const routes = [...new Set(["stored", ...lines.map(({ route }) => route || "pipeline")])];
  const chart = el("div", { class: "chart", "aria-hidden": "true" });
  for (const route of routes) {
    const track = el("div", { class: "track" });
    for (const { time, outcome } of route === "stored" ? [{ time: beganAt, outcome: "stored" }] : lines.filter((line) => (line.route || "pipeline") === route)) {
      const dot = el("span", { class: "mark", "data-kind": kindOf(outcome), title: `${words(outcome)}, +${duration(Math.max(0, time - beganAt))}` });
      dot.style.setProperty("left", `${(Math.max(0, time - beganAt) / spanS) * 100}%`);
      track.append(dot);
    }
    chart.append(el("span", { class: "route", text: route }), track);
  }
  chart.append(el("span"), el("div", { class: "scale" }, el("span", { text: "0 s" }), el("span", { text: duration(spanS / 2) }), el("span", { text: duration(spanS) })));
  return chart;
}

function timeline(beganAt, lines) {
  const stored = { route: "", outcome: "stored", time: beganAt };
  return el(
    "ol",
    { class: "timeline" },
    ...[stored, ...lines].map(({ time, route, outcome, provider, address, attempt, detail }) =>
      el(
        "li",
        { "data-kind": kindOf(outcome) },
        el("span", { class: "after", text: `+${duration(Math.max(0, time - beganAt))}` }),
        el("strong", { text: words(outcome) }),
        el("span", { text: [route, provider && provider !== route && provider, address, attempt > 1 && `attempt ${attempt}`].filter(Boolean).join(" · ") }),
        ...(detail ? [el("span", { class: "soft", text: detail })] : []),
      ),
    ),
  );
}
