// What pg 8 does by itself, and that our use of it (store/) does not suffer from it. The pool's own tests show the rest.
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { spokeName } from '../../src/model/ids.js';
import { connectorState } from '../../src/store/connector-state.js';
import { migrate } from '../../src/store/migrate.js';
import { openPool } from '../../src/store/pool.js';
import { openWorker } from '../../src/store/workers.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await migrate(db.pool, 'migrations');
});
afterAll(() => db.drop());

const kill = (name: string) =>
  db.pool.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [name]);

test('a client without an error handler would end the process; every one of ours has one, idle or checked out', async () => {
  const bare = new pg.Client({ connectionString: db.url });
  await bare.connect();
  expect(bare.listenerCount('error')).toBe(0);
  await bare.end();
  const idle: Error[] = [];
  const pool = openPool({ url: db.url, applicationName: 'handled', max: 3, onIdleError: (error) => idle.push(error) });
  const out = await pool.connect();
  expect(out.listenerCount('error')).toBeGreaterThan(0);
  await pool.query('select 1');
  await kill('handled');
  await expect.poll(() => idle.length).toBeGreaterThan(0);
  out.release(true);
  await expect(pool.query('select 1 as one')).resolves.toMatchObject({ rows: [{ one: '1' }] });
  await pool.end();
});

test('a connection that dies while it holds a lock ends neither the process nor the next holder', async () => {
  const pool = openPool({ url: db.url, applicationName: 'locker', max: 3 });
  const state = connectorState({ spoke: spokeName('a'), pool, clock: systemClock });
  await state.exclusive('k', async () => {
    await kill('locker');
    await systemClock.sleep(20);
  });
  expect(await state.exclusive('k', () => Promise.resolve('held'))).toBe('held');
  const worker = await openWorker(pool);
  await kill('locker');
  await expect.poll(() => worker.lost.aborted).toBe(true);
  await worker.close();
  await pool.end();
});

test('values arrive as text by the connection’s own parsers; the global ones, which lose digits, are untouched and unused', async () => {
  const { rows } = await db.pool.query(
    `select 9007199254740993::int8 as big, '2026-01-01 00:00:00.123456+00'::timestamptz as at, '{"n": 12345678901234567890}'::jsonb as doc, true as yes`,
  );
  expect(rows[0]).toEqual({
    big: '9007199254740993',
    at: '2026-01-01 00:00:00.123456+00',
    doc: '{"n": 12345678901234567890}',
    yes: 't',
  });
  const globally = pg.types.getTypeParser(pg.types.builtins.JSONB)('{"n": 12345678901234567890}') as { n: number };
  expect(globally.n).not.toBe(12345678901234567890n);
  expect(typeof globally.n).toBe('number');
});

test('an array given for jsonb would become a Postgres array: documents cross as JSON text', async () => {
  await expect(db.pool.query('select $1::jsonb as doc', [[{ a: 1 }]])).rejects.toThrow(
    /invalid input syntax for type json/,
  );
  const { rows } = await db.pool.query('select $1::jsonb as doc', [JSON.stringify([{ a: 1 }])]);
  expect(rows[0]).toEqual({ doc: '[{"a": 1}]' });
});

test('statements, locks and idle transactions have their time', async () => {
  const pool = openPool({
    url: db.url,
    applicationName: 'bounded',
    max: 2,
    statementTimeoutMs: 200,
    lockTimeoutMs: 100,
    idleInTransactionTimeoutMs: 150,
  });
  await expect(pool.query('select pg_sleep(5)')).rejects.toThrow('statement timeout');
  await db.pool.query('create table if not exists public.locked (id int)');
  const holder = await db.pool.connect();
  await holder.query('begin; lock table public.locked in access exclusive mode');
  await expect(pool.query('select * from public.locked')).rejects.toThrow('lock timeout');
  await holder.query('rollback');
  holder.release();
  const idle = await pool.connect();
  await idle.query('begin');
  const open = async (): Promise<unknown> =>
    (
      await db.pool.query(
        `select 1 from pg_stat_activity where application_name = 'bounded' and xact_start is not null`,
      )
    ).rows.length;
  await expect.poll(open, { timeout: 10_000 }).toBe(0);
  await expect(idle.query('select 1')).rejects.toThrow();
  idle.release(true);
  await pool.end();
});
