// The protocol client against a socket that the test holds in its hand; timers stand still until the test moves them.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { Client, ProtocolError } from "../../../gateway/demo/static/client.js";

class FakeSocket {
  static all = [];
  static get last() {
    return FakeSocket.all.at(-1);
  }

  constructor(url) {
    Object.assign(this, { url, frames: [], isClosed: false });
    FakeSocket.all.push(this);
  }

  send(text) {
    this.frames.push(text.split("\n").map((line) => JSON.parse(line)));
  }

  close() {
    this.isClosed = true;
  }

  open() {
    this.onopen();
    return this.frames[0];
  }

  say(...messages) {
    this.onmessage({ data: messages.map((message) => JSON.stringify(message)).join("\n") });
  }

  drop(code, reason = "gone") {
    this.onclose({ code, reason });
  }
}

const turns = () => new Promise((resolve) => setImmediate(resolve));
const WELCOME = { client: "c1", version: "1", ping: 25, pong: true };

function makeClient(options = {}) {
  const client = new Client("ws://test/connection/websocket", { getToken: async () => "jwt", WebSocket: FakeSocket, ...options });
  const events = [];
  for (const event of ["connecting", "connected", "disconnected", "subscribed", "unsubscribed", "publication"])
    client.on(event, (detail) => events.push({ event, ...detail }));
  return { client, events, named: (event) => events.filter((one) => one.event === event) };
}

async function connected(options, prepare = () => {}) {
  const made = makeClient(options);
  prepare(made.client);
  made.client.connect();
  await turns();
  const socket = FakeSocket.last;
  const [connect, ...rest] = socket.open();
  socket.say({ id: connect.id, connect: { ...WELCOME, ...options?.welcome } });
  return { ...made, socket, rest };
}

beforeEach(() => {
  FakeSocket.all = [];
  mock.timers.enable({ apis: ["setTimeout"] });
});
afterEach(() => mock.timers.reset());

test("connect and the waiting subscribes travel in one frame, connect first", async () => {
  const { client } = makeClient();
  client.subscribe("a", () => {});
  client.subscribe("b", () => {});
  client.connect();
  await turns();
  const [connect, first, second] = FakeSocket.last.open();
  assert.equal(connect.connect.token, "jwt");
  assert.deepEqual([first.subscribe, second.subscribe], [{ channel: "a" }, { channel: "b" }]);
  assert.ok(connect.id < first.id && first.id < second.id);
});

test("a subscription made between hello and welcome is asked for after the welcome", async () => {
  const { client } = makeClient();
  client.connect();
  await turns();
  const socket = FakeSocket.last;
  const [connect] = socket.open();
  client.subscribe("late", () => {});
  assert.equal(socket.frames.length, 1);
  socket.say({ id: connect.id, connect: WELCOME });
  assert.deepEqual(socket.frames[1].map(({ subscribe }) => subscribe), [{ channel: "late" }]);
});

test("replies and pushes may share a frame", async () => {
  const heard = [];
  const { client, socket, rest } = await connected({}, (made) => made.subscribe("a", (publication) => heard.push(publication.data)));
  socket.say({ id: rest[0].id, subscribe: {} }, { push: { channel: "a", pub: { data: 1 } } }, { push: { channel: "a", pub: { data: 2 } } });
  assert.deepEqual(heard, [1, 2]);
  const reply = client.publish("a", { text: "x" });
  const [{ id, publish }] = socket.frames.at(-1);
  assert.deepEqual(publish, { channel: "a", data: { text: "x" } });
  socket.say({ id, publish: {} });
  await reply;
});

test("rpc answers its data, and an error reply rejects with code and message", async () => {
  const { client, socket } = await connected();
  const first = client.rpc("notification.ack", { id: "n1" });
  socket.say({ id: socket.frames.at(-1)[0].id, rpc: { data: { ok: true } } });
  assert.deepEqual(await first, { ok: true });
  const second = client.rpc("notification.ack", { id: "n2" });
  socket.say({ id: socket.frames.at(-1)[0].id, error: { code: 104, message: "not found" } });
  await assert.rejects(second, (error) => error instanceof ProtocolError && error.code === 104 && error.message === "not found");
});

test("a ping is answered with a pong only where the server wants one", async () => {
  const { socket } = await connected();
  socket.say({});
  assert.deepEqual(socket.frames.at(-1), [{}]);
  const quiet = await connected({ welcome: { pong: false } });
  quiet.socket.say({});
  assert.equal(quiet.socket.frames.length, 1);
});

test("silence longer than the ping interval and ten seconds is a lost connection", async () => {
  const { client, socket } = await connected();
  mock.timers.tick(34_999);
  assert.equal(client.state, "connected");
  socket.say({});
  mock.timers.tick(34_999);
  assert.equal(client.state, "connected");
  mock.timers.tick(1);
  assert.equal(client.state, "connecting");
  assert.ok(socket.isClosed);
});

test("after a lost connection it asks for what it missed and hands it over in order", async () => {
  const heard = [];
  const listen = (made) => made.subscribe("a", ({ data }, recovered) => heard.push([data, recovered]));
  const { socket, rest, named } = await connected({ welcome: { subs: { "#bob": { offset: 7, epoch: "p" } } } }, listen);
  socket.say({ id: rest[0].id, subscribe: { recoverable: true, offset: 3, epoch: "e" } });
  socket.say({ push: { channel: "a", pub: { data: "live", offset: 4 } } }, { push: { channel: "#bob", pub: { data: 1, offset: 8 } } });
  socket.drop(1006);
  mock.timers.tick(300);
  await turns();
  const again = FakeSocket.last;
  assert.notEqual(again, socket);
  const [connect, subscribe] = again.open();
  assert.deepEqual(connect.connect.subs, { "#bob": { recover: true, offset: 8, epoch: "p" } });
  assert.deepEqual(subscribe.subscribe, { channel: "a", recover: true, offset: 4, epoch: "e" });
  const missed = [{ data: 2, offset: 9 }];
  again.say(
    { id: connect.id, connect: { ...WELCOME, subs: { "#bob": { offset: 8, epoch: "p", recovered: true, publications: missed } } } },
    { id: subscribe.id, subscribe: { offset: 4, epoch: "e", recovered: true, publications: [{ data: "missed", offset: 5 }] } },
    { push: { channel: "a", pub: { data: "next", offset: 6 } } },
  );
  assert.deepEqual(heard, [["live", false], ["missed", true], ["next", false]]);
  assert.deepEqual(named("publication").map((one) => [one.publication.data, one.recovered]), [[1, false], [2, true]]);

  again.drop(3001);
  mock.timers.tick(300);
  await turns();
  const [third, resubscribe] = FakeSocket.last.open();
  assert.equal(third.connect.subs["#bob"].offset, 9);
  assert.equal(resubscribe.subscribe.offset, 6);
});

test("what could not be recovered goes on from the top of the stream", async () => {
  const { socket, rest } = await connected({}, (made) => made.subscribe("a", () => {}));
  socket.say({ id: rest[0].id, subscribe: { offset: 3, epoch: "old" } });
  for (const expected of [{ offset: 3, epoch: "old" }, { offset: 90, epoch: "new" }]) {
    FakeSocket.last.drop(1006);
    mock.timers.tick(20_000);
    await turns();
    const [connect, subscribe] = FakeSocket.last.open();
    assert.deepEqual(subscribe.subscribe, { channel: "a", recover: true, ...expected });
    FakeSocket.last.say({ id: connect.id, connect: WELCOME }, { id: subscribe.id, subscribe: { was_recovering: true, offset: 90, epoch: "new" } });
  }
});

test("leaving keeps the positions, and coming back recovers", async () => {
  const { client, socket, rest } = await connected({}, (made) => made.subscribe("a", () => {}));
  socket.say({ id: rest[0].id, subscribe: { offset: 3, epoch: "e" } });
  client.disconnect();
  assert.equal(client.state, "disconnected");
  assert.ok(socket.isClosed);
  mock.timers.tick(60_000);
  assert.equal(FakeSocket.all.length, 1);
  client.connect();
  await turns();
  assert.deepEqual(FakeSocket.last.open()[1].subscribe, { channel: "a", recover: true, offset: 3, epoch: "e" });
});

for (const [code, isTerminal] of [[1000, false], [1006, false], [1009, true], [3001, false], [3499, false], [3500, true], [3999, true], [4000, false], [4499, false], [4500, true], [4999, true]])
  test(`close code ${code} ${isTerminal ? "ends" : "reconnects"}`, async () => {
    const { client, socket } = await connected();
    socket.drop(code, "why");
    assert.equal(client.state, isTerminal ? "disconnected" : "connecting");
  });

test("a call without an answer is rejected when the connection goes, as something to try again", async () => {
  const { client, socket } = await connected();
  const call = client.publish("a", {});
  socket.drop(3001, "shutdown");
  await assert.rejects(call, (error) => error.temporary && error.code === 3001);
  await assert.rejects(client.publish("a", {}), (error) => error.message === "not connected");
});

test("waits grow from try to try, and start over after a success", async () => {
  const { client, socket } = await connected();
  socket.drop(1006);
  for (const ceilingMs of [300, 600, 1200, 2400]) {
    const before = FakeSocket.all.length;
    mock.timers.tick(ceilingMs / 2 - 1); // the jitter leaves at least a half
    await turns();
    assert.equal(FakeSocket.all.length, before);
    mock.timers.tick(ceilingMs / 2 + 1);
    await turns();
    assert.equal(FakeSocket.all.length, before + 1);
    if (ceilingMs < 2400) FakeSocket.last.drop(1006);
  }
  FakeSocket.last.say({ id: FakeSocket.last.open()[0].id, connect: WELCOME });
  assert.equal(client.state, "connected");
  FakeSocket.last.drop(1006);
  const before = FakeSocket.all.length;
  mock.timers.tick(300);
  await turns();
  assert.equal(FakeSocket.all.length, before + 1);
});

test("an expired token is replaced by a fresh one", async () => {
  let made = 0;
  const { client } = makeClient({ getToken: async () => `jwt-${++made}` });
  client.connect();
  await turns();
  FakeSocket.last.say({ id: FakeSocket.last.open()[0].id, error: { code: 109, message: "token expired" } });
  assert.equal(client.state, "connecting");
  mock.timers.tick(300);
  await turns();
  assert.equal(FakeSocket.last.open()[0].connect.token, "jwt-2");
});

test("a refused connect ends, a temporary refusal is tried again", async () => {
  for (const [error, state] of [[{ code: 103, message: "no" }, "disconnected"], [{ code: 100, message: "later", temporary: true }, "connecting"]]) {
    const { client } = makeClient();
    client.connect();
    await turns();
    FakeSocket.last.say({ id: FakeSocket.last.open()[0].id, error });
    assert.equal(client.state, state);
    client.disconnect();
  }
});

test("a connection that expires is refreshed in time", async () => {
  const { socket } = await connected({ welcome: { expires: true, ttl: 20 } });
  mock.timers.tick(20_000);
  await turns();
  const [{ id, refresh }] = socket.frames.at(-1);
  assert.deepEqual(refresh, { token: "jwt" });
  socket.say({ id, refresh: { expires: true, ttl: 5 } }, {});
  await turns();
  const before = socket.frames.length;
  mock.timers.tick(5_000);
  await turns();
  assert.deepEqual(socket.frames.slice(before).flat().map(Object.keys), [["id", "refresh"]]);
});

test("an expiry beyond what a timer can hold does not fire at once", async () => {
  const { socket } = await connected({ welcome: { expires: true, ttl: 365 * 86_400, ping: 0 } });
  mock.timers.tick(86_400_000);
  await turns();
  assert.equal(socket.frames.length, 1);
});

test("unsubscribe pushes end a subscription below 2500 and renew it from there on", async () => {
  const { socket, rest, named } = await connected({}, (made) => made.subscribe("a", () => {}));
  socket.say({ id: rest[0].id, subscribe: { offset: 3, epoch: "e" } });
  socket.say({ push: { channel: "a", unsubscribe: { code: 2500, reason: "insufficient state" } } });
  const [{ id, subscribe }] = socket.frames.at(-1);
  assert.deepEqual(subscribe, { channel: "a", recover: true, offset: 3, epoch: "e" });
  socket.say({ id, subscribe: { offset: 3, epoch: "e" } });
  const before = socket.frames.length;
  socket.say({ push: { channel: "a", unsubscribe: { code: 2000, reason: "server unsubscribe" } } });
  assert.equal(socket.frames.length, before);
  assert.deepEqual(named("unsubscribed").map(({ code }) => code), [2000]);
});

test("a refused subscription is told and not asked for again", async () => {
  const { socket, rest, named } = await connected({}, (made) => made.subscribe("$private", () => {}));
  socket.say({ id: rest[0].id, error: { code: 103, message: "permission denied" } });
  assert.deepEqual(named("unsubscribed"), [{ event: "unsubscribed", channel: "$private", code: 103, reason: "permission denied" }]);
  socket.drop(1006);
  mock.timers.tick(300);
  await turns();
  assert.equal(FakeSocket.last.open().length, 1);
});

test("what an old socket still says is not heard", async () => {
  const heard = [];
  const { client, socket, rest } = await connected({}, (made) => made.subscribe("a", ({ data }) => heard.push(data)));
  socket.say({ id: rest[0].id, subscribe: {} });
  client.disconnect();
  socket.say({ push: { channel: "a", pub: { data: "late" } } });
  socket.drop(1006);
  assert.deepEqual(heard, []);
  assert.equal(client.state, "disconnected");
});

test("leaving while the token is still on its way opens nothing", async () => {
  let answer;
  const { client } = makeClient({ getToken: () => new Promise((resolve) => (answer = resolve)) });
  client.connect();
  client.disconnect();
  answer("jwt");
  await turns();
  assert.equal(FakeSocket.all.length, 0);
});
