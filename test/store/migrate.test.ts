// Migrations: many processes at once, half a migration never, and a hub of a newer Truespoke is left alone.
import { mkdtemp, readdir, copyFile, writeFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { migrate, pendingMigrations } from '../../src/store/migrate.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';

let db: TestDatabase;
let folder: string;
beforeEach(async () => {
  db = await testDatabase();
  folder = await mkdtemp(join(tmpdir(), 'migrations-'));
  for (const name of await readdir('migrations')) await copyFile(join('migrations', name), join(folder, name));
});
afterEach(async () => {
  await db.drop();
  await rm(folder, { recursive: true });
});

describe('migrations', () => {
  test('eight processes that start together run each file once', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => migrate(db.pool, folder)));
    const ran = all.flatMap((one) => one.ran);
    expect(new Set(ran).size).toBe(ran.length);
    expect([...ran].sort()).toEqual((await readdir(folder)).map((name) => name.replace('.sql', '')).sort());
    expect(await pendingMigrations(db.pool, folder)).toEqual([]);
  });

  test('F23 a migration that fails midway leaves nothing, says which one, and runs after it was mended', async () => {
    const bad = join(folder, '0999_bad.sql');
    await writeFile(bad, 'create table truespoke.half (id int);\nselect 1 / 0;');
    await expect(migrate(db.pool, folder)).rejects.toMatchObject({
      code: 'migration_failed',
      message: expect.stringContaining('0999_bad') as string,
    });
    const { rows } = await db.pool.query<{ half: string | null }>(`select to_regclass('truespoke.half') as half`);
    expect(rows[0]?.half).toBeNull();
    await writeFile(bad, 'create table truespoke.half (id int);');
    expect((await migrate(db.pool, folder)).ran).toContain('0999_bad');
  });

  test('older code refuses a breaking schema of a newer version, and bears a harmless one', async () => {
    await writeFile(join(folder, '0998_added.sql'), 'create table truespoke.later (id int);');
    await migrate(db.pool, folder);
    await rm(join(folder, '0998_added.sql'));
    expect((await migrate(db.pool, folder)).ran).toEqual([]);
    await writeFile(join(folder, '0998_added.sql'), 'create table truespoke.later (id int);');
    await writeFile(join(folder, '0999_renamed.breaking.sql'), 'alter table truespoke.later rename to other;');
    await migrate(db.pool, folder);
    await rm(join(folder, '0999_renamed.breaking.sql'));
    await expect(migrate(db.pool, folder)).rejects.toMatchObject({ code: 'schema_newer' });
  });
});
