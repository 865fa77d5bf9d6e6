// Matching is by index, however large the table: exact, case-insensitive, normalised telephone number, composite.
// Proves: Invariant 2
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolve } from 'node:path';
import { must } from '../../src/base/assert.js';
import { parseMapping } from '../../src/mapping/load.js';
import { entityName } from '../../src/model/ids.js';
import { findCandidates, openHubTable, type HubTable } from '../../src/store/hub.js';
import { migrateHub } from '../../src/store/hub-schema.js';
import { migrate } from '../../src/store/migrate.js';
import type { Queryable, Tx } from '../../src/store/pool.js';
import { registerSpoke } from '../../src/store/spokes.js';
import { spokeName } from '../../src/model/ids.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';

const yaml = `
entity: person
match: [[code], [{ email: case-insensitive }], [phone], [last, { town: case-insensitive }, born]]
fields: { code: text, email: text, phone: text, last: text, town: text, born: date }
spokes:
  left: { object: Person, fields: { code: Code, email: Email, phone: { remote: Phone, via: { phone-e164: { country: US } } }, last: Last, town: Town, born: Born } }
`;
const rows = 100_000;

let db: TestDatabase;
let table: HubTable;
beforeAll(async () => {
  db = await testDatabase();
  await migrate(db.pool, resolve('migrations'));
  const { mapping } = parseMapping([{ file: 'person.yaml', text: yaml }], { spokes: ['left'] });
  await migrateHub(db.pool, mapping);
  await registerSpoke(db.pool, spokeName('left'), 'memory');
  await db.pool.query(`insert into hub.person (code, email, phone, last, town, born)
    select 'c' || i, 'P' || i || '@x.test', '+1415555' || lpad(i::text, 6, '0'), 'L' || i % 500, 'T' || i % 400, date '1950-01-01' + i / 5
      from generate_series(1, ${rows}) i`);
  await db.pool
    .query(`insert into truespoke.link (spoke, entity, hub_id, external_id, state, base_hub, base_remote, version, created_at, updated_at)
    select 'left', 'person', id::text, code, 'live', '{}', '{}', '', now(), now() from hub.person`);
  await db.pool.query('analyze');
  table = await openHubTable(db.pool, must(mapping.entities.get(entityName('person')), 'person'));
});
afterAll(() => db.drop());

test.each([
  ['exact', 0, ['c77'], 'c77'],
  ['case-insensitive', 1, ['p77@X.TEST'], 'c77'],
  ['normalised telephone number', 2, ['+1415555000077'], 'c77'],
  ['composite', 3, ['L77', 't77', '1950-01-16'], 'c77'],
] as const)(
  '%s: found by index among a hundred thousand, and no table is read through',
  async (_name, rule, values, code) => {
    const keys = [values, ...Array.from({ length: 99 }, () => values.map((value) => `${value}`))];
    const plans: string[] = [];
    const explaining = {
      async query(text: string, parameters: unknown[]) {
        const { rows: lines } = await db.pool.query(`explain ${text}`, parameters);
        plans.push(lines.map((line: Record<string, string>) => line['QUERY PLAN']).join('\n'));
        return (db.pool as Queryable).query(text, parameters);
      },
    };
    const found = await findCandidates(
      explaining as unknown as Tx,
      table,
      'left',
      must(table.entity.match[rule], 'rule'),
      keys,
    );
    expect([found.length, found[0]?.linkedTo]).toEqual([100, code]);
    expect(plans[0]).toContain('Index');
    expect(plans[0]).not.toMatch(/Seq Scan on (person|link)/);
  },
);
