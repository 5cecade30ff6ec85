// One user's window: a connection of its own, the chat, and (for Bob) the notifications that arrive live.

import { Client, ProtocolError } from "/demo/client.js";
import { development } from "/demo/api.js";
import { byId, clockTime, el } from "/demo/dom.js";

const PRESENCE = { connected: "connected", connecting: "connecting…", disconnected: "left" };

export class Person {
  #channel;
  #window;
  #nextLines;

  /**
   * @param id the window's element id · user: who connects · channel: where the chat is · names: user → shown name
   * @param nextLines what the input offers after each message, so that a visitor can go on by pressing Send
   * @param onFrame told of every frame · onMessage told of every chat message with whether it came from another user
   */
  constructor({ id, user, channel, names, nextLines, onFrame, onMessage }) {
    this.#channel = channel;
    this.#window = byId(id);
    this.#nextLines = nextLines;
    this.user = user;
    this.client = new Client(`${location.origin.replace("http", "ws")}/connection/websocket`, {
      name: "heliograph-demo",
      getToken: () => development.token(user),
    });
    this.client.on("frame", (frame) => onFrame({ who: names[user], ...frame }));
    for (const state of Object.keys(PRESENCE)) this.client.on(state, () => this.#showState(state));
    this.client.subscribe(channel, (publication, recovered) => {
      this.#showMessage(publication, names, recovered);
      onMessage(publication.info?.user !== user);
    });
    this.#window.querySelector("form").addEventListener("submit", (event) => this.#say(event));
  }

  async #say(event) {
    event.preventDefault();
    const input = this.#window.querySelector("input");
    const text = input.value.trim();
    if (!text) return;
    try {
      await this.client.publish(this.#channel, { text });
      input.value = this.#nextLines.shift() ?? "";
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#addLine(el("p", { class: "aside", text: `not sent: ${error.message}` }));
    }
  }

  #showState(state) {
    this.#window.dataset.state = state;
    this.#window.querySelector(".presence").textContent = PRESENCE[state];
    for (const control of this.#window.querySelectorAll(".compose :is(input, button)")) control.disabled = state === "disconnected";
  }

  #showMessage({ data, info }, names, recovered) {
    const author = info ? (names[info.user] ?? info.user) : "Backend";
    const kind = info?.user === this.user ? "mine" : "theirs";
    const text = typeof data?.text === "string" ? data.text : JSON.stringify(data);
    const missed = recovered && el("span", { class: "missed", text: "missed, and caught up" });
    const head = el("span", { class: "author", text: `${author} · ${clockTime(Date.now() / 1000)}` });
    this.#addLine(el("div", { class: `message ${kind}`, "data-author": author }, head, el("p", { text }), ...(missed ? [missed] : [])));
  }

  #addLine(line) {
    const log = this.#window.querySelector(".log");
    log.append(line);
    log.scrollTop = log.scrollHeight;
  }
}
