// Who did what, the newest first; and whether the chain of records is whole.

import { badge, button, card, code, el, facts, fill, given, moment, number, searchForm, table } from "/admin/parts.js";

const KINDS = { granted: "good", changed: "good", denied: "bad", failed: "warn", noted: "" };
const DECISIONS = [["", "All"], ...Object.keys(KINDS).map((name) => [name, name])];
const PAGE = 50;

export const audit = {
  id: "audit",
  title: "Audit",
  needs: ["audit_search"],
  make(panel, { api }) {
    const found = el("div");
    const verdict = el("div");
    const fields = [
      { name: "actor", label: "Who", placeholder: "api_key or operator:ann" },
      { name: "action", label: "What", placeholder: "device.* or admin.login" },
      { name: "resource", label: "On what", placeholder: "channel:news or channel:*" },
      { name: "user", label: "For whom" },
      { name: "decision", label: "Decision", options: DECISIONS },
      { name: "rule", label: "By rule", placeholder: "policy:night or policy:*" },
      { name: "from", label: "From", type: "datetime-local" },
      { name: "to", label: "To", type: "datetime-local" },
      { name: "correlation_id", label: "Request", placeholder: "Its correlation id" },
    ];
    let rows = [];
    let filter = {};
    const form = searchForm(fields, "Search", (told) => {
      filter = given({ ...told, from: told.from && momentOf(told.from), to: told.to && momentOf(told.to) });
      reload();
    });
    const verify = button("Verify the chain", () => fill(verdict, check), { key: "verify" });
    panel.append(el("h1", { text: "Audit" }), form, ...(api.has("audit_verify") ? [el("div", { class: "buttons" }, verify)] : []), verdict, found);

    function reload() {
      rows = [];
      return fill(found, () => more(""));
    }

    async function more(cursor) {
      const { items, next_cursor } = await api.call("audit_search", given({ ...filter, cursor, limit: PAGE }));
      rows.push(...items);
      const columns = [
        { title: "When", cell: ({ time }) => moment(time) },
        { title: "Who", long: true, cell: ({ actor, address }) => el("span", {}, actor, ...(address ? [el("span", { class: "soft", text: ` from ${address}` })] : [])) },
        { title: "What", cell: ({ action }) => action },
        { title: "On what", long: true, cell: ({ resource, user }) => [resource, user && `for ${user}`].filter(Boolean).join(" ") || "–" },
        { title: "Decision", cell: ({ decision, rule }) => el("span", {}, badge(decision, KINDS[decision]), ...(rule ? [" ", el("span", { class: "soft", text: rule })] : [])) },
        { title: "Details", long: true, cell: ({ details }) => (details && Object.keys(details).length ? el("code", { text: written(details) }) : "–") },
        { title: "", cell: ({ sequence, correlation_id: id }) => (id ? button("Request", () => follow(id), { kind: "link", key: `r${sequence}`, label: `All of the request of record ${sequence}` }) : "") },
      ];
      const further = next_cursor ? [button("Show more", () => fill(found, () => more(next_cursor)), { key: "more" })] : [];
      return card("Records", table("Audit records", columns, rows, "No record meets that."), el("div", { class: "buttons" }, ...further));
    }

    /** Show everything that came of one request. */
    function follow(id) {
      form.reset();
      form.elements.correlation_id.value = id;
      form.requestSubmit();
    }

    async function check() {
      const { whole, head, records, unsigned, pending, problems } = await api.call("audit_verify");
      const pairs = [
        ["The chain", whole ? badge("is whole", "good") : badge("is not whole", "bad")],
        ["Records", `${number(records)}, of which ${number(unsigned)} are signed by no key, and ${number(pending)} wait for their place`],
        ["Head", code(head)],
      ];
      return card("Verified just now", facts(pairs), ...(problems.length ? [el("ul", { class: "plan" }, ...problems.map((text) => el("li", { text })))] : []));
    }

    return { open: () => reload() };
  },
};

/** A local time as fields give it, in Unix seconds. */
const momentOf = (text) => new Date(text).getTime() / 1000;

/** Details as pairs, for they are few and flat. */
const written = (details) => Object.entries(details).filter(([, value]) => value !== null && value !== "").map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join("; ");
