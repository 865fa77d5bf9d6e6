// What a delivery remembers of a write that was not answered: it may still arrive (F65).
import { resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { entityName, hubId, spokeName } from '../../src/model/ids.js';
import { claim, markSent, openDeliveries, release, type Release } from '../../src/store/deliveries.js';
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
    } as const;
    const [claimed] = await claim(db.pool, common);
    const intent = { op: 'update', externalId: '1', fields: {}, hub: { count } as never, sentAtMs: 0 } as const;
    await markSent(db.pool, feed, [{ hubId: id, fence: claimed?.fence ?? '', intent }]);
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
