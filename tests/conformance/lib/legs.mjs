// The ways from the suite to a fixture and back, direct ones and those through the proxy.
import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { startServing } from './processes.mjs';
import { failure, testClient, testServer } from './suite.mjs';

const SERVER = [process.execPath, resolve(import.meta.dirname, '../fixtures/server.mjs')];

// So few scenarios are worth a process of the suite for each of them.
const FEW = 8;

/** The revisions under test, and the era which each belongs to. */
export const REVISIONS = [
  { name: '2025-03-26', era: 'legacy' },
  { name: '2025-11-25', era: 'legacy' },
  { name: '2026-07-28', era: 'modern' },
];

/** What each side is compared with: no proxy in between. */
export const DIRECT = {
  server: {
    name: 'server/direct',
    side: 'server',
    serve: (_proxy, _revision, log) => serveFixture(log),
  },
  client: { name: 'client/direct', side: 'client', route: 'direct' },
};

/** The ways through the proxy. */
export const LEGS = [
  {
    name: 'server/stdio',
    side: 'server',
    serve: (proxy, revision, log) => serveStdioFixture(proxy, eraOf(revision), log),
  },
  {
    name: 'server/stdio-dual',
    side: 'server',
    serve: (proxy, _revision, log) => serveStdioFixture(proxy, 'dual', log),
  },
  {
    name: 'server/http',
    side: 'server',
    serve: (proxy, _revision, log) => serveHttpFixture(proxy, 'dual', log),
  },
  { name: 'client/stdio', side: 'client', route: 'stdio' },
  { name: 'client/http', side: 'client', route: 'http' },
  {
    name: 'server/stdio-bridged',
    side: 'server',
    isBridged: true,
    // Clients of the modern era that can do different things get a command each, and the suite gives
    // some calls 600 ms: less than Node may take to start. No scenario plays more than three clients.
    serve: (proxy, revision, log) =>
      serveStdioFixture(proxy, otherEraThan(revision), log, ['--warm', '3']),
  },
  {
    name: 'server/http-bridged',
    side: 'server',
    isBridged: true,
    serve: (proxy, revision, log) => serveHttpFixture(proxy, otherEraThan(revision), log),
  },
  { name: 'client/stdio-bridged', side: 'client', isBridged: true, route: 'stdio' },
  { name: 'client/http-bridged', side: 'client', isBridged: true, route: 'http' },
];

/** Scenarios which mean nothing on a leg, and why. */
export const NOT_APPLICABLE = [
  {
    legs: ['server/stdio', 'server/stdio-dual'],
    scenario: 'server-sse-polling',
    reason: 'the server ends its own response stream during a call; over stdio it has none',
  },
];

/** Checks which a client misses, by scenario, when it refuses earlier than the SDK does. */
export const MISSED_BY_REFUSING = {
  'auth/resource-mismatch': ['authorization-server-metadata'],
};

function eraOf(revision) {
  return REVISIONS.find(({ name }) => name === revision).era;
}

function otherEraThan(revision) {
  return eraOf(revision) === 'legacy' ? 'modern' : 'legacy';
}

function serveFixture(log, era = 'dual') {
  return startServing([...SERVER, '--http', '0', '--era', era], log);
}

async function serveHttpFixture(proxy, era, log) {
  const fixture = await serveFixture(log, era);
  try {
    const front = await startServing([proxy, '--port', '0', fixture.url], log);
    return { url: front.url, stop: () => Promise.all([front.stop(), fixture.stop()]) };
  } catch (error) {
    await fixture.stop();
    throw error;
  }
}

function serveStdioFixture(proxy, era, log, options = []) {
  return startServing([proxy, '--port', '0', ...options, '--', ...SERVER, '--era', era], log);
}

/**
 * Runs scenarios on a leg, and those which are not good enough once more: unless they are so many
 * that noise is no explanation.
 */
export async function runLeg(leg, revision, scenarios, { out, ...settings }, isGoodEnough) {
  const folder = join(out, leg.name, revision);
  await rm(folder, { recursive: true, force: true });

  const results = await attempt(leg, revision, scenarios, {
    ...settings,
    out: join(folder, 'first'),
  });
  const doubtful = scenarios.filter((name) => !isGoodEnough(name, results.get(name)));
  if (doubtful.length > FEW) {
    return results;
  }
  const again = await attempt(leg, revision, doubtful, { ...settings, out: join(folder, 'again') });
  for (const [name, result] of again) {
    if (isGoodEnough(name, result)) {
      results.set(name, { ...result, retried: true });
    }
  }
  return results;
}

async function attempt(leg, revision, scenarios, settings) {
  if (scenarios.length === 0) {
    return new Map();
  }
  await mkdir(settings.out, { recursive: true });
  const log = createWriteStream(join(settings.out, 'output.log'));
  const results = new Map();
  try {
    const found =
      leg.side === 'server'
        ? await attemptServer(leg, revision, scenarios, { ...settings, log })
        : await attemptClient(leg, revision, scenarios, { ...settings, log });
    for (const name of scenarios) {
      results.set(name, found.get(name) ?? failure('the suite gave no result'));
    }
  } catch (error) {
    for (const name of scenarios) {
      results.set(name, failure(error.message));
    }
  } finally {
    log.end();
  }
  return results;
}

async function attemptServer(leg, revision, scenarios, settings) {
  const target = await leg.serve(settings.proxy, revision, settings.log);
  try {
    // By this name the suite can tell an address of this machine from a foreign one.
    const url = target.url.replace('127.0.0.1', 'localhost');
    const selected = scenarios.length > FEW ? undefined : scenarios;
    return await testServer(url, revision, selected, settings);
  } finally {
    await target.stop();
  }
}

function attemptClient(leg, revision, scenarios, settings) {
  const environment = {
    FIXTURE_ERA: leg.isBridged ? otherEraThan(revision) : eraOf(revision),
    FIXTURE_PROXY: settings.proxy ?? '',
    FIXTURE_ROUTE: leg.route,
  };
  return testClient(revision, scenarios, environment, settings);
}
