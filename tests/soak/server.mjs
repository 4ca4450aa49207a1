// A stdio server for the soak: everything that it says about a call carries the call's mark.
import { createInterface } from 'node:readline';

const open = new Map();
const asked = new Map();
let lastQuestion = 0;

const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function call(id, { arguments: { mark, delay, size, ask }, _meta }) {
  open.set(id, true);
  const progressToken = _meta?.progressToken;
  for (let progress = 1; progress <= 3 && open.has(id); progress++) {
    if (progressToken !== undefined) {
      send({ method: 'notifications/progress', params: { progressToken, progress, message: mark } });
    }
    await sleep(delay / 3);
  }
  let heard = mark;
  if (ask && open.has(id)) {
    const question = ++lastQuestion;
    send({ id: question, method: 'elicitation/create', params: { message: mark, requestedSchema: {} } });
    const answer = await new Promise((resolve) => asked.set(question, resolve));
    heard = answer.error ? mark : answer.result.content.mark;
  }
  if (open.delete(id)) {
    send({ id, result: { mark, heard, process: process.pid, filler: 'x'.repeat(size) } });
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { id, method, params, ...answer } = JSON.parse(line);
    if (method === undefined) {
      asked.get(id)?.(answer);
      asked.delete(id);
    } else if (method === 'initialize') {
      const { protocolVersion } = params;
      send({ id, result: { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'soak', version: '1' } } });
    } else if (method === 'notifications/cancelled') {
      open.delete(params.requestId);
    } else if (method === 'tools/call') {
      void call(id, params);
    } else if (id !== undefined) {
      send({ id, result: {} });
    }
  })
  .on('close', () => process.exit(0));
