// Figures as they come: pushed over the gateway's own protocol while this page is seen, else asked for now and then.

import { Client } from "/admin/client.js";

const CHANNEL = "$admin:figures";
const PATIENCE_MS = 5_000; // after that long without a push, ask
const ASK_EVERY_MS = 3_000;

export class Live {
  #api;
  #client = null;
  #pass = {};
  #pushedAt = 0;
  #timer = 0;
  onFigures = () => {};
  onState = () => {};

  constructor(api) {
    this.#api = api;
    document.addEventListener("visibilitychange", () => this.#client && (document.hidden ? this.#rest() : this.#wake()));
  }

  start() {
    const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/connection/websocket`;
    const getToken = async () => {
      this.#pass = await this.#api.livePass();
      return this.#pass.token;
    };
    const client = (this.#client = new Client(url, { name: "admin", getToken }));
    client.on("connected", ({ client: id }) => client.rpc("admin.watch", { ticket: this.#pass.ticket, client: id }).catch(() => {}));
    client.on("publication", ({ channel, publication }) => {
      if (channel !== CHANNEL || client !== this.#client) return;
      this.#pushedAt = performance.now();
      this.onState("live");
      this.onFigures(publication.data);
    });
    this.#wake();
  }

  stop() {
    this.#rest();
    this.#client = null;
  }

  #wake() {
    this.#client.connect();
    this.#pushedAt = 0;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#askIfQuiet(), ASK_EVERY_MS);
    this.#askIfQuiet();
  }

  #rest() {
    clearInterval(this.#timer);
    this.#client?.disconnect();
  }

  async #askIfQuiet() {
    if (this.#pushedAt && performance.now() - this.#pushedAt < PATIENCE_MS) return;
    const client = this.#client;
    try {
      const figures = await this.#api.figures();
      if (client !== this.#client || !client) return;
      this.onState("asking");
      this.onFigures(figures);
    } catch {
      this.onState("lost");
    }
  }
}
