// Runs the official conformance suite, and reads what it has found.
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { withHome } from './home.mjs';
import { run } from './processes.mjs';

const HOME = resolve(import.meta.dirname, '..');
const SUITE = join(HOME, 'node_modules/@modelcontextprotocol/conformance');
const SHIM = new URL('node20/register.mjs', import.meta.url).href;
const NODE_MAJOR = Number.parseInt(process.versions.node, 10);

// An extension which no revision requires, and which the SDK of the fixture server has no part in.
const TASKS_EXTENSION = /^tasks-/;

// What the suite has for a revision whose requirements it does not list.
const BACK_COMPATIBILITY = {
  '2025-03-26': {
    client: [
      'auth/2025-03-26-oauth-metadata-backcompat',
      'auth/2025-03-26-oauth-endpoint-fallback',
    ],
    server: [],
  },
};

/** What the suite tests in a revision on one side, 'server' or 'client': also what it only reports. */
export async function listScenarios(side, revision) {
  if (revision in BACK_COMPATIBILITY) {
    return BACK_COMPATIBILITY[revision][side];
  }
  const file = join(SUITE, 'requirements', `${revision}.yaml`);
  const requirements = parse(await readFile(file, 'utf8'));
  const unscored = requirements.not_scored.filter(({ leg }) => leg === side);
  return [...requirements[side], ...unscored.map(({ scenario }) => scenario)].filter(
    (scenario) => !TASKS_EXTENSION.test(scenario),
  );
}

/** Tests a server: the whole revision in one process, or selected scenarios one by one. */
export async function testServer(url, revision, scenarios, settings) {
  const args = ['server', '--url', url];
  if (scenarios === undefined) {
    const { suiteMs } = settings.limits;
    await runSuite([...args, '--requirements', revision], { ...settings, timeoutMs: suiteMs });
  } else {
    for (const scenario of scenarios) {
      await runScenario(args, revision, scenario, settings);
    }
  }
  return readResults('server-', settings.out);
}

/**
 * Tests the fixture client, always one scenario after the other: in a single process the suite
 * runs them side by side, which disturbs those that measure time.
 */
export async function testClient(revision, scenarios, environment, settings) {
  // The suite passes the command to a shell; `exec` makes the suite's timeout end the client.
  const args = ['client', '--command', 'exec "$FIXTURE_NODE" fixtures/client.mjs'];
  const env = { ...process.env, ...environment, FIXTURE_NODE: process.execPath };
  const unfinished = [];
  for (const scenario of scenarios) {
    const exitCode = await withHome((home) =>
      runScenario(args, revision, scenario, { ...settings, env: { ...env, ...home } }),
    );
    if (exitCode !== 0) {
      unfinished.push(scenario);
    }
  }
  const results = await readResults('', settings.out);
  for (const scenario of unfinished) {
    if (results.get(scenario)?.status === 'pass') {
      results.set(scenario, failure('the client ended with an error, see its stderr.txt'));
    }
  }
  return results;
}

/** The result of a scenario which gave no checks to judge. */
export function failure(problem) {
  return { status: 'fail', problems: [problem], failed: [], made: [] };
}

function runScenario(args, revision, scenario, settings) {
  const selection = ['--scenario', scenario, '--spec-version', revision, '--force'];
  const timeoutMs = 2 * settings.limits.scenarioMs;
  return runSuite([...args, ...selection], { ...settings, timeoutMs });
}

function runSuite(args, { out, log, limits, timeoutMs, env }) {
  const node = [process.execPath, ...(NODE_MAJOR < 22 ? ['--import', SHIM] : [])];
  const output = ['--output-dir', out, '--timeout', String(limits.scenarioMs)];
  const command = [...node, join(SUITE, 'dist/index.js'), ...args, ...output];
  return run(command, log, { cwd: HOME, env, timeoutMs });
}

/** Reads the folders named PREFIX SCENARIO-TIME which the suite has written; names may contain a /. */
async function readResults(prefix, out) {
  const results = new Map();
  const files = await readdir(out, { recursive: true }).catch(() => []);
  for (const file of files.sort()) {
    const scenario = /^(.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z\/checks\.json$/.exec(file)?.[1];
    if (scenario?.startsWith(prefix)) {
      const checks = await readFile(join(out, file), 'utf8');
      results.set(scenario.slice(prefix.length), judge(JSON.parse(checks)));
    }
  }
  return results;
}

function judge(checks) {
  const withStatus = (status) => checks.filter((check) => check.status === status);
  const failures = withStatus('FAILURE');
  const warnings = withStatus('WARNING');
  const problems = [...failures, ...warnings];
  const made = new Set([...withStatus('SUCCESS'), ...problems].map(({ id }) => id));
  if (made.size === 0) {
    return failure('the suite checked nothing');
  }
  return {
    status: failures.length > 0 ? 'fail' : warnings.length > 0 ? 'warn' : 'pass',
    failed: [...new Set(problems.map(({ id }) => id))],
    problems: problems.map((check) => `${check.id}: ${check.errorMessage ?? check.description}`),
    made: [...made],
  };
}
