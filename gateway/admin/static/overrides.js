// What operators say otherwise for a while. Each has a reason and an end.

import { ask } from "/admin/ask.js";
import { button, card, code, el, field, fill, given, moment, table, toast } from "/admin/parts.js";

const LANES = ["critical", "high", "normal", "bulk"].map((name) => [name, name]);
const ENDS = [["900", "15 minutes"], ["3600", "An hour"], ["28800", "Eight hours"], ["86400", "A day"], ["604800", "A week"]];
// What each kind takes, as `broker.overrides` has it.
const KINDS = {
  pause_lane: { title: "Pause a lane", target: { label: "Lane", options: LANES } },
  pause_carrier: { title: "Pause a carrier", target: { label: "Carrier, such as fcm or fcm:kiosk", required: "" } },
  only_critical: { title: "Take only critical notifications" },
  maintenance: { title: "Say that there is maintenance", value: { label: "Text" } },
  refuse_connections: { title: "Refuse new connections", target: { label: "Node; empty for all" } },
  connection_limit: { title: "Limit connections of a node", target: { label: "Node; empty for all" }, value: { label: "Connections", type: "number", min: 1, step: 1 } },
  command_rate: { title: "Limit commands of a client", target: { label: "Node; empty for all" }, value: { label: "Commands per second", type: "number", min: 0.1, step: "any" } },
  carrier_rate: { title: "Limit a carrier", target: { label: "Carrier, such as fcm", required: "" }, value: { label: "Messages per second", type: "number", min: 0.01, step: "any" } },
};

export const overrides = {
  id: "overrides",
  title: "Overrides",
  needs: ["override_list"],
  make(panel, { api }) {
    const found = el("div");
    const set = button("Set an override", choose, { kind: "primary" });
    panel.append(el("h1", { text: "Overrides" }), ...(api.has("override_set") ? [el("div", { class: "buttons" }, set)] : []), found);

    async function show() {
      const { items } = await api.call("override_list");
      const columns = [
        { title: "What", cell: ({ kind }) => KINDS[kind]?.title ?? kind },
        { title: "Of", long: true, cell: ({ target }) => (target ? code(target) : "everything") },
        { title: "Value", long: true, cell: ({ value }) => value ?? "–" },
        { title: "Why", long: true, cell: ({ reason }) => reason },
        { title: "By", cell: ({ set_by }) => set_by || "–" },
        { title: "Ends", cell: ({ expires_at }) => moment(expires_at) },
        ...(api.has("override_remove") ? [{ title: "", cell: (row) => button("Remove", () => remove(row), { key: `${row.kind}:${row.target ?? ""}`, label: `Remove ${KINDS[row.kind]?.title ?? row.kind}` }) }] : []),
      ];
      return card("In force", table("Overrides", columns, items, "Everything is as the settings say."));
    }

    async function remove({ kind, target = "" }) {
      const title = KINDS[kind]?.title ?? kind;
      if (!(await ask({ title: `Remove "${title}"?`, text: "The settings hold again at once.", confirm: "Remove", act: () => api.call("override_remove", { kind, target }) }))) return;
      toast("Removed.");
      fill(found, show);
    }

    async function choose() {
      const kind = field({ name: "kind", label: "What", options: Object.entries(KINDS).map(([name, { title }]) => [name, title]) });
      const own = el("div");
      const select = kind.querySelector("select");
      const adapt = () => {
        const { target, value } = KINDS[select.value];
        own.replaceChildren(...(target ? [field({ name: "target", ...target })] : []), ...(value ? [field({ name: "value", ...value, required: "" })] : []));
      };
      select.addEventListener("change", adapt);
      adapt();
      const fields = [kind, own, { name: "expires_in_s", label: "For how long", options: ENDS, value: "3600" }, { name: "reason", label: "Why", maxlength: 500, required: "" }];
      if (!(await ask({ title: "Set an override", fields, confirm: "Set it", danger: true, act: send }))) return;
      toast("It holds on every node within a second.");
      fill(found, show);
    }

    function send({ kind, target = "", value, expires_in_s, reason }) {
      const isNumber = KINDS[kind].value?.type === "number";
      return api.call("override_set", { ...given({ kind, target, reason, value: value && isNumber ? Number(value) : value }), expires_in_s: Number(expires_in_s) });
    }

    return { open: () => fill(found, show) };
  },
};
