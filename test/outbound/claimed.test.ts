// What is loaded for a diff while inbound commits: the version that a write is conditional on is never newer than the values it carries.
// Proves: Law 4
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseMapping } from '../../src/mapping/load.js';
import { entityName, externalId, fieldName, hubId, spokeName, version } from '../../src/model/ids.js';
import { loadClaim, type ClaimContext } from '../../src/outbound/claimed.js';
import { claim, markSent } from '../../src/store/deliveries.js';
import { openHubTable } from '../../src/store/hub.js';
import { saveLinks } from '../../src/store/links.js';
import { transaction, type Queryable } from '../../src/store/pool.js';
import { openHub } from '../support/inbound.js';
import type { TestDatabase } from '../support/postgres.js';

const { mapping } = parseMapping(
  [
    {
      file: 'line.yaml',
      text: 'entity: line\nfields: { label: text }\nspokes:\n  crm: { object: Row, fields: { label: Label } }\n',
    },
  ],
  { spokes: ['crm'] },
);
const feed = { spoke: spokeName('crm'), entity: entityName('line') };
const id = hubId('019b76da-c580-7b2b-8111-37cc16b3453a');

let db: TestDatabase;
beforeAll(async () => {
  db = await openHub(mapping, feed.spoke);
});
afterAll(() => db.drop());

/** As inbound leaves it when the spoke shows `label` under `stamp`. */
const taken = (label: string, stamp: string): Promise<unknown> =>
  transaction(db.pool, async (tx) => {
    await tx.query(
      `insert into hub.line (id, label) values ($1, $2) on conflict (id) do update set label = excluded.label`,
      [id, label],
    );
    const base = { [fieldName('label')]: { hub: label, remote: label } };
    const link = { hubId: id, externalId: externalId('r-1'), state: 'live' as const, base, settledAtMs: null };
    await saveLinks(tx, feed, [{ ...link, version: version(stamp) }], 0);
  });

/** Lets `body` happen between the first statement and all others, in whatever order they are asked. */
function interrupted(body: () => Promise<unknown>): Queryable {
  let gate: Promise<unknown> | null = null;
  const query = async (...given: readonly unknown[]): Promise<unknown> => {
    const ask = db.pool.query.bind(db.pool) as (...all: readonly unknown[]) => Promise<unknown>;
    if (gate !== null) {
      await gate;
      return ask(...given);
    }
    const first = ask(...given);
    gate = first.then(body);
    return first;
  };
  return { query } as unknown as Queryable;
}

async function load(db_: Queryable): Promise<ClaimContext> {
  const [entity, spoke] = [
    mapping.entities.get(feed.entity),
    mapping.entities.get(feed.entity)?.spokes.get(feed.spoke),
  ];
  if (entity === undefined || spoke === undefined) throw new Error('not mapped');
  return loadClaim(db_, mapping, spoke, await openHubTable(db.pool, entity), [{ hubId: id }]);
}

test('inbound commits an edit while a claim is loaded: the old value does not go out under the new version', async () => {
  await taken('old', '1');
  const context = await load(interrupted(() => taken('new', '2')));
  expect([context.links.get(id)?.version, context.rows.get(id)?.fields[fieldName('label')]]).toEqual(['1', 'new']);
});

test.each([
  [
    'inbound has taken in an edit since a claim was compared, which a lagging look does not show: it is not written over',
    1,
  ],
  ['nothing has come in since a claim was compared: it goes out', 0],
])('%s', async (_, edits) => {
  await db.pool.query('delete from truespoke.delivery');
  await taken('old', '3');
  await db.pool.query(`insert into truespoke.delivery (spoke, entity, hub_id, state, generation, lane, dirty_at)
    values ('crm', 'line', '${id}', 'pending', 1, 0, now())`);
  const nowMs = Date.UTC(2100, 0, 1);
  const [claimed] = await claim(db.pool, {
    ...feed,
    state: 'pending',
    rows: 1,
    worker: '1',
    nowMs,
    leaseMs: 1_000,
    fence: 7,
  });
  const context = await load(db.pool);
  for (let i = 0; i < edits; i += 1) await taken('new', '4');
  const intent = { op: 'update', externalId: 'r-1', fields: {}, hub: {}, sentAtMs: 0 } as const;
  const seen = context.links.get(id)?.revision ?? null;
  const sent = await markSent(db.pool, feed, [{ hubId: id, fence: claimed?.fence ?? '', intent, seen }]);
  expect(sent.size).toBe(1 - edits);
});
