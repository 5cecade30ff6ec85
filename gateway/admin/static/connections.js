// Who is connected: a user's connections on every node, and how to end them.

import { ask } from "/admin/ask.js";
import { badge, button, card, code, el, empty, fill, moment, searchForm, table, toast } from "/admin/parts.js";

const SOURCES = ["", "connection token", "connect proxy", "subscription token", "subscribe proxy", "user-limited", "namespace", "insecure", "asked at connect", "personal", "API", "capability"];
const BLOCKS = [["900", "15 minutes"], ["3600", "An hour"], ["86400", "A day"], ["", "Until unblocked"]];

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
      if (api.has("block_user", "unblock_user")) actions.push(button("Block", block, { kind: "danger", key: "block", label: `Block ${user}` }), button("Unblock", unblock, { key: "unblock", label: `Unblock ${user}` }));
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
        text: "SDKs do not come back by themselves after this, but the user may: to keep somebody out, block them.",
        confirm: "Disconnect",
        danger: true,
        act: () => api.call("disconnect", { user, client }),
      });
      if (!done) return;
      toast("Told to go.");
      search();
    }

    async function block() {
      const act = ({ until }) => api.call("block_user", until ? { user, expire_at: Math.ceil(Date.now() / 1000) + Number(until) } : { user });
      const fields = [{ name: "until", label: "For how long", options: BLOCKS, value: "3600" }];
      if (!(await ask({ title: `Block ${user}?`, text: "Connections are closed on every node, and none is let in until then.", fields, confirm: "Block", danger: true, act }))) return;
      toast("Blocked.");
      search();
    }

    async function unblock() {
      if (await ask({ title: `Let ${user} in again?`, text: "Nothing happens where the user was not blocked.", confirm: "Unblock", act: () => api.call("unblock_user", { user }) })) toast("May come in again.");
    }

    return {
      open(argument) {
        user = argument;
        form.elements.user.value = user;
        if (user) search();
        else found.replaceChildren(empty("By the id of a user: their connections on every node. Whoever is in a channel is told under Channels."));
      },
    };
  },
};
