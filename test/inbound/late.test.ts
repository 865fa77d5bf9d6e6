// A write of ours that nobody answered and that was not found shows in the spoke at last (F65): inbound must not take it for an edit.
// Proves: Law 5
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseMapping } from '../../src/mapping/load.js';
import { entityName, externalId, hubId, objectName, spokeName, version } from '../../src/model/ids.js';
import type { RemoteFields, RemoteRecord } from '../../src/model/record.js';
import { openHub, openInbound } from '../support/inbound.js';
import type { TestDatabase } from '../support/postgres.js';

const text = `
entity: thing
fields: { code: { type: text, match: exact }, label: text, low: { type: integer, policy: min }, visits: { type: integer, policy: delta } }
spokes:
  crm: { object: Thing, fields: { code: Code, label: Label, low: Low, visits: Visits } }
`;
const { mapping } = parseMapping([{ file: 'thing.yaml', text }], { spokes: ['crm'] });
const feed = { spoke: spokeName('crm'), entity: entityName('thing') };
const id = '019b76da-c580-7b2b-8111-37cc16b3453a';

let db: TestDatabase;
beforeAll(async () => {
  db = await openHub(mapping, feed.spoke);
});
afterAll(() => db.drop());

test('F65 a create that arrived late is found: what it brought stays behind the hub, what others made of it since is merged', async () => {
  await db.pool.query(`insert into hub.thing (id, code, label, low, visits) values ($1, 'a', 'old', 54, 3)`, [id]);
  // It was looked for and not found; the hub has changed since.
  const hub = { code: 'a', label: 'old', low: '36', visits: null };
  await db.pool.query(
    `insert into truespoke.delivery (spoke, entity, hub_id, state, generation, lane, intent, reason, dirty_at)
     values ('crm', 'thing', $1, 'pending', 2, 0, $2, 'not_applied', now())`,
    [id, JSON.stringify({ op: 'create', externalId: null, fields: {}, hub, sentAtMs: 0 })],
  );
  const record: RemoteRecord = {
    object: objectName('Thing'),
    externalId: externalId('t-1'),
    version: version('2'),
    deleted: false,
    hubKey: hubId(id),
    modifiedBySelf: false,
    mergedInto: null,
    fields: { Code: 'A', Label: 'by a person', Low: 36, Visits: 9 } as RemoteFields,
    children: {},
  };
  const belongsTo = new Map([[record.externalId, hubId(id)]]);
  const page = { spoke: feed.spoke, object: record.object, records: [record], lane: 'interactive' } as const;
  const inbound = await openInbound(db, mapping);
  await inbound.accept({ ...page, evidence: 'fetched', belongsTo });
  const { rows } = await db.pool.query(`select code, label, low::text as low, visits::text as visits from hub.thing`);
  expect(rows).toEqual([{ code: 'a', label: 'by a person', low: '54', visits: '12' }]);
  const links = await db.pool.query(
    `select base_hub ->> 'low' as low, base_hub ->> 'visits' as visits from truespoke.link`,
  );
  expect(links.rows).toEqual([{ low: '36', visits: '9' }]);
  const conflicts = await db.pool.query(`select field, winner from truespoke.conflict`);
  // Counted at both sides since: kept as one, as ever.
  expect(conflicts.rows).toEqual([{ field: 'visits', winner: 'both' }]);
});

test.each([
  ['emptied in the hub since: what our own write left there does not come back', 1, null, 36, null],
  ['emptied at the spoke since: the emptying comes in', 2, 36, null, null],
  ['edited at the spoke since: the edit comes in', 3, 36, 99, '99'],
])('F65 F78 a create that arrived late hides a field from us, %s', async (_what, nth, held, shown, left) => {
  const row = `h${nth}`;
  const own = `019b76da-c580-7b2b-8111-37cc16b3000${nth}`;
  await db.pool.query(`insert into hub.thing (id, code, low) values ($1, $2, $3)`, [own, row, held]);
  const intent = { op: 'create', externalId: null, fields: {}, hub: { code: row, low: '36' }, sentAtMs: 0 };
  await db.pool.query(
    `insert into truespoke.delivery (spoke, entity, hub_id, state, generation, lane, intent, reason, dirty_at)
     values ('crm', 'thing', $1, 'pending', 2, 0, $2, 'not_applied', now())`,
    [own, JSON.stringify(intent)],
  );
  const inbound = await openInbound(db, mapping);
  const accept = async (stamp: string, fields: unknown): Promise<void> => {
    const record: RemoteRecord = {
      object: objectName('Thing'),
      externalId: externalId(`t-${row}`),
      version: version(stamp),
      deleted: false,
      hubKey: hubId(own),
      modifiedBySelf: false,
      mergedInto: null,
      fields: { Code: row, Label: null, Visits: null, ...(fields as object) } as RemoteFields,
      children: {},
    };
    const belongsTo = new Map([[record.externalId, hubId(own)]]);
    const page = { spoke: feed.spoke, object: record.object, records: [record], lane: 'interactive' } as const;
    await inbound.accept({ ...page, evidence: 'fetched', belongsTo });
  };
  await accept('2', {});
  // Nothing else differs: the delivery ends, and with it what we remember of the write.
  await db.pool.query(`delete from truespoke.delivery where hub_id = $1`, [own]);
  await accept('3', { Low: shown });
  const { rows } = await db.pool.query(`select low::text as low from hub.thing where id = $1`, [own]);
  expect(rows).toEqual([{ low: left }]);
  const conflicts = await db.pool.query(`select field from truespoke.conflict where hub_id = $1`, [own]);
  expect(conflicts.rows).toEqual([]);
});

test('F65 a count that shows what a write of ours carried, and nothing else of it: it passes for ours, and the conflict log keeps both', async () => {
  const inbound = await openInbound(db, mapping);
  const page = { spoke: feed.spoke, object: objectName('Thing'), lane: 'interactive', evidence: 'fetched' } as const;
  const shown = (nth: number, stamp: string, fields: unknown): RemoteRecord => ({
    object: page.object,
    externalId: externalId(`t-c${nth}`),
    version: version(stamp),
    deleted: false,
    hubKey: null,
    modifiedBySelf: null,
    mergedInto: null,
    fields: { Code: `c${nth}`, Low: null, ...(fields as object) } as RemoteFields,
    children: {},
  });
  const counted = async (nth: number, label: string): Promise<readonly unknown[]> => {
    await inbound.accept({ ...page, records: [shown(nth, '1', { Label: 'old', Visits: 5 })] });
    await db.pool.query(`update hub.thing set label = 'new', visits = 9 where code = $1`, [`c${nth}`]);
    const { rows } = await db.pool.query(`select id::text as id from hub.thing where code = $1`, [`c${nth}`]);
    const intent = {
      op: 'update',
      externalId: `t-c${nth}`,
      fields: {},
      hub: { label: 'new', visits: '9' },
      sentAtMs: 0,
    };
    await db.pool.query(
      `insert into truespoke.delivery (spoke, entity, hub_id, state, generation, lane, intent, reason, dirty_at)
       values ('crm', 'thing', $1, 'pending', 2, 0, $2, 'not_applied', now())`,
      [rows[0]?.['id'], JSON.stringify(intent)],
    );
    await inbound.accept({ ...page, records: [shown(nth, '2', { Label: label, Visits: 9 })] });
    const hub = await db.pool.query(`select visits::text as visits from hub.thing where code = $1`, [`c${nth}`]);
    const { rows: kept } = await db.pool.query(
      `select field, winner, hub_value, spoke_value from truespoke.conflict where hub_id = $1`,
      [rows[0]?.['id']],
    );
    const { rows: lost } = await db.pool.query(`select overruled::text from truespoke.link where external_id = $1`, [
      `t-c${nth}`,
    ]);
    return [hub.rows[0]?.['visits'], lost[0]?.['overruled'] ?? null, kept];
  };
  expect(await counted(1, 'old')).toEqual([
    '9',
    null,
    [{ field: 'visits', winner: 'hub', hub_value: '9', spoke_value: '9' }],
  ]);
  expect(await counted(2, 'new')).toEqual(['9', null, []]);
});
