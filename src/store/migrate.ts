// Owns the schema of `truespoke.*`: plain SQL files in migrations/, run in order, each once, in one transaction under a lock,
// so that any number of processes may start together (F23). A file named `NNNN_x.breaking.sql` that we do not know
// means that a newer Truespoke owns this hub: older code refuses instead of writing into a schema it misreads.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Kysely, Migrator, PostgresDialect, sql, type Migration } from 'kysely';
import { Halt } from '../base/errors.js';
import type { Pool } from './pool.js';

export interface Migrated {
  /** Names of the files that were run now. */
  readonly ran: readonly string[];
}

const table = {
  migrationTableName: 'migration',
  migrationLockTableName: 'migration_lock',
  migrationTableSchema: 'truespoke',
};

/** `ran` is called inside the transaction, after each file. */
export async function migrate(pool: Pool, folder: string, ran?: (name: string) => void): Promise<Migrated> {
  const files = await readMigrations(folder);
  const executed = await executedMigrations(pool);
  const unknown = executed.filter((name) => !files.has(name));
  const breaking = unknown.filter((name) => name.endsWith('.breaking'));
  if (breaking.length > 0) {
    throw new Halt({
      code: 'schema_newer',
      message: `the hub's truespoke schema was changed by a newer version of Truespoke (${breaking.join(', ')})`,
      hint: 'run that version or a later one against this hub',
    });
  }
  // Newer but compatible: nothing of ours may be missing, and nothing is run.
  if (unknown.length > 0) return { ran: [] };
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: borrowed(pool) }) });
  const migrator = new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve(asMigrations(files, ran)) },
    ...table,
  });
  const { error, results } = await migrator.migrateToLatest();
  if (error !== undefined) {
    const failed = results?.find((result) => result.status === 'Error')?.migrationName;
    const reason = error instanceof Error ? error.message : String(error);
    throw new Halt({
      code: 'migration_failed',
      message: `migration ${failed ?? 'set-up'} failed: ${reason}`,
      hint: 'nothing was changed (each run is one transaction); mend the cause and run `truespoke migrate` again',
      cause: error,
    });
  }
  return { ran: (results ?? []).filter((result) => result.status === 'Success').map((result) => result.migrationName) };
}

/** Files not yet run, for `migrate --plan`. */
export async function pendingMigrations(pool: Pool, folder: string): Promise<readonly string[]> {
  const files = await readMigrations(folder);
  const executed = new Set(await executedMigrations(pool));
  return [...files.keys()].filter((name) => !executed.has(name));
}

async function executedMigrations(pool: Pool): Promise<readonly string[]> {
  const present = await pool.query(`select to_regclass('truespoke.migration') as name`);
  if (present.rows[0]?.name === null) return [];
  const { rows } = await pool.query<{ name: string }>('select name from truespoke.migration order by name');
  return rows.map((row) => row.name);
}

async function readMigrations(folder: string): Promise<Map<string, string>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  const files = new Map<string, string>();
  for (const name of names) files.set(name.slice(0, -'.sql'.length), await readFile(join(folder, name), 'utf8'));
  return files;
}

function asMigrations(files: ReadonlyMap<string, string>, ran?: (name: string) => void): Record<string, Migration> {
  // The one place that runs raw SQL text through kysely: the text comes from our own files, never from input.
  const run = (name: string, text: string): Migration => ({
    async up(db) {
      await sql.raw(text).execute(db);
      ran?.(name);
    },
  });
  return Object.fromEntries([...files].map(([name, text]) => [name, run(name, text)]));
}

/** Kysely ends the pool it is given; ours outlives it. */
function borrowed(pool: Pool): { connect: Pool['connect']; end(): Promise<void>; options: Pool['options'] } {
  return { connect: pool.connect.bind(pool), end: () => Promise.resolve(), options: pool.options };
}
