// Official clients that write down what reaches them, a JSON line an event (the shapes of loadtest/faults/events.py), until
// standard input ends. Run by tests/faults:
//   node recorder.mjs   with ENDPOINTS (JSON list of WebSocket addresses), CHANNELS (JSON list), CLIENTS and NAME
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const endpoints = JSON.parse(process.env.ENDPOINTS);
const channels = JSON.parse(process.env.CHANNELS);
const clients = Number(process.env.CLIENTS);
const name = process.env.NAME;

const now = () => (performance.timeOrigin + performance.now()) / 1000;
const write = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

function take(centrifuge, seat, channel) {
  const subscription = centrifuge.newSubscription(channel);
  subscription.on('subscribed', (context) => write({
    type: 'subscribed',
    at: now(),
    seat,
    channel,
    offset: context.streamPosition?.offset ?? 0,
    epoch: context.streamPosition?.epoch ?? '',
    was_recovering: context.wasRecovering,
    recovered: context.recovered,
  }));
  subscription.on('publication', (context) => write({
    type: 'received', at: now(), seat, channel, key: context.data.key, offset: context.offset ?? 0,
  }));
  subscription.on('unsubscribed', (context) => write({ type: 'note', at: now(), seat, text: `unsubscribed ${context.code}` }));
  subscription.subscribe();
}

for (let number = 0; number < clients; number++) {
  const seat = `${name}-${number}`;
  // A client turns to the next address when its connection ends, as behind a balancer.
  let turn = number;
  const centrifuge = new Centrifuge([{ transport: 'websocket', endpoint: endpoints[number % endpoints.length] }], {
    websocket: class extends WebSocket {
      constructor(address, ...rest) {
        super(endpoints[turn++ % endpoints.length], ...rest);
      }
    },
    minReconnectDelay: 100,
    maxReconnectDelay: 2000,
    timeout: 5000,
  });
  centrifuge.on('connected', () => write({ type: 'note', at: now(), seat, text: 'connected' }));
  centrifuge.on('connecting', (context) => write({ type: 'note', at: now(), seat, text: `connecting ${context.code}` }));
  centrifuge.on('disconnected', (context) => write({ type: 'note', at: now(), seat, text: `disconnected ${context.code}` }));
  for (const channel of channels) take(centrifuge, seat, channel);
  centrifuge.connect();
}

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
