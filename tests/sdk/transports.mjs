// The official JavaScript client over each of its transports. Run by tests/e2e/test_javascript_transports.py:
//   node --experimental-eventsource transports.mjs TRANSPORT SCENARIO   with URL (http://host:port), API_KEY and CHANNEL set
import assert from 'node:assert/strict';
import { Centrifuge } from 'centrifuge';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';
import WebSocket from 'ws';

const { URL: url, API_KEY: apiKey, CHANNEL: channel } = process.env;
const [name, scenario] = process.argv.slice(2);

const websocket = { transport: 'websocket', endpoint: `${url.replace('http', 'ws')}/connection/websocket` };
// A network that lets no WebSocket through: its upgrade is refused.
const blocked = { ...websocket, endpoint: `${websocket.endpoint}-blocked` };
const httpStream = { transport: 'http_stream', endpoint: `${url}/connection/http_stream` };
const sse = { transport: 'sse', endpoint: `${url}/connection/sse` };
const kinds = {
  websocket: [Centrifuge, [websocket], 'websocket'],
  http_stream: [Centrifuge, [blocked, httpStream, sse], 'http_stream'],
  sse: [Centrifuge, [blocked, sse], 'sse'],
  protobuf_websocket: [ProtobufCentrifuge, [websocket], 'websocket'],
  protobuf_http_stream: [ProtobufCentrifuge, [blocked, httpStream], 'http_stream'],
};
const [Client, transports, expected] = kinds[name];
const isProtobuf = Client === ProtobufCentrifuge;
const text = 'the same long text in every publication, so that a patch is worth its while: é '.repeat(5);

const encode = (data) => (isProtobuf ? new TextEncoder().encode(JSON.stringify(data)) : data);
const decode = (data) => (isProtobuf ? JSON.parse(new TextDecoder().decode(data)) : data);

function once(emitter, event) {
  return new Promise((resolve) => emitter.once(event, resolve));
}

async function connected() {
  const centrifuge = new Client(transports, {
    websocket: WebSocket,
    eventsource: globalThis.EventSource,
    emulationEndpoint: `${url}/emulation`,
    minReconnectDelay: 50,
    maxReconnectDelay: 200,
  });
  const context = once(centrifuge, 'connected');
  centrifuge.connect();
  assert.equal((await context).transport, expected);
  return centrifuge;
}

async function subscribed(centrifuge, options = {}) {
  const subscription = centrifuge.newSubscription(channel, options);
  const got = [];
  subscription.on('publication', (publication) => got.push(publication));
  subscription.subscribe();
  await subscription.ready(10000);
  const until = async (count) => {
    while (got.length < count) await once(subscription, 'publication');
    return got;
  };
  return [subscription, until];
}

async function publish(data, tags = {}) {
  const response = await fetch(`${url}/api/publish`, {
    method: 'POST',
    headers: { 'X-API-Key': apiKey },
    body: JSON.stringify({ channel, data, tags }),
  });
  assert.ok('result' in (await response.json()));
}

const scenarios = {
  async publish_and_receive() {
    const centrifuge = await connected();
    const [subscription, until] = await subscribed(centrifuge);
    for (let n = 0; n < 20; n++) await subscription.publish(encode({ n, text }));
    const got = await until(20);
    assert.deepEqual(got.map((publication) => decode(publication.data)), got.map((_, n) => ({ n, text })));
    const history = await subscription.history({ limit: 3, reverse: true });
    assert.deepEqual(history.publications.map((publication) => decode(publication.data).n), [19, 18, 17]);
    assert.equal(Object.keys((await subscription.presence()).clients).length, 1);
    await assert.rejects(centrifuge.rpc('none', encode({})), (error) => error.code === 108);
    subscription.unsubscribe();
    centrifuge.disconnect();
  },

  async recover() {
    const centrifuge = await connected();
    const [subscription, until] = await subscribed(centrifuge);
    await publish({ n: 0 });
    await until(1);
    const away = once(centrifuge, 'disconnected');
    centrifuge.disconnect();
    await away;
    for (let n = 1; n <= 5; n++) await publish({ n });
    const context = once(subscription, 'subscribed');
    centrifuge.connect();
    assert.equal((await context).recovered, true);
    await publish({ n: 6 });
    assert.deepEqual((await until(7)).map((publication) => decode(publication.data).n), [0, 1, 2, 3, 4, 5, 6]);
    centrifuge.disconnect();
  },

  async delta() {
    const centrifuge = await connected();
    const [, until] = await subscribed(centrifuge, { delta: 'fossil' });
    for (let n = 0; n < 5; n++) await publish({ n, text });
    assert.deepEqual((await until(5)).map((publication) => decode(publication.data)), [0, 1, 2, 3, 4].map((n) => ({ n, text })));
    centrifuge.disconnect();
  },

  async tags_filter() {
    const centrifuge = await connected();
    const tagsFilter = { key: 'kind', cmp: 'eq', val: 'goal' };
    const [, until] = await subscribed(centrifuge, { tagsFilter });
    for (let n = 0; n < 6; n++) await publish({ n }, { kind: n % 2 ? 'goal' : 'foul' });
    assert.deepEqual((await until(3)).map((publication) => decode(publication.data).n), [1, 3, 5]);
    centrifuge.disconnect();
  },
};

await scenarios[scenario]();
console.log('OK');
process.exit(0);
