// What happens to the hub's stream while the engine runs (F29, F36, F44–F46, F49–F51): nothing is lost in silence, WAL stays bounded,
// and nobody's records are deleted because a table was emptied.
// Proves: Law 1, Law 6, Invariant 4
import { afterEach, describe, expect, test } from 'vitest';
import { publicationName, slotOf } from '../../src/engine/engine.js';
import { openPeople, personYaml, type People } from '../support/people.js';

let people: People;
afterEach(() => people.end());

async function open(options: Parameters<typeof openPeople>[0] = {}): Promise<void> {
  people = await openPeople({ ...options, engine: { catalogueMs: 100, ...options.engine } });
  people.start();
  await people.settled();
}

const three = { 'ann@x.test': 'Ann', 'bob@x.test': 'Bob', 'cy@x.test': 'Cy' };
const slot = (): string => slotOf(people.db.url);
const position = async (): Promise<Record<string, string | null> | undefined> =>
  (await people.sql('select epoch::text as epoch, durable_lsn::text as lsn from truespoke.position'))[0];

test('F29 walsender terminated again and again: a new stream each time, nothing lost, nothing twice', async () => {
  await open();
  const expected: Record<string, string> = {};
  for (let i = 0; i < 5; i += 1) {
    expected[`p${i}@x.test`] = `P${i}`;
    await people.put(expected);
    await people.sql(`select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1`, [
      slot(),
    ]);
    await people.until(async () => (await people.engine.status()).replication.state === 'streaming');
  }
  await people.agree(expected);
  expect(people.writes('left').map(({ op }) => op)).toEqual(Array(5).fill('create'));
  expect((await position())?.['epoch']).toBe('1');
});

test('F36 mapped tables idle, others busy: the slot follows the server, and keeps next to no WAL', async () => {
  await open();
  await people.sql('create table public.busy (id int, filler text)');
  const before = (await people.sql('select pg_current_wal_lsn()::text as lsn'))[0]?.['lsn'];
  for (let i = 0; i < 8; i += 1) {
    await people.sql(`insert into public.busy select i, repeat('x', 1000) from generate_series(1, 2000) i`);
  }
  await people.until(async () => {
    const [row] = await people.sql(
      `select pg_wal_lsn_diff(pg_current_wal_lsn(), $2::pg_lsn)::bigint::text as written,
              pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint::text as kept
         from pg_replication_slots where slot_name = $1`,
      [slot(), before],
    );
    if (Number(row?.['written']) < 10_000_000) throw new Error(`only ${row?.['written']} bytes were written`);
    if (Number(row?.['kept']) > 1_000_000) throw new Error(`${row?.['kept']} bytes are kept`);
    return true;
  });
  expect((await people.engine.status()).replication.slotHealth).toBe('healthy');
});

test('looking at the catalogue while edits stream by finds no gap where there is none', async () => {
  await open({ engine: { catalogueMs: 1 } });
  const reader = (): Promise<Record<string, string | null>[]> =>
    people.sql(`select active_pid from pg_replication_slots where slot_name = $1`, [slot()]);
  const before = await reader();
  for (let i = 0; i < 300; i += 1) await people.put({ 'ann@x.test': `Ann ${i}` });
  await people.agree({ 'ann@x.test': 'Ann 299' });
  expect(await reader()).toEqual(before);
});

test('F136 a forged marker hides no edit: whoever a transaction says it comes from, its edits reach every spoke', async () => {
  await open();
  await people.put(three);
  await people.agree(three);
  const claims = ['left', 'right'].map((origin) => JSON.stringify({ origin, trace: 'forged', lane: 2 }));
  const expected: Record<string, string> = { ...three };
  for (const [i, content] of [...claims, '{"origin":"nobody"}', 'no JSON', ''].entries()) {
    const email = `forged${i}@x.test`;
    await people.sql(
      `begin; select pg_logical_emit_message(true, 'truespoke', '${content}');
       update hub.person set name = 'Ann ${i}' where email = 'ann@x.test';
       insert into hub.person (email, name) values ('${email}', 'F'); commit`,
    );
    Object.assign(expected, { 'ann@x.test': `Ann ${i}`, [email]: 'F' });
    await people.agree(expected);
  }
  await people.sql(
    `begin; select pg_logical_emit_message(true, 'truespoke', '${claims[0]}');
     delete from hub.person where email = 'bob@x.test'; commit`,
  );
  delete expected['bob@x.test'];
  await people.agree(expected);
});

test('F24 another process journaled a part of it a moment ago: the rest is stored, nothing twice, and every edit goes out', async () => {
  await open();
  await people.put(three);
  await people.agree(three);
  await people.stop();
  const changed = { 'ann@x.test': 'Anna', 'bob@x.test': 'Bobby', 'cy@x.test': 'Cyrus' };
  await people.put(changed);
  // Begin: 'B', the position of the commit, its time in microseconds since 2000.
  const begin = await people.until(
    async () =>
      (
        await people.sql(
          `select encode(substring(data from 2 for 8), 'hex') as lsn, ('x' || encode(substring(data from 10 for 8), 'hex'))::bit(64)::bigint::text as us
       from pg_logical_slot_peek_binary_changes($1, null, null, 'proto_version', '1', 'publication_names', '${publicationName}')
      where get_byte(data, 0) = ascii('B') order by 1 desc limit 1`,
          [slot()],
        )
      )[0],
  );
  const hex = begin['lsn'] ?? '';
  await people.sql(
    `insert into truespoke.journal (at, epoch, commit_lsn, seq, entity, hub_id, op, origin)
     select date_trunc('milliseconds', '2000-01-01Z'::timestamptz + $1::bigint * interval '1 microsecond'), 1, $2::pg_lsn, 1,
            'person', id::text, 'update', 'application' from hub.person limit 1`,
    [begin['us'], `${hex.slice(0, 8)}/${hex.slice(8)}`],
  );
  await people.restart();
  await people.agree(changed);
  const rows = await people.sql(
    `select seq::text, count(*)::text as n from truespoke.journal where commit_lsn = $1::pg_lsn group by 1 order by 1`,
    [`${hex.slice(0, 8)}/${hex.slice(8)}`],
  );
  expect(rows).toEqual(['0', '1', '2'].map((seq) => ({ seq, n: '1' })));
});

describe('F44', () => {
  test('publication dropped: a new epoch, and every change of the gap arrives', async () => {
    await open();
    await people.put(three);
    await people.agree(three);
    await people.sql(`drop publication ${publicationName}`);
    const changed = { ...three, 'bob@x.test': 'Bobby', 'dee@x.test': 'Dee' };
    await people.put(changed);
    await people.agree(changed, 30_000);
    expect((await position())?.['epoch']).toBe('2');
    expect(people.writes('left').filter(({ op }) => op === 'create')).toHaveLength(4);
  });

  test('publication re-created by somebody: the same', async () => {
    await open();
    await people.put(three);
    await people.agree(three);
    await people.sql(
      `begin; drop publication ${publicationName}; create publication ${publicationName} for table hub.person; commit`,
    );
    const changed = { ...three, 'cy@x.test': 'Cyrus' };
    await people.put(changed);
    await people.agree(changed, 30_000);
    expect((await position())?.['epoch']).toBe('2');
  });
});

test('F34 slot dropped while it is read: a new epoch, and every change of the gap arrives', async () => {
  await open();
  await people.put(three);
  await people.agree(three);
  await people.until(async () => {
    await people.sql(`select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1`, [
      slot(),
    ]);
    await people.sql(`select pg_drop_replication_slot($1)`, [slot()]);
    return true;
  });
  const changed = { ...three, 'bob@x.test': 'Bobby' };
  await people.put(changed);
  await people.agree(changed, 30_000);
  expect((await position())?.['epoch']).toBe('2');
});

test('a stream that another process took over ends the whole engine: nothing is delivered any more', async () => {
  await open();
  await people.put(three);
  await people.agree(three);
  await people.sql('update truespoke.position set epoch = 9');
  await people.put({ 'dee@x.test': 'Dee' });
  const reads = (): number => people.remote('left').calls['changes'] ?? 0;
  await expect(people.ended()).rejects.toMatchObject({ code: 'epoch_changed' });
  const before = reads();
  people.rename('left', 'ann@x.test', 'Anna');
  const until = performance.now() + 400;
  await people.until(() => performance.now() > until);
  expect([reads(), people.right()['ann@x.test']]).toEqual([before, 'Ann']);
});

test('F45 table removed from the publication: noticed by the catalogue check, published again, resynced', async () => {
  await open();
  await people.put(three);
  await people.agree(three);
  await people.sql(`alter publication ${publicationName} drop table hub.person`);
  const changed = { ...three, 'ann@x.test': 'Anna', 'dee@x.test': 'Dee' };
  await people.put(changed);
  await people.agree(changed, 30_000);
  expect((await position())?.['epoch']).toBe('1');
});

test('F46 an adopted table without identity: refused before anything is published, and the application can go on', async () => {
  const before = async ({ pool }: People['db']): Promise<void> => {
    await pool.query(`create schema crm; create table crm.people (pid int not null, email text, name text, size numeric(12,2));
      insert into crm.people values (1, 'ann@x.test', 'Ann', 1)`);
  };
  const adopted = personYaml('propagate', 'propagate', 'table: { schema: crm, name: people, id: pid }');
  await expect(openPeople({ mappings: [adopted], before })).rejects.toThrow(/crm\.people/);
  people = await openPeople();
});

describe('F49 an unchanged TOAST value', () => {
  const long = 'x'.repeat(20_000);

  test('of a generated table is never null', async () => {
    await open();
    await people.sql(`alter table hub.person alter column name set storage external`);
    await people.put({ 'ann@x.test': long });
    await people.agree({ 'ann@x.test': long });
    await people.sql('update hub.person set size = 7');
    await people.until(() => people.row('left', 'ann@x.test').fields['Size' as never] === 7);
    await people.agree({ 'ann@x.test': long });
  });

  test('of an adopted table with the default replica identity is never null either', async () => {
    await open({
      mappings: [personYaml('propagate', 'propagate', 'table: { schema: crm, name: people, id: pid }')],
      before: async ({ pool }) => {
        await pool.query(`create schema crm; create table crm.people
            (pid int generated by default as identity primary key, email text, name text, size numeric(12,2));
          alter table crm.people alter column name set storage external`);
      },
    });
    await people.sql(`insert into crm.people (email, name) values ('ann@x.test', $1)`, [long]);
    await people.until(() => people.left()['ann@x.test'] === long);
    await people.settled();
    await people.sql('update crm.people set size = 7');
    await people.until(() => people.row('right', 'ann@x.test').fields['weight' as never] === 7);
    await people.settled();
    expect([people.left(), people.right()]).toEqual([{ 'ann@x.test': long }, { 'ann@x.test': long }]);
    // The old row is not in the stream: what was there before is not known, and is not made up.
    const [row] = await people.sql(
      `select after ? 'name' as name, after ->> 'size' as size from truespoke.journal where op = 'update' and origin = 'application'`,
    );
    expect(row).toMatchObject({ size: '7.00' });
    await people.sql('delete from crm.people');
    await people.until(() => Object.keys({ ...people.left(), ...people.right() }).length === 0);
  });
});
