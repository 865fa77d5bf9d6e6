// The Salesforce connector against the simulated org: what it reads, writes and recognises on a good day.
// Proves: Law 2, Law 4, Law 7, Law 8
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { externalId, hubId, objectName, remotePath } from '../../src/model/ids.js';
import {
  byValues,
  create,
  fieldsOf,
  interactive,
  openOrg,
  pagesOf,
  recordsOf,
  remove,
  update,
  type OrgBench,
} from './salesforce-support.js';

const contact = objectName('Contact');
const contactFields = fieldsOf('LastName', 'Email', 'Account.Name');
let bench: OrgBench;

beforeEach(async () => {
  bench = await openOrg();
});
afterEach(() => bench.close());

test('identity is the organisation and the integration user', async () => {
  const identity = await bench.spoke.identity();
  expect(identity.id).toMatch(/^00D\w{15}$/);
  expect(identity.user).toMatch(/^005\w{15}$/);
  expect(identity.label).not.toBe('');
});

test('describe shows fields, relations, companions, and names what is missing', async () => {
  const schema = await bench.spoke.describe(['Contact', 'Product2', 'OrderItem', 'Nothing__c'].map(objectName));
  expect(schema.missing).toEqual(['Nothing__c']);
  const byName = new Map(schema.objects.map((object) => [object.name as string, object]));
  const fieldOf = (object: string, path: string) => byName.get(object)?.fields.find((field) => field.path === path);
  expect(fieldOf('Contact', 'Tier__c')).toMatchObject({ type: 'text', values: ['Free', 'Professional', 'Enterprise'] });
  expect(fieldOf('Contact', 'AccountId')).toMatchObject({ type: 'id', references: ['Account'] });
  expect(fieldOf('Product2', 'PricebookEntry.UnitPrice')).toMatchObject({
    type: 'number',
    createable: true,
    updateable: true,
  });
  expect(fieldOf('OrderItem', 'Product2Id')).toMatchObject({ createable: true });
});

describe('writing', () => {
  test('a create leaves the hub id and shows the record as it was left, normalised', async () => {
    const [result] = await bench.spoke.write(
      [create('Contact', 'h1', { LastName: '  Ada ', Email: 'ada@example.com' })],
      interactive,
    );
    expect(result).toMatchObject({
      outcome: 'applied',
      record: { hubKey: 'h1', modifiedBySelf: true, fields: { LastName: 'Ada' } },
    });
    const [again] = await bench.spoke.write([create('Contact', 'h1', { LastName: 'Eve' })], interactive);
    const made = result?.outcome === 'applied' ? result.externalId : '';
    expect(again).toMatchObject({ outcome: 'rejected', recovery: 'duplicate', existing: [made] });
    expect(bench.org.records('Contact')).toMatchObject([{ LastName: 'Ada' }]);
  });

  test('one bad record is refused with its fields and the others of the call are applied', async () => {
    const results = await bench.spoke.write(
      [
        create('Contact', 'a', { LastName: 'A' }),
        create('Contact', 'b', { Email: 'b@example.com' }),
        create('Contact', 'c', { LastName: 'C', Nope__c: 1 }),
        create('Contact', 'd', { LastName: 'D', Tier__c: 'Platinum' }),
        create('Contact', 'e', { LastName: 'E' }),
      ],
      interactive,
    );
    expect(results.map((result) => result.outcome)).toEqual(['applied', 'rejected', 'rejected', 'rejected', 'applied']);
    expect(results[1]).toMatchObject({ code: 'REQUIRED_FIELD_MISSING', recovery: 'park', paths: ['LastName'] });
    expect(results[2]).toMatchObject({ code: 'FIELD_NOT_WRITABLE', paths: ['Nope__c'] });
    expect(results[3]).toMatchObject({ recovery: 'park' });
  });

  test('an update under a condition is applied, and is stale once somebody else has been there', async () => {
    const [id] = bench.org.load('Contact', [{ LastName: 'Old', Phone: '1' }]);
    const [before] = await bench.spoke.fetch(
      contact,
      [externalId(id ?? '')],
      fieldsOf('LastName', 'Phone'),
      interactive,
    );
    const [applied] = await bench.spoke.write(
      [update('Contact', id ?? '', { LastName: 'New' }, before?.version ?? null)],
      interactive,
    );
    expect(applied).toMatchObject({ outcome: 'applied', record: { fields: { LastName: 'New', Phone: '1' } } });
    const past = '2020-01-01T00:00:00.000Z' as NonNullable<typeof before>['version'];
    const [stale] = await bench.spoke.write([update('Contact', id ?? '', { LastName: 'Lost' }, past)], interactive);
    expect(stale).toMatchObject({ outcome: 'stale', record: { fields: { LastName: 'New' } } });
  });

  test('conditional updates share calls; a stale one and one with a reference-like text do not disturb the others', async () => {
    const ids = bench.org.load(
      'Contact',
      Array.from({ length: 30 }, (_, n) => ({ LastName: `N${n}` })),
    );
    const read = await bench.spoke.fetch(
      contact,
      ids.map((id) => externalId(id)),
      fieldsOf('LastName'),
      interactive,
    );
    const versions = new Map(read.map((record) => [record.externalId as string, record.version]));
    const past = '2020-01-01T00:00:00.000Z' as (typeof read)[number]['version'];
    const writes = ids.map((id, n) =>
      update(
        'Contact',
        id,
        { LastName: n === 5 ? 'costs @{r0.id}' : `M${n}` },
        n === 7 ? past : (versions.get(id) ?? null),
      ),
    );
    const before = bench.limiter.calls;
    const results = await bench.spoke.write(writes, interactive);
    expect(results.flatMap((result, n) => (result.outcome === 'applied' ? [] : [[n, result.outcome]]))).toEqual([
      [7, 'stale'],
    ]);
    expect(results[5]).toMatchObject({ record: { fields: { LastName: 'costs @{r0.id}' } } });
    // Two composite calls, one record alone, one look at all.
    expect(bench.limiter.calls - before).toBe(4);
  });

  test('F74 a trigger that rewrites our value shows in the record that comes back', async () => {
    bench.org.rules.triggers.put({
      id: 't',
      object: 'Contact',
      rewrite: (row) => ({ Phone: `+${String(row['Phone'] ?? '')}` }),
    });
    const [result] = await bench.spoke.write([create('Contact', 'h1', { LastName: 'A', Phone: '49' })], interactive);
    expect(result).toMatchObject({ outcome: 'applied', record: { modifiedBySelf: true, fields: { Phone: '+49' } } });
  });

  test('what a person did right after our write is not taken for ours', async () => {
    const [first] = await bench.spoke.write([create('Contact', 'h', { LastName: 'Ours' })], interactive);
    const id = first?.outcome === 'applied' ? first.externalId : '';
    await bench.org.edit({ op: 'update', object: 'Contact', id, fields: { LastName: 'Theirs' } });
    const [record] = await bench.spoke.fetch(contact, [externalId(id)], contactFields, interactive);
    expect(record).toMatchObject({ modifiedBySelf: false, fields: { LastName: 'Theirs' } });
  });

  test('F84 deleting what is deleted is success, and an undelete brings the same record back', async () => {
    const [id] = bench.org.load('Contact', [{ LastName: 'Gone' }]);
    const [first] = await bench.spoke.write([remove('Contact', id ?? '')], interactive);
    expect(first).toMatchObject({ outcome: 'applied', record: { deleted: true } });
    const [second] = await bench.spoke.write([remove('Contact', id ?? '')], interactive);
    expect(second).toMatchObject({ outcome: 'applied', externalId: id });
    const [third] = await bench.spoke.write(
      [{ op: 'undelete', object: contact, hubId: hubId('x'), externalId: externalId(id ?? '') }],
      interactive,
    );
    expect(third).toMatchObject({ outcome: 'applied', record: { deleted: false, externalId: id } });
  });

  test('F71 the same record twice in a batch goes out twice, in order', async () => {
    const [id] = bench.org.load('Contact', [{ LastName: 'Zero' }]);
    const results = await bench.spoke.write(
      [update('Contact', id ?? '', { LastName: 'One' }), update('Contact', id ?? '', { LastName: 'Two' })],
      interactive,
    );
    expect(results.map((result) => result.outcome)).toEqual(['applied', 'applied']);
    expect(bench.org.records('Contact')[0]).toMatchObject({ LastName: 'Two' });
  });

  test('200 records cost one call to write and one to look at', async () => {
    await bench.spoke.describe([contact]);
    await bench.spoke.write([create('Contact', 'warm', { LastName: 'Up' })], interactive);
    const before = bench.limiter.calls;
    const writes = Array.from({ length: 200 }, (_, n) => create('Contact', `h${n}`, { LastName: `N${n}` }));
    const results = await bench.spoke.write(writes, interactive);
    expect(results.every((result) => result.outcome === 'applied')).toBe(true);
    expect(bench.limiter.calls - before).toBe(2);
  });
});

describe('companions and translations', () => {
  test('a product and its price are one record: created, changed, read and found together', async () => {
    const price = remotePath('PricebookEntry.UnitPrice');
    const [made] = await bench.spoke.write([create('Product2', 'p1', { Name: 'Chair', [price]: 12.5 })], interactive);
    expect(made).toMatchObject({ outcome: 'applied', record: { fields: { Name: 'Chair', [price]: 12.5 } } });
    const id = made?.outcome === 'applied' ? made.externalId : externalId('');
    const [changed] = await bench.spoke.write([update('Product2', id, { [price]: 13 })], interactive);
    expect(changed).toMatchObject({ outcome: 'applied', record: { fields: { [price]: 13 } } });
    expect(bench.org.records('PricebookEntry')).toHaveLength(1);
    const [read] = await bench.spoke.fetch(
      objectName('Product2'),
      [id],
      fieldsOf('Name', price, 'PricebookEntry.IsActive'),
      interactive,
    );
    expect(read?.fields).toEqual({ Name: 'Chair', [price]: 13, 'PricebookEntry.IsActive': true });
  });

  test('a companion that cannot be made parks the record and says what is missing', async () => {
    const [result] = await bench.spoke.write(
      [create('Product2', 'p1', { Name: 'Chair', 'PricebookEntry.IsActive': true })],
      interactive,
    );
    expect(result).toMatchObject({ outcome: 'rejected', recovery: 'park', paths: ['PricebookEntry.UnitPrice'] });
  });

  test('a price that somebody changed meanwhile is stale, not overwritten', async () => {
    const price = remotePath('PricebookEntry.UnitPrice');
    const [made] = await bench.spoke.write([create('Product2', 'p1', { Name: 'Chair', [price]: 1 })], interactive);
    const id = made?.outcome === 'applied' ? made.externalId : '';
    const version = made?.outcome === 'applied' ? made.version : null;
    expect((await bench.spoke.write([update('Product2', id, { [price]: 2 }, version)], interactive))[0]?.outcome).toBe(
      'applied',
    );
    const past = '2020-01-01T00:00:00.000Z' as NonNullable<typeof version>;
    const [stale] = await bench.spoke.write([update('Product2', id, { [price]: 3 }, past)], interactive);
    expect(stale).toMatchObject({ outcome: 'stale', record: { fields: { [price]: 2 } } });
  });

  test('an edit of the price surfaces as a change of the product', async () => {
    const [made] = await bench.spoke.write(
      [create('Product2', 'p1', { Name: 'Chair', 'PricebookEntry.UnitPrice': 1 })],
      interactive,
    );
    const product = objectName('Product2');
    const fields = fieldsOf('Name', 'PricebookEntry.UnitPrice');
    let at = await bench.spoke.now(product);
    at = (
      await settled(
        () => at,
        (cursor) => bench.spoke.changes(product, fields, cursor, interactive),
        (seen) => seen.length > 0,
      )
    ).cursor;
    const entry = bench.org.records('PricebookEntry')[0];
    await bench.org.edit({
      op: 'update',
      object: 'PricebookEntry',
      id: String(entry?.['Id']),
      fields: { UnitPrice: 99 },
    });
    const found = await settled(
      () => at,
      (cursor) => bench.spoke.changes(product, fields, cursor, interactive),
      (seen) => seen.some((record) => record.fields[remotePath('PricebookEntry.UnitPrice')] === 99),
    );
    expect(found.records.at(-1)).toMatchObject({
      externalId: made?.outcome === 'applied' ? made.externalId : '',
      modifiedBySelf: false,
    });
  });

  test("an order line names its product and gets the entry of its order's price book", async () => {
    const [product, unpriced] = await bench.spoke.write(
      [
        create('Product2', 'p1', { Name: 'Chair', 'PricebookEntry.UnitPrice': 5 }),
        create('Product2', 'p2', { Name: 'Desk' }),
      ],
      interactive,
    );
    const [account] = bench.org.load('Account', [{ Name: 'Acme' }]);
    const book = bench.org.records('Pricebook2')[0]?.['Id'];
    const [order] = bench.org.load('Order', [
      { AccountId: account, EffectiveDate: '2026-01-01', Status: 'Draft', Pricebook2Id: book },
    ]);
    const line = (hub: string, of: typeof product): ReturnType<typeof create> =>
      create('OrderItem', hub, {
        OrderId: order ?? '',
        Product2Id: of?.outcome === 'applied' ? of.externalId : '',
        Quantity: 2,
        UnitPrice: 5,
      });
    const results = await bench.spoke.write([line('l1', product), line('l2', unpriced)], interactive);
    expect(results[0]).toMatchObject({ outcome: 'applied' });
    expect(results[1]).toMatchObject({ outcome: 'rejected', recovery: 'park', paths: ['Product2Id'] });
    expect(bench.org.records('OrderItem')[0]).toMatchObject({
      Product2Id: product?.outcome === 'applied' ? product.externalId : '',
    });
  });

  test('F65 a line that is created again meets itself, and nothing of it is changed', async () => {
    const [product] = await bench.spoke.write(
      [create('Product2', 'p1', { Name: 'Chair', 'PricebookEntry.UnitPrice': 5 })],
      interactive,
    );
    const [account] = bench.org.load('Account', [{ Name: 'Acme' }]);
    const book = bench.org.records('Pricebook2')[0]?.['Id'];
    const order = { AccountId: account, EffectiveDate: '2026-01-01', Status: 'Draft', Pricebook2Id: book };
    const [orderId] = bench.org.load('Order', [order]);
    const productId = product?.outcome === 'applied' ? product.externalId : '';
    const line = (quantity: number) =>
      create('OrderItem', 'l1', { OrderId: orderId ?? '', Product2Id: productId, Quantity: quantity, UnitPrice: 5 });
    const [first] = await bench.spoke.write([line(2)], interactive);
    const [second] = await bench.spoke.write([line(3)], interactive);
    expect(first?.outcome).toBe('applied');
    const made = first?.outcome === 'applied' ? first.externalId : '';
    expect(second).toMatchObject({ outcome: 'rejected', recovery: 'duplicate', existing: [made] });
    expect(bench.org.records('OrderItem')).toMatchObject([{ Quantity: 2 }]);
  });
});

describe('reading', () => {
  test('find compares as Salesforce compares and gives one list a key', async () => {
    bench.org.load('Contact', [
      { LastName: "O'Neil \\ co", Email: 'A@Example.com' },
      { LastName: 'Two', Email: 'a@example.com' },
      { LastName: 'Three', Truespoke_Id__c: 'h3' },
    ]);
    const found = await bench.spoke.find(
      contact,
      [
        byValues({ Email: 'a@EXAMPLE.com' }),
        byValues({ LastName: "O'Neil \\ co" }),
        byValues({ LastName: 'Two', Email: 'a@example.com' }),
        byValues({ LastName: 'nobody' }),
      ],
      contactFields,
      interactive,
    );
    expect(found.map((list) => list.length)).toEqual([2, 1, 1, 0]);
    const byHub = await bench.spoke.find(
      contact,
      [
        { by: 'hubId', hubId: hubId('h3') },
        { by: 'hubId', hubId: hubId('h4') },
      ],
      contactFields,
      interactive,
    );
    expect(byHub.map((list) => list.map((record) => record.hubKey))).toEqual([['h3'], []]);
  });

  test('F128 names that are not in the catalogue are refused before any call carries them', async () => {
    await expect(
      bench.spoke.fetch(objectName('Contact WHERE Id != null'), [], contactFields, interactive),
    ).rejects.toMatchObject({ code: 'not_in_catalogue' });
    await expect(
      bench.spoke.fetch(contact, [], fieldsOf("LastName FROM User WHERE Name = 'x' --"), interactive),
    ).rejects.toMatchObject({ code: 'not_in_catalogue' });
    await expect(
      bench.spoke.find(contact, [byValues({ 'Email = null OR Id': 'x' })], contactFields, interactive),
    ).rejects.toMatchObject({ code: 'not_in_catalogue' });
  });

  test('a path that is not visible is absent, not null', async () => {
    const [id] = bench.org.load('Contact', [{ LastName: 'X' }]);
    const [record] = await bench.spoke.fetch(
      contact,
      [externalId(id ?? '')],
      fieldsOf('LastName', 'Hidden__c', 'Email', 'Account.Name'),
      interactive,
    );
    expect(record?.fields).toEqual({ LastName: 'X', Email: null, 'Account.Name': null });
  });

  test('F104 the loser of a merge names the survivor', async () => {
    const [master, loser] = bench.org.load('Contact', [{ LastName: 'M' }, { LastName: 'L' }]);
    await bench.org.merge('Contact', master ?? '', loser ?? '');
    const [record] = await bench.spoke.fetch(contact, [externalId(loser ?? '')], contactFields, interactive);
    expect(record).toMatchObject({ deleted: true, mergedInto: master });
  });

  test('the inventory lists every live record once and says when it is complete', async () => {
    const ids = bench.org.load(
      'Contact',
      Array.from({ length: 4_100 }, (_, n) => ({ LastName: `N${n}` })),
    );
    const pages = [];
    for await (const page of bench.spoke.inventory(contact, interactive)) pages.push(page);
    expect(new Set(pages.flatMap((page) => page.entries.map((entry) => entry.externalId as string)))).toEqual(
      new Set(ids),
    );
    expect(pages.map((page) => page.last)).toEqual([false, false, true]);
  });
});

describe('changes', () => {
  const read = (cursor: Parameters<OrgBench['spoke']['changes']>[2]) =>
    bench.spoke.changes(contact, contactFields, cursor, interactive);

  test('edits and deletions are reported once, and an idle poll is empty', async () => {
    let at = await bench.spoke.now(contact);
    const [made] = await bench.spoke.write([create('Contact', 'h1', { LastName: 'A' })], interactive);
    const first = await settled(
      () => at,
      read,
      (seen) => seen.length > 0,
    );
    at = first.cursor;
    expect(first.records).toMatchObject([{ hubKey: 'h1', modifiedBySelf: true, deleted: false }]);
    const idle = await pagesOf(read(at));
    expect(recordsOf(idle)).toEqual([]);
    expect(idle.at(-1)?.last).toBe(true);
    await bench.org.edit({ op: 'delete', object: 'Contact', id: made?.outcome === 'applied' ? made.externalId : '' });
    const second = await settled(
      () => at,
      read,
      (seen) => seen.length > 0,
    );
    expect(second.records).toMatchObject([{ deleted: true, modifiedBySelf: false }]);
  });

  test('a page whose cursor was not kept is shown again', async () => {
    const at = await bench.spoke.now(contact);
    await bench.spoke.write([create('Contact', 'h1', { LastName: 'A' })], interactive);
    await settled(
      () => at,
      read,
      (seen) => seen.length > 0,
    );
    expect(recordsOf(await pagesOf(read(at)))).toHaveLength(1);
  });

  test('F94 5,000 rows with one stamp are all seen, page by page, also from a cursor in the middle', async () => {
    const at = await bench.spoke.now(contact);
    const ids = bench.org.load(
      'Contact',
      Array.from({ length: 5_000 }, (_, n) => ({ LastName: `N${n}` })),
    );
    const all = await settled(
      () => at,
      read,
      (seen) => seen.length >= 5_000,
    );
    expect(new Set(all.records.map((record) => record.externalId as string))).toEqual(new Set(ids));
    const page = all.pages.find((one) => one.records.length > 0 && !one.last);
    const middle = page?.cursor ?? at;
    const rest = recordsOf(await pagesOf(read(middle)));
    expect(new Set([...(page?.records ?? []), ...rest].map((record) => record.externalId as string))).toEqual(
      new Set(ids),
    );
  });

  test('F96 a late commit with an older stamp is found inside the overlap', async () => {
    let at = await bench.spoke.now(contact);
    bench.org.rules.lateCommits.put({ id: 'late', object: 'Contact', ms: 4_000, times: 1 });
    const late = bench.spoke.write([create('Contact', 'late', { LastName: 'Late' })], interactive);
    await vi.waitUntil(() =>
      Object.keys(bench.org.stats().byRoute).some((route) => route.startsWith('POST /composite/sobjects')),
    );
    await bench.spoke.write([create('Contact', 'early', { LastName: 'Early' })], interactive);
    const first = await settled(
      () => at,
      read,
      (seen) => seen.some((record) => record.hubKey === 'early'),
    );
    at = first.cursor;
    expect(first.records.map((record) => record.hubKey)).not.toContain('late');
    await late;
    const second = await settled(
      () => at,
      read,
      (seen) => seen.some((record) => record.hubKey === 'late'),
    );
    expect(second.records.map((record) => record.hubKey)).toEqual(['late']);
  });
});

/** Polls until `enough`, moving the cursor as a pipeline would; server time has whole seconds, so this takes up to two. */
async function settled(
  start: () => Parameters<OrgBench['spoke']['changes']>[2],
  read: (cursor: Parameters<OrgBench['spoke']['changes']>[2]) => ReturnType<OrgBench['spoke']['changes']>,
  enough: (records: ReturnType<typeof recordsOf>) => boolean,
) {
  let cursor = start();
  const pages = [];
  const end = performance.now() + 12_000;
  for (;;) {
    const got = await pagesOf(read(cursor));
    cursor = got.at(-1)?.cursor ?? cursor;
    pages.push(...got);
    const records = recordsOf(pages);
    if (enough(records)) return { cursor, pages, records };
    if (performance.now() > end) throw new Error(`not seen in time: ${records.length} records`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
