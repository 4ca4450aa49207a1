// Runs the official conformance suites through the proxy, and compares with direct connections.
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import {
  DIRECT,
  LEGS,
  MISSED_BY_REFUSING,
  NOT_APPLICABLE,
  REVISIONS,
  runLeg,
} from './lib/legs.mjs';
import { listScenarios } from './lib/suite.mjs';

const USAGE = `usage: node run.mjs --proxy PROGRAM [options]

  --proxy PROGRAM         the mcp-proxy to test; without it the direct connections are tested
  --leg NAME              ${LEGS.map(({ name }) => name).join(', ')}
  --revision REVISION     ${REVISIONS.map(({ name }) => name).join(', ')}
  --scenario NAME         a scenario of the suite
                          (all legs, revisions and scenarios by default; each may be repeated)
  --strict                count a degraded scenario as failed
  --keep-going            go on after a leg with failures
  --scenario-timeout SEC  for one scenario (15)
  --suite-timeout SEC     for one process of the suite (120)
  --out DIR               where results and logs go (results)`;

const PROBLEM_LENGTH = 400;

const { values: options } = parseArgs({
  options: {
    proxy: { type: 'string' },
    leg: { type: 'string', multiple: true },
    revision: { type: 'string', multiple: true },
    scenario: { type: 'string', multiple: true },
    strict: { type: 'boolean', default: false },
    'keep-going': { type: 'boolean', default: false },
    'scenario-timeout': { type: 'string', default: '15' },
    'suite-timeout': { type: 'string', default: '120' },
    out: { type: 'string', default: join(import.meta.dirname, 'results') },
    help: { type: 'boolean', default: false },
  },
});

const settings = {
  proxy: options.proxy && resolve(options.proxy),
  out: resolve(options.out),
  limits: {
    scenarioMs: 1000 * Number(options['scenario-timeout']),
    suiteMs: 1000 * Number(options['suite-timeout']),
  },
};

/** What is known to be impossible between peers of different eras. */
const acrossEras = parse(await readFile(join(import.meta.dirname, 'across-eras.yaml'), 'utf8'), {
  schema: 'failsafe',
});

/** Runs what was asked for; true when nothing failed. */
async function main() {
  const legs = settings.proxy ? select('leg', LEGS) : Object.values(DIRECT);
  const revisions = select('revision', REVISIONS);

  const rows = [];
  for (const leg of legs) {
    const before = rows.length;
    for (const revision of revisions) {
      for (const row of await testLeg(leg, revision.name)) {
        print(row);
        rows.push(row);
      }
    }
    const broken = rows.slice(before).some(({ verdict }) => verdict === 'FAILED');
    if (broken && !options['keep-going'] && leg !== legs.at(-1)) {
      console.log(`\nStopped after ${leg.name}; --keep-going tests the other legs, too.`);
      break;
    }
  }
  await writeFile(join(settings.out, 'summary.json'), `${JSON.stringify(rows, null, 2)}\n`);
  return summarize(rows);
}

/** The ones named by an option, or all. */
function select(option, all) {
  const names = all.map(({ name }) => name);
  for (const name of options[option] ?? []) {
    if (!names.includes(name)) {
      console.error(`There is no ${option} ${name}.\n\n${USAGE}`);
      process.exit(2);
    }
  }
  return all.filter(({ name }) => options[option]?.includes(name) ?? true);
}

/** Tests one leg in one revision: gives a row for each scenario. */
async function testLeg(leg, revision) {
  const scenarios = (await listScenarios(leg.side, revision)).filter(
    (name) => options.scenario?.includes(name) ?? true,
  );
  const exceptions = NOT_APPLICABLE.filter(({ legs }) => legs.includes(leg.name));
  const meaningless = listed(leg, revision).filter(({ check }) => check === undefined);
  const reasons = new Map(
    [...exceptions, ...meaningless].map(({ scenario, reason }) => [scenario, reason]),
  );
  const applicable = scenarios.filter((name) => !reasons.has(name));

  const directly = await testDirectly(leg.side, revision, scenarios);
  const isAsGood = (name, result) =>
    ['ok', 'better', 'partly'].includes(
      judge(leg, revision, name, directly.get(name), result).verdict,
    );
  const results =
    leg === DIRECT[leg.side]
      ? directly
      : await runLeg(leg, revision, applicable, settings, isAsGood);

  return scenarios.map((scenario) => {
    const row = { leg: leg.name, revision, scenario };
    const direct = directly.get(scenario);
    if (reasons.has(scenario)) {
      const problems = [reasons.get(scenario)];
      return { ...row, direct: direct.status, proxied: '-', verdict: 'n/a', problems };
    }
    const result = results.get(scenario);
    return {
      ...row,
      direct: direct.status,
      proxied: result === direct ? '-' : result.status,
      ...judge(leg, revision, scenario, direct, result),
      retried: Boolean(direct.retried || result.retried),
    };
  });
}

/** The results without the proxy: one run for all legs of a side. */
const baselines = new Map();
async function testDirectly(side, revision, scenarios) {
  const key = `${side} ${revision}`;
  if (!baselines.has(key)) {
    const isGood = (_name, { status }) => status === 'pass';
    baselines.set(key, await runLeg(DIRECT[side], revision, scenarios, settings, isGood));
  }
  return baselines.get(key);
}

/** What is known to be impossible on a leg. */
function listed(leg, revision) {
  return acrossEras.filter(
    (entry) => leg.isBridged && entry.side === leg.side && entry.revision === revision,
  );
}

/** The verdict on a result, and what is to be said about it. */
function judge(leg, revision, scenario, direct, result) {
  const problems = [...result.problems, ...unseen(scenario, direct, result)];
  const impossible = listed(leg, revision).filter((entry) => entry.scenario === scenario);
  if (impossible.length === 0) {
    return { verdict: compare(scenario, direct, result), problems };
  }
  const ids = impossible.map(({ check }) => check);
  const passing = ids.filter((id) => !result.failed.includes(id));
  if (passing.length > 0 || result.failed.some((id) => !ids.includes(id))) {
    const news = passing.map((id) => `${id}: listed in across-eras.yaml, and passes`);
    return { verdict: 'FAILED', problems: [...news, ...problems] };
  }
  const reasons = impossible.map(({ check, reason }) => `${check}: ${reason}`);
  return { verdict: 'partly', problems: reasons };
}

/** A failure through the proxy is one even where the direct connection fails: nothing is shown. */
function compare(scenario, direct, proxied) {
  if (proxied.status === 'fail') {
    return 'FAILED';
  }
  const isWorse = direct.status === 'pass' && proxied.status === 'warn';
  if (isWorse || unseen(scenario, direct, proxied).length > 0) {
    return options.strict ? 'FAILED' : 'degraded';
  }
  return proxied.status === direct.status ? 'ok' : 'better';
}

/** The checks which the suite made directly, and not through the proxy although nothing failed. */
function unseen(scenario, direct, proxied) {
  if (proxied.status === 'fail') {
    return [];
  }
  const seen = [...proxied.made, ...(MISSED_BY_REFUSING[scenario] ?? [])];
  const ids = direct.made.filter((id) => !seen.includes(id));
  return ids.map((id) => `${id}: not checked through the proxy`);
}

function print({ leg, revision, scenario, direct, proxied, verdict, retried, problems }) {
  const place = `${leg.padEnd(17)} ${revision}  ${scenario.padEnd(45)}`;
  const statuses = `direct ${direct.padEnd(4)}  proxied ${proxied.padEnd(4)}`;
  console.log(`${verdict.padEnd(8)}  ${place}  ${statuses}${retried ? '  (second run)' : ''}`);
  if (verdict !== 'ok') {
    for (const problem of problems) {
      console.log(`            ${problem.slice(0, PROBLEM_LENGTH)}`);
    }
  }
}

function summarize(rows) {
  const withVerdict = (wanted) => rows.filter(({ verdict }) => verdict === wanted);
  const failed = withVerdict('FAILED');
  const skipped = withVerdict('n/a').length;
  console.log(`\n${withVerdict('degraded').length} degraded, ${skipped} not applicable`);
  for (const { leg, revision, scenario } of failed) {
    console.log(`FAILED  ${leg}  ${revision}  ${scenario}`);
  }
  const passed = rows.length - skipped - failed.length;
  console.log(`${passed} passed, ${failed.length} failed`);
  return passed > 0 && failed.length === 0;
}

if (options.help) {
  console.log(USAGE);
} else {
  process.exitCode = (await main()) ? 0 : 1;
}
