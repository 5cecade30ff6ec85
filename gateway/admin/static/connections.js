// Who is connected: a user's connections on every node, and how to end them.

import { ask } from "/admin/ask.js";
import { badge, button, card, code, el, fill, moment, searchForm, table, toast } from "/admin/parts.js";

const SOURCES = ["", "connection token", "connect proxy", "subscription token", "subscribe proxy", "user-limited", "namespace", "insecure", "asked at connect", "personal", "API", "capability"];

export const connections = {
  id: "connections",
  title: "Connections",
  needs: ["connections"],
  make(panel, { api, go }) {
    const found = el("div");
    const form = searchForm([{ name: "user", label: "User", placeholder: "Id of the user, as in their token", maxlength: 255 }], "Find", ({ user }) => go("connections", user));
    panel.append(el("h1", { text: "Connections" }), form, found);
    let user = "";
    const search = () => fill(found, () => show());

    async function show() {
      const { connections: all } = await api.call("connections", { user });
      const rows = Object.entries(all).map(([client, one]) => ({ client, ...one }));
      const actions = rows.length && api.has("disconnect") ? [button(`Disconnect all of ${user}`, () => end(""), { kind: "danger", key: "all" })] : [];
      if (api.has("inbox_list")) actions.push(button("Notifications of this user", () => go("notifications", `user:${user}`), { key: "inbox" }));
      const title = rows.length === 1 ? "One connection" : `${rows.length} connections`;
      return [card(title, table(`Connections of ${user}`, columns(), rows, `${user} is not connected.`), el("div", { class: "buttons" }, ...actions))];
    }

    function columns() {
      const acts = { title: "", cell: ({ client }) => button("Disconnect", () => end(client), { key: client, label: `Disconnect ${client}` }) };
      return [
        { title: "Client", long: true, cell: ({ client }) => code(client) },
        { title: "Since", cell: (row) => moment(row.connected_at_ms / 1000) },
        { title: "Transport", cell: (row) => `${row.transport}, ${row.protocol}` },
        { title: "Application", long: true, cell: (row) => [row.app_name, row.app_version].filter(Boolean).join(" ") || "–" },
        { title: "Channels", long: true, cell: ({ state }) => channelList(state?.channels ?? {}) },
        ...(api.has("disconnect") ? [acts] : []),
      ];
    }

    function channelList(held) {
      const names = Object.entries(held);
      if (!names.length) return "–";
      return el("span", { class: "chips" }, ...names.slice(0, 8).map(([name, { source }]) => el("span", { class: "chip", text: name, title: `by ${SOURCES[source] ?? source}` })), ...(names.length > 8 ? [badge(`and ${names.length - 8} more`)] : []));
    }

    async function end(client) {
      const done = await ask({
        title: client ? "Disconnect this connection?" : `Disconnect all connections of ${user}?`,
        text: "SDKs do not come back by themselves after this. To keep somebody out, block the user by the API.",
        confirm: "Disconnect",
        danger: true,
        act: () => api.call("disconnect", { user, client }),
      });
      if (!done) return;
      toast("Told to go.");
      search();
    }

    return {
      open(argument) {
        user = argument;
        form.elements.user.value = user;
        if (user) search();
        else found.replaceChildren();
      },
    };
  },
};
