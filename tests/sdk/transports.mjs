// The scenarios of everywhere.mjs under node, over one transport. Run by tests/e2e/test_javascript_transports.py:
//   node --experimental-eventsource transports.mjs TRANSPORT   with URL, SERVER, SECRET, API_KEY and CHANNEL set
// URL is the server behind a network that the one who started this breaks and mends when told so by the lines CUT and MEND; it
// says by a line of its own when that is done. Each scenario ends with a line: its name, and what was wrong.
import { createInterface } from 'node:readline';
import { Centrifuge } from 'centrifuge';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';
import WebSocket from 'ws';
import { names, run } from './everywhere.mjs';

const { URL: url, SERVER: server, SECRET: secret, API_KEY: apiKey, CHANNEL: channel } = process.env;
const done = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function order(word) {
  console.log(word);
  await done.next();
}

const host = {
  clients: { json: Centrifuge, protobuf: ProtobufCentrifuge },
  options: { websocket: WebSocket, eventsource: globalThis.EventSource },
  url,
  secret,
  async call(method, body) {
    const headers = { 'X-API-Key': apiKey };
    const answer = await (await fetch(`${server}/api/${method}`, { method: 'POST', headers, body: JSON.stringify(body) })).json();
    if (!('result' in answer)) throw new Error(JSON.stringify(answer));
    return answer.result;
  },
  cut: () => order('CUT'),
  mend: () => order('MEND'),
};

for (const name of names) {
  const fault = await run(host, process.argv[2], name, `${channel}-${name}`);
  console.log(JSON.stringify([name, fault]));
}
process.exit(0);
