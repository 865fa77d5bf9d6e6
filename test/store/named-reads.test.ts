// Reads of rows and links keep their plan on a connection: what changes under it must not show.
import { resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseMapping } from '../../src/mapping/load.js';
import { entityName, externalId, fieldName, hubId, spokeName, version } from '../../src/model/ids.js';
import { must } from '../../src/base/assert.js';
import { openHubTable, readRows, type HubTable } from '../../src/store/hub.js';
import { linksByHub, saveLinks } from '../../src/store/links.js';
import { migrate } from '../../src/store/migrate.js';
import { openPool, transaction, type Pool } from '../../src/store/pool.js';
import { registerSpoke } from '../../src/store/spokes.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';

let db: TestDatabase;
/** One connection, so that each statement meets its plan again. */
let pool: Pool;
beforeEach(async () => {
  db = await testDatabase();
  await migrate(db.pool, resolve('migrations'));
  await registerSpoke(db.pool, spokeName('left'), 'memory');
  await db.pool.query(
    `create schema if not exists hub; create table hub.thing (id int primary key, name text, size int)`,
  );
  pool = openPool({ url: db.url, applicationName: 'truespoke test', max: 1 });
});
afterEach(async () => {
  await pool.end();
  await db.drop();
});

async function table(fields: string): Promise<HubTable> {
  const yaml = `entity: thing\ntable: { schema: hub, name: thing, id: id }\nfields: { ${fields} }\nspokes:\n  left: { object: T, fields: { name: N } }`;
  const { mapping } = parseMapping([{ file: 't.yaml', text: yaml }], { spokes: ['left'] });
  return openHubTable(db.pool, must(mapping.entities.get(entityName('thing')), 'thing'));
}

const read = async (of: HubTable): Promise<unknown> =>
  [...(await readRows(pool, of, [hubId('1')], { lock: false })).values()].map(({ fields }) => fields);

test('rows of a table that changed, and of another mapping of it, are read as they are now', async () => {
  await db.pool.query(`insert into hub.thing values (1, 'one', 7)`);
  const before = await table('name: text');
  for (let i = 0; i < 8; i += 1) expect(await read(before)).toEqual([{ name: 'one' }]);
  await db.pool.query(`alter table hub.thing alter size type text, add column more text default 'm'`);
  expect(await read(before)).toEqual([{ name: 'one' }]);
  expect(await read(await table('name: text, size: text'))).toEqual([{ name: 'one', size: '7' }]);
  expect(await read(before)).toEqual([{ name: 'one' }]);
  // A statement that could not be planned can be once there is its column.
  await db.pool.query('alter table hub.thing rename column name to title');
  const planned = await table('name: text, more: text');
  for (let i = 0; i < 2; i += 1) await expect(read(planned)).rejects.toMatchObject({ code: '42703' });
  await db.pool.query('alter table hub.thing rename column title to name');
  expect(await read(planned)).toEqual([{ name: 'one', more: 'm' }]);
  expect(await read(before)).toEqual([{ name: 'one' }]);
});

test('links are read by their index once the table has grown, though the plan was made when it was small', async () => {
  const feed = { spoke: spokeName('left'), entity: entityName('thing') };
  const link = (i: number) => ({
    hubId: hubId(String(i)),
    externalId: externalId(`x${i}`),
    state: 'live' as const,
    base: { [fieldName('name')]: { hub: 'a', remote: 'a' } },
    version: version('1'),
    settledAtMs: null,
  });
  const save = (from: number, to: number): Promise<unknown> =>
    transaction(db.pool, (tx) =>
      saveLinks(
        tx,
        feed,
        Array.from({ length: to - from }, (_, i) => link(from + i)),
        0,
      ),
    );
  await save(0, 5);
  for (let i = 0; i < 8; i += 1) expect((await linksByHub(pool, feed, [hubId('3')])).size).toBe(1);
  await save(5, 20_000);
  // What housekeeping does within a second.
  await db.pool.query('analyze truespoke.link_left');
  expect((await linksByHub(pool, feed, [hubId('3'), hubId('19999')])).size).toBe(2);
  const { rows } = await pool.query(`explain execute link_by_hub('left', 'thing', '{3,19999}')`);
  const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
  expect(plan).toMatch(/Index Scan|Bitmap Index Scan/);
  expect(plan).not.toMatch(/Seq Scan/);
});
