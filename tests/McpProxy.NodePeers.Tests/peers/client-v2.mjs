// The client of the TypeScript SDK 2.x, pinned to 2026-07-28 unless the scenario is "auto".
//
//   node client-v2.mjs SCENARIO ROUTE       ROUTE is JSON
import { load } from './packages.mjs';
import { describe, listenToTest, say, Seen, step, textOf, within } from './report.mjs';
import { openRoute } from './transports.mjs';

const {
  Client,
  SSEClientTransport: Sse,
  StreamableHTTPClientTransport: StreamableHttp,
} = load('@modelcontextprotocol/client');
const { StdioClientTransport: Stdio } = load('@modelcontextprotocol/client/stdio');

const REVISION = '2026-07-28';

const [scenario, route] = process.argv.slice(2);
const test = listenToTest();

/** One client, connected, and what it has seen so far. */
class Peer {
  name;
  wire = new Seen();
  asked = new Seen();
  updates = new Seen();

  constructor(name, mode = { pin: REVISION }) {
    this.name = name;
    this.client = new Client(
      { name, version: '1.0.0' },
      {
        capabilities: { elicitation: { form: {} } },
        versionNegotiation: { mode },
      },
    );
    this.client.setRequestHandler('elicitation/create', ({ params }) => {
      this.asked.add(params);
      return { action: 'accept', content: { name: `Ada of ${name}` } };
    });
    this.client.setNotificationHandler('notifications/resources/updated', ({ params }) =>
      this.updates.add(params),
    );
  }

  async connect() {
    this.transport = openRoute(JSON.parse(route), { Stdio, Sse, StreamableHttp });
    // The SDK filters tools and forgets progress handlers; here the proxy's part in it matters.
    this.transport.onmessage = (message) => this.wire.add(message);
    await within(this.client.connect(this.transport), `${this.name} to connect`);
    say('connected', { name: this.name, proxy: this.transport.pid });
    return this;
  }

  call(name, args = {}, { onProgress, ...rest } = {}) {
    return this.client.callTool({ name, arguments: args }, { onprogress: onProgress, ...rest });
  }

  progress() {
    return this.wire.all
      .filter(({ method }) => method === 'notifications/progress')
      .map(({ params }) => params);
  }

  /** Starts a call and waits until its first progress says that it runs. */
  async begin(tool, args, options = {}) {
    const running = new Seen();
    const call = this.call(tool, args, {
      ...options,
      onProgress: (progress) => running.add(progress),
    });
    const progress = await Promise.race([
      running.first(`the progress of ${tool}`),
      call.then(() => Promise.reject(new Error(`${tool} ended before its first progress came`))),
    ]);
    return { call, progress };
  }

  async listen(uri) {
    return this.client.listen({ resourceSubscriptions: [uri] });
  }
}

/** Passes through a gate that opens only once the call's first progress has arrived. */
async function passGate(peer, key) {
  const { call } = await peer.begin('gate', { key });
  await peer.call('open', { key });
  return textOf(await call);
}

const scenarios = {
  async modern() {
    const peer = await new Peer('modern').connect();
    const { client } = peer;
    // Clients may share the server; what they do there must not count for each other.
    const key = `modern ${process.pid}`;

    await step('discover', async () => ({
      era: client.getProtocolEra(),
      version: client.getNegotiatedProtocolVersion(),
      discover: await client.discover(),
    }));
    await step('tools', async () => {
      const tools = (await client.listTools()).tools.map(({ name }) => name);
      const listed = peer.wire.all.find(({ result }) => result?.tools);
      return { tools, onTheWire: listed.result.tools.map(({ name }) => name) };
    });
    await step('echo', async () =>
      textOf(await peer.call('echo', { message: 'grüße 你好 🎉 \u2028' })),
    );
    await step('progress', async () => ({
      text: await passGate(peer, key),
      progress: peer.progress(),
    }));
    await step('elicitation', async () => ({
      text: textOf(await peer.call('greet')),
      asked: peer.asked.all,
    }));
    await step('subscription', async () => {
      const uri = `test://${process.pid}`;
      const subscription = await peer.listen(uri);
      await peer.call('touch', { uri: 'test://not-subscribed' });
      await peer.call('touch', { uri });
      await peer.updates.first('an update of the resource');
      await subscription.close();
      return {
        uri,
        honored: subscription.honoredFilter,
        updates: peer.updates.all,
        closed: await subscription.closed,
      };
    });
    await step('cancellation', async () => {
      const abort = new AbortController();
      const { call } = await peer.begin('hang', { key }, { signal: abort.signal });
      const failure = call.catch(({ message }) => message);
      abort.abort('changed my mind');
      return {
        failure: await failure,
        server: textOf(await peer.call('cancelled', { key })),
      };
    });
    await step('headers', async () =>
      JSON.parse(
        textOf(await peer.call('region', { region: 'zürich, "süd"', size: 42, note: 'private' })),
      ),
    );
    await client.close();
  },

  /** Asks which era the server speaks, and takes the older one if need be. */
  async auto() {
    const peer = await new Peer('auto', 'auto').connect();
    await step('auto', async () => ({
      era: peer.client.getProtocolEra(),
      text: textOf(await peer.call('echo', { message: 'either way' })),
    }));
    await peer.client.close();
  },

  /** What the reference server, which is of the legacy era, does in another way. */
  async bridged() {
    const peer = await new Peer('bridged').connect();
    const { client } = peer;
    await step('discover', async () => ({
      era: client.getProtocolEra(),
      discover: await client.discover(),
    }));
    await step('tools', async () => (await client.listTools()).tools.map(({ name }) => name));
    await step('echo', async () =>
      textOf(await peer.call('echo', { message: 'grüße 你好 🎉 \u2028' })),
    );
    await step('progress', async () => {
      const args = { duration: 0.3, steps: 3 };
      const result = await peer.call('trigger-long-running-operation', args, { onProgress() {} });
      return { text: textOf(result), progress: peer.progress() };
    });
    await step('elicitation', async () => ({
      text: textOf(await peer.call('trigger-elicitation-request')),
      asked: peer.asked.all.length,
    }));
    await step('subscription', async () => {
      const [{ uri }] = (await client.listResources()).resources;
      const subscription = await peer.listen(uri);
      await peer.call('toggle-subscriber-updates');
      const update = await peer.updates.first('an update of the resource');
      await peer.call('toggle-subscriber-updates');
      await subscription.close();
      return { uri, honored: subscription.honoredFilter, updated: update.uri };
    });
    await client.close();
  },

  /** Two clients at once. Their ids, of subscriptions too, are the same by nature. */
  async pair() {
    const peers = await Promise.all(['left', 'right'].map((name) => new Peer(name).connect()));
    await step('pair', () => Promise.all(peers.map(play)));
    await Promise.all(peers.map(({ client }) => client.close()));

    async function play(peer) {
      const { name } = peer;
      const key = `${name} ${process.pid}`;
      const uri = `test://${name}/${process.pid}`;
      const subscription = await peer.listen(uri);
      const echoes = Array.from({ length: 20 }, (_, i) => `${name} ${i}`);
      const [gate, greeting, ...answers] = await Promise.all([
        passGate(peer, key),
        peer.call('greet').then(textOf),
        ...echoes.map((message) => peer.call('echo', { message }).then(textOf)),
      ]);
      await peer.call('touch', { uri });
      await peer.updates.first(`an update for ${name}`);

      const abort = new AbortController();
      const { call } = await peer.begin('hang', { key }, { signal: abort.signal });
      call.catch(() => {});
      abort.abort();
      const cancelled = textOf(await peer.call('cancelled', { key }));
      await subscription.close();
      return {
        name,
        key,
        uri,
        server: JSON.parse(textOf(await peer.call('whoami'))).server,
        ids: peer.wire.all.flatMap(({ id, result }) => (result === undefined ? [] : [id])),
        gate,
        greeting,
        cancelled,
        progress: peer.progress().map(({ message }) => message),
        updates: peer.updates.all.map(({ uri }) => uri),
        wrong: answers.filter((answer, i) => answer !== echoes[i]),
      };
    }
  },

  /** Calls before it has listed the tools, as a client does that has them from an earlier run. */
  async burst() {
    const peer = await new Peer('burst').connect();
    await step('burst', async () => {
      // The proxy sends its first message alone, to learn which transport the server speaks.
      await peer.client.discover();
      const regions = Array.from({ length: 20 }, (_, i) => `region-${i}`);
      const answers = await Promise.all(
        regions.map((region) => peer.call('region', { region }).then(textOf).then(JSON.parse)),
      );
      return {
        regions,
        headers: answers.map(({ headers }) => headers['mcp-param-region']),
        listings: JSON.parse(textOf(await peer.call('listings'))),
      };
    });
    await peer.client.close();
  },

  /** Begins with a call of which nothing comes back, not even headers, until another is made. */
  async silence() {
    const peer = await new Peer('silence').connect();
    await step('silence', async () => {
      const key = `silence ${process.pid}`;
      const calls = [peer.call('silentGate', { key }), peer.call('open', { key })];
      return (await Promise.all(calls)).map(textOf);
    });
    await peer.client.close();
  },

  /** Is in a call until the test ends it, in whatever way. */
  async hang() {
    const peer = await new Peer('hang').connect();
    const { call, progress } = await peer.begin('hang', { key: 'hang' }, { timeout: 120_000 });
    say('ready', { server: Number(progress.message) });
    await call.then(
      (result) => say('answer', { text: textOf(result) }),
      (error) => say('failure', describe(error)),
    );
    await test.told('again');
    await step('again', async () => JSON.parse(textOf(await peer.call('whoami'))));
    await test.told('close');
    await peer.client.close();
  },

  /** Waits for the cancellation of another client's call. */
  async witness() {
    const peer = await new Peer('witness').connect();
    say('ready', JSON.parse(textOf(await peer.call('whoami'))));
    await test.told('cancelled');
    await step('cancelled', async () => textOf(await peer.call('cancelled', { key: 'hang' })));
    await peer.client.close();
  },
};

try {
  await scenarios[scenario]();
} catch (error) {
  say('broken', describe(error));
  process.exitCode = 1;
} finally {
  test.close();
}
