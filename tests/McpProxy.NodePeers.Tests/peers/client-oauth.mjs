// A client that does what the test tells it, one line for each request: NUMBER call TOOL, NUMBER list,
// NUMBER ping; at last close. It says {"event":"answer", number, result or error}, and what
// notifications came.
//
//   node client-oauth.mjs legacy|modern ROUTE       ROUTE is JSON
import { createInterface } from 'node:readline';
import { load } from './packages.mjs';
import { describe, say } from './report.mjs';
import { openRoute } from './transports.mjs';

const REVISION = '2026-07-28';
const SDK = { legacy: sdk1, modern: sdk2 };

const [era, route] = process.argv.slice(2);

function sdk1() {
  const { Client } = load('@modelcontextprotocol/sdk/client/index.js');
  const { StdioClientTransport: Stdio } = load('@modelcontextprotocol/sdk/client/stdio.js');
  const { StreamableHTTPClientTransport: StreamableHttp } = load(
    '@modelcontextprotocol/sdk/client/streamableHttp.js',
  );
  return { client: new Client({ name: 'oauth', version: '1.0.0' }), Stdio, StreamableHttp };
}

function sdk2() {
  const { Client, StreamableHTTPClientTransport: StreamableHttp } = load(
    '@modelcontextprotocol/client',
  );
  const { StdioClientTransport: Stdio } = load('@modelcontextprotocol/client/stdio');
  const versionNegotiation = { mode: { pin: REVISION } };
  const client = new Client({ name: 'oauth', version: '1.0.0' }, { versionNegotiation });
  return { client, Stdio, StreamableHttp };
}

const { client, Stdio, StreamableHttp } = SDK[era]();
const verbs = {
  call: (name) => client.callTool({ name, arguments: { message: 'hello' } }),
  list: () => client.listTools(),
  ping: () => client.ping(),
};

const input = createInterface({ input: process.stdin });
// From the start: what comes before it is asked for would be lost.
const lines = input[Symbol.asyncIterator]();
try {
  const transport = openRoute(JSON.parse(route), { Stdio, StreamableHttp });
  transport.onmessage = ({ id, method, params }) => {
    if (id === undefined) {
      say('notification', { method, params });
    }
  };
  await client.connect(transport);
  say('connected', { proxy: transport.pid, server: client.getServerVersion() });

  const requests = [];
  for await (const line of lines) {
    if (line === 'close') {
      break;
    }
    const [number, verb, ...words] = line.split(' ');
    const request = verbs[verb](...words).then(
      (result) => say('answer', { number: Number(number), result }),
      (error) => say('answer', { number: Number(number), error: describe(error) }),
    );
    requests.push(request);
  }
  await Promise.all(requests);
  await client.close();
} catch (error) {
  say('broken', describe(error));
  process.exitCode = 1;
} finally {
  input.close();
}
