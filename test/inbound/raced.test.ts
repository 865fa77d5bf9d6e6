// Inbound judges a record while outbound settles the create that made it: one of the two comes first, the record stays one.
// Proves: Law 4, Law 8
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseMapping } from '../../src/mapping/load.js';
import { entityName, externalId, hubId, objectName, remotePath, spokeName, version } from '../../src/model/ids.js';
import { missingRecord, type RemoteRecord } from '../../src/model/record.js';
import type { Tally } from '../../src/inbound/decision.js';
import { settledMarks } from '../../src/store/link-images.js';
import { saveLinks } from '../../src/store/links.js';
import { Pool, transaction } from '../../src/store/pool.js';
import { openHub, openInbound } from '../support/inbound.js';
import type { TestDatabase } from '../support/postgres.js';

const { mapping } = parseMapping(
  [
    {
      file: 'line.yaml',
      text: 'entity: line\nfields: { label: text }\nspokes:\n  crm: { object: Row, fields: { label: Label }, delete: propagate }\n',
    },
  ],
  { spokes: ['crm'] },
);
const feed = { spoke: spokeName('crm'), entity: entityName('line') };
const id = '019b76da-c580-7b2b-8111-37cc16b3453a';
const record: RemoteRecord = {
  object: objectName('Row'),
  externalId: externalId('r-1'),
  version: version('1'),
  deleted: false,
  hubKey: hubId(id),
  modifiedBySelf: true,
  mergedInto: null,
  fields: { [remotePath('Label')]: 'ours' },
  children: {},
};

/** Lets `body` happen right before the first statement that holds `text`. */
class InterruptedPool extends Pool {
  constructor(
    url: string,
    private readonly text: string,
    private body: (() => Promise<unknown>) | null,
  ) {
    super({ url, applicationName: 'interrupted', max: 2 });
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(callback: never): void;
  override connect(): Promise<pg.PoolClient> {
    return super.connect().then((client) => {
      const query = client.query.bind(client) as (statement: unknown, values?: unknown) => Promise<unknown>;
      client.query = (async (statement: unknown, values?: unknown) => {
        const { body } = this;
        if (body !== null && JSON.stringify(statement).includes(this.text)) {
          this.body = null;
          await body();
        }
        return query(statement, values);
      }) as unknown as typeof client.query;
      return client;
    });
  }
}

let db: TestDatabase;
beforeAll(async () => {
  db = await openHub(mapping, feed.spoke);
});
afterAll(() => db.drop());

test('a create that is settled while inbound looks at its record makes no second hub record', async () => {
  await db.pool.query(`insert into hub.line (id, label) values ($1, 'ours')`, [id]);
  const entity = mapping.entities.get(feed.entity);
  if (entity === undefined) throw new Error('not mapped');
  const base = { [entity.fields[0]?.name ?? '']: { hub: 'ours', remote: 'ours' } };
  const settle = (): Promise<unknown> =>
    transaction(db.pool, (tx) =>
      saveLinks(
        tx,
        feed,
        [
          {
            hubId: hubId(id),
            externalId: record.externalId,
            state: 'live',
            base,
            version: record.version,
            settledAtMs: 0,
          },
        ],
        0,
      ),
    );
  // After the look for links by external id, before the one by hub id.
  const pool = new InterruptedPool(db.url, 'distinct on (l.hub_id)', settle);
  const inbound = await openInbound(db, mapping, { pool });
  const tally = await inbound.accept({
    spoke: feed.spoke,
    object: record.object,
    records: [record],
    evidence: 'fetched',
    lane: 'interactive',
  });
  await pool.end();
  const { rows } = await db.pool.query(`select id::text as id from hub.line`);
  expect(rows).toEqual([{ id }]);
  expect(tally).toMatchObject({ created: 0, refetched: 1 });
});

test('a read that was asked for before our write was confirmed is made again where the stamp does not tell which was first', async () => {
  const [other, row] = [externalId('r-2'), hubId('019b76da-c580-7b2b-8111-37cc16b3453b')];
  const entity = mapping.entities.get(feed.entity);
  if (entity === undefined) throw new Error('not mapped');
  await db.pool.query(`insert into hub.line (id, label) values ($1, 'ours')`, [row]);
  const marks = (): ReturnType<typeof settledMarks> => settledMarks(db.pool, feed.spoke, [feed.entity], [other]);
  const base = { [entity.fields[0]?.name ?? '']: { hub: 'ours', remote: 'ours' } };
  const link = { hubId: row, externalId: other, state: 'live' as const, base, version: record.version };
  await transaction(db.pool, (tx) => saveLinks(tx, feed, [{ ...link, settledAtMs: null }], 0));
  const asked = await marks();
  await transaction(db.pool, (tx) => saveLinks(tx, feed, [{ ...link, settledAtMs: 1_000 }], 1_000));
  const inbound = await openInbound(db, mapping);
  const shown = { ...record, externalId: other, fields: { [remotePath('Label')]: 'another' } };
  const page = { ...feed, object: record.object, records: [shown], evidence: 'fetched', lane: 'interactive' } as const;
  const label = async (): Promise<unknown> =>
    (await db.pool.query(`select label from hub.line where id = $1`, [row])).rows[0]?.['label'];

  expect((await inbound.accept({ ...page, settled: asked })).refetched).toBe(1);
  expect(await label()).toBe('ours');
  expect((await inbound.accept({ ...page, settled: await marks() })).updated).toBe(1);
  expect(await label()).toBe('another');
});

test('F102 a record that was linked while it was asked for by id is not gone because that read does not show it', async () => {
  const [other, row] = [externalId('r-3'), hubId('019b76da-c580-7b2b-8111-37cc16b3453c')];
  await db.pool.query(`insert into hub.line (id, label) values ($1, 'new')`, [row]);
  const marks = (): ReturnType<typeof settledMarks> => settledMarks(db.pool, feed.spoke, [feed.entity], [other]);
  const asked = await marks();
  const link = { hubId: row, externalId: other, state: 'live' as const, base: {}, version: record.version };
  await transaction(db.pool, (tx) => saveLinks(tx, feed, [{ ...link, settledAtMs: null }], 0));
  const inbound = await openInbound(db, mapping);
  const absent = missingRecord(record.object, other);
  const page = { ...feed, object: record.object, records: [absent], evidence: 'fetched', lane: 'interactive' } as const;
  const rows = async (): Promise<number> =>
    (await db.pool.query(`select 1 from hub.line where id = $1`, [row])).rows.length;

  expect((await inbound.accept({ ...page, settled: asked })).refetched).toBe(1);
  expect(await rows()).toBe(1);
  // Known when it was asked for, it is gone.
  await inbound.accept({ ...page, settled: await marks() });
  expect(await rows()).toBe(0);
});

/** A record that nobody knows yet: read by id, and told of by a listing as deleted since. */
async function stranger(id: string): Promise<{
  readonly read: (pool?: Pool, stamp?: string) => Promise<Tally>;
  readonly list: (pool?: Pool) => Promise<Tally>;
  readonly isThere: () => Promise<boolean>;
}> {
  await db.pool.query('truncate hub.line, truespoke.link');
  const own = { ...record, externalId: externalId(id), hubKey: null };
  const page = { spoke: feed.spoke, object: record.object, lane: 'interactive' as const };
  const read = async (pool = db.pool, stamp = '1'): Promise<Tally> => {
    const shown = { ...own, version: version(stamp) };
    return (await openInbound(db, mapping, { pool })).accept({ ...page, records: [shown], evidence: 'fetched' });
  };
  const list = async (pool = db.pool): Promise<Tally> => {
    const gone = { ...own, version: version('2'), deleted: true };
    return (await openInbound(db, mapping, { pool })).accept({ ...page, records: [gone], evidence: 'listing' });
  };
  const isThere = async (): Promise<boolean> => (await db.pool.query('select 1 from hub.line')).rows.length > 0;
  return { read, list, isThere };
}

/** Both bring records in or take word of them under this lock. */
const matching = 'truespoke match';

test('a deletion that was listed before anybody knew the record is not undone by a read by id that lags behind it', async () => {
  const { read, list, isThere } = await stranger('r-9');
  await list();
  expect(await read()).toMatchObject({ created: 0, refetched: 0 });
  expect(await isThere()).toBe(false);
  // Brought back since.
  await read(db.pool, '3');
  expect(await isThere()).toBe(true);
});

test('a deletion that is listed while an older read of the record is on its way is not forgotten', async () => {
  const { read, list, isThere } = await stranger('r-10');
  const pool = new InterruptedPool(db.url, matching, list);
  expect(await read(pool)).toMatchObject({ created: 0 });
  expect(await isThere()).toBe(false);
  await pool.end();
});

test('a record that comes in by an older read while its deletion is listed is looked at again', async () => {
  const { read, list, isThere } = await stranger('r-11');
  const pool = new InterruptedPool(db.url, matching, read);
  expect(await list(pool)).toMatchObject({ refetched: 1 });
  expect(await isThere()).toBe(true);
  const asked = await db.pool.query(
    `select body::json ->> 'deleted' as gone from truespoke.inbox where external_id = 'r-11' and done_at is null`,
  );
  expect(asked.rows).toEqual([{ gone: 'true' }]);
  await pool.end();
});
