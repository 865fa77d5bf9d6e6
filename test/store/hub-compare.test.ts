// The local comparison: a stored hash spares the look at a row that equals its base, and never hides one that does not.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { resolve } from 'node:path';
import { must } from '../../src/base/assert.js';
import { parseMapping } from '../../src/mapping/load.js';
import type { SpokeMapping } from '../../src/mapping/mapping.js';
import { entityName, externalId, hubId, spokeName, version, type FieldName, type HubId } from '../../src/model/ids.js';
import { compareHub, type LocalDrift } from '../../src/store/hub-compare.js';
import { openHubTable, type HubTable } from '../../src/store/hub.js';
import { migrateHub } from '../../src/store/hub-schema.js';
import { saveLinks } from '../../src/store/links.js';
import { migrate } from '../../src/store/migrate.js';
import { transaction } from '../../src/store/pool.js';
import { registerSpoke } from '../../src/store/spokes.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';

const yaml = `
entity: thing
fields: { code: text, size: { type: decimal, scale: 2 }, loose: decimal, tags: list, extra: json, seen: timestamp, mark: text }
spokes:
  left: { object: Thing, fields: { code: Code, size: Size, loose: Loose, tags: Tags, extra: Extra, seen: Seen, mark: { remote: Mark, direction: in } } }
`;
const feed = { spoke: spokeName('left'), entity: entityName('thing') };

let db: TestDatabase;
let table: HubTable;
let mapping: SpokeMapping;
beforeEach(async () => {
  db = await testDatabase();
  await migrate(db.pool, resolve('migrations'));
  const parsed = parseMapping([{ file: 'thing.yaml', text: yaml }], { spokes: ['left'] }).mapping;
  await migrateHub(db.pool, parsed);
  await registerSpoke(db.pool, feed.spoke, 'memory');
  const entity = must(parsed.entities.get(feed.entity), 'thing');
  table = await openHubTable(db.pool, entity);
  mapping = must(entity.spokes.get(feed.spoke), 'left');
  await db.pool.query(`insert into hub.thing (code, size, loose, tags, extra, seen)
    select 'c' || i, i, 1.5, array['a', 'b'], '{"k": 1}', timestamptz '2026-01-01' + i * interval '1 second' from generate_series(1, 50) i`);
  const image = ['code', 'size', 'loose', 'tags', 'extra', 'seen'].map((name) => `'${name}', ${name}::text`).join(', ');
  await db.pool
    .query(`insert into truespoke.link (spoke, entity, hub_id, external_id, state, base_hub, base_remote, version, created_at, updated_at)
    select 'left', 'thing', id::text, 'x' || code, 'live', jsonb_build_object(${image}), '{}', '', now(), now() from hub.thing`);
});
afterEach(() => db.drop());

const sql = async (text: string): Promise<Record<string, string | null>[]> => (await db.pool.query(text)).rows as never;
const compare = (): Promise<readonly LocalDrift[]> => compareHub(db.pool, table, mapping, { rows: 100, after: null });
const hashed = async (): Promise<number> =>
  Number((await sql(`select count(hub_hash) as n from truespoke.link`))[0]?.['n']);
const idOf = async (code: string): Promise<HubId> =>
  hubId(must((await sql(`select id::text as id from hub.thing where code = '${code}'`))[0]?.['id'], code));

test('a first pass keeps the hash of every row that equals its base; the next one finds nothing either', async () => {
  expect(await compare()).toEqual([]);
  expect(await hashed()).toBe(50);
  expect(await compare()).toEqual([]);
});

test.each([
  ['a text', `code = 'other'`],
  ['only the case of a text', `code = 'C7'`],
  ['a number', `size = 7.01`],
  ['nothing but the digits of a bare number', `loose = 1.50`],
  ['a list', `tags = array['b', 'a']`],
  ['a document', `extra = '{"k": 2}'`],
  ['a time, by a microsecond', `seen = seen + interval '1 microsecond'`],
  ['to null', `size = null`],
])('a row whose hash is known and that changed unseen is found: %s', async (_what, change) => {
  await compare();
  const id = await idOf('c7');
  await sql(`update hub.thing set ${change} where code = 'c7'`);
  expect(await compare()).toEqual([{ hubId: id, class: 'not_captured' }]);
  expect(await compare()).toHaveLength(1);
});

test('a field that only comes in is no difference, whatever hash is stored', async () => {
  await compare();
  await sql(`update hub.thing set mark = 'application'`);
  expect(await compare()).toEqual([]);
});

test('a base that moves away from a row makes its hash unknown: the difference is found though the row stands as it was', async () => {
  await compare();
  const id = await idOf('c9');
  const base = { ['code' as FieldName]: { hub: 'another', remote: 'another' } };
  const write = {
    hubId: id,
    externalId: externalId('xc9'),
    state: 'live',
    base,
    version: version('2'),
    settledAtMs: null,
  } as const;
  await transaction(db.pool, (tx) => saveLinks(tx, feed, [write], 0));
  expect(await hashed()).toBe(49);
  expect(await compare()).toEqual([{ hubId: id, class: 'not_captured' }]);
  expect(await hashed()).toBe(49);
});

test('a link that is given to another row has no hash of the first', async () => {
  await compare();
  await sql(`update truespoke.link set hub_id = 'gone' where external_id = 'xc3'`);
  expect(await hashed()).toBe(49);
});

test('rows without a link and links without a row are found beside rows with hashes', async () => {
  await compare();
  await sql(`delete from hub.thing where code = 'c1'`);
  await sql(`insert into hub.thing (code) values ('new')`);
  expect((await compare()).map((one) => one.class).toSorted()).toEqual(['deletion_not_captured', 'not_created']);
});
