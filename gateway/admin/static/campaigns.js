// How campaigns stand, how to hold one up, and how fast it goes.

import { ask } from "/admin/ask.js";
import { badge, button, card, el, fill, given, moment, number, searchForm, table, toast } from "/admin/parts.js";

const KINDS = { running: "good", scheduled: "", paused: "warn", done: "", cancelled: "bad" };
const STATES = [["", "All"], ["scheduled", "Scheduled"], ["running", "Running"], ["paused", "Paused"], ["done", "Done"], ["cancelled", "Cancelled"]];
// By the method's name; `takes` are the fields that it asks for, all of them numbers.
const ACTS = {
  update: {
    states: ["running", "scheduled", "paused"],
    verb: "Change rate",
    phrase: "Change the rate of",
    text: "It holds from the next page of users on, also while it is paused. 0 is as fast as they can be told.",
    takes: ({ rate_per_s }) => [{ name: "rate_per_s", label: "Users per second", type: "number", min: 0, step: "any", required: "", value: rate_per_s }],
  },
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
        { title: "Rate", numeric: true, cell: ({ rate_per_s }) => (rate_per_s ? `${rate_per_s < 10 ? rate_per_s : number(rate_per_s)} /s` : "any") },
        { title: "Seen", numeric: true, cell: ({ notifications = {} }) => number(notifications.acknowledged ?? 0) },
        { title: "Starts", cell: ({ starts_at }) => moment(starts_at) },
        { title: "", cell: (row) => el("span", { class: "buttons" }, ...buttonsFor(row)) },
      ];
      return card("Campaigns", table("Campaigns", columns, items, "There are none."));
    }

    function buttonsFor(campaign) {
      const { id, name, state } = campaign;
      return Object.entries(ACTS)
        .filter(([act, { states }]) => states.includes(state) && api.has(`campaign_${act}`))
        .map(([act, { verb, phrase = verb }]) => button(verb, () => run(act, campaign), { key: `${act}:${id}`, label: `${phrase} ${name || id}` }));
    }

    async function run(act, campaign) {
      const { verb, phrase = verb, text, danger, takes = () => [] } = ACTS[act];
      const { id, name } = campaign;
      const send = (told) => api.call(`campaign_${act}`, { id, ...numbers(told) });
      if (!(await ask({ title: `${phrase} ${name || id}?`, text, fields: takes(campaign), confirm: verb, danger, act: send }))) return;
      toast("Done.");
      fill(found, show);
    }

    return { open: () => fill(found, show) };
  },
};

const numbers = (told) => Object.fromEntries(Object.entries(told).map(([name, text]) => [name, Number(text)]));

function progress({ expanded, skipped, audience_size }) {
  const passed = expanded + skipped;
  if (!audience_size) return `${number(expanded)} told`;
  const bar = el("progress", { max: audience_size, value: Math.min(passed, audience_size), "aria-label": `${number(passed)} of ${number(audience_size)}` });
  return el("span", { class: "progress" }, bar, el("span", { text: `${number(expanded)} told, ${number(skipped)} skipped, of ${number(audience_size)}` }));
}
