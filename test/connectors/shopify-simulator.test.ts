// The connector over real HTTP against the simulated shop, with the real client library as transport.
import { parse, validate } from 'graphql';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Page, Write, WriteResult } from '../../src/connectors/connector.js';
import { externalId, hubId, objectName, remotePath } from '../../src/model/ids.js';
import type { Cursor, ExternalId } from '../../src/model/ids.js';
import type { RemoteRecord } from '../../src/model/record.js';
import { startShopify } from '../../src/simulators/shopify/server.js';
import type { ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { collect, interactive, officialSchemas, openShopify } from './shopify-support.js';
import type { Opened } from './shopify-support.js';

const customer = objectName('Customer');
const product = objectName('Product');
const order = objectName('Order');
const paths = (...names: string[]) => ({ paths: names.map(remotePath), children: {} });
const person = paths('email', 'firstName', 'lastName', 'phone', 'note', 'tags');
const article = paths('title', 'variant.sku', 'variant.price', 'status', 'productType');
const sale = {
  paths: ['name', 'customer', 'currencyCode', 'totalPrice', 'displayFinancialStatus', 'processedAt'].map(remotePath),
  children: { lineItems: ['sku', 'title', 'quantity', 'originalUnitPrice', 'product', 'variant'].map(remotePath) },
};

let sim: ShopifySimulator;
let opened: Opened;
const sent = new Map<string, string>();

beforeEach(async () => {
  sim = await startShopify({ throttle: { max: 1e6, restorePerSecond: 1e6 } });
  await reopen();
});

afterEach(async () => {
  for (const request of opened.requests) {
    if (request.method !== 'POST') continue;
    const { query } = JSON.parse(String(request.body)) as { query: string };
    sent.set(query, request.url);
  }
  await opened.close();
  await sim.close();
});

async function reopen(config: object = {}): Promise<void> {
  opened = await openShopify(sim.url, {
    config: { accessToken: sim.accessToken, webhookSecrets: sim.webhookSecrets, ...config },
  });
}

const schemas = officialSchemas();

afterAll(() => {
  if (schemas === null) return;
  const problems: string[] = [];
  for (const [version, schema] of schemas) {
    for (const text of sent.keys())
      for (const error of validate(schema, parse(text))) problems.push(`${version}: ${error.message}`);
  }
  expect(problems).toEqual([]);
  expect(sent.size).toBeGreaterThan(20);
});

const create = (
  object: typeof customer,
  id: string,
  fields: Record<string, unknown>,
  lines: Record<string, unknown>[] = [],
): Write => ({
  op: 'create',
  object,
  hubId: hubId(id),
  fields: fields as never,
  children:
    lines.length === 0
      ? {}
      : {
          lineItems: lines.map((line, n) => ({ hubId: hubId(`${id}-${n}`), externalId: null, fields: line as never })),
        },
});
const update = (object: typeof customer, id: string, fields: Record<string, unknown>): Write => ({
  op: 'update',
  object,
  hubId: hubId('h'),
  externalId: externalId(id),
  fields: fields as never,
  children: {},
  expect: null,
});
const write = (...writes: Write[]): Promise<readonly WriteResult[]> => opened.spoke.write(writes, interactive);
const applied = (result: WriteResult | undefined): Extract<WriteResult, { outcome: 'applied' }> => {
  if (result?.outcome !== 'applied') throw new Error(`not applied: ${JSON.stringify(result)}`);
  return result;
};
const ids = (list: readonly string[]): readonly ExternalId[] => list.map(externalId);
const byHubId = (id: string) => ({ by: 'hubId', hubId: hubId(id) }) as const;
const creates = (object: string): number => sim.ledger.entries({ object, op: 'create' }).length;

describe('identity and schema', () => {
  test('identity is the shop, and the schema says what may be written', async () => {
    expect(await opened.spoke.identity()).toMatchObject({ label: 'Truespoke Demo (truespoke-demo.myshopify.com)' });
    expect(await opened.spoke.identity()).toEqual(await opened.spoke.identity());
    const schema = await opened.spoke.describe([
      customer,
      product,
      order,
      objectName('ProductVariant'),
      objectName('Nothing'),
    ]);
    expect(schema.missing).toEqual(['Nothing']);
    expect(schema.objects.map((each) => [each.name, each.createable, each.deletable])).toEqual([
      ['Customer', true, true],
      ['Product', true, true],
      ['Order', true, false],
      ['ProductVariant', false, false],
    ]);
    expect(schema.objects[2]?.children['lineItems']?.map((field) => field.path)).toContain('originalUnitPrice');
  });
});

describe('writes', () => {
  test('a create leaves the hub id behind, and the image is what the shop kept', async () => {
    const [result] = await write(
      create(customer, 'hub-1', { email: 'Ada@Example.COM', firstName: 'Ada', tags: ['b', 'a'] }),
    );
    const { externalId: id, record, version } = applied(result);
    expect(id).toMatch(/^gid:\/\/shopify\/Customer\/\d+$/);
    expect(version).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(record?.hubKey).toBe('hub-1');
    expect(record?.fields).toMatchObject({ email: 'ada@example.com', firstName: 'Ada', lastName: null });
    expect(await opened.spoke.find(customer, [byHubId('hub-1'), byHubId('hub-2')], person, interactive)).toMatchObject([
      [{ externalId: id }],
      [],
    ]);
  });

  test('a create repeated with the same hub id makes no second record', async () => {
    const again = create(customer, 'hub-1', { email: 'ada@example.com', firstName: 'Ada' });
    const things = create(product, 'hub-2', { title: 'Chair', 'variant.sku': 'CH-1', 'variant.price': '9.50' });
    const first = await write(again, things);
    const second = await write(again, things);
    expect(second.map((result) => applied(result).externalId)).toEqual(
      first.map((result) => applied(result).externalId),
    );
    expect([creates('Customer'), creates('Product')]).toEqual([1, 1]);
  });

  test('many writes travel in one request', async () => {
    await write(create(customer, 'warm', { email: 'warm@example.com' }));
    const before = opened.requests.length;
    const results = await write(
      ...Array.from({ length: 20 }, (_, n) =>
        create(customer, `h${n}`, { email: `p${n}@example.com`, firstName: `P${n}` }),
      ),
    );
    expect(results.map((result) => result.outcome)).toEqual(Array.from({ length: 20 }, () => 'applied'));
    expect(opened.requests.length - before).toBe(1);
  });

  test('F69 a taken email rejects its own write only and names the holder', async () => {
    const [holder] = sim.load('Customer', [{ email: 'taken@example.com' }]);
    const results = await write(
      create(customer, 'h1', { email: 'one@example.com' }),
      create(customer, 'h2', { email: 'Taken@example.com' }),
      create(customer, 'h3', { email: 'three@example.com' }),
    );
    expect(results.map((result) => result.outcome)).toEqual(['applied', 'rejected', 'applied']);
    expect(results[1]).toMatchObject({ recovery: 'duplicate', existing: [holder], paths: ['email'] });
  });

  test('an update sends only what differs', async () => {
    const [id = ''] = sim.load('Customer', [{ email: 'a@example.com', firstName: 'A', lastName: 'B', note: 'keep' }]);
    const [result] = await write(update(customer, id, { firstName: 'Z', lastName: null }));
    expect(applied(result).record?.fields).toMatchObject({
      firstName: 'Z',
      lastName: null,
      note: 'keep',
      email: 'a@example.com',
    });
  });

  test('a product is written with its default variant, in one step or in part', async () => {
    const [made] = await write(
      create(product, 'p1', { title: 'Desk', 'variant.sku': 'D-1', 'variant.price': '10.00', status: 'ACTIVE' }),
    );
    const { externalId: id, record } = applied(made);
    expect(record?.fields).toMatchObject({
      title: 'Desk',
      'variant.sku': 'D-1',
      'variant.price': '10.00',
      hasOnlyDefaultVariant: true,
    });
    const results = await write(
      update(product, id, { 'variant.price': 12.5 }),
      update(product, id, { title: 'Big desk', 'variant.sku': 'D-2' }),
    );
    expect(results.map((result) => applied(result).record?.fields)).toMatchObject([
      { title: 'Desk', 'variant.price': '12.50' },
      { title: 'Big desk', 'variant.sku': 'D-2', 'variant.price': '12.50' },
    ]);
  });

  test('an update of a price never deletes the other variants', async () => {
    const [id = ''] = sim.load('Product', [
      {
        title: 'Shirt',
        variants: [
          { title: 'S', sku: 'S', price: '1.00' },
          { title: 'M', sku: 'M', price: '2.00' },
        ],
      },
    ]);
    applied((await write(update(product, id, { 'variant.price': '1.50', title: 'Tee' })))[0]);
    const variants = await collect(opened.spoke.inventory(objectName('ProductVariant'), interactive));
    expect(variants.flatMap((page) => page.entries)).toHaveLength(2);
  });

  test('an order is made whole, with its lines in place and known by hub id', async () => {
    const [buyer = ''] = sim.load('Customer', [{ email: 'buyer@example.com' }]);
    const [desk = ''] = sim.load('Product', [{ title: 'Desk', sku: 'D-1', price: '10.00' }]);
    const wish = create(
      order,
      'o1',
      { name: '#A-1', customer: buyer, displayFinancialStatus: 'PAID', processedAt: '2026-01-02T03:04:05Z' },
      [
        { product: desk, quantity: 2, originalUnitPrice: '9.00' },
        { title: 'Gift wrap', quantity: 1, originalUnitPrice: '1.25' },
      ],
    );
    const { externalId: id, record } = applied((await write(wish))[0]);
    expect(record?.fields).toMatchObject({
      name: '#A-1',
      customer: buyer,
      totalPrice: '19.25',
      displayFinancialStatus: 'PAID',
    });
    expect(record?.children['lineItems']?.map((line) => [line.hubKey, line.fields])).toMatchObject([
      ['o1-0', { product: desk, sku: 'D-1', quantity: 2, originalUnitPrice: '9.0' }],
      ['o1-1', { title: 'Gift wrap', product: null, quantity: 1 }],
    ]);
    expect(applied((await write(wish))[0]).externalId).toBe(id);
    expect(creates('Order')).toBe(1);
    expect(applied((await write(update(order, id, { note: 'call first' })))[0]).record?.fields).toMatchObject({
      note: 'call first',
    });
  });

  test('a delete is done once, and F84 once more is fine', async () => {
    const [id = ''] = sim.load('Customer', [{ email: 'gone@example.com' }]);
    const remove: Write = { op: 'delete', object: customer, hubId: hubId('h'), externalId: externalId(id) };
    expect((await write(remove))[0]?.outcome).toBe('applied');
    expect((await write(remove))[0]?.outcome).toBe('applied');
    expect((await write(update(customer, id, { firstName: 'x' })))[0]).toMatchObject({
      outcome: 'rejected',
      recovery: 'gone',
    });
    expect(sim.ledger.entries({ object: 'Customer', op: 'delete' })).toHaveLength(1);
  });

  test('one write at a time has its own outcome when the shop refuses the whole request', async () => {
    const [a = '', b = ''] = sim.load('Customer', [{ email: 'a@example.com' }, { email: 'b@example.com' }]);
    const results = await write(
      update(customer, a, { firstName: 'ok' }),
      update(customer, b, { firstName: { not: 'text' } }),
    );
    expect(results.map((result) => result.outcome)).toEqual(['applied', 'rejected']);
  });
});

describe('lost responses', () => {
  test.each(['customer', 'order'])('F64 timeout after apply: unknown, then found by hub id, one %s', async (kind) => {
    const [desk = ''] = sim.load('Product', [{ title: 'Desk', sku: 'D-1', price: '10.00' }]);
    const wish =
      kind === 'customer'
        ? create(customer, 'h1', { email: 'x@example.com' })
        : create(order, 'h1', {}, [{ product: desk, quantity: 1 }]);
    const object = wish.object;
    sim.faults.put({ id: 'lose', route: `TruespokeWrite`, kind: 'lost-response', times: 1 });
    expect((await write(wish))[0]?.outcome).toBe('unknown');
    const [found] = await opened.spoke.find(object, [byHubId('h1')], paths(), interactive);
    expect(found).toHaveLength(1);
    expect(applied((await write(wish))[0]).externalId).toBe(found?.[0]?.externalId);
    expect(creates(object)).toBe(1);
  });

  test('F65 applied late, after the read-back: the unique hub id absorbs the second send', async () => {
    const [desk = ''] = sim.load('Product', [{ title: 'Desk', sku: 'D-1', price: '10.00' }]);
    const wish = create(order, 'h1', {}, [{ product: desk, quantity: 1 }]);
    await write(create(order, 'warm', {}, [{ product: desk, quantity: 1 }]));
    sim.faults.put({ id: 'late', route: 'TruespokeWrite', kind: 'late-apply', ms: 150, times: 1 });
    const first = write(wish);
    expect((await first)[0]?.outcome).toBe('unknown');
    const results: string[] = [];
    for (let n = 0; n < 20; n += 1) {
      const [result] = await write(wish);
      results.push(applied(result).externalId);
    }
    await expect.poll(() => creates('Order')).toBe(2);
    expect(new Set(results).size).toBe(1);
  });

  test('F63 a reset before anything happens, F67 HTML, F66 a cut body: nothing is claimed', async () => {
    for (const kind of ['refuse', 'html', 'cut-body'] as const) {
      sim.faults.put({ id: kind, route: 'TruespokeWrite', kind, times: 1 });
      const [result] = await write(create(customer, `h-${kind}`, { email: `${kind}@example.com` }));
      expect([kind, result?.outcome]).toEqual([kind, 'unknown']);
      const again = applied((await write(create(customer, `h-${kind}`, { email: `${kind}@example.com` })))[0]);
      expect(again.record?.hubKey).toBe(`h-${kind}`);
    }
    expect(creates('Customer')).toBe(3);
  });

  test('F60 THROTTLED by the shop itself', async () => {
    await write(create(customer, 'warm', { email: 'warm@example.com' }));
    sim.throttle.resize(1000, 50);
    sim.throttle.drain(995);
    const [result] = await write(create(customer, 'h1', { email: 'x@example.com' }));
    expect(result?.outcome).toBe('throttled');
    expect(opened.limiter.backOffs.at(-1)?.reason).toBe('THROTTLED');
    expect(creates('Customer')).toBe(1);
  });

  test('the cost told to the limiter is never below what the shop asks', async () => {
    sim.throttle.resize(2000, 1);
    const [desk = ''] = sim.load('Product', [{ title: 'Desk', sku: 'D-1', price: '10.00' }]);
    sim.load('Order', [{ lines: [{ sku: 'D-1', quantity: 1 }] }]);
    const estimates: [number, number][] = [];
    const original = opened.limiter.run.bind(opened.limiter);
    Object.assign(opened.limiter, {
      run: async (request: { cost: number }, call: () => Promise<unknown>) => {
        const seen = opened.requests.length;
        const value = await original(request as never, call);
        if (opened.requests.length > seen) estimates.push([request.cost, requestedCosts.shift() ?? 0]);
        return value;
      },
    });
    const requestedCosts: number[] = [];
    const take = sim.throttle.take.bind(sim.throttle);
    sim.throttle.take = (points: number) => {
      requestedCosts.push(points);
      sim.throttle.resize(2000, 1);
      return take(points);
    };
    await write(
      create(customer, 'h1', { email: 'x@example.com' }),
      create(product, 'h2', { title: 'T' }),
      create(order, 'h3', {}, [{ product: desk, quantity: 1 }]),
    );
    await collect(opened.spoke.inventory(product, interactive));
    const [first] = await collect(opened.spoke.inventory(order, interactive));
    await opened.spoke.fetch(
      order,
      (first?.entries ?? []).map((entry) => entry.externalId),
      sale,
      interactive,
    );
    await opened.spoke.find(
      product,
      [{ by: 'values', values: { [remotePath('variant.sku')]: 'D-1' } }],
      article,
      interactive,
    );
    expect(estimates.length).toBeGreaterThan(6);
    expect(estimates.filter(([estimate, asked]) => estimate < asked)).toEqual([]);
  });
});

describe('reads', () => {
  test('fetch leaves out what is not there, and ids of another kind', async () => {
    const [a = '', b = ''] = sim.load('Customer', [{ email: 'a@example.com' }, { email: 'b@example.com' }]);
    const [p = ''] = sim.load('Product', [{ title: 'P' }]);
    const records = await opened.spoke.fetch(
      customer,
      ids([b, 'gid://shopify/Customer/999', p, 'nonsense', a]),
      person,
      interactive,
    );
    expect(records.map((record) => record.externalId)).toEqual([b, a]);
  });

  test('find by email ignores case; by sku it takes only the exact one', async () => {
    const [a = ''] = sim.load('Customer', [{ email: 'ada@example.com' }]);
    const [p = ''] = sim.load('Product', [
      { title: 'One', sku: 'A-1' },
      { title: 'Two', sku: 'A-10' },
      { title: 'Three', sku: 'A 1' },
    ]);
    const key = (path: string, value: unknown) =>
      ({ by: 'values', values: { [remotePath(path)]: value as string } }) as const;
    const people = await opened.spoke.find(
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
    const things = await opened.spoke.find(
      product,
      [key('variant.sku', 'A-1'), key('variant.sku', '" OR sku:*')],
      article,
      interactive,
    );
    expect(things.map((list) => list.map((record) => record.externalId))).toEqual([[p], []]);
  });

  test('an order with more lines than one call brings is read in full', async () => {
    sim.load('Product', [{ title: 'Desk', sku: 'D-1', price: '1.00' }]);
    const [id = ''] = sim.load('Order', [
      { lines: Array.from({ length: 130 }, (_, n) => ({ sku: 'D-1', quantity: n + 1 })) },
    ]);
    const [record] = await opened.spoke.fetch(order, ids([id]), sale, interactive);
    expect(record?.children['lineItems']?.map((line) => line.fields[remotePath('quantity')])).toEqual(
      Array.from({ length: 130 }, (_, n) => n + 1),
    );
  });

  test('inventory tells every id with the version that fetch tells', async () => {
    sim.load(
      'Product',
      Array.from({ length: 250 }, (_, n) => ({ title: `P${n}`, sku: `S${n}`, price: '1.00' })),
    );
    const pages = await collect(opened.spoke.inventory(product, interactive));
    const entries = pages.flatMap((page) => page.entries);
    expect(entries).toHaveLength(250);
    expect(pages.map((page) => page.last)).toEqual([...pages.slice(1).map(() => false), true]);
    const fetched = await opened.spoke.fetch(
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
    sim.load('Customer', rows);
    const pages = await collect(opened.spoke.scan(customer, person, null, interactive));
    const records = pages.flatMap((page) => page.records);
    expect(new Set(records.map((record) => record.externalId)).size).toBe(1203);
    expect(records).toHaveLength(1203);
    expect(pages.at(-1)).toMatchObject({ last: true, total: 1203 });
    const fetched = await opened.spoke.fetch(
      customer,
      [records[700]?.externalId ?? externalId('')],
      person,
      interactive,
    );
    expect(fetched[0]).toEqual(records[700]);
    expect(opened.state.kept.size).toBe(0);
  });

  test('F19 resumes after any page, with the operation that is already done', async () => {
    sim.load('Customer', rows);
    const pages = await collect(opened.spoke.scan(customer, person, null, interactive));
    for (const [n, page] of pages.entries()) {
      const rest = await collect(opened.spoke.scan(customer, person, page.cursor, interactive));
      const want = pages.slice(n + 1).flatMap((each) => each.records.map((record) => record.externalId));
      expect(rest.flatMap((each) => each.records.map((record) => record.externalId))).toEqual(want);
      expect(rest.at(-1)?.last).toBe(true);
    }
    expect(opened.requests.filter((request) => String(request.body).includes('TruespokeBulkRun'))).toHaveLength(1);
  });

  test('F18 killed after the operation was started: a new scan abandons it and still shows everything', async () => {
    sim.load('Customer', rows.slice(0, 10));
    await opened.state.put('bulk:Customer', 'gid://shopify/BulkOperation/404');
    const pages = await collect(opened.spoke.scan(customer, person, null, interactive));
    expect(pages.flatMap((page) => page.records)).toHaveLength(10);
  });

  test('children and the default variant come with their parents', async () => {
    sim.load('Product', [
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
    sim.load(
      'Order',
      Array.from({ length: 30 }, (_, n) => ({
        lines: Array.from({ length: (n % 3) + 1 }, () => ({ sku: 'D-1', quantity: n + 1 })),
      })),
    );
    for (const [object, fields] of [
      [order, sale],
      [product, article],
    ] as const) {
      const scanned = (await collect(opened.spoke.scan(object, fields, null, interactive))).flatMap(
        (page) => page.records,
      );
      const fetched = await opened.spoke.fetch(
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
    const pages = await collect(opened.spoke.scan(order, sale, null, interactive));
    expect(pages.at(-1)).toMatchObject({ records: [], last: true });
  });

  test('where no bulk operation can start, pages are read, and resume too', async () => {
    await sim.close();
    sim = await startShopify({ bulk: { concurrent: 0 }, throttle: { max: 1e6, restorePerSecond: 1e6 } });
    await opened.close();
    await reopen();
    sim.load('Customer', rows.slice(0, 230));
    const pages = await collect(opened.spoke.scan(customer, person, null, interactive));
    expect(pages.flatMap((page) => page.records)).toHaveLength(230);
    const rest = await collect(opened.spoke.scan(customer, person, pages[0]?.cursor ?? null, interactive));
    expect(rest.flatMap((page) => page.records).length).toBe(230 - (pages[0]?.records.length ?? 0));
  });
});

describe('changes', () => {
  const old = '2026-01-01T00:00:00Z';

  async function poll(after: Cursor): Promise<{ records: RemoteRecord[]; cursor: Cursor }> {
    const pages = await collect(opened.spoke.changes(customer, person, after, interactive));
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
    sim.load(
      'Customer',
      Array.from({ length: 500 }, (_, n) => ({ email: `c${n}@example.com`, createdAt: old })),
    );
    const pages: Page[] = await collect(opened.spoke.changes(customer, person, since(old), interactive));
    expect(pages.length).toBeGreaterThan(4);
    expect(new Set(pages.flatMap((page) => page.records.map((record) => record.externalId))).size).toBe(500);
    expect(pages.map((page) => page.last)).toEqual([...pages.slice(1).map(() => false), true]);
    const second = await openShopify(sim.url, { config: { accessToken: sim.accessToken } });
    const rest = await collect(second.spoke.changes(customer, person, pages[1]?.cursor as Cursor, interactive));
    expect(rest.flatMap((page) => page.records)).toHaveLength(
      500 - pages.slice(0, 2).flatMap((page) => page.records).length,
    );
    await second.close();
  });

  test('F95 an idle shop yields empty pages despite the overlap and second precision', async () => {
    sim.quirks.greaterActsAsGreaterOrEqual = true;
    sim.load('Customer', [
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
    sim.load('Customer', [{ email: 'a@example.com', createdAt: old }]);
    const start = since(old);
    expect((await poll(start)).records).toHaveLength(1);
    expect((await poll(start)).records).toHaveLength(1);
  });

  test('a change is seen once the lag has passed, and not again', async () => {
    await reopen({ lagSeconds: 1 });
    const [id = ''] = sim.load('Customer', [{ email: 'a@example.com', createdAt: old }]);
    const start = await opened.spoke.now(customer);
    sim.edit({ object: 'Customer', op: 'update', id, fields: { firstName: 'New' } });
    const { seen, cursor } = await pollUntil(start, (records) => records.length > 0);
    expect(seen.map((record) => record.fields[remotePath('firstName')])).toEqual(['New']);
    expect((await poll(cursor)).records).toEqual([]);
  });

  test('F97 a lagging index: the listed record is read by id, and what was late is found by the overlap', async () => {
    await reopen({ lagSeconds: 1 });
    sim.quirks.searchLagMs = 1_500;
    sim.quirks.staleBodies = true;
    const [id = ''] = sim.load('Customer', [{ email: 'a@example.com', createdAt: old }]);
    const start = await opened.spoke.now(customer);
    sim.edit({ object: 'Customer', op: 'update', id, fields: { firstName: 'One' } });
    sim.edit({ object: 'Customer', op: 'update', id, fields: { firstName: 'Two' } });
    const { seen } = await pollUntil(start, (records) => records.length > 0);
    expect(seen.at(-1)?.fields[remotePath('firstName')]).toBe('Two');
  });

  test('F93 edits during paging: all are seen, none is skipped', async () => {
    await reopen({ lagSeconds: 1 });
    const made = sim.load(
      'Customer',
      Array.from({ length: 350 }, (_, n) => ({ email: `c${n}@example.com`, createdAt: old })),
    );
    const seen = new Map<string, string>();
    const note = (records: readonly RemoteRecord[]): void => {
      for (const record of records) seen.set(record.externalId, String(record.fields[remotePath('firstName')]));
    };
    let n = 0;
    let after = since(old);
    for await (const page of opened.spoke.changes(customer, person, after, interactive)) {
      note(page.records);
      after = page.cursor;
      sim.edit({ object: 'Customer', op: 'update', id: made[n] ?? '', fields: { firstName: 'moved' } });
      sim.edit({ object: 'Customer', op: 'update', id: made[349 - n] ?? '', fields: { firstName: 'moved' } });
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
    await reopen({ lagSeconds: 1 });
    for (const hours of [-1, 1]) {
      const clock = {
        now: () => Date.now() + hours * 3_600_000,
        monotonic: () => performance.now(),
        sleep: () => Promise.resolve(),
      };
      const off = await openShopify(sim.url, { clock, config: { accessToken: sim.accessToken, lagSeconds: 1 } });
      const cursor = await off.spoke.now(customer);
      const { watermark } = JSON.parse(cursor) as { watermark: string };
      expect(Math.abs(Date.parse(watermark) - Date.now())).toBeLessThan(5_000);
      await off.close();
    }
  });

  test('objects that cannot be sorted by stamp are read in full before their window counts', async () => {
    sim.load(
      'Product',
      Array.from({ length: 120 }, (_, n) => ({ title: `P${n}`, sku: `S${n}`, createdAt: old })),
    );
    const variant = objectName('ProductVariant');
    const pages = await collect(opened.spoke.changes(variant, paths('sku', 'product'), since(old), interactive));
    expect(new Set(pages.flatMap((page) => page.records.map((record) => record.externalId))).size).toBe(120);
  });
});

describe('subscriptions', () => {
  const address = 'http://127.0.0.1:9/webhooks/shopify';

  test('F92 a subscription that the shop removed is made again; present ones are left alone', async () => {
    const door = opened.spoke.webhooks;
    if (door === undefined) throw new Error('no webhook door');
    const { created } = await door.ensure(address, [customer, order, objectName('Order.lineItems')]);
    expect([...created].sort()).toEqual([
      'customers/create',
      'customers/delete',
      'customers/update',
      'orders/cancelled',
      'orders/create',
      'orders/delete',
      'orders/updated',
    ]);
    expect(await door.ensure(address, [customer, order])).toEqual({ created: [] });
    const other = await door.ensure('http://127.0.0.1:9/webhooks/other', [customer]);
    expect(other.created).toHaveLength(3);
  });
});

describe('the hub id has a place', () => {
  test('its definition is made once; one without unique values stops the spoke', async () => {
    await write(create(customer, 'h1', { email: 'a@example.com' }), create(customer, 'h2', { email: 'b@example.com' }));
    await reopen();
    await write(create(customer, 'h3', { email: 'c@example.com' }));
    expect(opened.requests.filter((request) => String(request.body).includes('TruespokeDefine('))).toHaveLength(0);
  });
});
