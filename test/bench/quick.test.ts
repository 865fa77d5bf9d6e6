// The benchmark runs from end to end and tells every row: no thresholds here, figures of a busy machine mean nothing.
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { root } from '../support/source-tree.js';

interface Kept {
  readonly row: number;
  readonly quick: boolean;
  readonly machine: { readonly cores: number };
  readonly figures: readonly {
    readonly what: string;
    readonly ours: { readonly values: readonly (number | null)[] };
    readonly ratio: { readonly median: number | null } | null;
    readonly goal: { readonly value: number } | null;
  }[];
}

const rows = ['01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12', '13'];
/** A measurement of one process's memory, or of growth, is held against itself or a limit. */
const withoutReference = new Set([11, 13]);

test('a quick run prints every row of the benchmark and keeps its figures', { timeout: 600_000 }, async () => {
  const startedMs = Date.now();
  const { stdout } = await promisify(execFile)('npm', ['run', '--silent', 'bench', '--', '--quick'], { cwd: root });
  const folder = join(root, 'bench', 'results', 'quick');
  const files = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  expect(files.map((name) => name.slice(0, 2))).toEqual(rows);
  for (const file of files) {
    const kept = JSON.parse(await readFile(join(folder, file), 'utf8')) as Kept & { readonly at: string };
    expect(Date.parse(kept.at), `${file} is of this run`).toBeGreaterThanOrEqual(startedMs);
    expect(kept.quick).toBe(true);
    expect(kept.machine.cores).toBeGreaterThan(0);
    expect(stdout).toContain(`\n${kept.row}. `);
    expect(kept.figures.length).toBeGreaterThan(0);
    for (const figure of kept.figures) {
      expect(stdout).toContain(`   ${figure.what}: `);
      for (const value of figure.ours.values) expect(value, `${file}: ${figure.what}`).toEqual(expect.any(Number));
    }
    const compared = kept.figures.filter(({ ratio }) => ratio !== null);
    for (const { what, ratio } of compared) expect(ratio?.median, `${file}: ${what}`).toEqual(expect.any(Number));
    if (!withoutReference.has(kept.row))
      expect(compared.length, `${file} is held against something`).toBeGreaterThan(0);
  }
  expect(stdout).not.toMatch(/MISSED|holds/);
});
