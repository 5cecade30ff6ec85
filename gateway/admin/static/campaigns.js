// How campaigns stand, and how to hold one up.

import { ask } from "/admin/ask.js";
import { badge, button, card, el, fill, given, moment, number, searchForm, table, toast } from "/admin/parts.js";

const KINDS = { running: "good", scheduled: "", paused: "warn", done: "", cancelled: "bad" };
const STATES = [["", "All"], ["scheduled", "Scheduled"], ["running", "Running"], ["paused", "Paused"], ["done", "Done"], ["cancelled", "Cancelled"]];
const ACTS = {
  pause: { states: ["running", "scheduled"], verb: "Pause", text: "Nobody more gets it until it is resumed; what is on its way goes on." },
  resume: { states: ["paused"], verb: "Resume", text: "It goes on where it was." },
  cancel: { states: ["running", "scheduled", "paused"], verb: "Cancel", danger: true, text: "Nobody more gets it, and it cannot be taken up again." },
};

export const campaigns = {
  id: "campaigns",
  title: "Campaigns",
  needs: ["campaign_list"],
  make(panel, { api }) {
    const found = el("div");
    let filter = {};
    const form = searchForm([{ name: "state", label: "State", options: STATES }], "Show", (told) => {
      filter = given(told);
      fill(found, show);
    });
    panel.append(el("h1", { text: "Campaigns" }), form, found);

    async function show() {
      const { items } = await api.call("campaign_list", { ...filter, limit: 50 });
      const columns = [
        { title: "Campaign", long: true, cell: ({ id, name }) => el("span", { title: id, text: name || id }) },
        { title: "State", cell: ({ state }) => badge(state, KINDS[state]) },
        { title: "Progress", cell: progress },
        { title: "Seen", numeric: true, cell: ({ notifications = {} }) => number(notifications.acknowledged ?? 0) },
        { title: "Starts", cell: ({ starts_at }) => moment(starts_at) },
        { title: "", cell: (row) => el("span", { class: "buttons" }, ...buttonsFor(row)) },
      ];
      return card("Campaigns", table("Campaigns", columns, items, "There are none."));
    }

    function buttonsFor({ id, name, state }) {
      return Object.entries(ACTS)
        .filter(([act, { states }]) => states.includes(state) && api.has(`campaign_${act}`))
        .map(([act, { verb }]) => button(verb, () => run(act, id, name || id), { key: `${act}:${id}`, label: `${verb} ${name || id}` }));
    }

    async function run(act, id, name) {
      const { verb, text, danger } = ACTS[act];
      if (!(await ask({ title: `${verb} ${name}?`, text, confirm: verb, danger, act: () => api.call(`campaign_${act}`, { id }) }))) return;
      toast("Done.");
      fill(found, show);
    }

    return { open: () => fill(found, show) };
  },
};

function progress({ expanded, skipped, audience_size }) {
  const passed = expanded + skipped;
  if (!audience_size) return `${number(expanded)} told`;
  const bar = el("progress", { max: audience_size, value: Math.min(passed, audience_size), "aria-label": `${number(passed)} of ${number(audience_size)}` });
  return el("span", { class: "progress" }, bar, el("span", { text: `${number(expanded)} told, ${number(skipped)} skipped, of ${number(audience_size)}` }));
}
