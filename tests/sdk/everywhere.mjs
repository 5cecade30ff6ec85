// What the official JavaScript client does, whatever the transport, the encoding and the place that it runs in: node
// (transports.mjs) and a browser (page.html) both run these scenarios. Nothing here belongs to one of the two.
//
// A host gives: `clients` ({json, protobuf}, the client's classes), `options` (what the client needs there), `url` and
// `secret` of the server, `call(method, body)` of its HTTP API, and `cut()` and `mend()` of the network between.

const text = 'the same long text in every publication, so that a patch is worth its while: é '.repeat(5);

// What a client is given; where it begins with `blocked`, WebSocket does not get through (its upgrade is refused), and the client
// falls back to what comes next. That is done once, in `connect`: browsers make a page wait whose WebSockets often fail.
const transports = {
  websocket: ['json', ['websocket']],
  protobuf_websocket: ['protobuf', ['websocket']],
  http_stream: ['json', ['blocked', 'http_stream', 'sse']],
  protobuf_http_stream: ['protobuf', ['blocked', 'http_stream']],
  sse: ['json', ['blocked', 'sse']],
};

/** Write a value down so that equal ones look the same. */
function canonical(value) {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'undefined';
  if (Array.isArray(value)) return `[${value.map(canonical)}]`;
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)}}`;
}

function equal(got, expected, what = 'it') {
  const [one, other] = [canonical(got), canonical(expected)];
  if (one !== other) throw new Error(`${what} is ${one} and not ${other}`);
}

function once(emitter, event, fits = () => true) {
  return new Promise((resolve) => {
    const take = (context) => {
      if (!fits(context)) return;
      emitter.removeListener(event, take);
      resolve(context);
    };
    emitter.on(event, take);
  });
}

async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return error.code;
  }
  return 0;
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
}

/** Sign a token as a backend does; `exp` is given as seconds from now. */
export async function sign(secret, claims) {
  const encoder = new TextEncoder();
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const body = { ...claims, ...(claims.exp ? { exp: Math.floor(Date.now() / 1000) + claims.exp } : {}) };
  const signed = [{ alg: 'HS256', typ: 'JWT' }, body].map((part) => base64url(encoder.encode(JSON.stringify(part)))).join('.');
  return `${signed}.${base64url(new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(signed))))}`;
}

class World {
  constructor(host, transport, channel) {
    const [encoding, kinds] = transports[transport];
    const open = kinds.filter((kind) => kind !== 'blocked');
    Object.assign(this, { host, channel, encoding, kinds, open, opened: [] });
  }

  endpoints(kinds) {
    const { url } = this.host;
    const websocket = `${url.replace('http', 'ws')}/connection/websocket`;
    const of = {
      websocket,
      blocked: `${websocket}-blocked`,
      http_stream: `${url}/connection/http_stream`,
      sse: `${url}/connection/sse`,
    };
    return kinds.map((kind) => ({ transport: kind === 'blocked' ? 'websocket' : kind, endpoint: of[kind] }));
  }

  token(claims) {
    return sign(this.host.secret, claims);
  }

  /** Make a client. */
  client(options, kinds = this.open) {
    const made = new this.host.clients[this.encoding](this.endpoints(kinds), {
      emulationEndpoint: `${this.host.url}/emulation`,
      minReconnectDelay: 20,
      maxReconnectDelay: 100,
      ...this.host.options,
      ...options,
    });
    this.opened.push(made);
    return made;
  }

  /** Make a client and connect it. */
  async connected(user = '42', claims = {}, options = {}) {
    const token = await this.token({ sub: user, ...claims });
    const made = this.client({ token, ...options });
    made.connect();
    await made.ready(10000);
    return made;
  }

  /** Subscribe; `until(count)` waits for as many publications, `got` are their data. */
  async subscribed(client, options = {}, channel = this.channel) {
    const subscription = client.newSubscription(channel, options);
    const got = [];
    subscription.on('publication', (publication) => got.push(this.decode(publication.data)));
    subscription.subscribe();
    await subscription.ready(10000);
    const until = async (count) => {
      while (got.length < count) await once(subscription, 'publication');
      return got;
    };
    return { subscription, got, until };
  }

  publish(data, more = {}) {
    return this.host.call('publish', { channel: this.channel, data, ...more });
  }

  encode(data) {
    return this.encoding === 'protobuf' ? new TextEncoder().encode(JSON.stringify(data)) : data;
  }

  decode(data) {
    return this.encoding === 'protobuf' ? JSON.parse(new TextDecoder().decode(data)) : data;
  }

  /** The network breaks, something happens meanwhile, and it comes back. */
  async away(client, meanwhile) {
    const lost = once(client, 'connecting');
    await this.host.cut();
    await lost;
    await meanwhile();
    await this.host.mend();
  }
}

const numbers = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => ({ n: first + index }));

const scenarios = {
  async connect(world) {
    const client = world.client({ token: await world.token({ sub: '42' }) }, world.kinds);
    const context = once(client, 'connected');
    client.connect();
    const { client: id, transport } = await context;
    equal(id.length, 36, 'length of the id');
    equal(transport, world.open[0], 'transport');
    const gone = once(client, 'disconnected');
    client.disconnect();
    equal((await gone).code, 0, 'code');
  },

  async publish_and_receive(world) {
    const [one, two] = [await world.connected('1'), await world.connected('2')];
    const sender = await world.subscribed(one);
    const receiver = await world.subscribed(two);
    const first = once(receiver.subscription, 'publication');
    const data = { text: 'é 🎈 "quoted"\n', nested: [1, 2.5, null, { deep: true }] };
    await sender.subscription.publish(world.encode(data));
    const publication = await first;
    equal(world.decode(publication.data), data);
    equal(publication.info.user, '1', 'publisher');
    one.startBatching();
    const published = numbers(1, 20).map((entry) => sender.subscription.publish(world.encode({ ...entry, text })));
    one.stopBatching();
    await Promise.all(published);
    equal(await receiver.until(21), [data, ...numbers(1, 20).map((entry) => ({ ...entry, text }))]);
    equal(await sender.until(21), receiver.got);
  },

  async presence(world) {
    const [one, two] = [await world.connected('1', { info: { name: 'Ann' } }), await world.connected('2')];
    const { subscription } = await world.subscribed(one, { joinLeave: true });
    const joined = once(subscription, 'join', (context) => context.info.user === '2');
    const left = once(subscription, 'leave', (context) => context.info.user === '2');
    await world.subscribed(two);
    const { info } = await joined;
    const { clients } = await subscription.presence();
    equal(Object.values(clients).map((entry) => entry.user).sort(), ['1', '2']);
    equal(clients[info.client].user, '2');
    equal(world.decode(Object.values(clients).find((entry) => entry.user === '1').connInfo), { name: 'Ann' });
    equal(await subscription.presenceStats(), { numClients: 2, numUsers: 2 });
    two.disconnect();
    await left;
    equal(await subscription.presenceStats(), { numClients: 1, numUsers: 1 });
  },

  async history(world) {
    const { subscription } = await world.subscribed(await world.connected());
    for (const entry of numbers(1, 5)) await subscription.publish(world.encode(entry));
    const read = async (asked) => {
      const { publications, offset, epoch } = await subscription.history(asked);
      return { data: publications.map((publication) => world.decode(publication.data).n), offset, epoch };
    };
    const { epoch, ...newest } = await read({ limit: 2, reverse: true });
    equal(newest, { data: [5, 4], offset: 5 });
    equal((await read({ limit: 2, since: { offset: 2, epoch } })).data, [3, 4]);
    equal((await read({ limit: -1, since: { offset: 3, epoch }, reverse: true })).data, [2, 1]);
    equal((await read()).data, []);
    equal(await refusal(read({ limit: 1, since: { offset: 1, epoch: 'other' } })), 112);
  },

  async recovery(world) {
    const client = await world.connected();
    const { subscription, until } = await world.subscribed(client);
    await world.publish({ n: 1 });
    await until(1);
    for (const turn of [0, 1]) {
      const back = once(subscription, 'subscribed');
      await world.away(client, async () => {
        for (const entry of numbers(2 + 5 * turn, 5 + 5 * turn)) await world.publish(entry);
      });
      const { wasRecovering, recovered } = await back;
      equal({ wasRecovering, recovered }, { wasRecovering: true, recovered: true });
      await world.publish({ n: 6 + 5 * turn });
      equal(await until(6 + 5 * turn), numbers(1, 6 + 5 * turn));
    }
  },

  async a_position_that_is_gone(world) {
    world.channel = `short:${world.channel}`;
    const client = await world.connected();
    const { subscription, until } = await world.subscribed(client);
    await world.publish({ n: 1 });
    await until(1);
    const back = once(subscription, 'subscribed');
    await world.away(client, async () => {
      for (const entry of numbers(2, 6)) await world.publish(entry);
    });
    const { wasRecovering, recovered } = await back;
    equal({ wasRecovering, recovered }, { wasRecovering: true, recovered: false });
    await world.publish({ n: 7 });
    equal(await until(2), [{ n: 1 }, { n: 7 }]);
  },

  async delta(world) {
    const client = await world.connected();
    const { subscription, until } = await world.subscribed(client, { delta: 'fossil' });
    const long = (first, last) => numbers(first, last).map((entry) => ({ ...entry, text: `${text} ${'аб€🎈'.repeat(entry.n)}` }));
    for (const entry of long(1, 5)) await world.publish(entry);
    equal(await until(5), long(1, 5));
    const back = once(subscription, 'subscribed');
    await world.away(client, async () => {
      for (const entry of long(6, 9)) await world.publish(entry);
    });
    equal((await back).recovered, true);
    for (const entry of long(10, 12)) await world.publish(entry);
    equal(await until(12), long(1, 12));
  },

  async tags_filter(world) {
    const client = await world.connected();
    const tagsFilter = { key: 'kind', cmp: 'eq', val: 'goal' };
    const { subscription, until } = await world.subscribed(client, { tagsFilter });
    const publish = async (first, last) => {
      for (const entry of numbers(first, last)) await world.publish(entry, { tags: { kind: entry.n % 2 ? 'goal' : 'foul' } });
    };
    await publish(1, 4);
    equal(await until(2), [{ n: 1 }, { n: 3 }]);
    const back = once(subscription, 'subscribed');
    await world.away(client, () => publish(5, 8));
    equal((await back).recovered, true);
    await publish(9, 9);
    equal(await until(5), [1, 3, 5, 7, 9].map((n) => ({ n })));
  },

  async server_side_subscriptions(world) {
    const user = `user-${world.channel}`;
    const token = await world.token({ sub: user, channels: [world.channel] });
    const client = world.client({ token });
    const [got, ours] = [[], (context) => context.channel === world.channel];
    client.on('publication', (context) => ours(context) && got.push(world.decode(context.data)));
    const until = async (count) => {
      while (got.length < count) await once(client, 'publication');
      return got;
    };
    const entered = once(client, 'subscribed', ours);
    client.connect();
    equal((await entered).recoverable, true);
    await world.publish({ n: 1 });
    await until(1);
    const back = once(client, 'subscribed', ours);
    await world.away(client, async () => {
      for (const entry of numbers(2, 4)) await world.publish(entry);
    });
    equal((await back).recovered, true);
    equal(await until(4), numbers(1, 4));
    await client.publish(world.channel, world.encode({ n: 5 }));
    equal(await until(5), numbers(1, 5));
    const other = `${world.channel}-other`;
    for (const [method, event] of [['subscribe', 'subscribed'], ['unsubscribe', 'unsubscribed']]) {
      const told = once(client, event, (context) => context.channel === other);
      await world.host.call(method, { user, channel: other });
      await told;
    }
    const gone = once(client, 'disconnected');
    await world.host.call('disconnect', { user, disconnect: { code: 4900, reason: 'enough' } });
    const { code, reason } = await gone;
    equal({ code, reason }, { code: 4900, reason: 'enough' });
  },

  async rpc(world) {
    const client = await world.connected();
    await client.rpc('ping', world.encode({}));
    equal(await refusal(client.rpc('nothing', world.encode({}))), 108);
    equal(await refusal(client.rpc('notification.ack', world.encode({ id: 'unknown' }))), 104);
    const { data } = await client.rpc('preferences.get', world.encode({}));
    equal(world.decode(data), { preferences: [] });
  },

  async unsubscribe(world) {
    const [client, witness] = [await world.connected('1'), await world.connected('2')];
    const { subscription, got, until } = await world.subscribed(client);
    const other = await world.subscribed(witness);
    await world.publish({ n: 1 });
    await until(1);
    const left = once(subscription, 'unsubscribed');
    subscription.unsubscribe();
    equal((await left).code, 0);
    await world.publish({ n: 2 });
    await other.until(2);
    equal(got, [{ n: 1 }]);
    subscription.subscribe();
    await subscription.ready(10000);
    const told = once(subscription, 'unsubscribed');
    await world.host.call('unsubscribe', { user: '1', channel: world.channel });
    equal((await told).code, 2000);
  },

  async refresh(world) {
    const asked = { connection: 0, subscription: 0 };
    const channel = `$${world.channel}`;
    const give = (what, claims) => async () => {
      asked[what] += 1;
      return world.token({ sub: '42', ...claims });
    };
    const client = await world.connected('42', { exp: 2 }, { getToken: give('connection', { exp: 600 }) });
    const token = await world.token({ sub: '42', channel, exp: 2 });
    const { subscription } = await world.subscribed(client, { token, getToken: give('subscription', { channel, exp: 600 }) }, channel);
    const events = [];
    for (const event of ['connecting', 'disconnected']) client.on(event, () => events.push(event));
    for (const event of ['subscribing', 'unsubscribed']) subscription.on(event, () => events.push(event));
    while (!asked.connection || !asked.subscription) await new Promise((resolve) => setTimeout(resolve, 20));
    await client.rpc('ping', world.encode({}));
    equal([asked, events, subscription.state], [{ connection: 1, subscription: 1 }, [], 'subscribed']);
  },

  async errors(world) {
    const client = await world.connected();
    for (const [channel, code] of [['closed:a', 103], [`$${world.channel}`, 103], ['nowhere:a', 102]]) {
      const subscription = client.newSubscription(channel);
      const ended = once(subscription, 'unsubscribed');
      subscription.subscribe();
      equal((await ended).code, code, channel);
    }
    equal(await refusal(client.publish(world.channel, world.encode({}))), 103, 'publishing from outside');
    equal(await refusal(client.presence('nowhere:a')), 102, 'presence of nowhere');
    equal(await refusal(client.history('closed:a', { limit: 1 })), 108, 'history of a channel without');
    const denied = world.client({ token: 'garbage' });
    const gone = once(denied, 'disconnected');
    denied.connect();
    equal((await gone).code, 3500, 'a bad token');
  },
};

export const names = Object.keys(scenarios);

/** Run a scenario; tells '' or what was wrong. */
export async function run(host, transport, name, channel) {
  const world = new World(host, transport, channel);
  const late = new Promise((_, reject) => { setTimeout(() => reject(new Error('it takes too long')), 30000); });
  try {
    await Promise.race([scenarios[name](world), late]);
    return '';
  } catch (error) {
    return error.stack ?? canonical(error);
  } finally {
    for (const client of world.opened) client.disconnect();
  }
}
