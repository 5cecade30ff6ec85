// What the official JavaScript client does against a development server with tokens of the command line, one scenario a name
// (everywhere.mjs has what does not depend on either). Run by tests/e2e/test_javascript.py:
//   node scenarios.mjs NAME   with URL, TOKEN (user 42), OTHER_TOKEN (user 43) and CHANNEL in the environment
import assert from 'node:assert/strict';
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const { URL: url, TOKEN: token, OTHER_TOKEN: otherToken, CHANNEL: channel } = process.env;

function client(options = {}) {
  return new Centrifuge(url, { websocket: WebSocket, token, minReconnectDelay: 50, maxReconnectDelay: 200, ...options });
}

function once(emitter, event) {
  return new Promise((resolve) => emitter.once(event, resolve));
}

async function connected(options) {
  const centrifuge = client(options);
  centrifuge.connect();
  await centrifuge.ready(10000);
  return centrifuge;
}

async function subscribed(centrifuge, name = channel, options = {}) {
  const subscription = centrifuge.newSubscription(name, options);
  subscription.subscribe();
  await subscription.ready(10000);
  return subscription;
}

const scenarios = {
  async publish_and_receive() {
    const [one, two] = [await connected(), await connected({ token: otherToken })];
    const [sender, receiver] = [await subscribed(one), await subscribed(two)];
    const received = once(receiver, 'publication');
    await sender.publish({ text: 'hello', nested: [1, 2.5, null] });
    const publication = await received;
    assert.deepEqual(publication.data, { text: 'hello', nested: [1, 2.5, null] });
    assert.equal(publication.info.user, '42');
    one.disconnect(); two.disconnect();
  },

  async recover_after_a_killed_socket() {
    const [one, two] = [await connected(), await connected({ token: otherToken })];
    const receiver = await subscribed(two);
    const sender = await subscribed(one);
    const got = [];
    receiver.on('publication', (publication) => got.push(publication.data.n));
    await sender.publish({ n: 0 });
    while (got.length < 1) await once(receiver, 'publication');
    const back = once(receiver, 'subscribed');
    // The socket dies without a close frame; what is published meanwhile must come with the recovery.
    two._transport._transport.terminate();
    await once(two, 'connecting');
    for (let n = 1; n <= 5; n++) await sender.publish({ n });
    const context = await back;
    assert.equal(context.wasRecovering, true);
    assert.equal(context.recovered, true);
    await sender.publish({ n: 6 });
    while (got.length < 7) await once(receiver, 'publication');
    assert.deepEqual(got, [0, 1, 2, 3, 4, 5, 6]);
    one.disconnect(); two.disconnect();
  },

  async notification_and_ack() {
    // Says READY, then waits for the notification that the test sends; acknowledges it and prints its id.
    const centrifuge = client();
    const notified = new Promise((resolve) => centrifuge.on('publication', (context) => resolve(context)));
    centrifuge.connect();
    await centrifuge.ready(10000);
    console.log('READY');
    const context = await notified;
    assert.equal(context.channel, '#42');
    const { notification } = context.data;
    await centrifuge.rpc('notification.ack', { id: notification.id });
    await assert.rejects(centrifuge.rpc('notification.ack', { id: 'unknown' }), (error) => error.code === 104);
    console.log(`ACKED ${notification.id}`);
    centrifuge.disconnect();
  },

  async token_refresh() {
    let asked = 0;
    const centrifuge = await connected({ token: process.env.SHORT_TOKEN, getToken: async () => { asked++; return token; } });
    while (asked === 0) await new Promise((resolve) => setTimeout(resolve, 50));
    await centrifuge.ready(10000);
    const subscription = await subscribed(centrifuge);
    await subscription.publish({});
    centrifuge.disconnect();
  },

  async subscription_token() {
    const centrifuge = await connected();
    const subscription = await subscribed(centrifuge, `$${channel}`, { token: process.env.SUBSCRIPTION_TOKEN });
    const denied = centrifuge.newSubscription(`$${channel}-other`);
    const unsubscribed = once(denied, 'unsubscribed');
    denied.subscribe();
    assert.equal((await unsubscribed).code, 103);
    assert.equal(subscription.state, 'subscribed');
    centrifuge.disconnect();
  },

};

const run = scenarios[process.argv[2]];
if (process.argv[2] === '--list') {
  console.log(Object.keys(scenarios).join('\n'));
} else {
  assert.ok(run, `no scenario ${process.argv[2]}`);
  await run();
  console.log('OK');
  process.exit(0);
}
