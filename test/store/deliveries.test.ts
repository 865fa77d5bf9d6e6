// What a delivery remembers of a write that was not answered: it may still arrive (F65).
import { resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { entityName, hubId, spokeName } from '../../src/model/ids.js';
import {
  claim,
  markDirty,
  markSent,
  openDeliveries,
  release,
  type Dirty,
  type Release,
} from '../../src/store/deliveries.js';
import { migrate } from '../../src/store/migrate.js';
import { transaction } from '../../src/store/pool.js';
import { registerSpoke } from '../../src/store/spokes.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';

const feed = { spoke: spokeName('left'), entity: entityName('thing') };
const id = hubId('1');

let db: TestDatabase;
beforeEach(async () => {
  db = await testDatabase();
  await migrate(db.pool, resolve('migrations'));
  await registerSpoke(db.pool, feed.spoke, 'memory');
  await db.pool.query(`insert into truespoke.delivery (spoke, entity, hub_id, state, generation, lane, intent, dirty_at)
    values ('left', 'thing', '1', 'sent', 1, 0, '{"op": "update", "hub": {"count": "14"}}', now())`);
});
afterEach(() => db.drop());

test.each([
  ['not found at the spoke, it may be late', { state: 'pending', reason: 'not_applied' }, [{ count: '14' }]],
  ['not looked for yet', { state: 'unknown', reason: 'lost' }, [{ count: '14' }]],
  ['refused, it will not come', { state: 'pending', reason: 'throttled' }, []],
] as const)('F65 a write %s', async (_, outcome, remembered) => {
  const given: Release = { hubId: id, notBeforeMs: null, waitsFor: null, counts: true, ...outcome };
  await release(db.pool, feed, [given]);
  const open = await transaction(db.pool, (tx) => openDeliveries(tx, feed, [id]));
  expect(open.get(id)?.tried).toEqual(remembered);
});

test('F65 of several writes without an answer each is remembered, until the record is settled; one that was answered is not', async () => {
  const tried = async (): Promise<unknown> =>
    (await transaction(db.pool, (tx) => openDeliveries(tx, feed, [id]))).get(id)?.tried;
  const given: Release = { hubId: id, notBeforeMs: null, waitsFor: null, counts: true, state: 'pending', reason: '' };
  const send = async (count: string): Promise<void> => {
    const common = {
      ...feed,
      state: 'pending',
      rows: 1,
      worker: '1',
      nowMs: Date.UTC(2100, 0, 1),
      leaseMs: 1_000,
      fence: 7,
    } as const;
    const [claimed] = await claim(db.pool, common);
    const intent = { op: 'update', externalId: '1', fields: {}, hub: { count } as never, sentAtMs: 0 } as const;
    await markSent(db.pool, feed, [{ hubId: id, fence: claimed?.fence ?? '', intent, seen: null }]);
  };
  await release(db.pool, feed, [{ ...given, reason: 'not_applied' }]);
  await send('15');
  await release(db.pool, feed, [{ ...given, reason: 'not_applied' }]);
  await send('16');
  expect(await tried()).toEqual([{ count: '14' }, { count: '15' }, { count: '16' }]);
  await release(db.pool, feed, [{ ...given, reason: 'throttled' }]);
  expect(await tried()).toEqual([{ count: '14' }, { count: '15' }]);
  await send('17');
  await release(db.pool, feed, [{ ...given, reason: 'stale' }]);
  expect(await tried()).toEqual([{ count: '14' }, { count: '15' }]);
});

test('a claim has the token that was drawn for it, waits for no disk, and leaves its connection as it was', async () => {
  await db.pool.query(`update truespoke.delivery set state = 'pending', not_before = null, holder = null`);
  const request = {
    ...feed,
    state: 'pending',
    rows: 1,
    worker: '1',
    nowMs: Date.UTC(2100, 0, 1),
    leaseMs: 1,
    fence: 9_007_199_254_740_991,
  } as const;
  const client = await db.pool.connect();
  const setting = async (): Promise<unknown> => (await client.query('show synchronous_commit')).rows[0];
  try {
    const before = await setting();
    const [first] = await claim(client, request);
    expect(await setting()).toEqual(before);
    await client.query(`update truespoke.delivery set state = 'pending'`);
    await client.query('begin');
    await claim(client, request);
    expect(await setting()).toEqual({ synchronous_commit: 'off' });
    await client.query('rollback');
    expect(first?.fence).toBe('9007199254740991');
  } finally {
    client.release();
  }
});

test('many records marked at once become the deliveries that they become one by one', async () => {
  await registerSpoke(db.pool, spokeName('right'), 'memory');
  const row = (spoke: string, i: number, more: Partial<Dirty> = {}): Dirty => ({
    ...{
      spoke: spokeName(spoke),
      entity: feed.entity,
      hubId: hubId(String(i)),
      lane: 0,
      trace: null,
      after: `{"n":"${i}"}`,
    },
    ...{ atMs: Date.UTC(2026, 0, 1) + i, lsn: `0/${i + 16}`, ...more },
  });
  await db.pool
    .query(`insert into truespoke.link (spoke, entity, hub_id, external_id, state, base_hub, base_remote, version, created_at, updated_at)
    select 'left', 'thing', i::text, 'x' || i, 'live', jsonb_build_object('n', i::text), '{}', '', now(), now()
      from generate_series(5, 9) i`);
  const numbers = Array.from({ length: 120 }, (_, i) => i);
  const all = [
    ...numbers.map((i) => row('left', i, i === 9 ? { after: '{"n":"another"}' } : {})),
    ...numbers.map((i) => row('right', i, i === 7 ? { trace: 't', lane: 1 } : {})),
  ];
  const stored = async (mark: (rows: readonly Dirty[]) => Promise<void>): Promise<unknown> => {
    await db.pool.query(`delete from truespoke.delivery where state = 'pending'`);
    await mark(all.filter((_, i) => i % 3 === 0));
    await mark(all);
    const { rows } = await db.pool.query(
      `select spoke, hub_id, state, generation, lane, dirty_at, lsn, trace, observed, reason from truespoke.delivery order by 1, 2`,
    );
    return rows;
  };
  const atOnce = await stored((rows) => transaction(db.pool, (tx) => markDirty(tx, rows)));
  const oneByOne = await stored(async (rows) => {
    for (const one of rows) await transaction(db.pool, (tx) => markDirty(tx, [one]));
  });
  // The delivery of record 1 was there before.
  const generation = (rows: unknown): unknown =>
    (rows as { hub_id: string; spoke: string }[]).filter(({ spoke, hub_id: id }) => spoke !== 'left' || id !== '1');
  expect(generation(atOnce)).toEqual(generation(oneByOne));
  // What the base says already (5 to 8) makes no delivery.
  expect(atOnce).toHaveLength(236);
});
