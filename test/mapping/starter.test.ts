import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Fields, Spoke } from '../../src/connectors/connector.js';
import { checkAgainst, type Described } from '../../src/mapping/check-remote.js';
import { loadMapping, type LoadedMapping } from '../../src/mapping/load.js';
import type { SpokeMapping } from '../../src/mapping/mapping.js';
import { sameHub } from '../../src/mapping/values.js';
import { entityName, externalId, hubId, objectName, spokeName, type ObjectName } from '../../src/model/ids.js';
import type { HubValue, RemoteFields, RemoteRecord, RemoteValue } from '../../src/model/record.js';
import { interactive, openOrg, type OrgBench } from '../connectors/salesforce-support.js';
import { Live } from '../connectors/shopify-live.js';

let loaded: LoadedMapping;
let org: OrgBench;
const shop = new Live();
beforeAll(async () => {
  loaded = await loadMapping('mappings');
  org = await openOrg();
  await shop.start();
});
afterAll(async () => {
  await org.close();
  await shop.stop();
});

function mapped(entity: string, spoke: string): SpokeMapping {
  const found = loaded.mapping.entities.get(entityName(entity))?.spokes.get(spokeName(spoke));
  if (found === undefined) throw new Error(`${entity} is not mapped to ${spoke}`);
  return found;
}

function objectsOf(spoke: string): readonly ObjectName[] {
  const all = [...loaded.mapping.entities.values()].flatMap((entity) => [...entity.spokes.values()]);
  return [
    ...new Set(all.filter((each) => each.spoke === spoke).map((each) => each.embedded?.parentObject ?? each.object)),
  ];
}

test('the starter mappings fit what both systems describe', async () => {
  const schemas = new Map<string, Described>([
    ['salesforce', await org.spoke.describe(objectsOf('salesforce'))],
    ['shopify', await shop.opened.spoke.describe(objectsOf('shopify'))],
  ]);
  const { problems, warnings } = checkAgainst(loaded.mapping, schemas, (entity, path) => loaded.place(entity, path));
  expect(problems).toEqual([]);
  expect(warnings).toEqual([]);
});

describe('hub values survive a real write and read', () => {
  const rows: readonly (readonly [string, Readonly<Record<string, HubValue>>])[] = [
    [
      'customer',
      { email: 'ann.lee@example.com', first_name: 'Ann', last_name: 'Lee', phone: '+14155552671', tier: 'pro' },
    ],
    ['customer', { email: 'no.name@example.com', first_name: null, last_name: null, phone: null, tier: null }],
    ['product', { sku: 'FUR-1', name: 'Chair', price: '261.96', category: 'Furniture', active: 'true' }],
    ['product', { sku: 'FUR-2', name: 'Stool', price: '10.50', category: 'Furniture', active: 'false' }],
  ];

  const both = rows.flatMap(([entity, row], i) =>
    (['salesforce', 'shopify'] as const).map((spoke) => ({ entity, row, spoke, i })),
  );
  test.each(both)('$entity $i at $spoke', async ({ entity, row, spoke, i }) => {
    const mapping = mapped(entity, spoke);
    const id = hubId(`01890000-0000-7000-8000-0000000000${(10 + i).toString()}`);
    const target: Spoke = spoke === 'salesforce' ? org.spoke : shop.opened.spoke;
    const fields = putAll(mapping, row);
    const [result] = await target.write(
      [{ op: 'create', object: mapping.object, hubId: id, fields, children: {} }],
      interactive,
    );
    if (result?.outcome !== 'applied') throw new Error(JSON.stringify(result));
    const wanted: Fields = { paths: mapping.paths, children: {} };
    const [record] = await target.fetch(mapping.object, [result.externalId], wanted, interactive);
    if (record === undefined) throw new Error('the record is gone');
    for (const field of mapping.fields) {
      const want = row[field.field.name];
      if (field.field.ref !== null || want === undefined || field.direction === 'in') continue;
      const got = field.get(field.reads.map((path) => valueAt(record, path)));
      expect(sameHub(field.field.type, got, want), `${field.field.name}: ${String(got)} is not ${String(want)}`).toBe(
        true,
      );
    }
  });

  function putAll(mapping: SpokeMapping, row: Readonly<Record<string, HubValue>>): RemoteFields {
    const fields: Record<string, RemoteValue> = {};
    for (const field of mapping.fields) {
      const value = row[field.field.name];
      if (field.field.ref !== null || value === undefined) continue;
      const put = field.put(value);
      for (const [at, path] of field.writes.entries()) fields[path] = put[at] ?? null;
    }
    return fields;
  }
});

test('a person in two spellings is one person', async () => {
  const contact =
    org.org.load('Contact', [{ LastName: 'Lee', Email: 'Bob.LEE@Example.com', Phone: '(415) 555-2671' }])[0] ?? '';
  const mapping = mapped('customer', 'salesforce');
  const [record] = await org.spoke.fetch(
    objectName('Contact'),
    [externalId(contact)],
    { paths: mapping.paths, children: {} },
    interactive,
  );
  const shown = new Map(mapping.fields.map((field) => [field.field.name as string, field]));
  expect(record === undefined ? null : shown.get('email')?.get([valueAt(record, 'Email')])).toBe('bob.lee@example.com');
  expect(record === undefined ? null : shown.get('phone')?.get([valueAt(record, 'Phone')])).toBe('+14155552671');
});

function valueAt(record: RemoteRecord, path: string): RemoteValue {
  const value = (record.fields as Readonly<Record<string, RemoteValue>>)[path];
  if (value === undefined) throw new Error(`${path} was not read`);
  return value;
}
