// `npm run simulate:engine -- --bugs`: each planted bug must be caught, by a law that the same seed keeps without the bug.
import { createServer } from 'vite';
import { expect, inject, test } from 'vitest';
import { simulate } from '../simulate.js';
import { allBugs } from './all.js';
import type { PlantedBug } from './bug.js';
import { optionsOf, type hunt, type Hunt } from './hunt.js';
import { plantedBug } from './plugin.js';

const seeds = Number(process.env['SIM_SEEDS']);
const operations = Number(process.env['SIM_OPERATIONS']);
const only = (process.env['SIM_ONLY'] ?? '').split(',').filter((name) => name !== '');

test('every planted bug is caught', async () => {
  const bugs = only.length === 0 ? allBugs : allBugs.filter(({ name }) => only.includes(name));
  const escaped: string[] = [];
  say(`${'bug'.padEnd(52)}${'law'.padEnd(18)}${'seed'.padStart(5)}${'seeds'.padStart(6)}${'s'.padStart(8)}  violation`);
  for (const bug of bugs) {
    const found = await catchBug(bug);
    say(row(bug, found));
    if (found.caught === null) escaped.push(bug.name);
  }
  say(`${bugs.length - escaped.length} of ${bugs.length} planted bugs caught`);
  expect(escaped).toEqual([]);
});

/** Hunts on where a seed fails without the bug as well. */
async function catchBug(bug: PlantedBug): Promise<Hunt> {
  let total: Hunt = { bug: bug.name, caught: null, seeds: 0, seconds: 0, operations, broken: [] };
  for (let from = 1; ;) {
    const one = await huntApart(bug, from);
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

/** An engine of its own, with the bug in it, loaded beside the clean one: a process for each would cost more than the hunt. */
async function huntApart(bug: PlantedBug, from: number): Promise<Hunt> {
  const server = await createServer({
    configFile: false,
    appType: 'custom',
    logLevel: 'error',
    optimizeDeps: { noDiscovery: true },
    server: { middlewareMode: true, hmr: false, ws: false, watch: null },
    plugins: [plantedBug(bug.name)],
  });
  try {
    const planted = (await server.ssrLoadModule('/test/simulation/planted/hunt.ts')) as { hunt: typeof hunt };
    return await planted.hunt(bug, { cluster: inject('postgresUrl'), from, seeds: seeds - from + 1, operations });
  } finally {
    await server.close();
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
