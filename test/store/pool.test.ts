import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, openTransaction, transaction, sqlState } from '../../src/store/pool.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await testDatabase();
  await db.pool.query('CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL)');
  await db.pool.query('INSERT INTO counter VALUES (1, 0), (2, 0)');
});
afterAll(() => db.drop());

test('every type arrives as text, so no precision is lost (F112, F113)', async () => {
  const { rows } = await db.pool.query(
    `SELECT 9007199254740993::int8 AS big, 123456789012345678901234567890.5::numeric AS num, true AS flag,
            '2024-02-29 12:34:56.123456+02'::timestamptz AS at, '2024-02-29'::date AS day, NULL::text AS none,
            '{"n":9007199254740993}'::jsonb AS doc, '{a,NULL}'::text[] AS list, U&'\\FEFFx' AS bom`,
  );
  expect(rows[0]).toEqual({
    big: '9007199254740993',
    num: '123456789012345678901234567890.5',
    flag: 't',
    at: '2024-02-29 10:34:56.123456+00',
    day: '2024-02-29',
    none: null,
    doc: '{"n": 9007199254740993}',
    list: '{a,NULL}',
    bom: '\uFEFFx',
  });
});

test('F41 a deadlock is tried again and both transactions take effect', async () => {
  let meet = 0;
  let open: () => void = () => undefined;
  const both = new Promise<void>((resolve) => (open = resolve));
  let attempts = 0;
  const bump = (first: number, second: number): Promise<void> =>
    transaction(db.pool, async (tx) => {
      attempts += 1;
      await tx.query('UPDATE counter SET n = n + 1 WHERE id = $1', [first]);
      meet += 1;
      if (meet === 2) open();
      await both;
      await tx.query('UPDATE counter SET n = n + 1 WHERE id = $1', [second]);
    });
  await Promise.all([bump(1, 2), bump(2, 1)]);
  const { rows } = await db.pool.query('SELECT n FROM counter ORDER BY id');
  expect(rows).toEqual([{ n: '2' }, { n: '2' }]);
  expect(attempts).toBe(3);
});

test('an error rolls back, is rethrown unchanged, and is not tried again', async () => {
  let attempts = 0;
  const failed = transaction(db.pool, async (tx) => {
    attempts += 1;
    await tx.query('INSERT INTO counter VALUES (3, 0)');
    await tx.query('INSERT INTO counter VALUES (3, 0)');
  });
  await expect(failed).rejects.toSatisfy((error) => sqlState(error) === '23505');
  expect(attempts).toBe(1);
  expect((await db.pool.query('SELECT 1 FROM counter WHERE id = 3')).rowCount).toBe(0);
});

test('a swallowed statement error does not pass for a commit', async () => {
  const failed = transaction(db.pool, async (tx) => {
    await tx.query('SELECT 1/0').catch(() => undefined);
  });
  await expect(failed).rejects.toThrow(/rolled back/);
});

test('a connection killed while idle or checked out does not end the process, and the pool goes on', async () => {
  const pool = openPool({ url: db.url, applicationName: 'truespoke victim', max: 2 });
  await pool.query('SELECT 1');
  const kill = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'truespoke victim'`;
  await db.pool.query(kill);
  const failed = transaction(pool, async (tx) => {
    await tx.query('SELECT 1');
    await db.pool.query(kill);
    await tx.query('SELECT 1');
  });
  await expect(failed).rejects.toThrow();
  await expect.poll(async () => (await pool.query('SELECT 1 AS one')).rows[0]?.['one']).toBe('1');
  await pool.end();
});

test('sessions have bounded waits and a fixed time zone, and a named statement runs', async () => {
  const pool = openPool({ url: db.url, applicationName: 'truespoke settings', max: 1, statementTimeoutMs: 50 });
  const { rows } = await pool.query(
    `SELECT current_setting('TimeZone') AS tz, current_setting('lock_timeout') AS lock,
            current_setting('idle_in_transaction_session_timeout') AS idle, current_setting('application_name') AS name`,
  );
  expect(rows[0]).toEqual({ tz: 'UTC', lock: '10s', idle: '1min', name: 'truespoke settings' });
  await expect(pool.query('SELECT pg_sleep(5)')).rejects.toSatisfy((error) => sqlState(error) === '57014');
  for (const value of ['a', 'b']) {
    const named = await pool.query({ name: 'echo', text: 'SELECT $1::text AS v', values: [value] });
    expect(named.rows).toEqual([{ v: value }]);
  }
  await pool.end();
});

test('an open transaction commits or rolls back once, and gives its connection back either way', async () => {
  const pool = openPool({ url: db.url, applicationName: 'truespoke open', max: 1 });
  const first = await openTransaction(pool);
  await first.tx.query('INSERT INTO counter VALUES (10, 0)');
  await first.commit();
  const second = await openTransaction(pool);
  await second.tx.query('INSERT INTO counter VALUES (11, 0)');
  await second.rollback();
  await second.rollback();
  const third = await openTransaction(pool);
  await third.tx.query('SELECT 1/0').catch(() => undefined);
  await expect(third.commit()).rejects.toThrow(/rolled back/);
  expect((await pool.query('SELECT id FROM counter WHERE id >= 10')).rows).toEqual([{ id: '10' }]);
  await pool.end();
});
