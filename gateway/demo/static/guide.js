// The strip "1 · 2 · 3": which step is next, and which control it asks for (that one glows).

import { byId } from "/demo/dom.js";

const STEPS = ["chat", "live", "away"];

export class Guide {
  #done = new Set();
  #facts = { isBobAway: false, isTravelling: false };

  finish(step) {
    this.#done.add(step);
    this.#show();
  }

  /** Tell what is the case now, or that a notice has come or was answered. */
  tell(facts = {}) {
    Object.assign(this.#facts, facts);
    this.#show();
  }

  #show() {
    const next = STEPS.find((step) => !this.#done.has(step));
    for (const item of byId("guide").children) {
      const isNext = item.dataset.step === next;
      item.dataset.state = this.#done.has(item.dataset.step) ? "done" : isNext ? "next" : "later";
      if (isNext) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
    byId("guide-last").hidden = next === undefined;
    byId("guide-end").hidden = next !== undefined;
    for (const glowing of document.querySelectorAll("[data-next]")) glowing.removeAttribute("data-next");
    this.#controlFor(next)?.setAttribute("data-next", "");
  }

  #controlFor(step) {
    const { isBobAway, isTravelling } = this.#facts;
    if (step === "chat") return document.querySelector("#alice .compose button");
    if (step === "live") {
      if (isBobAway) return byId("bob-door");
      return document.querySelector("#notices button:enabled") ?? byId("notify-button");
    }
    if (step === "away" && !isTravelling) return isBobAway ? byId("notify-button") : byId("bob-door");
    return null; // nothing to press: watch
  }
}
