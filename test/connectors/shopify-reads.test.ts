// Reads over real HTTP against the simulated shop: by id, by key, backfill, polling.
// Proves: Law 4
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Page } from '../../src/connectors/connector.js';
import { externalId, objectName, remotePath } from '../../src/model/ids.js';
import type { Cursor } from '../../src/model/ids.js';
import type { RemoteRecord } from '../../src/model/record.js';
import { Live, article, customer, ids, order, paths, person, product, sale } from './shopify-live.js';
import { collect, interactive, openShopify } from './shopify-support.js';

const live = new Live();

beforeEach(() => live.start());
afterEach(() => live.stop());
afterAll(() => {
  const checked = live.problems();
  if (checked === null) return;
  expect(checked.problems).toEqual([]);
  expect(checked.documents).toBeGreaterThan(5);
});

describe('reads', () => {
  test('fetch leaves out what is not there, and ids of another kind', async () => {
    const [a = '', b = ''] = live.sim.load('Customer', [{ email: 'a@example.com' }, { email: 'b@example.com' }]);
    const [p = ''] = live.sim.load('Product', [{ title: 'P' }]);
    const records = await live.opened.spoke.fetch(
      customer,
      ids([b, 'gid://shopify/Customer/999', p, 'nonsense', a]),
      person,
      interactive,
    );
    expect(records.map((record) => record.externalId)).toEqual([b, a]);
  });

  test('find by email ignores case; by sku it takes only the exact one', async () => {
    const [a = ''] = live.sim.load('Customer', [{ email: 'ada@example.com' }]);
    const [p = ''] = live.sim.load('Product', [
      { title: 'One', sku: 'A-1' },
      { title: 'Two', sku: 'A-10' },
      { title: 'Three', sku: 'A 1' },
    ]);
    const key = (path: string, value: unknown) =>
      ({ by: 'values', values: { [remotePath(path)]: value as string } }) as const;
    const people = await live.opened.spoke.find(
      customer,
      [
        key('email', 'ADA@example.com'),
        key('email', 'nobody@example.com'),
        key('email', 'not an email'),
        key('email', ''),
      ],
      person,
      interactive,
    );
    expect(people.map((list) => list.map((record) => record.externalId))).toEqual([[a], [], [], []]);
    const things = await live.opened.spoke.find(
      product,
      [key('variant.sku', 'A-1'), key('variant.sku', '" OR sku:*')],
      article,
      interactive,
    );
    expect(things.map((list) => list.map((record) => record.externalId))).toEqual([[p], []]);
  });

  test('an order with more lines than one call brings is read in full', async () => {
    live.sim.load('Product', [{ title: 'Desk', sku: 'D-1', price: '1.00' }]);
    const [id = ''] = live.sim.load('Order', [
      { lines: Array.from({ length: 130 }, (_, n) => ({ sku: 'D-1', quantity: n + 1 })) },
    ]);
    const [record] = await live.opened.spoke.fetch(order, ids([id]), sale, interactive);
    expect(record?.children['lineItems']?.map((line) => line.fields[remotePath('quantity')])).toEqual(
      Array.from({ length: 130 }, (_, n) => n + 1),
    );
  });

  test('inventory tells every id with the version that fetch tells', async () => {
    live.sim.load(
      'Product',
      Array.from({ length: 250 }, (_, n) => ({ title: `P${n}`, sku: `S${n}`, price: '1.00' })),
    );
    const pages = await collect(live.opened.spoke.inventory(product, interactive));
    const entries = pages.flatMap((page) => page.entries);
    expect(entries).toHaveLength(250);
    expect(pages.map((page) => page.last)).toEqual([...pages.slice(1).map(() => false), true]);
    const fetched = await live.opened.spoke.fetch(
      product,
      entries.map((entry) => entry.externalId),
      paths(),
      interactive,
    );
    expect(fetched.map((record) => [record.externalId, record.version])).toEqual(
      entries.map((entry) => [entry.externalId, entry.version]),
    );
  });
});

describe('scan', () => {
  const rows = Array.from({ length: 1203 }, (_, n) => ({ email: `c${n}@example.com`, firstName: `N${n}\n"quoted" é` }));

  test('every record once, with a total, over a bulk operation', async () => {
    live.sim.load('Customer', rows);
    const pages = await collect(live.opened.spoke.scan(customer, person, null, interactive));
    const records = pages.flatMap((page) => page.records);
    expect(new Set(records.map((record) => record.externalId)).size).toBe(1203);
    expect(records).toHaveLength(1203);
    expect(pages.at(-1)).toMatchObject({ last: true, total: 1203 });
    const fetched = await live.opened.spoke.fetch(
      customer,
      [records[700]?.externalId ?? externalId('')],
      person,
      interactive,
    );
    expect(fetched[0]).toEqual(records[700]);
    expect(live.opened.state.kept.size).toBe(0);
  });

  test('F19 resumes after any page, with the operation that is already done', async () => {
    live.sim.load('Customer', rows);
    const pages = await collect(live.opened.spoke.scan(customer, person, null, interactive));
    for (const [n, page] of pages.entries()) {
      const rest = await collect(live.opened.spoke.scan(customer, person, page.cursor, interactive));
      const want = pages.slice(n + 1).flatMap((each) => each.records.map((record) => record.externalId));
      expect(rest.flatMap((each) => each.records.map((record) => record.externalId))).toEqual(want);
      expect(rest.at(-1)?.last).toBe(true);
    }
    expect(live.opened.requests.filter((request) => String(request.body).includes('TruespokeBulkRun'))).toHaveLength(1);
  });

  test('F18 killed after the operation was started: a new scan abandons it and still shows everything', async () => {
    live.sim.load('Customer', rows.slice(0, 10));
    await live.opened.state.put('bulk:Customer', 'gid://shopify/BulkOperation/404');
    const pages = await collect(live.opened.spoke.scan(customer, person, null, interactive));
    expect(pages.flatMap((page) => page.records)).toHaveLength(10);
  });

  test('children and the default variant come with their parents', async () => {
    live.sim.load('Product', [
      { title: 'Desk', sku: 'D-1', price: '10.00' },
      { title: 'Lamp', sku: 'L-1', price: '5.00' },
      {
        title: 'Shirt',
        variants: [
          { title: 'S', sku: 'S-S' },
          { title: 'M', sku: 'S-M' },
        ],
      },
    ]);
    live.sim.load(
      'Order',
      Array.from({ length: 30 }, (_, n) => ({
        lines: Array.from({ length: (n % 3) + 1 }, () => ({ sku: 'D-1', quantity: n + 1 })),
      })),
    );
    for (const [object, fields] of [
      [order, sale],
      [product, article],
    ] as const) {
      const scanned = (await collect(live.opened.spoke.scan(object, fields, null, interactive))).flatMap(
        (page) => page.records,
      );
      const fetched = await live.opened.spoke.fetch(
        object,
        scanned.map((record) => record.externalId),
        fields,
        interactive,
      );
      expect(scanned).toEqual(fetched);
      expect(scanned.length).toBe(object === order ? 30 : 3);
    }
  });

  test('an empty shop has one last page', async () => {
    const pages = await collect(live.opened.spoke.scan(order, sale, null, interactive));
    expect(pages.at(-1)).toMatchObject({ records: [], last: true });
  });

  test('where no bulk operation can start, pages are read, and resume too', async () => {
    await live.stop();
    await live.start({ bulk: { concurrent: 0 } });
    live.sim.load('Customer', rows.slice(0, 230));
    const pages = await collect(live.opened.spoke.scan(customer, person, null, interactive));
    expect(pages.flatMap((page) => page.records)).toHaveLength(230);
    const rest = await collect(live.opened.spoke.scan(customer, person, pages[0]?.cursor ?? null, interactive));
    expect(rest.flatMap((page) => page.records).length).toBe(230 - (pages[0]?.records.length ?? 0));
  });
});

describe('changes', () => {
  const old = '2026-01-01T00:00:00Z';

  async function poll(after: Cursor): Promise<{ records: RemoteRecord[]; cursor: Cursor }> {
    const pages = await collect(live.opened.spoke.changes(customer, person, after, interactive));
    return { records: pages.flatMap((page) => page.records), cursor: pages.at(-1)?.cursor ?? after };
  }

  const since = (iso: string): Cursor =>
    JSON.stringify({ v: 1, watermark: iso, open: null, session: '', generation: 0 }) as Cursor;

  /** Polls until `done` or two turns of the lag have passed. */
  async function pollUntil(
    start: Cursor,
    done: (seen: readonly RemoteRecord[]) => boolean,
  ): Promise<{ seen: RemoteRecord[]; cursor: Cursor }> {
    const seen: RemoteRecord[] = [];
    let after = start;
    for (let n = 0; n < 100 && !done(seen); n += 1) {
      const { records, cursor } = await poll(after);
      seen.push(...records);
      after = cursor;
      if (!done(seen)) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return { seen, cursor: after };
  }

  test('F94 500 records with one stamp: none is skipped, and resuming after any page goes on', async () => {
    live.sim.load(
      'Customer',
      Array.from({ length: 500 }, (_, n) => ({ email: `c${n}@example.com`, createdAt: old })),
    );
    const pages: Page[] = await collect(live.opened.spoke.changes(customer, person, since(old), interactive));
    expect(pages.length).toBeGreaterThan(4);
    expect(new Set(pages.flatMap((page) => page.records.map((record) => record.externalId))).size).toBe(500);
    expect(pages.map((page) => page.last)).toEqual([...pages.slice(1).map(() => false), true]);
    const second = await openShopify(live.sim.url, { config: { accessToken: live.sim.accessToken } });
    const rest = await collect(second.spoke.changes(customer, person, pages[1]?.cursor as Cursor, interactive));
    expect(rest.flatMap((page) => page.records)).toHaveLength(
      500 - pages.slice(0, 2).flatMap((page) => page.records).length,
    );
    await second.close();
  });

  test('F95 an idle shop yields empty pages despite the overlap and second precision', async () => {
    live.sim.quirks.greaterActsAsGreaterOrEqual = true;
    live.sim.load('Customer', [
      { email: 'a@example.com', createdAt: old },
      { email: 'b@example.com', createdAt: old },
    ]);
    const first = await poll(since(old));
    expect(first.records).toHaveLength(2);
    let after = JSON.stringify({ ...JSON.parse(first.cursor), watermark: old }) as Cursor;
    for (let n = 0; n < 5; n += 1) {
      const { records, cursor } = await poll(after);
      expect(records).toEqual([]);
      after = JSON.stringify({ ...JSON.parse(cursor), watermark: old }) as Cursor;
    }
  });

  test('a page whose commit failed is shown again: the older cursor proves that it was not taken', async () => {
    live.sim.load('Customer', [{ email: 'a@example.com', createdAt: old }]);
    const start = since(old);
    expect((await poll(start)).records).toHaveLength(1);
    expect((await poll(start)).records).toHaveLength(1);
  });

  test('a change is seen once the lag has passed, and not again', async () => {
    await live.open({ lagSeconds: 1 });
    const [id = ''] = live.sim.load('Customer', [{ email: 'a@example.com', createdAt: old }]);
    const start = await live.opened.spoke.now(customer);
    live.sim.edit({ object: 'Customer', op: 'update', id, fields: { firstName: 'New' } });
    const { seen, cursor } = await pollUntil(start, (records) => records.length > 0);
    expect(seen.map((record) => record.fields[remotePath('firstName')])).toEqual(['New']);
    expect((await poll(cursor)).records).toEqual([]);
  });

  test('F97 a lagging index: the listed record is read by id, and what was late is found by the overlap', async () => {
    await live.open({ lagSeconds: 1 });
    live.sim.quirks.searchLagMs = 1_500;
    live.sim.quirks.staleBodies = true;
    const [id = ''] = live.sim.load('Customer', [{ email: 'a@example.com', createdAt: old }]);
    const start = await live.opened.spoke.now(customer);
    live.sim.edit({ object: 'Customer', op: 'update', id, fields: { firstName: 'One' } });
    live.sim.edit({ object: 'Customer', op: 'update', id, fields: { firstName: 'Two' } });
    const { seen } = await pollUntil(start, (records) => records.length > 0);
    expect(seen.at(-1)?.fields[remotePath('firstName')]).toBe('Two');
  });

  test('F93 edits during paging: all are seen, none is skipped', async () => {
    await live.open({ lagSeconds: 1 });
    const made = live.sim.load(
      'Customer',
      Array.from({ length: 350 }, (_, n) => ({ email: `c${n}@example.com`, createdAt: old })),
    );
    const seen = new Map<string, string>();
    const note = (records: readonly RemoteRecord[]): void => {
      for (const record of records) seen.set(record.externalId, String(record.fields[remotePath('firstName')]));
    };
    let n = 0;
    let after = since(old);
    for await (const page of live.opened.spoke.changes(customer, person, after, interactive)) {
      note(page.records);
      after = page.cursor;
      live.sim.edit({ object: 'Customer', op: 'update', id: made[n] ?? '', fields: { firstName: 'moved' } });
      live.sim.edit({ object: 'Customer', op: 'update', id: made[349 - n] ?? '', fields: { firstName: 'moved' } });
      n += 1;
    }
    const moved = (): number => [...seen.values()].filter((value) => value === 'moved').length;
    const rest = await pollUntil(after, (records) => {
      note(records);
      return moved() === 2 * n;
    });
    note(rest.seen);
    expect(seen.size).toBe(350);
    expect(moved()).toBe(2 * n);
  });

  test('F99 our own clock an hour off changes nothing', async () => {
    await live.open({ lagSeconds: 1 });
    for (const hours of [-1, 1]) {
      const clock = {
        now: () => Date.now() + hours * 3_600_000,
        monotonic: () => performance.now(),
        sleep: () => Promise.resolve(),
      };
      const off = await openShopify(live.sim.url, {
        clock,
        config: { accessToken: live.sim.accessToken, lagSeconds: 1 },
      });
      const cursor = await off.spoke.now(customer);
      const { watermark } = JSON.parse(cursor) as { watermark: string };
      expect(Math.abs(Date.parse(watermark) - Date.now())).toBeLessThan(5_000);
      await off.close();
    }
  });

  test('objects that cannot be sorted by stamp are read in full before their window counts', async () => {
    live.sim.load(
      'Product',
      Array.from({ length: 120 }, (_, n) => ({ title: `P${n}`, sku: `S${n}`, createdAt: old })),
    );
    const variant = objectName('ProductVariant');
    const pages = await collect(live.opened.spoke.changes(variant, paths('sku', 'product'), since(old), interactive));
    expect(new Set(pages.flatMap((page) => page.records.map((record) => record.externalId))).size).toBe(120);
  });
});
