// Which channels have subscribers now, who is there, and where their streams stand.

import { badge, button, card, code, el, empty, facts, fill, number, searchForm, table } from "/admin/parts.js";

const SHOWN = 200;
const HEAD = 5;

export const channels = {
  id: "channels",
  title: "Channels",
  needs: ["channels"],
  make(panel, { api, go }) {
    const list = el("div");
    const one = el("div");
    const form = searchForm([{ name: "pattern", label: "Channels", placeholder: "Such as chat:* or {news,chat}:*; empty for all", maxlength: 255 }], "Find", ({ pattern }) => fill(list, () => find(pattern)));
    panel.append(el("h1", { text: "Channels" }), form, one, list);

    async function find(pattern) {
      const { channels: all } = await api.call("channels", { pattern });
      const rows = Object.entries(all).sort(([, a], [, b]) => b.num_clients - a.num_clients);
      const columns = [
        { title: "Channel", long: true, cell: ([name]) => button(name, () => go("channels", name), { kind: "link", key: name }) },
        { title: "Subscribers", numeric: true, cell: ([, { num_clients }]) => number(num_clients) },
      ];
      const more = rows.length > SHOWN ? [empty(`${number(rows.length - SHOWN)} more are not shown: narrow the search.`)] : [];
      return [card(rows.length === 1 ? "One channel" : `${number(rows.length)} channels`, table("Channels", columns, rows.slice(0, SHOWN), "No channel has subscribers now."), ...more)];
    }

    async function look(name) {
      const [stats, presence, history] = await Promise.all([
        settle(api, "presence_stats", { channel: name }),
        settle(api, "presence", { channel: name }),
        settle(api, "history", { channel: name, limit: HEAD, reverse: true }),
      ]);
      const back = button("Close", () => go("channels"), { key: "close" });
      return card(name, showPresence(stats, presence), showHistory(history), el("div", { class: "buttons" }, back));
    }

    function showPresence(stats, presence) {
      if (stats.error) return facts([["Presence", stats.error.code === 108 ? "is not kept for this channel" : stats.error.message]]);
      const { num_clients, num_users } = stats.result;
      const people = Object.entries(presence.result?.presence ?? {}).map(([client, info]) => ({ client, ...info }));
      const columns = [
        { title: "User", long: true, cell: ({ user }) => (user ? button(user, () => go("connections", user), { kind: "link" }) : badge("anonymous")) },
        { title: "Client", cell: ({ client }) => code(client) },
      ];
      return el("div", {}, facts([["There now", `${number(num_clients)} connections of ${number(num_users)} users`]]), table("Who is there", columns, people.slice(0, SHOWN), "Nobody is there."));
    }

    return {
      open(name) {
        if (name) fill(one, () => look(name));
        else one.replaceChildren();
        if (!list.childElementCount) fill(list, () => find(form.elements.pattern.value.trim()));
      },
    };
  },
};

/** A part that is refused says so in its place, and keeps nobody from the others. */
async function settle(api, method, request) {
  try {
    return api.has(method) ? { result: await api.call(method, request) } : { error: { message: "is not told to this role" } };
  } catch (error) {
    return { error };
  }
}

function showHistory({ result, error }) {
  if (error) return facts([["History", error.code === 108 ? "is not kept for this channel" : error.message]]);
  const columns = [
    { title: "Offset", numeric: true, cell: ({ offset }) => number(offset) },
    { title: "Publication", long: true, cell: ({ data, b64data }) => el("code", { class: "data", text: b64data ?? JSON.stringify(data) }) },
  ];
  return el("div", {}, facts([["Stream", el("span", {}, `at offset ${number(result.offset)}, epoch `, code(result.epoch))]]), table("Newest publications", columns, result.publications, "The stream holds nothing now."));
}
