// A legacy server over stdio, for what the public servers do not offer: calls that stay open until
// the test lets them go, and a look at what the process was given.
import { load } from './packages.mjs';

const { McpServer } = load('@modelcontextprotocol/sdk/server/mcp.js');
const { StdioServerTransport } = load('@modelcontextprotocol/sdk/server/stdio.js');
const { z } = load('zod');

const mcp = new McpServer({ name: 'node-peer-v1', version: '1.0.0' });
const text = (value) => ({ content: [{ type: 'text', text: value }] });

let openGate;
const gate = new Promise((resolve) => (openGate = resolve));
let noticeCancellation;
const cancelled = new Promise((resolve) => (noticeCancellation = resolve));

function report(extra, progress, message) {
  const progressToken = extra._meta?.progressToken;
  return extra.sendNotification({
    method: 'notifications/progress',
    params: { progressToken, progress, total: 2, message },
  });
}

mcp.registerTool('whoami', { inputSchema: {} }, () =>
  text(JSON.stringify({ server: process.pid, args: process.argv.slice(2) })),
);

mcp.registerTool('echo', { inputSchema: { message: z.string() } }, ({ message }) => text(message));

mcp.registerTool('gate', { inputSchema: {} }, async (_args, extra) => {
  await report(extra, 1, 'at the gate');
  await gate;
  await report(extra, 2, 'through the gate');
  return text('through');
});

mcp.registerTool('open', { inputSchema: {} }, () => {
  openGate();
  return text('opened');
});

mcp.registerTool('hang', { inputSchema: {} }, async (_args, extra) => {
  extra.signal.addEventListener('abort', () => noticeCancellation());
  await report(extra, 1, String(process.pid));
  return new Promise(() => {});
});

mcp.registerTool('cancelled', { inputSchema: {} }, async () => {
  await cancelled;
  return text('cancelled');
});

await mcp.connect(new StdioServerTransport());
