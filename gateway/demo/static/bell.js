// A bell: how many notifications are unread, and the list of them. Of the gateway it needs two calls and one publication.
//
//   client.on("connected", async () => show(await client.rpc("inbox.counts")));
//   client.on("publication", ({ publication }) => publication.data.inbox && show(publication.data.inbox));

import { byId, clockTime, el } from "/demo/dom.js";

const SHOWN = 20;

export class Bell {
  #client;

  constructor(client) {
    this.#client = client;
    client.on("connected", () => this.#ask("inbox.counts").then((counts) => counts && this.#show(counts)));
    client.on("publication", ({ publication: { data } }) => data?.inbox && this.#show(data.inbox));
    client.on("disconnected", () => this.#open(false));
    byId("bell").addEventListener("click", () => this.#open(!this.#isOpen));
    byId("bob").addEventListener("keydown", ({ key }) => key === "Escape" && this.#open(false));
    byId("inbox-all").addEventListener("click", () => {
      byId("bell").focus(); // the button is about to be disabled, and would take the focus with it
      this.#ask("inbox.mark", { all: true, as: "read" });
    });
  }

  get #isOpen() {
    return !byId("inbox").hidden;
  }

  /** Whoever opens the list has seen what is in it. */
  async #open(isOpen) {
    if (byId("inbox").contains(document.activeElement)) byId("bell").focus();
    byId("inbox").hidden = !isOpen;
    byId("bell").setAttribute("aria-expanded", String(isOpen));
    if (isOpen) {
      await this.#list();
      await this.#ask("inbox.mark", { all: true, as: "seen" });
    }
  }

  /** Counts stop at 1000; a badge says less. */
  #show({ unread }) {
    byId("bell-badge").hidden = !unread;
    byId("bell-badge").textContent = unread > 99 ? "99+" : unread;
    byId("bell").setAttribute("aria-label", `Inbox, ${unread > 99 ? "more than 99" : unread || "none"} unread`);
    byId("inbox-all").disabled = !unread;
    if (this.#isOpen) this.#list();
  }

  async #list() {
    const answer = await this.#ask("inbox.list", { limit: SHOWN });
    if (!answer) return;
    const focused = document.activeElement.closest("[data-inbox]")?.dataset.inbox;
    byId("inbox-items").replaceChildren(...answer.items.map((item) => this.#item(item)));
    byId("inbox-empty").hidden = answer.items.length > 0;
    if (focused) byId("inbox-items").querySelector(`[data-inbox="${CSS.escape(focused)}"] button`)?.focus();
  }

  /** What a lost connection swallows is asked again with the next one. */
  async #ask(method, data) {
    return this.#client.rpc(method, data).catch((error) => console.info(`${method}: ${error.message}`));
  }

  #item({ id, title = "", body = "", created_at, read }) {
    const button = el(
      "button",
      { type: "button", "data-read": read && "", on: { click: () => this.#ask("notification.read", { id }) } },
      el("b", { text: title }),
      el("time", { text: clockTime(created_at) }),
      el("span", { class: "text", text: body }),
      el("span", { class: "hidden", text: read ? "read" : "unread" }),
    );
    return el("li", { "data-inbox": id }, button);
  }
}
