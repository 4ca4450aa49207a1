// Clients that behave and clients that do not, against one serving proxy, for as long as told.
//
//   node soak.mjs PROXY [--mode per-session|shared|stateless] [--seconds N] [--clients N] [--idle N] [--kill] [--growth MIB]
//
// PROXY is the program. Every message carries its owner's mark; what reaches somebody else is cross-talk. Prints one JSON object with what
// was measured; exits with 1 when there was cross-talk, a child was left, an honest client was not served, or more than --growth was resident after
// the load than before it.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    mode: { type: 'string', default: 'per-session' },
    seconds: { type: 'string', default: '20' },
    clients: { type: 'string', default: '20' },
    idle: { type: 'string', default: '0' },
    kill: { type: 'boolean', default: false },
    growth: { type: 'string', default: 'Infinity' },
  },
});
const seconds = Number(options.seconds);
const modes = { 'per-session': [], shared: ['--child', 'shared'], stateless: ['--stateless'] };
const IDLE_TIMEOUT = 5;
const SETTLE = 40_000;

const counts = { honest: 0, failed: 0, refused: 0, vanished: 0, stalled: 0, garbage: 0, halved: 0, killed: 0, messages: 0, crossTalk: 0 };
const problems = [];
let lastMark = 0;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const any = (...choices) => choices[Math.floor(Math.random() * choices.length)];
const newMark = () => `mark-${++lastMark}-${Math.random().toString(36).slice(2)}`;

function note(problem) {
  if (problems.length < 20) {
    problems.push(problem);
  }
}

/** Every mark in a text must be the reader's own. */
function check(text, mark, where) {
  counts.messages++;
  for (const found of text.match(/mark-\d+-\w+/g) ?? []) {
    if (found !== mark) {
      counts.crossTalk++;
      note(`${mark} read ${found} (${where})`);
    }
  }
}

class Client {
  mark = newMark();
  agent = new http.Agent({ keepAlive: true });
  session;
  lastId = 0;

  constructor(url) {
    this.url = url;
  }

  /** One HTTP exchange; hands on each event as it comes. */
  exchange(method, body, onEvent = () => {}, onRequest = () => {}) {
    return new Promise((resolve, reject) => {
      const headers = { accept: method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream' };
      if (body !== undefined) {
        headers['content-type'] = 'application/json';
      }
      if (this.session) {
        headers['mcp-session-id'] = this.session;
      }
      const request = http.request(this.url, { method, headers, agent: this.agent }, (response) => {
        let rest = '';
        let whole = '';
        response.setEncoding('utf8');
        response.on('data', (text) => {
          whole += text;
          rest += text;
          for (let end; (end = rest.indexOf('\n\n')) >= 0; rest = rest.slice(end + 2)) {
            const data = rest.slice(0, end).split('\n').filter((line) => line.startsWith('data: ')).map((line) => line.slice(6)).join('\n');
            if (data) {
              check(data, this.mark, 'event');
              onEvent(JSON.parse(data));
            }
          }
        });
        response.on('end', () => {
          if (response.headers['content-type']?.startsWith('application/json')) {
            check(whole, this.mark, 'body');
            onEvent(JSON.parse(whole));
          }
          resolve(response);
        });
        response.on('error', reject);
      });
      request.on('error', reject);
      onRequest(request);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  post(message, onEvent, onRequest) {
    return this.exchange('POST', { jsonrpc: '2.0', ...message }, onEvent, onRequest);
  }

  async open() {
    const response = await this.post({
      id: 0,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: { elicitation: {} }, clientInfo: { name: this.mark, version: '1' } },
    });
    if (response.statusCode === 503) {
      counts.refused++;
      return false;
    }
    this.session = response.headers['mcp-session-id'];
    await this.post({ method: 'notifications/initialized' });
    return true;
  }

  /** Calls, answers the questions about it, and gives back the answer. */
  async call({ delay = 30, size = 10, ask = false } = {}, onRequest) {
    const id = ++this.lastId;
    let answer;
    const message = { id, method: 'tools/call', params: { name: 'x', arguments: { mark: this.mark, delay, size, ask }, _meta: { progressToken: id } } };
    await this.post(
      message,
      (event) => {
        if (event.method === 'elicitation/create') {
          this.post({ id: event.id, result: { action: 'accept', content: { mark: this.mark } } }).catch(() => {});
        } else if (event.id === id) {
          answer = event;
        }
      },
      onRequest,
    );
    return answer;
  }

  async close() {
    if (this.session) {
      await this.exchange('DELETE');
    }
    this.agent.destroy();
  }
}

const behaviours = {
  async honest(url) {
    const client = new Client(url);
    if (!(await client.open())) {
      return;
    }
    if (client.session) {
      client.exchange('GET').catch(() => {});
    }
    for (let i = 0; i < 5; i++) {
      const answer = await client.call({ ask: options.mode !== 'stateless' && Math.random() < 0.3, size: any(10, 10_000) });
      if (answer?.result?.mark === client.mark && answer.result.heard === client.mark) {
        counts.honest++;
      } else if (options.kill && answer?.error) {
        counts.killed++;
      } else {
        counts.failed++;
        note(`an honest call was answered: ${JSON.stringify(answer)?.slice(0, 300)}`);
      }
    }
    await client.close();
  },

  async vanished(url) {
    const client = new Client(url);
    if (await client.open()) {
      await client.call({ delay: 5000 }, (request) => setTimeout(() => request.destroy(), Math.random() * 100)).catch(() => {});
    }
    client.agent.destroy();
  },

  async vanishedAtOnce(url) {
    const client = new Client(url);
    await client
      .post({ id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {} } }, undefined, (request) =>
        setTimeout(() => request.destroy(), Math.random() * 30),
      )
      .catch(() => {});
    client.agent.destroy();
    counts.vanished++;
  },

  async stalled(url) {
    const client = new Client(url);
    if (await client.open()) {
      const asking = client.call({ size: 8_000_000 }, (request) => request.on('response', (response) => setImmediate(() => response.pause()))).catch(() => {});
      await Promise.race([asking, sleep(1000)]);
    }
    client.agent.destroy();
  },

  async garbage(url) {
    const client = new Client(url);
    const isOpen = Math.random() < 0.5 && (await client.open());
    const body = any('{', '[]', '[1,2]', 'null', '{"jsonrpc":"2.0","id":{}}', '\u0000\u0001', `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${'['.repeat(5000)}`);
    const raw = any(
      `POST ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nAccept: */*\r\nContent-Type: application/json\r\n${client.session ? `Mcp-Session-Id: ${client.session}\r\n` : ''}Content-Length: ${body.length}\r\n\r\n${body}`,
      `GARBAGE\r\n\r\n`,
      `POST ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nContent-Length: x\r\n\r\n`,
      '\u0016\u0003\u0001\u0002',
    );
    await rawly(url, raw, 200);
    if (isOpen) {
      await client.close();
    }
    client.agent.destroy();
  },

  async halved(url) {
    const client = new Client(url);
    const session = (await client.open()) && client.session ? `Mcp-Session-Id: ${client.session}\r\n` : '';
    await rawly(url, `POST ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nAccept: application/json\r\nContent-Type: application/json\r\n${session}Content-Length: 1000\r\n\r\n{"jsonrpc":`, Math.random() * 500);
    client.agent.destroy();
  },
};

function rawly(url, text, ms) {
  return new Promise((resolve) => {
    const socket = net.connect(url.port, url.hostname, () => socket.write(text, 'latin1'));
    socket.on('error', () => {});
    socket.on('close', resolve);
    socket.resume();
    setTimeout(() => socket.destroy(), ms);
  });
}

function childrenOf(parent) {
  return readdirSync(`/proc/${parent}/task`).flatMap((thread) => {
    try {
      return readFileSync(`/proc/${parent}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
    } catch {
      return []; // The thread has just ended.
    }
  });
}

function memoryOf(process) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${process}/status`, 'utf8'))[1]);
}

async function settled(process, left) {
  const until = Date.now() + SETTLE;
  while (Date.now() < until && childrenOf(process).length > left) {
    await sleep(250);
  }
  return childrenOf(process).length;
}

const server = fileURLToPath(new URL('server.mjs', import.meta.url));
const proxy = spawn(
  positionals[0],
  ['--port', '0', '--log-level', 'info', '--max-sessions', String(Math.max(1000, Number(options.idle) + 200)), '--session-idle-timeout', String(Number(options.idle) > 0 ? 600 : IDLE_TIMEOUT), ...modes[options.mode], '--', process.execPath, server],
  { stdio: ['ignore', 'ignore', 'pipe'] },
);
let errors = '';
const url = await new Promise((resolve, reject) => {
  proxy.on('exit', (code) => reject(new Error(`the proxy ended with ${code}\n${errors.slice(-2000)}`)));
  proxy.stderr.setEncoding('utf8').on('data', (text) => {
    errors = (errors + text).slice(-20_000);
    const found = /Listening \(streamable-http\): (\S+)/.exec(text);
    if (found) {
      resolve(new URL(found[1]));
    }
    for (const line of text.split('\n')) {
      if (/defect|unhandled/i.test(line)) {
        note(line);
      }
    }
  });
});

await behaviours.honest(url);
await sleep(1000);
const before = memoryOf(proxy.pid);

/** Sessions that have a stream open and do nothing else. */
const idlers = [];
for (let i = 0; i < Number(options.idle); i += 20) {
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      const client = new Client(url);
      if (await client.open()) {
        client.exchange('GET').catch(() => {});
        idlers.push(client);
      }
    }),
  );
}
await sleep(idlers.length > 0 ? 3000 : 0);
const withIdlers = memoryOf(proxy.pid);
let most = 0;

const end = Date.now() + seconds * 1000;
const names = ['honest', 'honest', 'honest', 'vanished', 'vanishedAtOnce', 'stalled', 'garbage', 'halved'];
const sampling = setInterval(() => (most = Math.max(most, memoryOf(proxy.pid))), 1000);
const killing = options.kill
  ? setInterval(() => {
      const victims = childrenOf(proxy.pid);
      if (victims.length > 0) {
        try {
          process.kill(any(...victims), 'SIGKILL');
        } catch {
          // It has just ended by itself.
        }
      }
    }, 1000)
  : undefined;
await Promise.all(
  Array.from({ length: Number(options.clients) }, async () => {
    while (Date.now() < end) {
      const name = any(...names);
      try {
        await behaviours[name](url);
        if (name !== 'honest' && name !== 'vanishedAtOnce') {
          counts[name]++;
        }
      } catch (error) {
        if (name === 'honest' && !options.kill) {
          counts.failed++;
          note(`an honest client failed: ${error.message}`);
        }
      }
    }
  }),
);
clearInterval(sampling);
clearInterval(killing);

/** What is resident after the load, by the seconds that have passed since. */
const afterwards = {};
const loadEnded = Date.now();
const watching = setInterval(() => (afterwards[Math.round((Date.now() - loadEnded) / 1000)] = memoryOf(proxy.pid)), 2000);
const answered = await Promise.all(idlers.map(async (client) => (await client.call().catch(() => undefined))?.result?.mark === client.mark));
await Promise.all(idlers.map((client) => client.close().catch(() => {})));
const childrenAfter = await settled(proxy.pid, options.mode === 'per-session' ? 0 : 4);

// Sessions whose clients have vanished end when they were idle for long enough, which is looked for now and then.
await sleep(idlers.length > 0 || seconds < 10 ? 1000 : (IDLE_TIMEOUT + 12) * 1000);
clearInterval(watching);
const after = memoryOf(proxy.pid);
const children = childrenOf(proxy.pid);
proxy.removeAllListeners('exit');
const stopped = Date.now();
const exit = new Promise((resolve) => proxy.on('exit', (code, signal) => resolve({ code, signal })));
proxy.kill('SIGTERM');
const ended = await Promise.race([exit, sleep(20_000).then(() => 'not within 20 s')]);
const endMs = Date.now() - stopped;
await sleep(200);
const orphans = children.filter((id) => {
  try {
    process.kill(id, 0);
    return !readFileSync(`/proc/${id}/stat`, 'utf8').includes(') Z');
  } catch {
    return false;
  }
});

const report = {
  mode: options.mode, seconds, ...counts,
  idle: idlers.length, idleAnswered: answered.filter(Boolean).length,
  memoryKiB: { before, withIdlers, most, afterwards, after }, childrenAfter, orphans: orphans.length, ended, endMs, problems,
};
console.log(JSON.stringify(report));
const isGood = counts.crossTalk === 0 && counts.failed === 0 && orphans.length === 0 && report.idleAnswered === idlers.length && childrenAfter <= (options.mode === 'per-session' ? 0 : 4) && ended.code === 0 && after - before <= Number(options.growth) * 1024;
process.exit(isGood ? 0 : 1);
