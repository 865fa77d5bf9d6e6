// What a delivery remembers of a write that was not answered: it may still arrive (F65).
import { resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { entityName, hubId, spokeName } from '../../src/model/ids.js';
import { openDeliveries, release, type Release } from '../../src/store/deliveries.js';
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
  ['not found at the spoke, it may be late', { state: 'pending', reason: 'not_applied' }, { count: '14' }],
  ['not looked for yet', { state: 'unknown', reason: 'lost' }, { count: '14' }],
  ['refused, it will not come', { state: 'pending', reason: 'throttled' }, {}],
] as const)('F65 a write %s', async (_, outcome, remembered) => {
  const given: Release = { hubId: id, notBeforeMs: null, waitsFor: null, counts: true, ...outcome };
  await release(db.pool, feed, [given]);
  const open = await transaction(db.pool, (tx) => openDeliveries(tx, feed, [id]));
  expect(open.get(id)?.tried).toEqual(remembered);
});
