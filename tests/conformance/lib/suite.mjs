// Runs the official conformance suite, and reads what it has found.
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { run } from './processes.mjs';

const HOME = resolve(import.meta.dirname, '..');
const SUITE = join(HOME, 'node_modules/@modelcontextprotocol/conformance');
const SHIM = new URL('node20/register.mjs', import.meta.url).href;
const NODE_MAJOR = Number.parseInt(process.versions.node, 10);

// The proxy has no OAuth yet. What needs it is named auth/*, in the client suite's extensions too:
// client credentials, DPoP, enterprise-managed authorization, workload identity.
const NEEDS_OAUTH = /^auth\//;

// An extension which no revision requires, and which the SDK of the fixture server has no part in.
const TASKS_EXTENSION = /^tasks-/;

/** What the suite tests in a revision on one side, 'server' or 'client': also what it only reports. */
export async function listScenarios(side, revision) {
  const file = join(SUITE, 'requirements', `${revision}.yaml`);
  const requirements = parse(await readFile(file, 'utf8'));
  const unscored = requirements.not_scored.filter(({ leg }) => leg === side);
  return [...requirements[side], ...unscored.map(({ scenario }) => scenario)].filter(
    (scenario) => !NEEDS_OAUTH.test(scenario) && !TASKS_EXTENSION.test(scenario),
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
    const exitCode = await runScenario(args, revision, scenario, { ...settings, env });
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
  return { status: 'fail', problems: [problem], made: [] };
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

/** Reads the folders named PREFIX SCENARIO-TIME which the suite has written. */
async function readResults(prefix, out) {
  const results = new Map();
  const folders = await readdir(out).catch(() => []);
  for (const folder of folders.sort()) {
    const scenario = /^(.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z$/.exec(folder)?.[1];
    const checks = await readFile(join(out, folder, 'checks.json'), 'utf8').catch(() => undefined);
    if (scenario?.startsWith(prefix) && checks) {
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
    problems: problems.map((check) => `${check.id}: ${check.errorMessage ?? check.description}`),
    made: [...made],
  };
}
