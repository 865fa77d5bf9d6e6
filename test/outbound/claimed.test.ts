// What is loaded for a diff while inbound commits: the version that a write is conditional on is never newer than the values it carries.
// Proves: Law 4
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseMapping } from '../../src/mapping/load.js';
import { entityName, externalId, fieldName, hubId, spokeName, version } from '../../src/model/ids.js';
import { loadClaim } from '../../src/outbound/claimed.js';
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

test('inbound commits an edit while a claim is loaded: the old value does not go out under the new version', async () => {
  await taken('old', '1');
  const [entity, spoke] = [
    mapping.entities.get(feed.entity),
    mapping.entities.get(feed.entity)?.spokes.get(feed.spoke),
  ];
  if (entity === undefined || spoke === undefined) throw new Error('not mapped');
  const table = await openHubTable(db.pool, entity);
  const context = await loadClaim(
    interrupted(() => taken('new', '2')),
    mapping,
    spoke,
    table,
    [{ hubId: id }],
  );
  expect([context.links.get(id)?.version, context.rows.get(id)?.fields[fieldName('label')]]).toEqual(['1', 'new']);
});
