// Who may do what: roles, policies and API keys, to be looked at. They are changed by the API and the command line.

import { ask } from "/admin/ask.js";
import { badge, button, card, code, el, fill, moment, number, renew, searchForm, table, toast } from "/admin/parts.js";

const MODES = { enforced: ["in force", "good"], dry_run: ["on trial", "warn"] };

export const rules = {
  id: "rules",
  title: "Rules and keys",
  needs: ["role_list", "policy_list", "api_key_list"],
  make(panel, { api }) {
    const [roles, policies, policy, keys] = Array.from({ length: 4 }, () => el("div"));
    panel.append(el("h1", { text: "Rules and keys" }), card("Roles", roles), card("Policies", policies, policy), card("API keys", keys));
    const chips = (texts, nothing) => (texts?.length ? el("span", { class: "chips" }, ...texts.map((text) => el("span", { class: "chip", text }))) : nothing);

    async function showRoles() {
      const { items, assignments } = await api.call("role_list");
      const columns = [
        { title: "Role", cell: ({ name }) => name },
        { title: "Permissions", long: true, cell: ({ permissions }) => chips(permissions, "none") },
        { title: "From", cell: ({ in_settings }) => (in_settings ? "settings" : "API") },
      ];
      const people = [
        { title: "User", long: true, cell: ({ user }) => user },
        { title: "Roles", cell: (row) => chips(row.roles, "none") },
      ];
      return [table("Roles", columns, items, "There are no roles."), ...(assignments.length ? [el("h3", { text: "Given to users by the API" }), table("Assignments", people, assignments, "")] : [])];
    }

    /** The rules that decide now and those on trial, to be searched; below them the versions. */
    async function showPolicies() {
      const { items } = await api.call("policy_list");
      const newest = Object.keys(MODES).map((mode) => items.find((one) => one.mode === mode)).filter(Boolean);
      const told = api.has("policy_get") ? await Promise.all(newest.map(({ version }) => api.call("policy_get", { version }))) : [];
      const all = told.flatMap(({ mode, policy: { rules: each = [] } }) => each.map((rule) => ({ mode, ...rule })));
      const found = el("div");
      const show = ({ text = "", effect = "" }) => renew(found, ruleTable(all.filter((rule) => (!effect || rule.effect === effect) && JSON.stringify(rule).toLowerCase().includes(text.toLowerCase())), all.length));
      const form = searchForm([{ name: "text", label: "Rules with", placeholder: "A name, an action, a channel, a part of a condition" }, { name: "effect", label: "Effect", options: [["", "All"], ["deny", "deny"], ["allow", "allow"]] }], "Search", show);
      show({});
      return [...(all.length ? [form] : []), found, el("h3", { text: "Versions" }), versionTable(items, new Set(newest.map(({ version }) => version)))];
    }

    function ruleTable(rows, all) {
      const columns = [
        { title: "Rule", long: true, cell: ({ name }) => name },
        { title: "Effect", cell: ({ effect }) => badge(effect, effect === "deny" ? "bad" : "good") },
        { title: "Mode", cell: ({ mode }) => badge(...MODES[mode]) },
        { title: "Actions", long: true, cell: ({ actions }) => chips(actions, "all") },
        { title: "On", long: true, cell: ({ channels, methods }) => chips([...(channels ?? []), ...(methods ?? [])], "all") },
        { title: "When", long: true, cell: ({ condition }) => (condition && condition !== "true" ? code(condition) : "always") },
      ];
      return table("Rules", columns, rows, all ? "No rule is like that." : "No rules are set: roles, capabilities and settings decide.");
    }

    function versionTable(items, newest) {
      const columns = [
        { title: "Version", cell: ({ version }) => number(version) },
        { title: "Mode", cell: ({ mode, version }) => (newest.has(version) ? badge(...(MODES[mode] ?? [mode])) : badge("replaced")) },
        { title: "Made", cell: ({ created_at }) => moment(created_at) },
        { title: "Comment", long: true, cell: ({ comment }) => comment ?? "–" },
        ...(api.has("policy_get") ? [{ title: "", cell: ({ version }) => button("Show", () => fill(policy, () => showPolicy(version)), { kind: "link", key: `v${version}`, label: `Show version ${version}` }) }] : []),
      ];
      return table("Versions of the policy", columns, items, "No policy was set by the API.");
    }

    async function showPolicy(version) {
      const told = await api.call("policy_get", { version });
      return [el("h3", { text: `Version ${version}` }), el("pre", { tabindex: "0", "aria-label": `Policy, version ${version}`, text: JSON.stringify(told.policy, null, 2) })];
    }

    async function showKeys() {
      const { items } = await api.call("api_key_list");
      const columns = [
        { title: "Name", cell: ({ name }) => name },
        { title: "Id", long: true, cell: ({ id }) => code(id) },
        { title: "May call", long: true, cell: ({ methods, role }) => (role ? el("span", {}, `role ${role} `, chips(methods, "")) : chips(methods, "nothing")) },
        { title: "Channels", long: true, cell: ({ channels }) => chips(channels, "all") },
        { title: "Last used", cell: ({ last_used_at }) => moment(last_used_at) },
        { title: "Ends", cell: ({ expire_at }) => (expire_at ? moment(expire_at) : "never") },
        ...(api.has("api_key_revoke") ? [{ title: "", cell: ({ id, name }) => button("Revoke", () => revoke(id, name), { key: id, label: `Revoke ${name}` }) }] : []),
      ];
      return table("API keys", columns, items, "None beside those of the settings.");
    }

    async function revoke(id, name) {
      const text = "Calls with it are refused on every node at once. This cannot be taken back.";
      if (!(await ask({ title: `Revoke the key ${name}?`, text, confirm: "Revoke", danger: true, act: () => api.call("api_key_revoke", { id }) }))) return;
      toast("Revoked.");
      fill(keys, showKeys);
    }

    return {
      open() {
        fill(roles, showRoles);
        fill(policies, showPolicies);
        fill(keys, showKeys);
      },
    };
  },
};
