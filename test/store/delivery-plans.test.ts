// The delivery table grows and shrinks within seconds, so no statistics of it can be trusted: each statement of the hot path must be cheap
// under those of a moment at which all rows waited.
import { resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { entityName, hubId, spokeName } from '../../src/model/ids.js';
import { claim, markSent, type Claimed } from '../../src/store/deliveries.js';
import { migrate } from '../../src/store/migrate.js';
import type { Queryable, Row, Statement } from '../../src/store/pool.js';
import { registerSpoke } from '../../src/store/spokes.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';

const feed = { spoke: spokeName('left'), entity: entityName('thing') };
const rows = 4_000;

let db: TestDatabase;
let claimed: readonly Claimed[];
beforeAll(async () => {
  db = await testDatabase();
  await migrate(db.pool, resolve('migrations'));
  await registerSpoke(db.pool, feed.spoke, 'memory');
  await db.pool.query(`insert into truespoke.delivery (spoke, entity, hub_id, state, generation, lane, dirty_at)
    select 'left', 'thing', 'h' || i, 'pending', 1, 0, now() from generate_series(1, ${rows}) i`);
  await db.pool.query('analyze truespoke.delivery');
  const nowMs = Date.UTC(2100, 0, 1);
  claimed = await claim(db.pool, { ...feed, state: 'pending', rows, worker: '1', nowMs, leaseMs: 60_000 });
});
afterAll(() => db.drop());

test('what is sent is recorded by the rows of the batch, never by every open delivery against every row of it', async () => {
  const intent = (id: string) => ({ op: 'update', externalId: id, fields: {}, hub: {}, sentAtMs: 0 }) as const;
  const some = claimed.slice(0, 500).map(({ hubId: id, fence }) => ({ hubId: hubId(id), fence, intent: intent(id) }));
  const plans: string[] = [];
  const sent = await markSent(explaining(plans), feed, some);
  expect(sent.size).toBe(500);
  expect(plans).toHaveLength(1);
  expect(plans[0]).not.toMatch(/delivery_open/);
});

/** Keeps the plan of each statement that runs through it. */
function explaining(plans: string[]): Queryable {
  const query = async (given: string | Statement, values?: readonly unknown[]): Promise<unknown> => {
    const statement = typeof given === 'string' ? { text: given, values } : given;
    const { rows: lines } = await (db.pool as Queryable).query<Row>(`explain ${statement.text}`, statement.values);
    plans.push(lines.map((line) => line['QUERY PLAN']).join('\n'));
    return (db.pool as Queryable).query(given, values);
  };
  return { query } as Queryable;
}
