// How a peer talks to the test that has started it: JSON lines on stdout, plain lines on stdin.
import { createInterface } from 'node:readline';

/** Long enough for a machine under load; the test has a bound of its own. */
const PATIENCE_MS = 20_000;

export function say(event, data = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...data })}\n`);
}

/** Says what a part of the scenario saw, or how it failed; the rest is tried all the same. */
export async function step(name, run) {
  try {
    say('step', { name, saw: await within(run(), name) });
  } catch (error) {
    say('step', { name, error: { ...describe(error), stack: error.stack } });
  }
}

export function describe(error) {
  const { message, code, data } = error;
  return { message, code, data };
}

/** Rejects, after a while, with a message that says what was waited for. */
export async function within(promise, what) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what}: nothing in ${PATIENCE_MS} ms`)),
      PATIENCE_MS,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A list that can be waited on until it has an entry. */
export class Seen {
  #entries = [];
  #waiting = [];

  get all() {
    return [...this.#entries];
  }

  add(entry) {
    this.#entries.push(entry);
    this.#waiting = this.#waiting.filter(({ matches, resolve }) => {
      if (!matches(entry)) {
        return true;
      }
      resolve(entry);
      return false;
    });
  }

  first(what, matches = () => true) {
    const entry = this.#entries.find(matches);
    if (entry !== undefined) {
      return entry;
    }
    return within(new Promise((resolve) => this.#waiting.push({ matches, resolve })), what);
  }
}

/** The lines that the test writes to this peer. */
export function listenToTest() {
  const lines = new Seen();
  const reader = createInterface({ input: process.stdin });
  reader.on('line', (line) => lines.add(line));
  return {
    told: (word) => lines.first(`the test's "${word}"`, (line) => line === word),
    close: () => reader.close(),
  };
}

export function textOf(result) {
  return result.content.map(({ text }) => text).join('\n');
}
