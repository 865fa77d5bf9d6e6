// Proves: Invariant 4, Invariant 6
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lsn } from '../../src/model/lsn.js';
import {
  type CaptureTable,
  checkSource,
  explainCheck,
  identityProblems,
  judgeSource,
  prepareSource,
  extendPublication,
  type SourceCheck,
  type StoredPosition,
} from '../../src/outbound/publication.js';
import { openSlot } from '../../src/outbound/slot.js';
import { slotHealth } from '../../src/outbound/slot-health.js';
import { readTables } from '../../src/store/catalogue.js';
import { openPool } from '../../src/store/pool.js';
import { createSlot, dropSlot, readSlot, readSystem } from '../../src/store/slots.js';
import { startTestCluster, type TestCluster } from '../support/global-setup.js';
import { serverVersion, testDatabase, type TestDatabase } from '../support/postgres.js';

const publication = 'truespoke';
const thing: CaptureTable = { schema: 'hub', table: 'thing', key: 'id', columns: ['name', 'price'] };
const other: CaptureTable = { schema: 'hub', table: 'other', key: 'id', columns: [] };

let db: TestDatabase;
let slot: string;
beforeEach(async () => {
  db = await testDatabase();
  slot = `s_${db.name}`;
  await db.pool.query(`
    CREATE SCHEMA hub;
    CREATE TABLE hub.thing (id int PRIMARY KEY, name text, price numeric);
    CREATE TABLE hub.other (id uuid PRIMARY KEY)`);
});
afterEach(() => db.drop());

const prepare = async (tables = [thing, other]): Promise<StoredPosition> =>
  (await prepareSource(db.pool, { slot, publication }, tables)).position;
const check = (stored: StoredPosition): Promise<SourceCheck> => checkSource(db.pool, stored, [thing, other]);

describe('making publication and slot', () => {
  test('a prepared source is ok, carries every change from its position on, and lists exactly the mapped tables', async () => {
    await db.pool.query('CREATE TABLE hub.unmapped (id int)');
    const stored = await prepare();
    const found = await check(stored);
    expect(found.kind).toBe('ok');
    const source = await openSlot({ url: db.url, slot, publication, from: stored.durableLsn });
    await db.pool.query(`INSERT INTO hub.unmapped VALUES (1); INSERT INTO hub.thing VALUES (1, 'n', 2)`);
    let kinds: string[] = [];
    while (!kinds.includes('commit'))
      kinds = [...kinds, ...(await source.read({ messagesMax: 10, waitMs: 1000 })).messages.map((m) => m.kind)];
    expect(kinds).toEqual(['begin', 'insert', 'commit']);
    await source.close();
    const { rows } = await db.pool.query(`SELECT tablename FROM pg_publication_tables ORDER BY 1`);
    expect(rows).toEqual([{ tablename: 'other' }, { tablename: 'thing' }]);
  });

  test('a table that joins the mapping is added to the publication and reported, and the others stay published', async () => {
    const stored = await prepare([thing]);
    expect(await extendPublication(db.pool, publication, [thing, other])).toEqual([{ schema: 'hub', table: 'other' }]);
    expect((await check(stored)).kind).toBe('ok');
    expect(await extendPublication(db.pool, publication, [thing, other])).toEqual([]);
  });

  test('a slot left by a start that died before storing its position is made anew', async () => {
    await createSlot(db.pool, slot);
    expect((await check(await prepare())).kind).toBe('ok');
  });

  test('a slot that another process reads is not taken from it', async () => {
    const stored = await prepare();
    const source = await openSlot({ url: db.url, slot, publication, from: stored.durableLsn });
    await expect(prepare()).rejects.toMatchObject({ code: 'slot_in_use', recovery: 'retry' });
    await source.close();
  });

  test('F42 an old transaction that keeps the slot from being made is named as the cause', async () => {
    const open = await db.pool.connect();
    await open.query('BEGIN; INSERT INTO hub.thing VALUES (1)');
    const hasty = openPool({ url: db.url, applicationName: 'truespoke hasty', max: 1, statementTimeoutMs: 1_000 });
    await expect(prepareSource(hasty, { slot, publication }, [thing])).rejects.toMatchObject({ code: 'slot_waits' });
    await hasty.end();
    await open.query('ROLLBACK');
    open.release();
    // With the ordinary patience: the other databases of the cluster have transactions too, and the slot waits for each.
    expect((await prepareSource(db.pool, { slot, publication }, [thing])).position.slot).toBe(slot);
  });
});

describe('F46 tables without identity are refused before anything is published', () => {
  const problems = async (
    ddl: string,
    table: CaptureTable = { schema: 'hub', table: 'x', key: 'id', columns: [] },
  ): Promise<(readonly [string, string | undefined])[]> => {
    await db.pool.query(ddl);
    return identityProblems([table], await readTables(db.pool, [table])).map(({ code, hint }) => [code, hint] as const);
  };

  test('no primary key: refused with the command that helps, and the application can still update', async () => {
    await db.pool.query('CREATE TABLE hub.x (id int); INSERT INTO hub.x VALUES (1)');
    const refused = prepareSource(db.pool, { slot, publication }, [
      thing,
      { schema: 'hub', table: 'x', key: 'id', columns: [] },
    ]);
    await expect(refused).rejects.toMatchObject({
      code: 'table_without_identity',
      message: expect.stringContaining('hub.x'),
      hint: expect.stringContaining('ADD PRIMARY KEY (id)'),
    });
    await db.pool.query('UPDATE hub.x SET id = 2');
    expect((await db.pool.query('SELECT 1 FROM pg_publication')).rowCount).toBe(0);
    expect(await readSlot(db.pool, slot, await serverVersion(db.pool))).toBeNull();
  });

  test('identity NOTHING, an identity without the mapped key, a view, an unlogged and an absent table: one error each', async () => {
    const codes = async (ddl: string): Promise<unknown[]> => (await problems(ddl)).map((found) => found[0]);
    expect(
      await problems('CREATE TABLE hub.x (id int PRIMARY KEY); ALTER TABLE hub.x REPLICA IDENTITY NOTHING'),
    ).toEqual([['table_without_identity', 'ALTER TABLE hub.x REPLICA IDENTITY DEFAULT;']]);
    expect(await codes('DROP TABLE hub.x; CREATE TABLE hub.x (no int PRIMARY KEY, id int)')).toEqual([
      'table_identity_without_key',
    ]);
    expect(await codes('DROP TABLE hub.x; CREATE VIEW hub.x AS SELECT 1 AS id')).toEqual(['table_not_publishable']);
    expect(await codes('DROP VIEW hub.x; CREATE UNLOGGED TABLE hub.x (id int PRIMARY KEY)')).toEqual([
      'table_not_publishable',
    ]);
    expect(await codes('DROP TABLE hub.x')).toEqual(['table_missing']);
  });

  test('REPLICA IDENTITY FULL and an identity index on the key are taken', async () => {
    expect(await problems('CREATE TABLE hub.x (id int); ALTER TABLE hub.x REPLICA IDENTITY FULL')).toEqual([]);
    expect(
      await problems(`DROP TABLE hub.x; CREATE TABLE hub.x (id int NOT NULL, "odd, name" int NOT NULL);
        CREATE UNIQUE INDEX x_key ON hub.x (id, "odd, name"); ALTER TABLE hub.x REPLICA IDENTITY USING INDEX x_key`),
    ).toEqual([]);
  });
});

describe('what changed on the server is found by name', () => {
  test('F44 publication dropped; F44 publication re-created', async () => {
    const stored = await prepare();
    await db.pool.query(`DROP PUBLICATION ${publication}`);
    expect((await check(stored)).kind).toBe('publicationMissing');
    await db.pool.query(`CREATE PUBLICATION ${publication} FOR TABLE hub.thing, hub.other`);
    const found = await check(stored);
    expect(found).toMatchObject({ kind: 'recreated', stored: stored.publicationOid });
    expect(explainCheck(found)).toMatch(/dropped and made again/);
  });

  test('F45 table removed from the publication, and one that came back between two checks', async () => {
    const stored = await prepare();
    const first = await check(stored);
    if (first.kind !== 'ok') throw new Error(first.kind);
    await db.pool.query(`ALTER PUBLICATION ${publication} DROP TABLE hub.other`);
    expect(await check(stored)).toMatchObject({ kind: 'tableMissing', tables: [{ schema: 'hub', table: 'other' }] });
    await db.pool.query(`ALTER PUBLICATION ${publication} ADD TABLE hub.other`);
    expect(await check({ ...stored, memberships: first.memberships })).toMatchObject({
      kind: 'tableRejoined',
      tables: [{ table: 'other' }],
    });
    await db.pool.query('DROP TABLE hub.other');
    expect(await check(stored)).toMatchObject({ kind: 'tableMissing' });
  });

  test('F47 row filter, and a column list without a mapped column; a list that has them all is fine', async () => {
    const stored = await prepare();
    await db.pool.query(`ALTER PUBLICATION ${publication} SET TABLE hub.thing WHERE (id > 5), hub.other`);
    expect(await check(stored)).toMatchObject({
      kind: 'tableFiltered',
      tables: [{ table: 'thing', filter: '(id > 5)' }],
    });
    await db.pool.query(`ALTER PUBLICATION ${publication} SET TABLE hub.thing (id, name), hub.other`);
    expect(await check(stored)).toMatchObject({
      kind: 'tableFiltered',
      tables: [{ table: 'thing', missingColumns: ['price'] }],
    });
    await db.pool.query(
      `ALTER TABLE hub.thing ADD extra int; ALTER PUBLICATION ${publication} SET TABLE hub.thing (id, name, price), hub.other`,
    );
    expect((await check(stored)).kind).toBe('ok');
  });

  test('F54 a generated column that is mapped and not sent is found', async () => {
    await db.pool.query('ALTER TABLE hub.thing DROP price, ADD price numeric GENERATED ALWAYS AS (id * 2) STORED');
    expect(await check(await prepare())).toMatchObject({
      kind: 'tableFiltered',
      tables: [{ missingColumns: ['price'] }],
    });
  });

  test('a publication that leaves out a kind of change is found', async () => {
    const stored = await prepare();
    await db.pool.query(`ALTER PUBLICATION ${publication} SET (publish = 'insert, update')`);
    expect(await check(stored)).toMatchObject({ kind: 'partial', missing: ['deletes', 'truncates'] });
  });

  test('F34 slot dropped, and slot dropped and made again by someone', async () => {
    const stored = await prepare();
    await dropSlot(db.pool, slot);
    expect((await check(stored)).kind).toBe('slotMissing');
    await db.pool.query('INSERT INTO hub.thing VALUES (1)');
    await createSlot(db.pool, slot);
    expect(await check(stored)).toMatchObject({ kind: 'slotAhead', stored: stored.durableLsn });
  });

  test('a slot of another plugin or kind is not ours', async () => {
    const stored = await prepare();
    await dropSlot(db.pool, slot);
    await db.pool.query(`SELECT pg_create_physical_replication_slot($1)`, [slot]);
    expect((await check(stored)).kind).toBe('slotForeign');
    await dropSlot(db.pool, slot);
  });

  test('F31 F32 F33 another cluster, a restored backup and a promotion are told apart', async () => {
    const stored = await prepare();
    expect(await check({ ...stored, systemIdentifier: '1' })).toMatchObject({ kind: 'otherSystem', stored: '1' });
    expect(await check({ ...stored, timeline: 99 })).toMatchObject({ kind: 'otherTimeline', stored: 99 });
    const far = lsn(stored.durableLsn + 10n ** 12n);
    expect(await check({ ...stored, durableLsn: far })).toMatchObject({ kind: 'serverBehind', stored: far });
    const system = await readSystem(db.pool);
    expect(
      judgeSource({
        stored,
        tables: [],
        system: { ...system, systemId: '2' },
        slot: null,
        publication: null,
        facts: [],
        database: '',
      }).kind,
    ).toBe('otherSystem');
  });
});

describe('F35 F37 a slot that cannot keep up', () => {
  let cluster: TestCluster | undefined;
  afterAll(() => cluster?.stop());

  test('half of the limit raises the alarm; past the limit the slot is lost, and check, health and open say so', async () => {
    cluster = await startTestCluster({ max_slot_wal_keep_size: '64MB', max_wal_size: '48MB', min_wal_size: '32MB' });
    const own = await testDatabase({ cluster: cluster.url });
    await own.pool.query('CREATE SCHEMA hub; CREATE TABLE hub.thing (id int PRIMARY KEY, name text, price numeric)');
    const { position } = await prepareSource(own.pool, { slot: 'slow', publication }, [thing]);
    const health = async (): Promise<ReturnType<typeof slotHealth>> =>
      slotHealth(await readSlot(own.pool, 'slow', await serverVersion(own.pool)));
    expect(await health()).toMatchObject({ status: 'inactive', longTransaction: null });
    const write = (): Promise<unknown> =>
      own.pool.query(
        `SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000)) FROM generate_series(1, 20); SELECT pg_switch_wal()`,
      );
    await write();
    await write();
    expect(await health()).toMatchObject({ status: 'lagging' });
    for (let i = 0; i < 20 && (await health()).status !== 'lost'; i += 1)
      await write().then(() => own.pool.query('CHECKPOINT'));
    expect(await health()).toMatchObject({ status: 'lost', advice: expect.stringContaining('full reconcile') });
    expect(await checkSource(own.pool, position, [thing])).toMatchObject({ kind: 'slotLost', reason: 'wal_removed' });
    await expect(
      openSlot({ url: own.url, slot: 'slow', publication, from: position.durableLsn }),
    ).rejects.toMatchObject({ code: 'slot_lost', recovery: 'halt' });
    await own.pool.end();
  });
});
