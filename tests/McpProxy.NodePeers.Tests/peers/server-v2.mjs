// A server of 2026-07-28, and of nothing else.
//
//   node server-v2.mjs         over stdio
//   node server-v2.mjs http    over Streamable HTTP; the address is the first line on stdout
import { createServer } from 'node:http';
import { load } from './packages.mjs';
import { say } from './report.mjs';

const { toNodeHandler } = load('@modelcontextprotocol/node');
const { acceptedContent, createMcpHandler, fromJsonSchema, inputRequired, McpServer } = load(
  '@modelcontextprotocol/server',
);
const { serveStdio } = load('@modelcontextprotocol/server/stdio');
const { z } = load('zod');

const overHttp = process.argv[2] === 'http';
const text = (value) => ({ content: [{ type: 'text', text: value }] });
const name = z.object({ name: z.string() });

// Over HTTP every request has a server object of its own: what calls share lives out here.
const gates = new Map();
const cancellations = new Map();
let listings = 0;

/** A promise by name, with the function that resolves it. */
function latch(latches, key) {
  if (!latches.has(key)) {
    let release;
    const released = new Promise((resolve) => (release = resolve));
    latches.set(key, { released, release });
  }
  return latches.get(key);
}

function report({ mcpReq }, progress, message) {
  const progressToken = mcpReq._meta?.progressToken;
  return mcpReq.notify({
    method: 'notifications/progress',
    params: { progressToken, progress, total: 2, message },
  });
}

function create(notify) {
  const mcp = new McpServer(
    { name: 'node-peer-v2', version: '1.0.0' },
    { capabilities: { tools: { listChanged: true }, resources: { subscribe: true }, logging: {} } },
  );
  const tool = (name, inputSchema, run) => mcp.registerTool(name, { inputSchema }, run);
  const key = z.object({ key: z.string() });

  tool('whoami', z.object({}), () => text(JSON.stringify({ server: process.pid })));
  tool('echo', z.object({ message: z.string() }), ({ message }) => text(message));

  tool('gate', key, async ({ key }, context) => {
    await report(context, 1, `at gate ${key}`);
    await latch(gates, key).released;
    await report(context, 2, `through gate ${key}`);
    return text(`through ${key}`);
  });
  tool('silentGate', key, async ({ key }) => {
    await latch(gates, key).released;
    return text(`through ${key}`);
  });
  tool('open', key, ({ key }) => {
    latch(gates, key).release();
    return text(`opened ${key}`);
  });

  tool('hang', key, async ({ key }, context) => {
    context.mcpReq.signal.addEventListener('abort', () => latch(cancellations, key).release());
    await report(context, 1, String(process.pid));
    return new Promise(() => {});
  });
  tool('cancelled', key, async ({ key }) => {
    await latch(cancellations, key).released;
    return text(`cancelled ${key}`);
  });

  tool('greet', z.object({}), (_args, { mcpReq }) => {
    const answer = acceptedContent(mcpReq.inputResponses, 'who', name);
    return answer
      ? text(`Hello, ${answer.name}, ${mcpReq.requestState()}`)
      : inputRequired({
          inputRequests: {
            who: inputRequired.elicit({ message: 'Who are you?', requestedSchema: name }),
          },
          requestState: 'state of the call: "ü", 1.0',
        });
  });

  tool('listings', z.object({}), () => text(JSON.stringify(listings)));

  tool('touch', z.object({ uri: z.string() }), async ({ uri }) => {
    await (notify ? notify.resourceUpdated(uri) : mcp.server.sendResourceUpdated({ uri }));
    return text('touched');
  });

  tool(
    'region',
    fromJsonSchema({
      type: 'object',
      properties: {
        region: { type: 'string', 'x-mcp-header': 'Region' },
        size: { type: 'integer', 'x-mcp-header': 'Size' },
        note: { type: 'string' },
      },
    }),
    (args, { http }) =>
      text(JSON.stringify({ args, headers: http ? Object.fromEntries(http.req.headers) : null })),
  );
  tool(
    'misannotated',
    fromJsonSchema({
      type: 'object',
      properties: { region: { type: 'string', 'x-mcp-header': 'not a token' } },
    }),
    () => text('never called'),
  );
  return mcp;
}

if (overHttp) {
  const handler = createMcpHandler(() => create(handler.notify), { legacy: 'reject' });
  const fetch = (request) => {
    listings += request.headers.get('mcp-method') === 'tools/list' ? 1 : 0;
    return handler.fetch(request);
  };
  const server = createServer(toNodeHandler({ fetch }));
  server.listen(0, '127.0.0.1', () => {
    say('listening', { url: `http://127.0.0.1:${server.address().port}/mcp` });
  });
} else {
  serveStdio(() => create(), { legacy: 'reject' });
}
