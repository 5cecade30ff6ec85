// The official JavaScript client on a fleet of two nodes. Run by tests/e2e/test_fleet_clients.py:
//   node --experimental-eventsource fleet.mjs SCENARIO [TRANSPORT]
//   with ONE and TWO (http://host:port of the nodes), API_KEY, TOKEN, OTHER_TOKEN (another user's) and CHANNEL set
import assert from 'node:assert/strict';
import { Centrifuge } from 'centrifuge';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';
import WebSocket from 'ws';

const { ONE: one, TWO: two, API_KEY: apiKey, TOKEN: token, OTHER_TOKEN: otherToken, CHANNEL: channel } = process.env;
const [scenario, transport] = process.argv.slice(2);

const websocketOf = (node) => `${node.replace('http', 'ws')}/connection/websocket`;

function once(emitter, event) {
  return new Promise((resolve) => emitter.once(event, resolve));
}

async function connected(node, options = {}) {
  const centrifuge = new Centrifuge(websocketOf(node), {
    websocket: WebSocket, token, minReconnectDelay: 50, maxReconnectDelay: 200, ...options,
  });
  centrifuge.connect();
  await centrifuge.ready(20000);
  return centrifuge;
}

async function subscribed(centrifuge, options = {}) {
  const subscription = centrifuge.newSubscription(channel, options);
  const got = [];
  subscription.on('publication', (publication) => got.push(publication));
  subscription.subscribe();
  await subscription.ready(20000);
  const until = async (count) => {
    while (got.length < count) await once(subscription, 'publication');
    return got;
  };
  return [subscription, until];
}

async function call(node, method, body) {
  const headers = { 'X-API-Key': apiKey };
  const response = await fetch(`${node}/api/${method}`, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer = await response.json();
  assert.ok('result' in answer, JSON.stringify(answer));
  return answer.result;
}

const scenarios = {
  async publish_and_receive() {
    const [here, there] = [await connected(one), await connected(two, { token: otherToken })];
    const [[sender, untilSender], [receiver, untilReceiver]] = [await subscribed(here), await subscribed(there)];
    await sender.publish({ n: 1 });
    await untilReceiver(1);
    await receiver.publish({ n: 2 });
    for (const got of [await untilSender(2), await untilReceiver(2)]) {
      assert.deepEqual(got.map((publication) => publication.data.n), [1, 2]);
      assert.deepEqual(got.map((publication) => publication.info.user), ['ann', 'bob']);
    }
    const newest = await receiver.history({ limit: 1, reverse: true });
    assert.deepEqual(newest.publications.map((publication) => publication.data.n), [2]);
  },

  async recover_on_the_other_node() {
    // Each connection goes to the next node, as behind a balancer.
    const nodes = [one, two];
    let turn = 0;
    const wandering = class extends WebSocket {
      constructor(_address, ...rest) {
        super(websocketOf(nodes[turn++ % 2]), ...rest);
      }
    };
    const centrifuge = await connected(one, { websocket: wandering });
    const [subscription, until] = await subscribed(centrifuge);
    await call(two, 'publish', { channel, data: { n: 0 } });
    await until(1);
    for (let round = 0; round < 2; round++) {
      const back = once(subscription, 'subscribed');
      centrifuge._transport._transport.terminate();
      await once(centrifuge, 'connecting');
      for (let n = 1; n <= 3; n++) await call(nodes[round % 2], 'publish', { channel, data: { n: round * 3 + n } });
      const context = await back;
      assert.deepEqual([context.wasRecovering, context.recovered], [true, true]);
    }
    assert.equal(turn, 3);
    await call(one, 'publish', { channel, data: { n: 7 } });
    assert.deepEqual((await until(8)).map((publication) => publication.data.n), [0, 1, 2, 3, 4, 5, 6, 7]);
  },

  async presence_joins_and_leaves() {
    const here = await connected(one);
    const [watcher] = await subscribed(here, { joinLeave: true });
    const joined = new Promise((resolve) => watcher.on('join', (context) => context.info.user === 'bob' && resolve()));
    const left = new Promise((resolve) => watcher.on('leave', (context) => context.info.user === 'bob' && resolve()));
    const there = await connected(two, { token: otherToken });
    const [comer] = await subscribed(there);
    await joined;
    for (const subscription of [watcher, comer]) {
      const { clients } = await subscription.presence();
      assert.deepEqual(Object.values(clients).map((info) => info.user).sort(), ['ann', 'bob']);
      assert.deepEqual(await subscription.presenceStats(), { numClients: 2, numUsers: 2 });
    }
    there.disconnect();
    await left;
    assert.deepEqual(await watcher.presenceStats(), { numClients: 1, numUsers: 1 });
  },

  async told_by_the_other_node() {
    const centrifuge = await connected(two);
    const given = once(centrifuge, 'subscribed');
    await call(one, 'subscribe', { user: 'ann', client: centrifuge._client, channel });
    assert.equal((await given).channel, channel);
    const taken = once(centrifuge, 'unsubscribed');
    await call(one, 'unsubscribe', { user: 'ann', client: centrifuge._client, channel });
    assert.equal((await taken).channel, channel);
    const gone = once(centrifuge, 'disconnected');
    await call(one, 'disconnect', { user: 'ann', client: centrifuge._client });
    assert.equal((await gone).code, 3503);
  },

  async emulation_through_the_other_node() {
    // What comes down is held by one node; what goes up is brought to the other, as a balancer without stickiness may do.
    const isProtobuf = transport === 'protobuf_http_stream';
    const kind = transport.replace('protobuf_', '');
    const Client = isProtobuf ? ProtobufCentrifuge : Centrifuge;
    const encode = (data) => (isProtobuf ? new TextEncoder().encode(JSON.stringify(data)) : data);
    const decode = (data) => (isProtobuf ? JSON.parse(new TextDecoder().decode(data)) : data);
    const blocked = { transport: 'websocket', endpoint: `${websocketOf(one)}-blocked` };
    const centrifuge = new Client([blocked, { transport: kind, endpoint: `${one}/connection/${kind}` }], {
      websocket: WebSocket, eventsource: globalThis.EventSource, token, emulationEndpoint: `${two}/emulation`,
    });
    const context = once(centrifuge, 'connected');
    centrifuge.connect();
    assert.equal((await context).transport, kind);
    const [subscription, until] = await subscribed(centrifuge);
    for (let n = 0; n < 10; n++) await subscription.publish(encode({ n }));
    const got = await until(10);
    assert.deepEqual(got.map((publication) => decode(publication.data).n), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.equal(Object.keys((await subscription.presence()).clients).length, 1);
    subscription.unsubscribe();
    const gone = once(centrifuge, 'disconnected');
    await call(two, 'disconnect', { user: 'ann', client: centrifuge._client });
    assert.equal((await gone).code, 3503);
  },
};

if (scenario === '--list') {
  console.log(Object.keys(scenarios).join('\n'));
} else {
  assert.ok(scenarios[scenario], `no scenario ${scenario}`);
  await scenarios[scenario]();
  console.log('OK');
}
process.exit(0);
