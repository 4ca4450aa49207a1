// Starting and ending processes. Each one leads a group of its own, unless it is not `detached`, so
// that ending it ends everything it has started, and nothing else.
import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 3_000;
const POLL_MS = 20;

/** What may still be alive, as a target for signals: a process, or a group by its negative id. */
const targets = new Set();

process.on('exit', () => {
  for (const target of targets) {
    signal(target, 'SIGKILL');
  }
});
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(name, () => process.exit(1));
}

/** Sends a signal; false when nothing is left to get it. */
function signal(target, name) {
  try {
    return process.kill(target, name);
  } catch {
    return false;
  }
}

/** Starts a command whose output goes to the `log` stream. */
function start([command, ...args], log, { detached = true, ...options } = {}) {
  const stdio = ['ignore', 'pipe', 'pipe'];
  const child = spawn(command, args, { ...options, detached, stdio });
  const target = detached ? -child.pid : child.pid;
  const closed = new Promise((resolve) => child.once('close', resolve));
  child.on('error', (error) => log.write(`${error.message}\n`));
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  if (child.pid !== undefined) {
    targets.add(target);
  }

  /** Ends it; what has not ended in time is killed. After that nothing more is logged. */
  async function stop() {
    const deadline = Date.now() + STOP_TIMEOUT_MS;
    if (targets.has(target)) {
      signal(target, 'SIGTERM');
      while (signal(target, 0) && Date.now() < deadline) {
        await delay(POLL_MS);
      }
      signal(target, 'SIGKILL');
      targets.delete(target);
    }
    await Promise.race([closed, delay(STOP_TIMEOUT_MS, undefined, { ref: false })]);
    child.stdout.unpipe(log);
    child.stderr.unpipe(log);
  }

  return { child, closed, stop };
}

/** Runs a command until it ends or has taken too long; gives its exit code, if there is one. */
export async function run(command, log, { timeoutMs, ...options }) {
  const { child, closed, stop } = start(command, log, options);
  await Promise.race([closed, delay(timeoutMs, undefined, { ref: false })]);
  const { exitCode } = child;
  await stop();
  return exitCode;
}

/** Starts a server, and waits until a line of its stderr says where it serves Streamable HTTP. */
export async function startServing(command, log, options) {
  const { child, closed, stop } = start(command, log, options);
  const announced = new Promise((resolve) => {
    let output = '';
    child.stderr.on('data', (chunk) => {
      output += chunk;
      const line = output.split('\n').find((text) => text.includes('streamable-http'));
      const address = line?.match(/http:\/\/\S+\/mcp/)?.[0];
      if (address) {
        resolve(address);
      }
    });
  });
  const timeout = delay(START_TIMEOUT_MS, undefined, { ref: false });
  const url = await Promise.race([announced, closed.then(() => undefined), timeout]);
  if (url === undefined) {
    await stop();
    throw new Error(`${command.join(' ')} did not say on stderr where it serves streamable-http`);
  }
  return { url, stop };
}
