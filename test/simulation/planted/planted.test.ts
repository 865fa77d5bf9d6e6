// The tests of the tests stay true: each planted bug still fits the engine's source, what was caught is on record, and the catcher catches.
// That the simulation catches each of them is `npm run simulate:engine -- --bugs`.
import { readFile } from 'node:fs/promises';
import ts from 'typescript';
import { expect, inject, test } from 'vitest';
import { simulate } from '../simulate.js';
import { allBugs } from './all.js';
import { huntApart } from './apart.js';
import { filesOf, plant } from './bug.js';
import { optionsOf } from './hunt.js';
import { bugNamed } from './plugin.js';
import { readRecord, tableFile, tableOf } from './record.js';

const files = [...new Set(allBugs.flatMap(filesOf))];
const sources = new Map(await Promise.all(files.map(async (file) => [file, await readFile(file, 'utf8')] as const)));

test('there are at least forty planted bugs, each with a name of its own', () => {
  const names = allBugs.map(({ name }) => name);
  expect(names.length).toBeGreaterThanOrEqual(40);
  expect(new Set(names).size).toBe(names.length);
});

test.each(allBugs.map((bug) => [bug.name, bug] as const))(
  '%s fits its file once, and the file can still be read',
  (_name, bug) => {
    for (const file of filesOf(bug)) {
      const source = sources.get(file) ?? '';
      const planted = plant(source, file, bug);
      expect(planted).not.toBe(source);
      const { diagnostics } = ts.transpileModule(planted, { reportDiagnostics: true, fileName: file });
      expect(diagnostics?.map(({ messageText }) => messageText)).toEqual([]);
    }
  },
);

test('a bug whose text is gone or stands twice fails loudly', () => {
  const [bug] = allBugs;
  if (bug === undefined) return expect.fail('no bugs');
  expect(() => plant('', bug.file, bug)).toThrow(/stands 0 times/);
  expect(() => plant(bug.find + bug.find, bug.file, bug)).toThrow(/stands 2 times/);
});

test('forty bugs and more were caught, on record, each within two hundred seeds', async () => {
  const record = await readRecord();
  const names = new Set(allBugs.map(({ name }) => name));
  expect(record.filter(({ bug }) => !names.has(bug))).toEqual([]);
  expect(record.filter(({ seed }) => seed > 200)).toEqual([]);
  expect(new Set(record.map(({ bug }) => bug)).size).toBeGreaterThanOrEqual(40);
  expect(await readFile(tableFile, 'utf8')).toBe(tableOf(allBugs, record));
});

test('the simulation catches a planted bug, and keeps the same law without it', async () => {
  const bug = bugNamed('spilled-chunk-forgotten');
  const cluster = inject('postgresUrl');
  const { caught } = await huntApart(bug, { cluster, from: 1, seeds: 4, operations: 20 });
  expect(caught).not.toBeNull();
  const { seed = 0, violation } = caught ?? {};
  const clean = await simulate({ seed, operations: 20, cluster, ...optionsOf(bug) });
  expect(clean.violations).not.toContain(violation);
}, 300_000);
