// A small client of the gateway's JSON protocol, with no dependency: a page's `import { Client }` is all it takes.
//
//   const client = new Client("ws://127.0.0.1:8000/connection/websocket", { getToken: async () => "…" });
//   client.subscribe("news", (publication) => console.log(publication.data));
//   client.on("publication", ({ channel, publication }) => …);   // of channels that the server subscribed us to: #user
//   client.connect();
//   await client.publish("news", { text: "hello" });
//   await client.rpc("notification.ack", { id });
//
// Events: connecting {code, reason} · connected {client, channels} · disconnected {code, reason} · subscribed
// {channel, recovered} · unsubscribed {channel, code} · publication {channel, publication, recovered} · frame {way, text}.
//
// After a lost connection it comes back with backoff and asks for what it missed: each channel's position (offset and
// epoch) is kept, and publications that were recovered arrive in order, before any later one.

const FIRST_DELAY_MS = 300;
const LONGEST_DELAY_MS = 20_000;
const PING_GRACE_MS = 10_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1; // a longer one would fire at once
const TOKEN_EXPIRED = 109;

export class ProtocolError extends Error {
  constructor({ code, message, temporary = false }) {
    super(message);
    Object.assign(this, { code, temporary });
  }
}

export class Client {
  #url;
  #options;
  #socket = null;
  #state = "disconnected";
  #attempt = 0; // which connection a late event belongs to: an older one is ignored
  #failures = 0;
  #nextId = 1;
  #timers = { reconnect: 0, ping: 0, refresh: 0 };
  #token = "";
  #pings = { expectedMs: 0, answered: false };
  #calls = new Map(); // command id → { resolve, reject, lose }
  #subscriptions = new Map(); // channel → { handler, position, isAsked }: what we want to have
  #serverPositions = new Map(); // channel → position: what the server subscribed us to
  #listeners = new Map();

  /** @param options getToken: async () => JWT · name: of the application · WebSocket: another implementation, for tests */
  constructor(url, options = {}) {
    this.#url = url;
    this.#options = { name: "demo", getToken: async () => "", WebSocket: globalThis.WebSocket, ...options };
  }

  get state() {
    return this.#state;
  }

  on(event, listener) {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    return this;
  }

  connect() {
    if (this.#state !== "disconnected") return;
    this.#failures = 0;
    this.#enter("connecting", { code: 0, reason: "connect called" });
    this.#open();
  }

  /** Leave. Positions are kept: a later connect() recovers what was missed meanwhile. */
  disconnect() {
    this.#lose({ code: 0, reason: "disconnect called", terminal: true });
  }

  subscribe(channel, handler) {
    this.#subscriptions.set(channel, { handler, position: null, isAsked: false });
    if (this.#state === "connected") this.#askForSubscriptions();
  }

  unsubscribe(channel) {
    if (this.#subscriptions.delete(channel) && this.#state === "connected") return this.#call({ unsubscribe: { channel } });
    return Promise.resolve();
  }

  publish(channel, data) {
    return this.#call({ publish: { channel, data } });
  }

  async rpc(method, data = {}) {
    return (await this.#call({ rpc: { method, data } })).rpc?.data;
  }

  // ---- the connection

  async #open() {
    const attempt = ++this.#attempt;
    const isStale = () => attempt !== this.#attempt;
    try {
      this.#token ||= await this.#options.getToken();
    } catch (error) {
      if (!isStale()) this.#lose({ code: 0, reason: `no token: ${error.message}` });
      return;
    }
    if (isStale()) return; // disconnect() was called meanwhile
    const socket = new this.#options.WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => isStale() || this.#hello();
    socket.onmessage = ({ data }) => isStale() || this.#receive(data);
    socket.onclose = ({ code, reason }) => isStale() || this.#lose({ code, reason, terminal: isTerminal(code) });
  }

  /** Connect and all subscribes travel in one frame, so that the first reply is the earliest possible. */
  #hello() {
    const positions = [...this.#serverPositions].filter(([, position]) => position);
    const subs = Object.fromEntries(positions.map(([channel, position]) => [channel, { recover: true, ...position }]));
    const connect = { token: this.#token, name: this.#options.name, ...(positions.length && { subs }) };
    const onError = (error) => {
      if (error.code === TOKEN_EXPIRED) this.#token = "";
      this.#lose({ ...error, reason: error.message, terminal: !error.temporary && error.code !== TOKEN_EXPIRED });
    };
    const first = this.#command({ connect }, (reply) => this.#welcome(reply.connect), onError, () => {});
    this.#askForSubscriptions([first]);
  }

  #welcome(result) {
    this.#failures = 0;
    this.#pings = { expectedMs: (result.ping ?? 0) * 1000, answered: result.pong ?? false };
    this.#watchPings();
    this.#refreshIn(result);
    this.#enter("connected", { client: result.client, channels: Object.keys(result.subs ?? {}) });
    for (const [channel, sub] of Object.entries(result.subs ?? {})) {
      const deliver = (publication, recovered) => this.#emit("publication", { channel, publication, recovered });
      this.#serverPositions.set(channel, settle(sub, deliver));
    }
    this.#askForSubscriptions();
  }

  /** The one way out of a connection, whoever ended it. */
  #lose({ code, reason, terminal = false }) {
    if (this.#state === "disconnected") return;
    this.#attempt += 1;
    this.#socket?.close();
    this.#socket = null;
    Object.values(this.#timers).forEach(clearTimeout);
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { lose } of calls) lose(new ProtocolError({ code, message: reason, temporary: !terminal }));
    for (const subscription of this.#subscriptions.values()) subscription.isAsked = false;
    this.#enter(terminal ? "disconnected" : "connecting", { code, reason });
    if (terminal) return;
    const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures++);
    this.#timers.reconnect = setTimeout(() => this.#open(), ceiling * (0.5 + Math.random() / 2)); // spread the crowd
  }

  #refreshIn({ expires, ttl }) {
    if (expires) this.#timers.refresh = setTimeout(() => this.#refresh(), Math.min(ttl * 1000, LONGEST_TIMER_MS));
  }

  async #refresh() {
    try {
      this.#token = await this.#options.getToken();
      const { refresh } = await this.#call({ refresh: { token: this.#token } });
      this.#refreshIn(refresh);
    } catch {
      // the server closes an expired connection, and coming back asks for a token again
      this.#token = "";
    }
  }

  // ---- subscriptions

  #askForSubscriptions(before = []) {
    const missing = [...this.#subscriptions].filter(([, { isAsked }]) => !isAsked);
    const commands = [...before, ...missing.map(([channel, subscription]) => this.#subscribeCommand(channel, subscription))];
    if (commands.length) this.#send(commands);
  }

  #subscribeCommand(channel, subscription) {
    subscription.isAsked = true;
    const isStale = () => this.#subscriptions.get(channel) !== subscription; // unsubscribed meanwhile, or subscribed anew
    const settled = ({ subscribe: result }) => {
      if (isStale()) return;
      this.#emit("subscribed", { channel, recovered: result.recovered ?? false });
      subscription.position = settle(result, subscription.handler);
    };
    const refused = ({ code, message, temporary }) => {
      if (isStale()) return;
      if (temporary) this.#lose({ code, reason: message }); // coming back with backoff asks again, for everything
      else this.#receiveUnsubscribe(channel, { code, reason: message });
    };
    const request = { channel, ...(subscription.position && { recover: true, ...subscription.position }) };
    return this.#command({ subscribe: request }, settled, refused, () => {});
  }

  #receivePublication(channel, publication) {
    const subscription = this.#subscriptions.get(channel);
    const position = advance(subscription?.position ?? this.#serverPositions.get(channel), publication);
    if (subscription) {
      subscription.position = position;
      subscription.handler(publication, false);
    } else {
      this.#serverPositions.set(channel, position);
      this.#emit("publication", { channel, publication, recovered: false });
    }
  }

  /** Codes below 2500 end a subscription, the others ask to subscribe again (with the position that we have). */
  #receiveUnsubscribe(channel, { code, reason }) {
    const subscription = this.#subscriptions.get(channel);
    this.#serverPositions.delete(channel);
    if (subscription && code >= 2500) {
      subscription.isAsked = false;
      this.#askForSubscriptions();
      return;
    }
    this.#subscriptions.delete(channel);
    this.#emit("unsubscribed", { channel, code, reason });
  }

  // ---- frames: JSON objects joined by \n, replies and pushes mixed; `{}` is a ping one way and a pong the other

  #receive(text) {
    this.#emit("frame", { way: "in", text });
    for (const line of text.split("\n")) {
      if (!line) continue;
      const message = JSON.parse(line);
      if (message.id) this.#settleCall(message);
      else if (message.push) this.#receivePush(message.push);
      else this.#receivePing();
    }
  }

  #receivePush({ channel, pub, unsubscribe, subscribe }) {
    if (pub) this.#receivePublication(channel, pub);
    else if (unsubscribe) this.#receiveUnsubscribe(channel, unsubscribe);
    else if (subscribe) this.#serverPositions.set(channel, settle(subscribe, () => {}));
  }

  #receivePing() {
    this.#watchPings();
    if (this.#pings.answered) this.#send([{}]);
  }

  #watchPings() {
    clearTimeout(this.#timers.ping);
    if (!this.#pings.expectedMs) return;
    const silence = () => this.#lose({ code: 0, reason: "no ping" });
    this.#timers.ping = setTimeout(silence, this.#pings.expectedMs + PING_GRACE_MS);
  }

  #settleCall(reply) {
    const call = this.#calls.get(reply.id);
    this.#calls.delete(reply.id);
    if (reply.error) call?.reject(new ProtocolError(reply.error));
    else call?.resolve(reply);
  }

  /** @param lose what a lost connection does to it: calls fail, connect and subscribe are simply sent again */
  #command(request, resolve, reject, lose = reject) {
    const id = this.#nextId++;
    this.#calls.set(id, { resolve, reject, lose });
    return { id, ...request };
  }

  #call(request) {
    if (this.#state !== "connected") return Promise.reject(new ProtocolError({ code: 0, message: "not connected", temporary: true }));
    return new Promise((resolve, reject) => this.#send([this.#command(request, resolve, reject)]));
  }

  #send(commands) {
    const text = commands.map((command) => JSON.stringify(command)).join("\n");
    this.#emit("frame", { way: "out", text });
    this.#socket.send(text);
  }

  #enter(state, detail) {
    this.#state = state;
    this.#emit(state, detail);
  }

  #emit(event, detail) {
    for (const listener of this.#listeners.get(event) ?? []) listener(detail);
  }
}

/** Deliver what a subscribe recovered and tell where that leaves us; null where the channel keeps no positions. */
function settle({ publications = [], offset, epoch }, deliver) {
  for (const publication of publications) deliver(publication, true);
  if (epoch === undefined) return null;
  return { offset: publications.at(-1)?.offset ?? offset ?? 0, epoch };
}

function advance(position, { offset, epoch }) {
  return position && offset ? { offset, epoch: epoch ?? position.epoch } : position;
}

/** Application-level codes say by their range whether coming back makes sense; 1009 would only happen again. */
function isTerminal(code) {
  return code === 1009 || (code >= 3500 && code < 4000) || (code >= 4500 && code < 5000);
}
