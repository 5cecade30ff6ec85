// Bob's browser as one more device of his: asks for permission, and brings the worker what the simulated push service took in.

import { byId } from "/demo/dom.js";
import { enablePush, isPushSupported } from "/demo/webpush.js";

export class BrowserPush {
  #person;
  #subscribe;
  #registration = null;
  #brought = new Set();

  /** @param subscribe async () => a subscription; in earnest `browserSubscription(key)` of webpush.js */
  constructor(person, subscribe) {
    this.#person = person;
    this.#subscribe = subscribe;
    byId("push-button").disabled = !isPushSupported();
    byId("push-button").addEventListener("click", () => this.#enable());
  }

  /** @param items of the outbox, all of one notification */
  bring(items, { id, user }) {
    if (!this.#registration || user !== this.#person.user || this.#brought.has(id)) return;
    const item = items.find(({ provider }) => provider === "webpush");
    if (!item) return;
    this.#brought.add(id);
    const push = { title: item.title, options: { body: item.body, tag: id, data: { hg_id: id } } };
    this.#registration.active.postMessage({ push });
  }

  async #enable() {
    const { user, client } = this.#person;
    try {
      this.#registration = await enablePush({
        worker: `/demo/worker.js?user=${encodeURIComponent(user)}`,
        subscribe: this.#subscribe,
        save: (subscription) => client.rpc("devices.register", { provider: "webpush", token: subscription }),
      });
      byId("push-note").textContent = "On: the next one that he does not see here comes as a notification of this browser.";
      byId("push-button").disabled = true;
    } catch (error) {
      byId("push-note").textContent = `Not switched on: ${error.message}`;
    }
  }
}
