// The drawer for the curious: the calls of the HTTP API as curl, and the frames on both sockets.

import { byId, el } from "/demo/dom.js";

const MOST_KEPT = 60;

export class Drawer {
  #api;
  #tally = { calls: 0, frames: 0 };

  constructor(api) {
    this.#api = api;
    byId("drawer-button").addEventListener("click", () => this.#toggle());
    byId("drawer").addEventListener("keydown", ({ key }) => key === "Escape" && this.#isOpen && this.#toggle());
    this.#showTally();
  }

  /** Commands that a visitor can paste into a terminal while watching the page. */
  showRecipes(recipes) {
    byId("recipes").replaceChildren(...recipes.map(({ title, method, body }) => this.#call(title, this.#api.curl(method, body))));
  }

  addCall({ method, body, answer, isRoutine }) {
    this.#tally.calls += 1;
    this.#showTally();
    if (isRoutine) return; // the same question several times a second would bury the rest
    const call = this.#call(`POST /api/${method}`, this.#api.curl(method, body));
    call.append(el("code", { class: "answer", text: JSON.stringify(answer) }));
    keep(byId("calls"), call);
  }

  addFrame({ who, way, text }) {
    this.#tally.frames += 1;
    this.#showTally();
    const arrow = el("span", { class: "way", text: way === "out" ? "↑" : "↓", title: way === "out" ? "sent" : "received" });
    const author = el("span", { class: "who", text: who });
    keep(byId("frames"), el("li", { "data-way": way, "data-who": who }, author, arrow, el("code", { text: hideToken(text) })));
  }

  get #isOpen() {
    return byId("drawer-button").getAttribute("aria-expanded") === "true";
  }

  #toggle() {
    const open = !this.#isOpen;
    byId("drawer-button").setAttribute("aria-expanded", String(open));
    byId("drawer-body").hidden = !open;
    document.body.toggleAttribute("data-drawer", open);
    if (!open) byId("drawer-button").focus();
  }

  #call(title, command) {
    const copy = el("button", { type: "button", text: "Copy", "aria-label": `Copy: ${title}` });
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command);
      copy.textContent = "Copied";
    });
    const head = el("div", { class: "head" }, el("b", { text: title }), copy);
    return el("li", {}, head, el("pre", { tabindex: "0" }, el("code", { text: command })));
  }

  #showTally() {
    byId("tally").textContent = `${this.#tally.calls} calls · ${this.#tally.frames} frames`;
  }
}

function keep(list, item) {
  list.prepend(item);
  while (list.children.length > MOST_KEPT) list.lastElementChild.remove();
}

/** A token is long and a secret: its first characters are enough to recognise it. */
function hideToken(text) {
  return text.replace(/"token":"([^"]{8})[^"]+"/g, '"token":"$1…"');
}
