// Owns the promises of `pause` and `resume`: the order stands in the hub and survives; an unknown spoke is named.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadSpokes } from '../../src/store/spokes.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';
import { truespoke, withProject } from './support.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

const paused = async (): Promise<unknown[]> =>
  (await loadSpokes(database.pool)).map(({ name, pausedBy, pausedReason }) => [name, pausedBy, pausedReason]);

describe('pause and resume', () => {
  test('before the first migration the next step is named', () =>
    withProject(database.url, async (cwd, env) => {
      const { code, err } = await truespoke(['pause', 'store'], { cwd, env });
      expect([code, err]).toEqual([2, expect.stringContaining('truespoke migrate')]);
    }));

  test('the order stands in the hub, by a person, with its reason, until it is taken back', () =>
    withProject(database.url, async (cwd, env) => {
      await truespoke(['migrate'], { cwd, env });
      const first = await truespoke(['pause', 'store', '--reason', 'stock-taking', '--json'], { cwd, env });
      expect([first.err, first.code, JSON.parse(first.out)]).toEqual(['', 0, { spoke: 'store', paused: true }]);
      expect(await paused()).toEqual([['store', 'person', 'stock-taking']]);
      expect((await truespoke(['resume', 'store'], { cwd, env })).code).toBe(0);
      expect(await paused()).toEqual([['store', null, null]]);
    }));

  test('an unknown spoke is exit code 2 with the ones there are', () =>
    withProject(database.url, async (cwd, env) => {
      const { code, err } = await truespoke(['pause', 'sotre'], { cwd, env });
      expect([code, err]).toEqual([2, expect.stringMatching(/no spoke 'sotre'[\s\S]*store/)]);
    }));
});
