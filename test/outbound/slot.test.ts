// Proves: Law 6, Law 8, Invariant 5
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { SourceMessage } from '../../src/model/change.js';
import { commits, lastEnd, type Published, published, readUntil } from '../support/replication.js';

let hub: Published;
beforeEach(async () => {
  hub = await published(`
    CREATE TABLE hub.thing (id int PRIMARY KEY, name text, big text, at timestamptz, ratio float8);
    CREATE TABLE hub.whole (id int PRIMARY KEY, big text); ALTER TABLE hub.whole REPLICA IDENTITY FULL;
    CREATE TABLE public_only (id int PRIMARY KEY);`);
});
afterEach(() => hub.drop());

const rows = (messages: readonly SourceMessage[]): unknown[] =>
  messages.flatMap((m) =>
    m.kind === 'insert'
      ? [['insert', m.new]]
      : m.kind === 'update'
        ? [['update', m.old, m.new]]
        : m.kind === 'delete'
          ? [['delete', m.old]]
          : m.kind === 'truncate'
            ? [['truncate', m.relations.map(({ table }) => table)]]
            : [],
  );

test('inserts, updates and deletes arrive in order as text, with begin and commit around them', async () => {
  const source = await hub.open();
  const { pool } = hub.db;
  await pool.query(`INSERT INTO hub.thing VALUES (1, 'ä\uFEFF', NULL, '2024-02-29 12:34:56.123456+02', 0.1)`);
  await pool.query(`UPDATE hub.thing SET name = '' WHERE id = 1`);
  await pool.query('UPDATE hub.thing SET id = 2 WHERE id = 1');
  await pool.query('DELETE FROM hub.thing WHERE id = 2');
  const messages = await readUntil(source, commits(4));
  const at = '2024-02-29 10:34:56.123456+00';
  expect(rows(messages)).toEqual([
    ['insert', ['1', 'ä\uFEFF', null, at, '0.1']],
    ['update', null, ['1', '', null, at, '0.1']],
    ['update', ['1', undefined, undefined, undefined, undefined], ['2', '', null, at, '0.1']],
    ['delete', ['2', undefined, undefined, undefined, undefined]],
  ]);
  expect(messages.map(({ kind }) => kind).slice(0, 3)).toEqual(['begin', 'insert', 'commit']);
  const [begin, insert, commit] = messages;
  if (begin?.kind !== 'begin' || insert?.kind !== 'insert' || commit?.kind !== 'commit') throw new Error('order');
  expect(begin.finalLsn).toBe(commit.commitLsn);
  expect(commit.endLsn).toBeGreaterThan(commit.commitLsn);
  expect(Math.abs(commit.committedAtMs - Date.now())).toBeLessThan(60_000);
  expect(insert.relation).toMatchObject({
    schema: 'hub',
    table: 'thing',
    replicaIdentity: 'default',
    columns: [
      { name: 'id', typeOid: 23, key: true },
      { name: 'name', typeOid: 25, key: false },
      { name: 'big' },
      { name: 'at', typeOid: 1184 },
      { name: 'ratio' },
    ],
  });
});

test('acknowledging the exact commit end moves the slot there, and a new stream goes on behind it', async () => {
  const first = await hub.open();
  const { pool } = hub.db;
  await pool.query(`INSERT INTO hub.thing (id) VALUES (1)`);
  const end = lastEnd(await readUntil(first, commits(1)));
  await pool.query(`INSERT INTO hub.thing (id) VALUES (2)`);
  await readUntil(first, commits(1));
  first.acknowledge(end);
  await expect.poll(() => hub.confirmed()).toBe(end);
  await first.close();
  const second = await hub.open();
  expect(rows(await readUntil(second, commits(1)))).toEqual([['insert', ['2', null, null, null, null]]]);
});

test('F49 an unchanged TOAST value is undefined, never null; with REPLICA IDENTITY FULL it is the old value', async () => {
  const source = await hub.open();
  const { pool } = hub.db;
  await pool.query(
    `ALTER TABLE hub.thing ALTER big SET STORAGE EXTERNAL; ALTER TABLE hub.whole ALTER big SET STORAGE EXTERNAL`,
  );
  const long = 'x'.repeat(9_000);
  await pool.query(
    `INSERT INTO hub.thing (id, big) VALUES (1, '${long}'); INSERT INTO hub.whole VALUES (1, '${long}')`,
  );
  await pool.query(`UPDATE hub.thing SET name = 'n'; UPDATE hub.whole SET id = 2`);
  const messages = await readUntil(source, commits(2));
  expect(rows(messages).slice(2)).toEqual([
    ['update', null, ['1', 'n', undefined, null, null]],
    ['update', ['1', long], ['2', long]],
  ]);
});

test('F51 TRUNCATE arrives as one message that names the tables', async () => {
  const source = await hub.open();
  await hub.db.pool.query('TRUNCATE hub.thing, hub.whole');
  expect(rows(await readUntil(source, commits(1)))).toEqual([['truncate', ['thing', 'whole']]]);
});

test('F58 a rolled-back savepoint and a rolled-back transaction are absent', async () => {
  const source = await hub.open();
  const { pool } = hub.db;
  await pool.query('BEGIN; INSERT INTO hub.thing (id) VALUES (1); ROLLBACK');
  await pool.query(
    'BEGIN; INSERT INTO hub.thing (id) VALUES (2); SAVEPOINT a; INSERT INTO hub.thing (id) VALUES (3); ROLLBACK TO a; COMMIT',
  );
  expect(rows(await readUntil(source, commits(1)))).toEqual([['insert', ['2', null, null, null, null]]]);
});

test('messages of pg_logical_emit_message arrive, within a transaction and outside of one', async () => {
  const source = await hub.open();
  await hub.db.pool.query(`SELECT pg_logical_emit_message(false, 'truespoke.probe', 'outside')`);
  await hub.db.pool.query(
    `BEGIN; SELECT pg_logical_emit_message(true, 'truespoke', '{"by":"é"}'); INSERT INTO hub.thing (id) VALUES (1); COMMIT`,
  );
  const messages = await readUntil(source, commits(1));
  expect(messages.flatMap((m) => (m.kind === 'message' ? [[m.transactional, m.prefix, m.content]] : []))).toEqual([
    [false, 'truespoke.probe', 'outside'],
    [true, 'truespoke', '{"by":"é"}'],
  ]);
});

test('the session of the stream writes values alike whatever the database or role defaults are', async () => {
  await hub.db.pool.query(
    `ALTER DATABASE ${hub.db.name} SET timezone = 'Asia/Kolkata'; ALTER DATABASE ${hub.db.name} SET datestyle = 'German'`,
  );
  const source = await hub.open();
  await hub.db.pool.query(`INSERT INTO hub.thing (id, at) VALUES (1, '2024-02-29 12:00:00Z')`);
  expect(rows(await readUntil(source, commits(1)))).toEqual([
    ['insert', ['1', null, null, '2024-02-29 12:00:00+00', null]],
  ]);
});

test('read returns empty after waitMs when nothing happens, and reports how far the server has read', async () => {
  const source = await hub.open();
  const batch = await source.read({ messagesMax: 10, waitMs: 20 });
  expect(batch.messages).toEqual([]);
});

test('F43 a slot in use is one clear error, and free again once the reader has closed', async () => {
  const first = await hub.open();
  await expect(hub.open()).rejects.toMatchObject({ code: 'slot_in_use', recovery: 'retry' });
  await first.close();
  await hub.open();
});

test('a missing slot and a missing publication are told apart from a broken stream', async () => {
  await expect(hub.open({ slot: 'nobody' })).rejects.toMatchObject({ code: 'slot_missing', recovery: 'halt' });
  const source = await hub.open({ publication: 'nobody' });
  await hub.db.pool.query('INSERT INTO hub.thing (id) VALUES (1)');
  await expect(readUntil(source, commits(1))).rejects.toMatchObject({ code: 'publication_missing', recovery: 'halt' });
});
