// Owns the long run: many seeds one after the other, one line each, everything about those that fail.
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inject } from 'vitest';
import { report } from '../report.js';
import { simulate } from '../simulate.js';

export interface LongRun {
  readonly seeds: number;
  readonly failed: readonly string[];
}

export async function runSeeds(share: number): Promise<LongRun> {
  const [seeds, from, operations, workers] = ['SEEDS', 'FROM', 'OPERATIONS', 'WORKERS'].map((name) =>
    Number(process.env[`SIM_${name}`]),
  );
  const twice = process.env['SIM_TWICE'] === '1';
  const cluster = inject('postgresUrl');
  const folder = path.join(tmpdir(), 'truespoke-simulation');
  await mkdir(folder, { recursive: true });
  const failed: string[] = [];
  let done = 0;
  for (let seed = (from ?? 1) + share; seed < (from ?? 1) + (seeds ?? 0); seed += workers ?? 1) {
    const started = performance.now();
    const result = await simulate({ seed, operations: operations ?? 300, cluster });
    const again = twice ? await simulate({ seed, operations: operations ?? 300, cluster }) : result;
    done += 1;
    const problems =
      again.hash === result.hash
        ? result.violations
        : [...result.violations, `not the same trace twice: ${result.hash}, ${again.hash}`];
    const ms = Math.round(performance.now() - started);
    const { events, lives, edits, faults, hash } = result;
    process.stdout.write(
      `seed ${seed}: ${ms} ms, ${events} events, ${edits} edits, ${lives} lives, ${faults} faults, ${hash}${problems.length > 0 ? ' FAILED' : ''}\n`,
    );
    if (problems.length === 0) continue;
    const file = path.join(folder, `seed-${seed}.txt`);
    await writeFile(file, report(result, operations ?? 300) + `\n\n${result.trace.join('\n')}\n`);
    failed.push(`seed ${seed}: ${problems.slice(0, 3).join(' | ')} (trace: ${file})`);
  }
  return { seeds: done, failed };
}
