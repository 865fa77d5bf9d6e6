// The delivery table grows and shrinks within seconds, so no statistics of it can be trusted: each statement over a batch must be cheap
// under those of a moment at which all rows waited, and under those of one at which the feed had none.
import { resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { entityName, spokeName } from '../../src/model/ids.js';
import {
  claim,
  lockClaimed,
  markSent,
  release,
  settle,
  type Claimed,
  type Release,
} from '../../src/store/deliveries.js';
import { migrate } from '../../src/store/migrate.js';
import { transaction, type Queryable, type Row, type Statement, type Tx } from '../../src/store/pool.js';
import { registerSpoke } from '../../src/store/spokes.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';

const feed = { spoke: spokeName('left'), entity: entityName('thing') };
const rows = 4_000;

let db: TestDatabase;
beforeEach(async () => {
  db = await testDatabase();
  await migrate(db.pool, resolve('migrations'));
  await registerSpoke(db.pool, feed.spoke, 'memory');
});
afterEach(() => db.drop());

const fill = (spoke: string): Promise<unknown> =>
  db.pool.query(`insert into truespoke.delivery (spoke, entity, hub_id, state, generation, lane, dirty_at)
    select '${spoke}', 'thing', 'h' || i, 'pending', 1, 0, now() from generate_series(1, ${rows}) i`);
const analyze = (): Promise<unknown> => db.pool.query('analyze truespoke.delivery');

test.each([
  ['all rows waited', ['left'], []],
  ['the feed had no rows', ['right'], ['left']],
] as const)('a batch finds its rows by their key under statistics of when %s', async (_, before, after) => {
  for (const spoke of before) await fill(spoke);
  await analyze();
  for (const spoke of after) await fill(spoke);
  const nowMs = Date.UTC(2100, 0, 1);
  const claimed = await claim(db.pool, {
    ...feed,
    state: 'pending',
    rows,
    worker: '1',
    nowMs,
    leaseMs: 60_000,
    fence: 7,
  });
  expect(claimed).toHaveLength(rows);
  const some = claimed.slice(0, 500);
  const plans: string[] = [];
  await transaction(db.pool, async (tx) => {
    const told = explaining(tx, plans);
    expect(await markSent(told, feed, some.map(withIntent))).toHaveProperty('size', 500);
    expect(await lockClaimed(told, feed, some)).toHaveProperty('size', 500);
    await settle(told, feed, some.slice(0, 250));
    await release(told, feed, some.slice(250).map(toRelease));
  });
  expect(plans).toHaveLength(4);
  for (const plan of plans) {
    // A hash join reads the table once; the key's index only what is asked for. Both grow with the batch, or with the table, not with both.
    expect(plan).toMatch(/Index Scan using delivery_pkey on delivery d|Hash Join|Merge Join/);
    expect(plan).not.toMatch(/Join Filter: .*hub_id/);
  }
});

const withIntent = (one: Claimed) => ({
  ...one,
  intent: { op: 'update', externalId: one.hubId, fields: {}, hub: {}, sentAtMs: 0 } as const,
  seen: null,
});
const toRelease = ({ hubId }: Claimed): Release => ({
  hubId,
  state: 'pending',
  notBeforeMs: null,
  reason: 'later',
  waitsFor: null,
  counts: true,
});

/** Keeps the plan of each statement that runs through it. */
function explaining(tx: Tx, plans: string[]): Tx {
  const query = async (given: string | Statement, values?: readonly unknown[]): Promise<unknown> => {
    const statement = typeof given === 'string' ? { text: given, values } : given;
    const { rows: lines } = await (tx as Queryable).query<Row>(`explain ${statement.text}`, statement.values);
    plans.push(lines.map((line) => line['QUERY PLAN']).join('\n'));
    return (tx as Queryable).query(given, values);
  };
  return { query } as unknown as Tx;
}
