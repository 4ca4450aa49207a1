// The client of the TypeScript SDK 1.x, which speaks the legacy revisions.
//
//   node client-v1.mjs SCENARIO ROUTE [OPTIONS]       ROUTE and OPTIONS are JSON
import { load } from './packages.mjs';
import { describe, listenToTest, say, Seen, step, textOf, within } from './report.mjs';
import { openRoute } from './transports.mjs';

const { Client } = load('@modelcontextprotocol/sdk/client/index.js');
const { SSEClientTransport: Sse } = load('@modelcontextprotocol/sdk/client/sse.js');
const { StdioClientTransport: Stdio } = load('@modelcontextprotocol/sdk/client/stdio.js');
const { StreamableHTTPClientTransport: StreamableHttp } = load(
  '@modelcontextprotocol/sdk/client/streamableHttp.js',
);
const {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} = load('@modelcontextprotocol/sdk/types.js');

const MAX_LOOKS = 200;

const [scenario, route, options = '{}'] = process.argv.slice(2);
const test = listenToTest();

/** One client, connected, and what it has seen so far. */
class Peer {
  name;
  wire = new Seen();
  asked = new Seen();
  logs = new Seen();
  updates = new Seen();
  roots = [];

  constructor(name, capabilities = {}) {
    this.name = name;
    this.client = new Client({ name, version: '1.0.0' }, { capabilities });
    if (capabilities.sampling) {
      this.client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
        this.asked.add({ method: 'sampling/createMessage', params });
        const prompt = params.messages[0].content.text;
        return {
          model: 'peer-model',
          role: 'assistant',
          content: { type: 'text', text: `${name} heard: ${prompt}` },
        };
      });
    }
    if (capabilities.elicitation) {
      this.client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
        this.asked.add({ method: 'elicitation/create', params });
        return { action: 'accept', content: { name: `Ada of ${name}`, check: true, integer: 7 } };
      });
    }
    if (capabilities.roots) {
      this.client.setRequestHandler(ListRootsRequestSchema, () => {
        this.asked.add({ method: 'roots/list', roots: this.roots.length });
        return { roots: this.roots };
      });
    }
    this.client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) =>
      this.logs.add(params),
    );
    this.client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) =>
      this.updates.add(params),
    );
  }

  async connect() {
    this.transport = openRoute(JSON.parse(route), { Stdio, Sse, StreamableHttp });
    // The SDK forgets a progress handler when it reads the answer, even if progress came before it.
    this.transport.onmessage = (message) => this.wire.add(message);
    await within(this.client.connect(this.transport), `${this.name} to connect`);
    const { name } = this;
    say('connected', { name, proxy: this.transport.pid, server: this.client.getServerVersion() });
    return this;
  }

  call(name, args = {}, { onProgress, ...rest } = {}) {
    return this.client.callTool({ name, arguments: args }, CallToolResultSchema, {
      onprogress: onProgress,
      ...rest,
    });
  }

  /** Starts a call and waits until its first progress says that it runs. */
  async begin(tool, options = {}) {
    const running = new Seen();
    const onProgress = (progress) => running.add(progress);
    const call = this.call(tool, {}, { ...options, onProgress });
    const progress = await Promise.race([
      running.first(`the progress of ${tool}`),
      call.then(() => Promise.reject(new Error(`${tool} ended before its first progress came`))),
    ]);
    return { call, progress };
  }

  /** Progress as it came over the wire. */
  progress() {
    return this.wire.all
      .filter(({ method }) => method === 'notifications/progress')
      .map(({ params }) => params);
  }

  async close() {
    await this.transport.terminateSession?.();
    await this.client.close();
  }
}

const scenarios = {
  async everything() {
    const peer = new Peer('everything', {
      sampling: {},
      elicitation: { form: {}, url: {} },
      roots: { listChanged: true },
    });
    const { client } = peer;
    peer.roots = [{ uri: 'file:///srv/first', name: 'first root' }];
    await peer.connect();

    await step('tools', async () => (await client.listTools()).tools.map(({ name }) => name));
    await step('resources', async () => ({
      resources: (await client.listResources()).resources.map(({ uri }) => uri),
      templates: (await client.listResourceTemplates()).resourceTemplates.map(
        ({ uriTemplate }) => uriTemplate,
      ),
      read: (await client.readResource({ uri: 'demo://resource/dynamic/text/7' })).contents[0],
    }));
    await step('prompts', async () => ({
      prompts: (await client.listPrompts()).prompts.map(({ name }) => name),
      get: (await client.getPrompt({ name: 'args-prompt', arguments: { city: 'Ulm' } })).messages,
    }));
    await step('echo', async () =>
      textOf(await peer.call('echo', { message: 'grüße 你好 🎉 \u2028' })),
    );
    await step('progress', async () => {
      const args = { duration: 0.3, steps: 3 };
      const result = await peer.call('trigger-long-running-operation', args, { onProgress() {} });
      return { text: textOf(result), progress: peer.progress() };
    });
    await step('sampling', async () =>
      textOf(await peer.call('trigger-sampling-request', { prompt: 'hello', maxTokens: 10 })),
    );
    await step('elicitation', async () => textOf(await peer.call('trigger-elicitation-request')));
    await step('urlElicitation', () =>
      peer
        .call('trigger-url-elicitation', { url: 'https://example.com/', errorPath: true })
        .then(textOf, describe),
    );
    await step('subscription', async () => {
      const [{ uri }] = (await client.listResources()).resources;
      await client.subscribeResource({ uri });
      await peer.call('toggle-subscriber-updates');
      const update = await peer.updates.first('an update of the resource');
      await peer.call('toggle-subscriber-updates');
      await client.unsubscribeResource({ uri });
      return { uri, updated: update.uri };
    });
    await step('logging', async () => {
      await client.setLoggingLevel('debug');
      await peer.call('toggle-simulated-logging');
      const log = await peer.logs.first('a log message', ({ data }) => /level.message/i.test(data));
      await peer.call('toggle-simulated-logging');
      return log;
    });
    await step('roots', async () => {
      const before = textOf(await peer.call('get-roots-list'));
      peer.roots = [
        { uri: 'file:///srv/second', name: 'second root' },
        { uri: 'file:///srv/third' },
      ];
      await client.sendRootsListChanged();
      await peer.asked.first('roots/list after the change', ({ roots }) => roots === 2);
      await peer.logs.first('the server to have the new roots', ({ data }) => /2 root/.test(data));
      return { before, after: textOf(await peer.call('get-roots-list')) };
    });
    await step('completion', async () => {
      const ref = { type: 'ref/prompt', name: 'completable-prompt' };
      const complete = async (argument, context) =>
        (await client.complete({ ref, argument, context })).completion.values;
      return {
        department: await complete({ name: 'department', value: 'E' }),
        name: await complete(
          { name: 'name', value: '' },
          { arguments: { department: 'Engineering' } },
        ),
      };
    });
    await peer.close();
  },

  /** Two clients at once. Their ids and progress tokens are the same, as both count from 0. */
  async pair() {
    const capabilities = { sampling: {}, elicitation: {} };
    const peers = await Promise.all(
      ['left', 'right'].map((name) => new Peer(name, capabilities).connect()),
    );
    await step('pair', () => Promise.all(peers.map(play)));
    await Promise.all(peers.map((peer) => peer.close()));

    async function play(peer) {
      const { name } = peer;
      const echoes = Array.from({ length: 20 }, (_, i) => `${name} ${i}`);
      const work = [
        peer.call('trigger-sampling-request', { prompt: `I am ${name}` }).then(textOf),
        peer.call('trigger-elicitation-request').then(textOf),
        peer
          .call(
            'trigger-long-running-operation',
            { duration: 0.3, steps: name === 'left' ? 3 : 5 },
            { onProgress() {} },
          )
          .then(textOf),
        ...echoes.map((message) => peer.call('echo', { message }).then(textOf)),
      ];
      const [sampling, elicitation, operation, ...answers] = await Promise.all(work);
      return {
        name,
        ids: peer.wire.all.flatMap(({ id, result }) => (result === undefined ? [] : [id])),
        sampling,
        elicitation,
        operation,
        progress: peer.progress(),
        asked: peer.asked.all.map(({ method }) => method),
        wrong: answers.filter((answer, i) => answer !== `Echo: ${echoes[i]}`),
      };
    }
  },

  async filesystem() {
    const { root, files } = JSON.parse(options);
    const peer = new Peer('filesystem', root ? { roots: {} } : {});
    peer.roots = root ? [{ uri: root.uri }] : [];
    await peer.connect();
    await step('filesystem', async () => {
      let allowed = textOf(await peer.call('list_allowed_directories'));
      // The server takes the roots in some time after the handshake, and says so only in its log.
      for (let i = 0; root && !allowed.includes(root.path) && i < MAX_LOOKS; i++) {
        allowed = textOf(await peer.call('list_allowed_directories'));
      }
      const texts = [];
      for (const path of files) {
        texts.push(textOf(await peer.call('read_text_file', { path })));
      }
      return { allowed, texts, asked: peer.asked.all.map(({ method }) => method) };
    });
    await peer.close();
  },

  /** What a server of the modern era does in another way. */
  async bridged() {
    const peer = await new Peer('bridged', { elicitation: {} }).connect();
    const { client } = peer;
    const key = `bridged ${process.pid}`;
    await step('introduction', async () => ({
      server: client.getServerVersion(),
      capabilities: client.getServerCapabilities(),
    }));
    await step('tools', async () => (await client.listTools()).tools.map(({ name }) => name));
    await step('progress', async () => {
      const running = new Seen();
      const call = peer.call('gate', { key }, { onProgress: (progress) => running.add(progress) });
      await running.first('the progress of the gate');
      await peer.call('open', { key });
      return { text: textOf(await call), progress: peer.progress() };
    });
    await step('elicitation', async () => ({
      text: textOf(await peer.call('greet')),
      asked: peer.asked.all.map(({ params }) => params),
    }));
    await step('subscription', async () => {
      const uri = `test://${process.pid}`;
      await client.subscribeResource({ uri });
      await peer.call('touch', { uri: 'test://not-subscribed' });
      await peer.call('touch', { uri });
      await peer.updates.first('an update of the resource');
      await client.unsubscribeResource({ uri });
      return { uri, updates: peer.updates.all };
    });
    await step('cancellation', async () => {
      const abort = new AbortController();
      const running = new Seen();
      const call = peer.call(
        'hang',
        { key },
        { signal: abort.signal, onProgress: (progress) => running.add(progress) },
      );
      const failure = call.catch(({ message }) => message);
      await running.first('the progress of the call');
      abort.abort('changed my mind');
      return { failure: await failure, server: textOf(await peer.call('cancelled', { key })) };
    });
    await step('headers', async () =>
      JSON.parse(textOf(await peer.call('region', { region: 'zürich', size: 42 }))),
    );
    await peer.close();
  },

  async whoami() {
    const peer = await new Peer('whoami').connect();
    await step('whoami', async () => JSON.parse(textOf(await peer.call('whoami'))));
    await peer.close();
  },

  async calls() {
    const peer = await new Peer('calls').connect();
    // It cannot end unless its first progress arrives while it runs.
    await step('gate', async () => {
      const { call } = await peer.begin('gate');
      await peer.call('open');
      return { text: textOf(await call), progress: peer.progress() };
    });
    await step('cancellation', async () => {
      const abort = new AbortController();
      const { call } = await peer.begin('hang', { signal: abort.signal });
      const failure = call.catch(({ message }) => message);
      abort.abort('changed my mind');
      return { failure: await failure, server: textOf(await peer.call('cancelled')) };
    });
    await peer.close();
  },

  /** Is in a call until the test ends it, in whatever way. */
  async hang() {
    const peer = await new Peer('hang').connect();
    const { call, progress } = await peer.begin('hang', { timeout: 120_000 });
    say('ready', { server: Number(progress.message) });
    await call.then(
      (result) => say('answer', { text: textOf(result) }),
      (error) => say('failure', describe(error)),
    );
    await test.told('close');
    // What is left of the session is not this scenario's business.
    await peer.close().catch(() => {});
  },

  /** Answers the test's questions whether it still has a server. */
  async idle() {
    const peer = await new Peer('idle').connect();
    say('ready', JSON.parse(textOf(await peer.call('whoami'))));
    await test.told('again');
    await step('again', async () => JSON.parse(textOf(await peer.call('whoami'))));
    await test.told('close');
    await peer.close();
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
