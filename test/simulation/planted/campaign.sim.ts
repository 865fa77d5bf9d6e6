// `npm run simulate:engine -- --bugs`: each planted bug must be caught, by a law that the same seed keeps without the bug.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, inject, test } from 'vitest';
import { simulate } from '../simulate.js';
import { allBugs } from './all.js';
import type { PlantedBug } from './bug.js';
import { optionsOf, type Hunt } from './hunt.js';

const seeds = Number(process.env['SIM_SEEDS']);
const operations = Number(process.env['SIM_OPERATIONS']);
const only = (process.env['SIM_ONLY'] ?? '').split(',').filter((name) => name !== '');
const huntMsMax = 3_600_000;

test('every planted bug is caught', async () => {
  const bugs = only.length === 0 ? allBugs : allBugs.filter(({ name }) => only.includes(name));
  const folder = await mkdtemp(path.join(tmpdir(), 'truespoke-bugs-'));
  const escaped: string[] = [];
  say(`${'bug'.padEnd(52)}${'law'.padEnd(18)}${'seed'.padStart(5)}${'seeds'.padStart(6)}${'s'.padStart(8)}  violation`);
  try {
    for (const bug of bugs) {
      const found = await catchBug(bug, path.join(folder, `${bug.name}.json`));
      say(row(bug, found));
      if (found.caught === null) escaped.push(bug.name);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  say(`${bugs.length - escaped.length} of ${bugs.length} planted bugs caught`);
  expect(escaped).toEqual([]);
});

/** Hunts on where a seed fails without the bug as well. */
async function catchBug(bug: PlantedBug, file: string): Promise<Hunt> {
  let total: Hunt = { bug: bug.name, caught: null, seeds: 0, seconds: 0, operations, broken: [] };
  for (let from = 1; ;) {
    const one = await huntApart(bug, from, seeds - from + 1, file);
    total = { ...one, seeds: total.seeds + one.seeds, seconds: total.seconds + one.seconds };
    if (one.caught === null) return total;
    const { seed } = one.caught;
    const without = await clean(bug, seed, one.operations);
    if (without.length === 0) return total;
    say(`seed ${seed} fails without ${bug.name} too: ${without[0]}`);
    from = seed + 1;
    if (from > seeds) return { ...total, caught: null };
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

async function huntApart(bug: PlantedBug, from: number, count: number, file: string): Promise<Hunt> {
  await rm(file, { force: true });
  const vitest = [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--config',
    'test/simulation/vitest.config.ts',
    '--reporter',
    'dot',
  ];
  const env = {
    ...process.env,
    SIM_RUN: 'hunt',
    SIM_BUG: bug.name,
    SIM_FROM: String(from),
    SIM_SEEDS: String(count),
    SIM_OPERATIONS: String(operations),
    SIM_RESULT: file,
  };
  const child = spawn(process.execPath, vitest, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text: Buffer) => (output = (output + String(text)).slice(-4_000)));
  const timer = setTimeout(() => child.kill('SIGTERM'), huntMsMax);
  await new Promise((resolve) => child.on('exit', resolve));
  clearTimeout(timer);
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Hunt;
  } catch {
    return {
      bug: bug.name,
      caught: null,
      seeds: 0,
      seconds: 0,
      operations,
      broken: [`the hunt itself failed: ${output}`],
    };
  }
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
