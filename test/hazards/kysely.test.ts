// What kysely 0.28 does by itself, and that our one use of it (store/migrate.ts) does not suffer from it.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kysely, PostgresDialect, sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate } from '../../src/store/migrate.js';
import { listFiles } from '../support/source-tree.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
});
afterAll(() => db.drop());

test("sql.raw does not escape and where('id', '=', undefined) matches nothing: one file of ours may use kysely, for our own SQL files", async () => {
  await db.pool.query('create table public.victim (id int); insert into public.victim values (1), (2)');
  const bare = new Kysely<{ victim: { id: number } }>({ dialect: new PostgresDialect({ pool: db.pool }) });
  const silent = await bare
    .withSchema('public')
    .selectFrom('victim')
    .selectAll()
    .where('id', '=', undefined as unknown as number)
    .execute();
  expect(silent).toEqual([]);
  await sql`select ${sql.raw('1; delete from public.victim')}`.execute(bare);
  expect((await db.pool.query('select * from public.victim')).rows).toEqual([]);

  const users = listFiles('src', ['.ts']).filter((file) => /from 'kysely'/.test(file.text));
  expect(users.map((file) => file.path)).toEqual(['src/store/migrate.ts']);
  expect(users.flatMap((file) => file.text.match(/sql\.raw\(/g) ?? [])).toHaveLength(1);
  expect(users[0]?.text).not.toMatch(/\.where\(|selectFrom|insertInto|deleteFrom|updateTable/);
});

test('the name of a migration file is a value: quotes in it change nothing else', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'migrations-'));
  try {
    const name = `0001_it's"); drop table public.kept; --`;
    await db.pool.query('create table public.kept (id int)');
    await writeFile(join(folder, `${name}.sql`), 'create table public.made (id int)');
    expect((await migrate(db.pool, folder)).ran).toEqual([name]);
    expect((await migrate(db.pool, folder)).ran).toEqual([]);
    const { rows } = await db.pool.query(
      `select to_regclass('public.kept') as kept, to_regclass('public.made') as made`,
    );
    expect(rows).toEqual([{ kept: 'kept', made: 'made' }]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('kysely ends the pool that it was given; ours goes on after a migration', async () => {
  await expect(db.pool.query('select 1 as one')).resolves.toMatchObject({ rows: [{ one: '1' }] });
  expect(await readFile('package.json', 'utf8')).toMatch(/"kysely": "\^?0\.28/);
});
