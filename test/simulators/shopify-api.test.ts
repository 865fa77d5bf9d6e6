// The simulated Admin API over plain HTTP: who may call, what is refused and how, how values are rewritten.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { call, defineHubId, hubDefinition, hubId, mutate } from './shopify-support.js';

let sim: ShopifySimulator;

beforeEach(async () => {
  sim = await startShopify({ throttle: { max: 100_000, restorePerSecond: 100_000 } });
});

afterEach(() => sim.close());

const customerSet = `mutation($identifier: CustomerSetIdentifiers, $input: CustomerSetInput!) {
  customerSet(identifier: $identifier, input: $input) {
    customer { id email phone firstName lastName displayName note tags updatedAt legacyResourceId
      metafield(namespace: "truespoke", key: "hub_id") { value type } }
    userErrors { field message code }
  }
}`;

const productSet = `mutation($identifier: ProductSetIdentifiers, $input: ProductSetInput!) {
  productSet(synchronous: true, identifier: $identifier, input: $input) {
    product { id title handle descriptionHtml vendor tags updatedAt
      metafield(namespace: "truespoke", key: "hub_id") { value }
      variants(first: 10) { nodes { id sku price compareAtPrice barcode title } } }
    userErrors { field message code }
  }
}`;

const oneVariant = (fields: object) => ({
  productOptions: [{ name: 'Title', values: [{ name: 'Default Title' }] }],
  variants: [{ optionValues: [{ optionName: 'Title', name: 'Default Title' }], ...fields }],
});

const creates = (object: string) => sim.ledger.entries({ object, op: 'create' });

describe('who may call', () => {
  test('without a valid token the answer is 401 and nothing is done', async () => {
    for (const token of [null, 'shpat_wrong']) {
      const answer = await call(
        sim,
        'mutation { customerCreate(input: {email: "a@example.com"}) { customer { id } } }',
        {},
        { token },
      );
      expect(answer.status).toBe(401);
      expect(answer.errors).toBe('[API] Invalid API key or access token (unrecognized login or wrong password)');
    }
    expect(sim.records('Customer')).toEqual([]);
  });

  test('a second token writes under its own name', async () => {
    await sim.close();
    sim = await startShopify({ otherTokens: { other: 'other-app' } });
    await call(
      sim,
      'mutation { customerCreate(input: {email: "a@example.com"}) { customer { id } } }',
      {},
      { token: 'other' },
    );
    expect(sim.ledger.entries().map((entry) => entry.actor)).toEqual(['other-app']);
  });

  test('F78 a scope that was taken away denies its fields only', async () => {
    sim.scopes = ['read_products'];
    const { data, errors } = await call(
      sim,
      '{ shop { name } customer(id: "gid://shopify/Customer/1") { id } products(first: 1) { nodes { id } } }',
    );
    expect(data['customer']).toBeNull();
    expect(data['products']).toEqual({ nodes: [] });
    expect(errors).toMatchObject([{ path: ['customer'], extensions: { code: 'ACCESS_DENIED' } }]);
  });

  test('F77 an uninstalled app is turned away', async () => {
    sim.uninstall();
    expect((await call(sim, '{ shop { id } }')).status).toBe(401);
  });

  test('F79 a version that is not served falls forward, and the header says so', async () => {
    const served = async (version: string) =>
      (await call(sim, '{ shop { id } }', {}, { version })).headers.get('x-shopify-api-version');
    expect(await served('2026-04')).toBe('2026-04');
    expect(await served('2025-07')).toBe('2026-01');
    sim.serve(['2026-07', '2026-10']);
    expect(await served('2026-04')).toBe('2026-07');
  });
});

describe('a request that cannot run', () => {
  test('F68 an unknown field is an error with HTTP 200', async () => {
    const answer = await call(sim, '{ shop { fax } }');
    expect(answer.status).toBe(200);
    expect(answer.data).toBeUndefined();
    expect(answer.errors).toMatchObject([
      { message: "Field 'fax' doesn't exist on type 'Shop'", extensions: { code: 'undefinedField' } },
    ]);
  });

  test('text that is no global id is an error, an id of nothing is null', async () => {
    const wrong = await call(sim, '{ customer(id: "abc") { id } }');
    expect(wrong.errors[0]?.message).toBe("Invalid global id 'abc'");
    expect((await call(sim, '{ customer(id: "gid://shopify/Customer/1") { id } }')).data['customer']).toBeNull();
    const nodes = await call(sim, '{ nodes(ids: ["gid://shopify/Customer/1", "gid://shopify/Product/2"]) { id } }');
    expect(nodes.data['nodes']).toEqual([null, null]);
  });

  test('more than 250 in one list is too many', async () => {
    const ids = Array.from({ length: 251 }, (_, n) => `gid://shopify/Customer/${String(n + 1)}`);
    const answer = await call(sim, 'query($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids });
    expect(answer.errors[0]?.extensions?.['code']).toBe('MAX_INPUT_SIZE_EXCEEDED');
  });

  test('a body that is no GraphQL request is 400, another path is 404', async () => {
    const headers = { 'x-shopify-access-token': sim.accessToken, 'content-type': 'application/json' };
    const post = (path: string, body: string) => fetch(`${sim.url}${path}`, { method: 'POST', headers, body });
    expect((await post('/admin/api/2026-10/graphql.json', '{not json')).status).toBe(400);
    expect((await post('/admin/api/2026-10/orders.json', '{}')).status).toBe(404);
  });
});

describe('customers', () => {
  test('values are kept in the form of the shop, not as they were sent', async () => {
    const { customer } = await mutate(sim, customerSet, {
      input: {
        email: ' Ann.LEE@Example.com ',
        phone: '(415) 555-0132',
        firstName: '  Ann ',
        lastName: '',
        note: '',
        tags: ['vip', 'B', 'VIP', ' a '],
      },
    });
    expect(customer).toMatchObject({
      email: 'ann.lee@example.com',
      phone: '+14155550132',
      firstName: 'Ann',
      lastName: null,
      note: null,
      tags: ['a', 'B', 'vip'],
      displayName: 'Ann',
    });
    expect(customer?.['id']).toBe(`gid://shopify/Customer/${String(customer?.['legacyResourceId'])}`);
    expect(customer?.['updatedAt']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });

  test('an email or phone that another customer has is TAKEN, in whatever spelling', async () => {
    await mutate(sim, customerSet, { input: { email: 'ann@example.com', phone: '+14155550132' } });
    const email = await mutate(sim, customerSet, { input: { email: 'ANN@example.com' } });
    expect(email).toEqual({
      customer: null,
      userErrors: [{ field: ['input', 'email'], message: 'Email has already been taken', code: 'TAKEN' }],
    });
    const phone = await mutate(sim, customerSet, { input: { phone: '415 555 0132' } });
    expect(phone.userErrors).toEqual([
      { field: ['input', 'phone'], message: 'Phone has already been taken', code: 'TAKEN' },
    ]);
    expect(creates('Customer')).toHaveLength(1);
  });

  test('what is wrong is listed at once and nothing is kept', async () => {
    const input = { email: 'not an email', phone: 'call me', firstName: 'x'.repeat(256) };
    const { customer, userErrors } = await mutate(sim, customerSet, { input });
    expect(customer).toBeNull();
    expect(userErrors.map((error) => [error.field?.at(-1), error.code])).toEqual([
      ['phone', 'INVALID'],
      ['email', 'INVALID'],
      ['firstName', 'TOO_LONG'],
    ]);
    const empty = await mutate(sim, customerSet, { input: { note: 'nobody' } });
    expect(empty.userErrors).toMatchObject([{ code: 'BLANK' }]);
    expect(sim.ledger.entries()).toEqual([]);
  });

  test('absent leaves a field alone, null empties it', async () => {
    const made = await mutate(sim, customerSet, { input: { email: 'a@example.com', firstName: 'A', note: 'n' } });
    const identifier = { id: made['customer']?.['id'] };
    const { customer } = await mutate(sim, customerSet, { identifier, input: { note: null } });
    expect(customer).toMatchObject({ email: 'a@example.com', firstName: 'A', note: null });
  });

  test('F64 an upsert by custom id makes one customer however often it is sent', async () => {
    await mutate(sim, defineHubId, hubDefinition('CUSTOMER'));
    const wish = { identifier: hubId('hub-1'), input: { email: 'a@example.com', firstName: 'A' } };
    const first = await mutate(sim, customerSet, wish);
    const second = await mutate(sim, customerSet, wish);
    expect(second['customer']?.['id']).toBe(first['customer']?.['id']);
    expect(first['customer']?.['metafield']).toEqual({ value: 'hub-1', type: 'id' });
    expect(sim.ledger.entries({ object: 'Customer' }).map((entry) => entry.op)).toEqual(['create']);
    const found = await call(
      sim,
      'query($identifier: CustomerIdentifierInput!) { customerByIdentifier(identifier: $identifier) { id } }',
      {
        identifier: hubId('hub-1'),
      },
    );
    expect(found.data['customerByIdentifier']?.['id']).toBe(first['customer']?.['id']);
  });

  test('a custom id without a definition of unique values is refused', async () => {
    const answer = await call(sim, customerSet, { identifier: hubId('hub-1'), input: { email: 'a@example.com' } });
    expect(answer.errors[0]?.extensions?.['code']).toBe('NOT_FOUND');
    expect(sim.records('Customer')).toEqual([]);
  });

  test('an upsert by email needs the same email in the input', async () => {
    const identifier = { email: 'a@example.com' };
    expect((await mutate(sim, customerSet, { identifier, input: { firstName: 'A' } })).userErrors[0]?.code).toBe(
      'MISSING_FIELD_REQUIRED',
    );
    const other = await mutate(sim, customerSet, { identifier, input: { email: 'b@example.com' } });
    expect(other.userErrors[0]?.code).toBe('INPUT_MISMATCH');
    await mutate(sim, customerSet, { identifier, input: { email: 'A@example.com', firstName: 'A' } });
    await mutate(sim, customerSet, { identifier, input: { email: 'a@example.com', firstName: 'B' } });
    expect(sim.records('Customer')).toMatchObject([{ email: 'a@example.com', firstName: 'B' }]);
  });

  test('a write that changes nothing moves no stamp and leaves no entry', async () => {
    const made = await mutate(sim, customerSet, { input: { email: 'a@example.com', tags: ['b', 'a'] } });
    const before = sim.records('Customer')[0]?.['updatedAt'];
    await mutate(sim, customerSet, {
      identifier: { id: made['customer']?.['id'] },
      input: { email: 'A@Example.com', tags: ['a', 'b'] },
    });
    expect(sim.records('Customer')[0]?.['updatedAt']).toBe(before);
    expect(sim.ledger.entries({ object: 'Customer' })).toHaveLength(1);
  });

  test('F84 a deleted customer cannot be deleted again, one with orders not at all', async () => {
    const remove =
      'mutation($id: ID!) { customerDelete(input: { id: $id }) { deletedCustomerId userErrors { field message } } }';
    const made = await mutate(sim, customerSet, { input: { email: 'a@example.com' } });
    const id = String(made['customer']?.['id']);
    expect((await mutate(sim, remove, { id }))['deletedCustomerId']).toBe(id);
    expect((await mutate(sim, remove, { id })).userErrors).toEqual([
      { field: ['id'], message: "Customer can't be found" },
    ]);
    sim.placeOrder({ customer: 'b@example.com', lines: [{ title: 'Thing', price: '1', quantity: 1 }] });
    const [buyer] = sim.records('Customer');
    expect((await mutate(sim, remove, { id: buyer?.['id'] })).userErrors[0]?.message).toMatch(/associated orders/);
  });
});

describe('products', () => {
  test('a product has its default variant; money has two decimals; scripts are gone', async () => {
    const { product } = await mutate(sim, productSet, {
      input: {
        title: ' Oak Chair ',
        descriptionHtml: '<p onclick="x()">Good</p><script>alert(1)</script>',
        ...oneVariant({ price: '49.9', compareAtPrice: '60', inventoryItem: { sku: ' CH-1 ' }, barcode: '' }),
      },
    });
    expect(product).toMatchObject({
      title: 'Oak Chair',
      handle: 'oak-chair',
      descriptionHtml: '<p>Good</p>',
      vendor: 'Truespoke Demo',
    });
    expect(product?.['variants']?.['nodes']).toMatchObject([
      { sku: 'CH-1', price: '49.90', compareAtPrice: '60.00', barcode: null, title: 'Default Title' },
    ]);
  });

  test('an upsert by custom id updates price and title and keeps the ids', async () => {
    await mutate(sim, defineHubId, hubDefinition('PRODUCT'));
    const wish = (title: string, price: string) => ({
      identifier: hubId('p-1'),
      input: { title, ...oneVariant({ price }) },
    });
    const first = await mutate(sim, productSet, wish('Chair', '10'));
    const second = await mutate(sim, productSet, wish('Chair 2', '12.5'));
    expect(second['product']).toMatchObject({
      id: first['product']?.['id'],
      title: 'Chair 2',
      handle: 'chair',
      metafield: { value: 'p-1' },
    });
    const idOf = (made: typeof first) => made['product']?.['variants']?.['nodes']?.[0]?.['id'];
    expect(idOf(second)).toBe(idOf(first));
    expect(sim.ledger.entries({ object: 'Product' }).map((entry) => entry.op)).toEqual(['create', 'update']);
  });

  test('a repeated title gets another handle, a repeated handle is refused', async () => {
    await mutate(sim, productSet, { input: { title: 'Chair' } });
    expect((await mutate(sim, productSet, { input: { title: 'Chair' } }))['product']?.['handle']).toBe('chair-1');
    const taken = await mutate(sim, productSet, { input: { title: 'Other', handle: 'chair' } });
    expect(taken.userErrors).toMatchObject([{ field: ['input', 'handle'], code: 'HANDLE_NOT_UNIQUE' }]);
  });

  test('a title is needed and a price is not negative', async () => {
    const { userErrors } = await mutate(sim, productSet, { input: { title: ' ', ...oneVariant({ price: '-1' }) } });
    expect(userErrors.map((error) => error.field)).toEqual([
      ['input', 'title'],
      ['input', 'variants', '0', 'price'],
    ]);
    expect(sim.records('Product')).toEqual([]);
  });

  test('a change to a variant moves its product', async () => {
    const id = sim.load('Product', [{ title: 'Chair', sku: 'CH-1', price: 10, createdAt: '2026-01-01T00:00:00Z' }])[0];
    const found = await call(
      sim,
      'query($id: ID!) { product(id: $id) { updatedAt variants(first: 1) { nodes { id } } } }',
      { id },
    );
    const product = found.data['product'];
    expect(product?.['updatedAt']).toBe('2026-01-01T00:00:00Z');
    const changed = await mutate(
      sim,
      `mutation($id: ID!, $variants: [ProductVariantsBulkInput!]!) {
        productVariantsBulkUpdate(productId: $id, variants: $variants) {
          product { updatedAt } productVariants { price } userErrors { field message code } } }`,
      { id, variants: [{ id: product?.['variants']?.['nodes']?.[0]?.['id'], price: 12 }] },
    );
    expect(changed['productVariants']).toEqual([{ price: '12.00' }]);
    expect(changed['product']?.['updatedAt']).not.toBe('2026-01-01T00:00:00Z');
    expect(sim.ledger.entries()).toMatchObject([{ object: 'Product', op: 'update', actor: 'app' }]);
  });

  test('a product and its variants go together', async () => {
    const [id] = sim.load('Product', [{ title: 'Chair', sku: 'CH-1' }]);
    await mutate(
      sim,
      'mutation($id: ID!) { productDelete(input: { id: $id }) { deletedProductId userErrors { message } } }',
      { id },
    );
    const left = await call(sim, '{ productVariants(first: 5) { nodes { id } } }');
    expect(left.data['productVariants']?.['nodes']).toEqual([]);
  });
});

describe('orders', () => {
  const orderCreate = `mutation($order: OrderCreateOrderInput!) {
    orderCreate(order: $order) {
      order { id name email currencyCode displayFinancialStatus sourceIdentifier processedAt
        customer { id email numberOfOrders amountSpent { amount } }
        totalPriceSet { shopMoney { amount currencyCode } }
        lineItems(first: 10) { nodes { title sku quantity variant { id } product { id } originalUnitPriceSet { shopMoney { amount } } } } }
      userErrors { field message code } } }`;

  test('lines take title, SKU and price from their variant; a given price wins', async () => {
    sim.load('Product', [{ title: 'Chair', sku: 'CH-1', price: '10.5' }]);
    const variants = await call(
      sim,
      '{ productVariants(first: 1, query: "sku:CH-1") { nodes { id product { id } } } }',
    );
    const variant = variants.data['productVariants']?.['nodes']?.[0];
    const { order, userErrors } = await mutate(sim, orderCreate, {
      order: {
        customer: { toUpsert: { email: 'Buyer@example.com', firstName: 'B' } },
        sourceIdentifier: 'hub-9',
        financialStatus: 'PAID',
        lineItems: [
          { variantId: variant?.['id'], quantity: 2 },
          {
            variantId: variant?.['id'],
            quantity: 1,
            priceSet: { shopMoney: { amount: '3.333', currencyCode: 'USD' } },
          },
        ],
      },
    });
    expect(userErrors).toEqual([]);
    expect(order).toMatchObject({
      name: '#1001',
      email: 'buyer@example.com',
      sourceIdentifier: 'hub-9',
      displayFinancialStatus: 'PAID',
      customer: { email: 'buyer@example.com', numberOfOrders: '1', amountSpent: { amount: '24.33' } },
      totalPriceSet: { shopMoney: { amount: '24.33', currencyCode: 'USD' } },
    });
    expect(order?.['lineItems']?.['nodes']).toMatchObject([
      {
        title: 'Chair',
        sku: 'CH-1',
        quantity: 2,
        product: { id: variant?.['product']?.['id'] },
        originalUnitPriceSet: { shopMoney: { amount: '10.5' } },
      },
      { quantity: 1, originalUnitPriceSet: { shopMoney: { amount: '3.33' } } },
    ]);
  });

  test('without lines, with an unknown variant or without a price an order is refused', async () => {
    const order = (lineItems: object[]) => mutate(sim, orderCreate, { order: { lineItems } });
    expect((await order([])).userErrors[0]?.field).toEqual(['order', 'lineItems']);
    const unknown = await order([{ variantId: 'gid://shopify/ProductVariant/1', quantity: 1 }]);
    expect(unknown.userErrors[0]?.field).toEqual(['order', 'lineItems', '0', 'variantId']);
    expect((await order([{ title: 'Thing', quantity: 1 }])).userErrors[0]?.field?.at(-1)).toBe('priceSet');
    expect(sim.records('Order')).toEqual([]);
    expect(sim.placeOrder({ lines: [{ title: 'T', price: 1, quantity: 1 }] }).name).toBe('#1001');
  });

  test('cancelling is once, and is seen', async () => {
    const { id } = sim.placeOrder({ lines: [{ title: 'Thing', price: '5', quantity: 1 }] });
    const cancel = `mutation($id: ID!) { orderCancel(orderId: $id, reason: STAFF, restock: false) {
      job { id done } orderCancelUserErrors { field message code } } }`;
    expect((await mutate(sim, cancel, { id }))['job']?.['done']).toBe(true);
    expect((await mutate(sim, cancel, { id }))['orderCancelUserErrors']).toMatchObject([
      { field: ['orderId'], code: 'INVALID' },
    ]);
    const { data } = await call(
      sim,
      'query($id: ID!) { order(id: $id) { cancelledAt cancelReason currentTotalPriceSet { shopMoney { amount } } } }',
      { id },
    );
    expect(data['order']).toMatchObject({
      cancelReason: 'STAFF',
      currentTotalPriceSet: { shopMoney: { amount: '0.0' } },
    });
    expect(data['order']?.['cancelledAt']).not.toBeNull();
  });

  test('a note is edited, tags are added and taken away', async () => {
    const { id } = sim.placeOrder({ lines: [{ title: 'Thing', price: '5', quantity: 1 }], tags: ['web'] });
    await mutate(
      sim,
      'mutation($input: OrderInput!) { orderUpdate(input: $input) { order { id } userErrors { message } } }',
      { input: { id, note: ' hi ' } },
    );
    await mutate(sim, 'mutation($id: ID!) { tagsAdd(id: $id, tags: ["a,b"]) { node { id } userErrors { message } } }', {
      id,
    });
    await mutate(
      sim,
      'mutation($id: ID!) { tagsRemove(id: $id, tags: ["WEB"]) { node { id } userErrors { message } } }',
      { id },
    );
    expect(sim.records('Order')).toMatchObject([{ note: 'hi', tags: ['a', 'b'] }]);
  });
});

describe('metafields', () => {
  const set = `mutation($metafields: [MetafieldsSetInput!]!) {
    metafieldsSet(metafields: $metafields) { metafields { value compareDigest } userErrors { field message code } } }`;

  test('compare-and-set refuses a write over a newer value', async () => {
    const [ownerId] = sim.load('Customer', [{ email: 'a@example.com' }]);
    const value = (text: string, more: object = {}) => ({
      metafields: [{ ownerId, namespace: 'custom', key: 'tier', type: 'single_line_text_field', value: text, ...more }],
    });
    const first = await mutate(sim, set, value('free', { compareDigest: null }));
    const compareDigest = first['metafields']?.[0]?.['compareDigest'];
    await mutate(sim, set, value('pro'));
    const stale = await mutate(sim, set, value('enterprise', { compareDigest }));
    expect(stale.userErrors).toMatchObject([{ code: 'STALE_OBJECT' }]);
    expect(sim.records('Customer')).toMatchObject([{ metafields: { 'custom.tier': 'pro' } }]);
  });

  test('a unique value belongs to one owner; of a list all are kept or none', async () => {
    await mutate(sim, defineHubId, hubDefinition('CUSTOMER'));
    const [a, b] = sim.load('Customer', [{ email: 'a@example.com' }, { email: 'b@example.com' }]);
    const of = (ownerId: unknown, value: string) => ({ ownerId, namespace: 'truespoke', key: 'hub_id', value });
    await mutate(sim, set, { metafields: [of(a, 'one')] });
    const taken = await mutate(sim, set, { metafields: [of(a, 'two'), of(b, 'one')] });
    expect(taken.userErrors).toMatchObject([{ field: ['metafields', '1', 'value'], code: 'TAKEN' }]);
    expect(sim.records('Customer')).toMatchObject([{ metafields: { 'truespoke.hub_id': 'one' } }, { metafields: {} }]);
    sim.edit({ op: 'delete', object: 'Customer', id: String(a) });
    expect((await mutate(sim, set, { metafields: [of(b, 'one')] })).userErrors).toEqual([]);
  });

  test('a definition is made once', async () => {
    await mutate(sim, defineHubId, hubDefinition('ORDER'));
    expect((await mutate(sim, defineHubId, hubDefinition('ORDER'))).userErrors).toMatchObject([{ code: 'TAKEN' }]);
    const { data } = await call(
      sim,
      `{ metafieldDefinitions(first: 5, ownerType: ORDER, namespace: "truespoke") {
      nodes { key type { name } capabilities { uniqueValues { enabled } } } } }`,
    );
    expect(data['metafieldDefinitions']?.['nodes']).toEqual([
      { key: 'hub_id', type: { name: 'id' }, capabilities: { uniqueValues: { enabled: true } } },
    ]);
  });
});

test('aliased mutations stand alone: one refused leaves the others in force', async () => {
  const { data } = await call(
    sim,
    `mutation {
    a: customerSet(input: { email: "a@example.com" }) { customer { email } userErrors { code } }
    b: customerSet(input: { email: "nonsense" }) { customer { email } userErrors { code } }
    c: customerSet(input: { email: "c@example.com" }) { customer { email } userErrors { code } } }`,
  );
  expect(data).toEqual({
    a: { customer: { email: 'a@example.com' }, userErrors: [] },
    b: { customer: null, userErrors: [{ code: 'INVALID' }] },
    c: { customer: { email: 'c@example.com' }, userErrors: [] },
  });
});

test('the ledger tells every write: who, through what, from what to what', async () => {
  const made = await mutate(sim, customerSet, { input: { email: 'a@example.com' } });
  const id = String(made['customer']?.['id']);
  sim.edit({ op: 'update', object: 'Customer', id, fields: { firstName: 'Ann' }, actor: 'person:eve' });
  expect(sim.ledger.entries()).toMatchObject([
    {
      seq: 1,
      actor: 'app',
      route: 'mutation customerSet',
      object: 'Customer',
      id,
      op: 'create',
      before: null,
      after: { email: 'a@example.com' },
    },
    {
      seq: 2,
      actor: 'person:eve',
      route: 'admin',
      op: 'update',
      before: { firstName: null },
      after: { firstName: 'Ann' },
    },
  ]);
});
