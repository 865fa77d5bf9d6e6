// Owns the promises of `sql`: a look and an edit as any application makes them, one statement at a time, values that cannot draw.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testDatabase, type TestDatabase } from '../support/postgres.js';
import { truespoke, withProject } from './support.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

describe('sql', () => {
  test('an edit and a look, as a table and as JSON', () =>
    withProject(database.url, async (cwd, env) => {
      await truespoke(['migrate'], { cwd, env });
      const sql = (text: string, ...more: string[]): ReturnType<typeof truespoke> =>
        truespoke(['sql', text, ...more], { cwd, env });
      expect((await sql(`insert into hub.widget (code, label) values ('a', 'one'), ('b', e'\\x1b[2J')`)).out).toBe(
        'INSERT 2\n',
      );
      expect((await sql('select code, label from hub.widget order by code')).out).toBe(
        'code  label\na     one\nb     \\u001b[2J\nSELECT 2\n',
      );
      expect(JSON.parse((await sql('select code from hub.widget order by 1', '--json')).out)).toEqual({
        command: 'SELECT',
        rowCount: 2,
        columns: ['code'],
        rows: [{ code: 'a' }, { code: 'b' }],
      });
    }));

  test('a statement that Postgres refuses, two at once, or none, is exit code 2 with the cause', () =>
    withProject(database.url, async (cwd, env) => {
      for (const [text, cause] of [
        ['select * from hub.nothing', /relation "hub\.nothing" does not exist/],
        ['selekt 1', /Correct the statement/],
        ['select 1; select 2', /One statement a call/],
      ] as const) {
        const { code, err } = await truespoke(['sql', text], { cwd, env });
        expect([code, err]).toEqual([2, expect.stringMatching(cause)]);
      }
      expect((await truespoke(['sql'], { cwd, env })).code).toBe(2);
    }));

  test('the address of a hub of your own is a secret', () =>
    withProject(database.url, async (cwd, env) => {
      const { code, out, err } = await truespoke(['sql', '--url'], { cwd, env });
      expect([code, out]).toEqual([2, '']);
      expect(err).not.toContain(database.url);
    }));
});
