// `npm run simulate:engine -- --bugs`: each planted bug must be caught, by a law that the same seed keeps without the bug. With --keep, what
// was caught is recorded at once, so that a hunt that is stopped loses nothing.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, inject, test } from 'vitest';
import { simulate } from '../simulate.js';
import { allBugs } from './all.js';
import { huntApart } from './apart.js';
import type { PlantedBug } from './bug.js';
import { optionsOf, type Hunt } from './hunt.js';
import { keep, readRecord } from './record.js';

const first = Number(process.env['SIM_FROM'] ?? '1');
const seeds = Number(process.env['SIM_SEEDS']);
const operations = Number(process.env['SIM_OPERATIONS']);
const openOnly = process.env['SIM_OPEN'] === '1';
const keeps = process.env['SIM_KEEP'] === '1';
const only = (process.env['SIM_ONLY'] ?? '').split(',').filter((name) => name !== '');

test('every planted bug is caught', async () => {
  const done = openOnly ? new Set((await readRecord()).map(({ bug }) => bug)) : new Set<string>();
  const isAsked = ({ name, escapes }: PlantedBug): boolean =>
    only.length === 0 ? escapes === undefined : only.includes(name);
  const bugs = allBugs.filter((bug) => isAsked(bug) && !done.has(bug.name));
  const escaped: string[] = [];
  const commit = keeps ? await head() : '';
  say(`${'bug'.padEnd(52)}${'law'.padEnd(18)}${'seed'.padStart(5)}${'seeds'.padStart(6)}${'s'.padStart(8)}  violation`);
  for (const bug of bugs) {
    const found = await catchBug(bug);
    say(row(bug, found));
    if (found.caught === null) escaped.push(bug.name);
    else if (keeps) {
      await keep({ bug: bug.name, ...found.caught, operations: found.operations, commit }, allBugs);
    }
  }
  say(`${bugs.length - escaped.length} of ${bugs.length} planted bugs caught`);
  expect(escaped).toEqual([]);
});

/** Hunts on where a seed fails without the bug as well. */
async function catchBug(bug: PlantedBug): Promise<Hunt> {
  let total: Hunt = { bug: bug.name, caught: null, seeds: 0, seconds: 0, operations, broken: [] };
  for (let from = first; ;) {
    const one = await huntApart(bug, {
      cluster: inject('postgresUrl'),
      from,
      seeds: first + seeds - from,
      operations,
    });
    total = { ...one, seeds: total.seeds + one.seeds, seconds: total.seconds + one.seconds };
    if (one.caught === null) return total;
    const { seed } = one.caught;
    const without = await clean(bug, seed, one.operations);
    if (without.length === 0) return total;
    say(`seed ${seed} fails without ${bug.name} too: ${without[0]}`);
    from = seed + 1;
    if (from >= first + seeds) return { ...total, caught: null };
  }
}

const known = new Map<string, Promise<readonly string[]>>();

function clean(bug: PlantedBug, seed: number, count: number): Promise<readonly string[]> {
  const key = JSON.stringify([seed, count, bug.plan]);
  const run =
    known.get(key) ??
    simulate({ seed, operations: count, cluster: inject('postgresUrl'), ...optionsOf(bug) }).then(
      (result) => result.violations,
    );
  known.set(key, run);
  return run;
}

async function head(): Promise<string> {
  const given = process.env['SIM_COMMIT'] ?? '';
  if (given !== '') return given;
  return (await promisify(execFile)('git', ['rev-parse', '--short', 'HEAD'])).stdout.trim();
}

function row(bug: PlantedBug, { caught, seeds: tried, seconds, broken }: Hunt): string {
  const told =
    caught?.violation ??
    `ESCAPED ${broken.length > 0 ? `(${broken.length} broken: ${broken[0]?.slice(0, 300) ?? ''})` : ''}`;
  const at = String(caught?.seed ?? '-').padStart(5);
  return `${bug.name.padEnd(52)}${bug.law.padEnd(18)}${at}${String(tried).padStart(6)}${seconds.toFixed(1).padStart(8)}  ${told.slice(0, 160)}`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
