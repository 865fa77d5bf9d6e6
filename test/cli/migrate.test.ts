// Owns the promises of `migrate`: a plan that changes nothing, all or nothing, twice is once, many at once are one; clear refusals.
// Proves: Invariant 9
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { testDatabase, type TestDatabase } from '../support/postgres.js';
import { truespoke, withProject } from './support.js';

let database: TestDatabase;

beforeEach(async () => {
  database = await testDatabase();
});
afterEach(() => database.drop());

const tables = async (): Promise<string[]> =>
  (
    await database.pool.query<{ name: string }>(
      `select table_schema || '.' || table_name as name from information_schema.tables
        where table_schema in ('hub', 'truespoke') order by 1`,
    )
  ).rows.map((row) => row.name);

interface Outcome {
  readonly migrations: string[];
  readonly steps: { readonly sql: string }[];
}

describe('migrate', () => {
  test('--plan shows the SQL and changes nothing', () =>
    withProject(database.url, async (cwd, env) => {
      const { code, out, err } = await truespoke(['migrate', '--plan'], { cwd, env });
      expect([err, code]).toEqual(['', 0]);
      expect(out).toMatch(/-- migrations\/0001_engine\.sql/);
      expect(out).toMatch(/create table hub\.widget/);
      expect(await tables()).toEqual([]);
    }));

  test('makes the tables once; a second run has nothing to do', () =>
    withProject(database.url, async (cwd, env) => {
      const first = await truespoke(['migrate', '--json'], { cwd, env });
      expect([first.err, first.code]).toEqual(['', 0]);
      expect((JSON.parse(first.out) as Outcome).migrations).toContain('0001_engine');
      expect(await tables()).toEqual(expect.arrayContaining(['hub.widget', 'truespoke.link']));
      await database.pool.query(`insert into hub.widget (code, label) values ('a', 'b')`);
      const second = JSON.parse((await truespoke(['migrate', '--json'], { cwd, env })).out) as Outcome;
      expect(second).toMatchObject({ migrations: [], steps: [] });
      expect((await truespoke(['migrate', '--plan'], { cwd, env })).out).toMatch(/^Nothing to do/);
    }));

  test('F23 many at once are one', () =>
    withProject(database.url, async (cwd, env) => {
      const all = await Promise.all(Array.from({ length: 4 }, () => truespoke(['migrate', '--json'], { cwd, env })));
      expect(all.map(({ err, code }) => [err, code])).toEqual(all.map(() => ['', 0]));
      const ran = all.flatMap(({ out }) => (JSON.parse(out) as Outcome).steps.map((step) => step.sql));
      expect(ran.length).toBe(new Set(ran).size);
    }));

  test('a hub table that contradicts the mapping is named and nothing of the tables is changed', () =>
    withProject(database.url, async (cwd, env) => {
      await truespoke(['migrate'], { cwd, env });
      await database.pool.query('alter table hub.widget drop column label, add column label integer');
      const plan = await truespoke(['migrate', '--plan'], { cwd, env });
      expect(plan.code).toBe(1);
      const { code, err } = await truespoke(['migrate'], { cwd, env });
      expect(code).toBe(2);
      expect(err).toMatch(/label/);
      const { rows } = await database.pool.query(
        `select data_type from information_schema.columns where table_name = 'widget' and column_name = 'label'`,
      );
      expect(rows).toEqual([{ data_type: 'integer' }]);
    }));

  test('a hub that cannot be reached is exit code 3 with the place, and no password is shown', () =>
    withProject('postgres://me:hunter22@127.0.0.1:1/none', async (cwd, env) => {
      const { code, err, out } = await truespoke(['migrate'], { cwd, env });
      expect(code).toBe(3);
      expect(err).toMatch(/127\.0\.0\.1:1\/none/);
      expect(err).toMatch(/next: /);
      expect(err + out).not.toContain('hunter22');
    }));

  test('a database that does not exist is exit code 3', () =>
    withProject(database.url.replace(database.name, 'no_such_database'), async (cwd, env) => {
      const { code, err } = await truespoke(['migrate'], { cwd, env });
      expect(code).toBe(3);
      expect(err).toMatch(/no_such_database/);
    }));
});
