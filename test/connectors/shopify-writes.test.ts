// Writes over real HTTP against the simulated shop, with the real client library as transport.
// Proves: Law 5
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Write } from '../../src/connectors/connector.js';
import { externalId, hubId, objectName, remotePath } from '../../src/model/ids.js';
import {
  Live,
  applied,
  article,
  byHubId,
  create,
  customer,
  order,
  paths,
  person,
  product,
  sale,
  update,
} from './shopify-live.js';
import { collect, interactive } from './shopify-support.js';

const live = new Live();

beforeEach(() => live.start());
afterEach(() => live.stop());
afterAll(() => {
  const checked = live.problems();
  if (checked === null) return;
  expect(checked.problems).toEqual([]);
  expect(checked.documents).toBeGreaterThan(5);
});

describe('identity and schema', () => {
  test('identity is the shop, and the schema says what may be written', async () => {
    expect(await live.opened.spoke.identity()).toMatchObject({
      label: 'Truespoke Demo (truespoke-demo.myshopify.com)',
    });
    expect(await live.opened.spoke.identity()).toEqual(await live.opened.spoke.identity());
    const schema = await live.opened.spoke.describe([
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
    const [result] = await live.write(
      create(customer, 'hub-1', { email: 'Ada@Example.COM', firstName: 'Ada', tags: ['b', 'a'] }),
    );
    const { externalId: id, record, version } = applied(result);
    expect(id).toMatch(/^gid:\/\/shopify\/Customer\/\d+$/);
    expect(version).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(record?.hubKey).toBe('hub-1');
    expect(record?.fields).toMatchObject({ email: 'ada@example.com', firstName: 'Ada', lastName: null });
    expect(
      await live.opened.spoke.find(customer, [byHubId('hub-1'), byHubId('hub-2')], person, interactive),
    ).toMatchObject([[{ externalId: id }], []]);
  });

  test('a create repeated with the same hub id makes no second record', async () => {
    const again = create(customer, 'hub-1', { email: 'ada@example.com', firstName: 'Ada' });
    const things = create(product, 'hub-2', { title: 'Chair', 'variant.sku': 'CH-1', 'variant.price': '9.50' });
    const first = await live.write(again, things);
    const second = await live.write(again, things);
    expect(second.map((result) => applied(result).externalId)).toEqual(
      first.map((result) => applied(result).externalId),
    );
    expect([live.creates('Customer'), live.creates('Product')]).toEqual([1, 1]);
  });

  test('many writes travel in one request', async () => {
    await live.write(create(customer, 'warm', { email: 'warm@example.com' }));
    const before = live.opened.requests.length;
    const results = await live.write(
      ...Array.from({ length: 20 }, (_, n) =>
        create(customer, `h${n}`, { email: `p${n}@example.com`, firstName: `P${n}` }),
      ),
    );
    expect(results.map((result) => result.outcome)).toEqual(Array.from({ length: 20 }, () => 'applied'));
    expect(live.opened.requests.length - before).toBe(1);
  });

  test('F69 a taken email rejects its own write only and names the holder', async () => {
    const [holder] = live.sim.load('Customer', [{ email: 'taken@example.com' }]);
    const results = await live.write(
      create(customer, 'h1', { email: 'one@example.com' }),
      create(customer, 'h2', { email: 'Taken@example.com' }),
      create(customer, 'h3', { email: 'three@example.com' }),
    );
    expect(results.map((result) => result.outcome)).toEqual(['applied', 'rejected', 'applied']);
    expect(results[1]).toMatchObject({ recovery: 'duplicate', existing: [holder], paths: ['email'] });
  });

  test('an update sends only what differs', async () => {
    const [id = ''] = live.sim.load('Customer', [
      { email: 'a@example.com', firstName: 'A', lastName: 'B', note: 'keep' },
    ]);
    const [result] = await live.write(update(customer, id, { firstName: 'Z', lastName: null }));
    expect(applied(result).record?.fields).toMatchObject({
      firstName: 'Z',
      lastName: null,
      note: 'keep',
      email: 'a@example.com',
    });
  });

  test('a product is written with its default variant, in one step or in part', async () => {
    const [made] = await live.write(
      create(product, 'p1', { title: 'Desk', 'variant.sku': 'D-1', 'variant.price': '10.00', status: 'ACTIVE' }),
    );
    const { externalId: id, record } = applied(made);
    expect(record?.fields).toMatchObject({
      title: 'Desk',
      'variant.sku': 'D-1',
      'variant.price': '10.00',
      hasOnlyDefaultVariant: true,
    });
    const results = await live.write(
      update(product, id, { 'variant.price': 12.5 }),
      update(product, id, { title: 'Big desk', 'variant.sku': 'D-2' }),
    );
    expect(results.map((result) => applied(result).record?.fields)).toMatchObject([
      { title: 'Desk', 'variant.price': '12.50' },
      { title: 'Big desk', 'variant.sku': 'D-2', 'variant.price': '12.50' },
    ]);
  });

  test('an update of a price never deletes the other variants', async () => {
    const [id = ''] = live.sim.load('Product', [
      {
        title: 'Shirt',
        variants: [
          { title: 'S', sku: 'S', price: '1.00' },
          { title: 'M', sku: 'M', price: '2.00' },
        ],
      },
    ]);
    applied((await live.write(update(product, id, { 'variant.price': '1.50', title: 'Tee' })))[0]);
    const variants = await collect(live.opened.spoke.inventory(objectName('ProductVariant'), interactive));
    expect(variants.flatMap((page) => page.entries)).toHaveLength(2);
  });

  test('an order is made whole, with its lines in place and known by hub id', async () => {
    const [buyer = ''] = live.sim.load('Customer', [{ email: 'buyer@example.com' }]);
    const [desk = ''] = live.sim.load('Product', [{ title: 'Desk', sku: 'D-1', price: '10.00' }]);
    const wish = create(
      order,
      'o1',
      { name: '#A-1', customer: buyer, displayFinancialStatus: 'PAID', processedAt: '2026-01-02T03:04:05Z' },
      [
        { product: desk, quantity: 2, originalUnitPrice: '9.00' },
        { title: 'Gift wrap', quantity: 1, originalUnitPrice: '1.25' },
      ],
    );
    const { externalId: id, record } = applied((await live.write(wish))[0]);
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
    expect(applied((await live.write(wish))[0]).externalId).toBe(id);
    expect(live.creates('Order')).toBe(1);
    expect(applied((await live.write(update(order, id, { note: 'call first' })))[0]).record?.fields).toMatchObject({
      note: 'call first',
    });
  });

  test('a delete is done once, and F84 once more is fine', async () => {
    const [id = ''] = live.sim.load('Customer', [{ email: 'gone@example.com' }]);
    const remove: Write = { op: 'delete', object: customer, hubId: hubId('h'), externalId: externalId(id) };
    expect((await live.write(remove))[0]?.outcome).toBe('applied');
    expect((await live.write(remove))[0]?.outcome).toBe('applied');
    expect((await live.write(update(customer, id, { firstName: 'x' })))[0]).toMatchObject({
      outcome: 'rejected',
      recovery: 'gone',
    });
    expect(live.sim.ledger.entries({ object: 'Customer', op: 'delete' })).toHaveLength(1);
  });

  test('one write at a time has its own outcome when the shop refuses the whole request', async () => {
    const [a = '', b = ''] = live.sim.load('Customer', [{ email: 'a@example.com' }, { email: 'b@example.com' }]);
    const results = await live.write(
      update(customer, a, { firstName: 'ok' }),
      update(customer, b, { firstName: { not: 'text' } }),
    );
    expect(results.map((result) => result.outcome)).toEqual(['applied', 'rejected']);
  });
});

describe('lost responses', () => {
  test.each(['customer', 'order'])('F64 timeout after apply: unknown, then found by hub id, one %s', async (kind) => {
    const [desk = ''] = live.sim.load('Product', [{ title: 'Desk', sku: 'D-1', price: '10.00' }]);
    const wish =
      kind === 'customer'
        ? create(customer, 'h1', { email: 'x@example.com' })
        : create(order, 'h1', {}, [{ product: desk, quantity: 1 }]);
    const object = wish.object;
    live.sim.faults.put({ id: 'lose', route: `TruespokeWrite`, kind: 'lost-response', times: 1 });
    expect((await live.write(wish))[0]?.outcome).toBe('unknown');
    const [found] = await live.opened.spoke.find(object, [byHubId('h1')], paths(), interactive);
    expect(found).toHaveLength(1);
    expect(applied((await live.write(wish))[0]).externalId).toBe(found?.[0]?.externalId);
    expect(live.creates(object)).toBe(1);
  });

  test('F65 applied late, after the read-back: the unique hub id absorbs the second send', async () => {
    const [desk = ''] = live.sim.load('Product', [{ title: 'Desk', sku: 'D-1', price: '10.00' }]);
    const wish = create(order, 'h1', {}, [{ product: desk, quantity: 1 }]);
    await live.write(create(order, 'warm', {}, [{ product: desk, quantity: 1 }]));
    live.sim.faults.put({ id: 'late', route: 'TruespokeWrite', kind: 'late-apply', ms: 150, times: 1 });
    const first = live.write(wish);
    expect((await first)[0]?.outcome).toBe('unknown');
    const results: string[] = [];
    for (let n = 0; n < 20; n += 1) {
      const [result] = await live.write(wish);
      results.push(applied(result).externalId);
    }
    await expect.poll(() => live.creates('Order')).toBe(2);
    expect(new Set(results).size).toBe(1);
  });

  test('F63 a reset before anything happens, F67 HTML, F66 a cut body: nothing is claimed', async () => {
    for (const kind of ['refuse', 'html', 'cut-body'] as const) {
      live.sim.faults.put({ id: kind, route: 'TruespokeWrite', kind, times: 1 });
      const [result] = await live.write(create(customer, `h-${kind}`, { email: `${kind}@example.com` }));
      expect([kind, result?.outcome]).toEqual([kind, 'unknown']);
      const again = applied((await live.write(create(customer, `h-${kind}`, { email: `${kind}@example.com` })))[0]);
      expect(again.record?.hubKey).toBe(`h-${kind}`);
    }
    expect(live.creates('Customer')).toBe(3);
  });

  test('F60 THROTTLED by the shop itself', async () => {
    await live.write(create(customer, 'warm', { email: 'warm@example.com' }));
    live.sim.throttle.resize(1000, 50);
    live.sim.throttle.drain(995);
    const [result] = await live.write(create(customer, 'h1', { email: 'x@example.com' }));
    expect(result?.outcome).toBe('throttled');
    expect(live.opened.limiter.backOffs.at(-1)?.reason).toBe('THROTTLED');
    expect(live.creates('Customer')).toBe(1);
  });

  test('the cost told to the limiter is never below what the shop asks', async () => {
    live.sim.throttle.resize(2000, 1);
    const [desk = ''] = live.sim.load('Product', [{ title: 'Desk', sku: 'D-1', price: '10.00' }]);
    live.sim.load('Order', [{ lines: [{ sku: 'D-1', quantity: 1 }] }]);
    const estimates: [number, number][] = [];
    const original = live.opened.limiter.run.bind(live.opened.limiter);
    Object.assign(live.opened.limiter, {
      run: async (request: { cost: number }, call: () => Promise<unknown>) => {
        const seen = live.opened.requests.length;
        const value = await original(request as never, call);
        if (live.opened.requests.length > seen) estimates.push([request.cost, requestedCosts.shift() ?? 0]);
        return value;
      },
    });
    const requestedCosts: number[] = [];
    const take = live.sim.throttle.take.bind(live.sim.throttle);
    live.sim.throttle.take = (points: number) => {
      requestedCosts.push(points);
      live.sim.throttle.resize(2000, 1);
      return take(points);
    };
    await live.write(
      create(customer, 'h1', { email: 'x@example.com' }),
      create(product, 'h2', { title: 'T' }),
      create(order, 'h3', {}, [{ product: desk, quantity: 1 }]),
    );
    await collect(live.opened.spoke.inventory(product, interactive));
    const [first] = await collect(live.opened.spoke.inventory(order, interactive));
    await live.opened.spoke.fetch(
      order,
      (first?.entries ?? []).map((entry) => entry.externalId),
      sale,
      interactive,
    );
    await live.opened.spoke.find(
      product,
      [{ by: 'values', values: { [remotePath('variant.sku')]: 'D-1' } }],
      article,
      interactive,
    );
    expect(estimates.length).toBeGreaterThan(6);
    expect(estimates.filter(([estimate, asked]) => estimate < asked)).toEqual([]);
  });
});

describe('subscriptions', () => {
  const address = 'http://127.0.0.1:9/webhooks/shopify';

  test('F92 a subscription that the shop removed is made again; present ones are left alone', async () => {
    const door = live.opened.spoke.webhooks;
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
  const definition = {
    namespace: 'truespoke',
    key: 'hub_id',
    name: 'x',
    type: 'single_line_text_field',
    ownerType: 'CUSTOMER',
  };

  test('its definition is looked at once, and made only where it is missing', async () => {
    const sent = (): string[] =>
      live.opened.requests.map((request) => /(?:query|mutation) (\w+)/.exec(String(request.body))?.[1] ?? '');
    await live.write(
      create(customer, 'h1', { email: 'a@example.com' }),
      create(customer, 'h2', { email: 'b@example.com' }),
    );
    await live.write(create(customer, 'h3', { email: 'c@example.com' }));
    expect(sent()).toEqual([
      'TruespokeDefinition',
      'TruespokeDefine',
      'TruespokeWriteCustomer',
      'TruespokeWriteCustomer',
    ]);
    await live.opened.close();
    await live.open();
    await live.write(create(customer, 'h4', { email: 'd@example.com' }));
    expect(sent()).toEqual(['TruespokeDefinition', 'TruespokeWriteCustomer']);
  });

  test('one whose values need not be unique pauses the spoke, before any create', async () => {
    const query =
      'mutation M($definition: MetafieldDefinitionInput!) { metafieldDefinitionCreate(definition: $definition) { userErrors { message } } }';
    await fetch(`${live.sim.url}/admin/api/2026-10/graphql.json`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-shopify-access-token': live.sim.accessToken },
      body: JSON.stringify({ query, variables: { definition } }),
    });
    const written = live.write(create(customer, 'h1', { email: 'a@example.com' }));
    await expect(written).rejects.toMatchObject({ recovery: 'pause', code: 'hub_key_unusable' });
    expect(live.creates('Customer')).toBe(0);
  });
});
