// The tests of the tests stay true: each planted bug still fits the engine's source. That the simulation catches each of them is
// `npm run simulate:engine -- --bugs`.
import { readFile } from 'node:fs/promises';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { allBugs } from './all.js';
import { filesOf, plant } from './bug.js';

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
