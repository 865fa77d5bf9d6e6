// Webhooks of the simulated shop: signed bytes, the documented bodies, and every way in which deliveries go wrong.
import { createHmac } from 'node:crypto';
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { metadataForWebhook, schemaForWebhook } from 'shopify-webhook-schemas';
import { servedVersions, startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { call, mutate, receive, subscribe, type Received, type Receiver } from './shopify-support.js';

let sim: ShopifySimulator;
let receiver: Receiver;

beforeEach(async () => {
  receiver = await receive();
  sim = await startShopify({
    webhookRetryMs: [5, 5, 5],
    webhookFailuresMax: 8,
    throttle: { max: 1e6, restorePerSecond: 1e6 },
  });
});

afterEach(async () => {
  await sim.close();
  await receiver.close();
});

const header = (received: Received | undefined, name: string) => String(received?.headers[name]);
const signature = (raw: Buffer, secret: string) => createHmac('sha256', secret).update(raw).digest('base64');
const topics = () => receiver.received.map((each) => header(each, 'x-shopify-topic'));
const newCustomer = (n = 1) =>
  sim.edit({ op: 'create', object: 'Customer', fields: { email: `u${String(n)}@example.com` } });
const subscriptions = () =>
  call(sim, '{ webhookSubscriptions(first: 50) { nodes { id topic uri callbackUrl apiVersion { handle } } } }');

describe('a delivery', () => {
  test('is signed over its raw bytes and says topic, shop, version, event and time', async () => {
    await subscribe(sim, 'CUSTOMERS_CREATE', receiver.url);
    const { id } = newCustomer();
    await sim.settled();
    const [got] = receiver.received;
    expect(got?.body).toMatchObject({ admin_graphql_api_id: id, email: 'u1@example.com' });
    expect(header(got, 'x-shopify-hmac-sha256')).toBe(
      signature(got?.raw ?? Buffer.alloc(0), sim.webhookSecrets[0] ?? ''),
    );
    expect(header(got, 'x-shopify-topic')).toBe('customers/create');
    expect(header(got, 'x-shopify-shop-domain')).toBe('truespoke-demo.myshopify.com');
    expect(header(got, 'x-shopify-api-version')).toBe('2026-10');
    expect(header(got, 'x-shopify-webhook-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(header(got, 'x-shopify-event-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(Date.parse(header(got, 'x-shopify-triggered-at'))).not.toBeNaN();
  });

  test('follows what the app itself writes, but not seeding', async () => {
    await subscribe(sim, 'CUSTOMERS_CREATE', receiver.url);
    sim.load('Customer', [{ email: 'seed@example.com' }]);
    await mutate(
      sim,
      'mutation { customerSet(input: { email: "app@example.com" }) { customer { id } userErrors { code } } }',
    );
    await sim.settled();
    expect(receiver.received.map(({ body }) => body['email'])).toEqual(['app@example.com']);
  });

  test('of one act to several topics shares its event id and has webhook ids of its own', async () => {
    for (const topic of ['ORDERS_CREATE', 'ORDERS_PAID', 'CUSTOMERS_UPDATE']) await subscribe(sim, topic, receiver.url);
    sim.placeOrder({ customer: 'a@example.com', lines: [{ title: 'Thing', price: 1, quantity: 1 }] });
    await sim.settled();
    expect(topics().sort()).toEqual(['customers/update', 'orders/create', 'orders/paid']);
    const ofOrder = receiver.received.filter((each) => header(each, 'x-shopify-topic').startsWith('orders/'));
    expect(new Set(ofOrder.map((each) => header(each, 'x-shopify-event-id'))).size).toBe(1);
    expect(new Set(ofOrder.map((each) => header(each, 'x-shopify-webhook-id'))).size).toBe(2);
  });

  test('carries only the fields that were asked for', async () => {
    await subscribe(sim, 'CUSTOMERS_CREATE', receiver.url, { includeFields: ['id', 'email'] });
    newCustomer();
    await sim.settled();
    expect(Object.keys(receiver.received[0]?.body ?? {}).sort()).toEqual(['email', 'id']);
  });
});

describe('subscriptions', () => {
  test('are listed, moved and removed; one address a topic once', async () => {
    const id = await subscribe(sim, 'ORDERS_CREATE', receiver.url);
    await expect(subscribe(sim, 'ORDERS_CREATE', receiver.url)).rejects.toThrow(/already been taken/);
    expect((await subscriptions()).data['webhookSubscriptions']?.['nodes']).toEqual([
      { id, topic: 'ORDERS_CREATE', uri: receiver.url, callbackUrl: receiver.url, apiVersion: { handle: '2026-10' } },
    ]);
    const move = `mutation($id: ID!, $hook: WebhookSubscriptionInput!) { webhookSubscriptionUpdate(id: $id, webhookSubscription: $hook) {
      webhookSubscription { uri } userErrors { message } } }`;
    const moved = await mutate(sim, move, { id, hook: { callbackUrl: `${receiver.url}/2` } });
    expect(moved['webhookSubscription']?.['uri']).toBe(`${receiver.url}/2`);
    const remove =
      'mutation($id: ID!) { webhookSubscriptionDelete(id: $id) { deletedWebhookSubscriptionId userErrors { message } } }';
    expect((await mutate(sim, remove, { id }))['deletedWebhookSubscriptionId']).toBe(id);
    expect((await mutate(sim, remove, { id })).userErrors).toHaveLength(1);
  });

  test('never lead away from this machine', async () => {
    for (const uri of [
      'https://example.com/hooks',
      'http://169.254.169.254/',
      'http://127.0.0.1.example.com/',
      'pubsub://x:y',
      'nonsense',
    ]) {
      await expect(subscribe(sim, 'ORDERS_CREATE', uri)).rejects.toThrow(/not allowed/);
    }
    expect(() => sim.webhooks.send('http://10.0.0.1/', 'shop/redact', {})).toThrow(RangeError);
  });

  test('F92 one that keeps failing is removed', async () => {
    await subscribe(sim, 'CUSTOMERS_CREATE', receiver.url);
    receiver.status = 500;
    newCustomer(1);
    newCustomer(2);
    await sim.settled();
    expect((await subscriptions()).data['webhookSubscriptions']?.['nodes']).toEqual([]);
    expect(receiver.received).toHaveLength(8);
    expect(sim.ledger.entries({ object: 'WebhookSubscription', op: 'delete' })).toMatchObject([{ actor: 'shopify' }]);
  });

  test('F16 one that was not answered 2xx comes again, with the same ids', async () => {
    await subscribe(sim, 'CUSTOMERS_CREATE', receiver.url);
    receiver.status = 503;
    newCustomer();
    while (receiver.received.length < 2) await new Promise(setImmediate);
    receiver.status = 200;
    await sim.settled();
    expect(receiver.received.length).toBeGreaterThanOrEqual(3);
    expect(new Set(receiver.received.map((each) => header(each, 'x-shopify-webhook-id'))).size).toBe(1);
    const [delivery] = sim.webhooks.deliveries();
    expect(delivery?.tries.at(-1)).toBe(200);
  });
});

describe('what goes wrong on the way', () => {
  test('F87 all are dropped', async () => {
    await subscribe(sim, 'CUSTOMERS_CREATE', receiver.url);
    sim.webhooks.plan.drop = 1;
    newCustomer();
    await sim.settled();
    expect(receiver.received).toEqual([]);
    expect(sim.webhooks.deliveries()).toMatchObject([{ dropped: true, topic: 'customers/create' }]);
  });

  test('F85 each comes twice, with the same webhook id', async () => {
    await subscribe(sim, 'CUSTOMERS_CREATE', receiver.url);
    sim.webhooks.plan.double = 1;
    newCustomer();
    await sim.settled();
    const ids = receiver.received.map((each) => header(each, 'x-shopify-webhook-id'));
    expect(ids).toEqual([ids[0], ids[0]]);
  });

  test('F86 later ones overtake', async () => {
    await subscribe(sim, 'CUSTOMERS_CREATE', receiver.url);
    sim.webhooks.plan.reorderMs = 40;
    for (let n = 1; n <= 20; n += 1) newCustomer(n);
    await sim.settled();
    const order = receiver.received.map(({ body }) => String(body['email']));
    expect(order).toHaveLength(20);
    expect(order).not.toEqual([...order].sort((a, b) => Number(a.slice(1, -12)) - Number(b.slice(1, -12))));
  });

  test('F88 the signature is made with another secret', async () => {
    await subscribe(sim, 'CUSTOMERS_CREATE', receiver.url);
    sim.webhooks.plan.forge = 1;
    newCustomer();
    await sim.settled();
    const [got] = receiver.received;
    expect(header(got, 'x-shopify-hmac-sha256')).not.toBe(
      signature(got?.raw ?? Buffer.alloc(0), sim.webhookSecrets[0] ?? ''),
    );
  });

  test('F89 the same bytes and signature come again under another topic, shop and id', async () => {
    await subscribe(sim, 'CUSTOMERS_CREATE', receiver.url);
    newCustomer();
    await sim.settled();
    sim.webhooks.replay(sim.webhooks.deliveries()[0]?.webhookId ?? '', {
      'X-Shopify-Topic': 'customers/redact',
      'X-Shopify-Shop-Domain': 'other.myshopify.com',
      'X-Shopify-Webhook-Id': 'fresh',
    });
    await sim.settled();
    const [first, again] = receiver.received;
    expect(again?.raw.equals(first?.raw ?? Buffer.alloc(0))).toBe(true);
    expect(header(again, 'x-shopify-hmac-sha256')).toBe(header(first, 'x-shopify-hmac-sha256'));
    expect(header(again, 'x-shopify-topic')).toBe('customers/redact');
    expect(header(again, 'x-shopify-shop-domain')).toBe('other.myshopify.com');
  });

  test('the secret is rotated: the new one signs', async () => {
    await subscribe(sim, 'CUSTOMERS_CREATE', receiver.url);
    sim.webhooks.secrets = ['new secret', ...sim.webhookSecrets];
    newCustomer();
    await sim.settled();
    const [got] = receiver.received;
    expect(header(got, 'x-shopify-hmac-sha256')).toBe(signature(got?.raw ?? Buffer.alloc(0), 'new secret'));
  });
});

describe('bodies are those of shopify-webhook-schemas', () => {
  const ajv = new Ajv2020({ allErrors: true, strict: false });
  addFormats.default(ajv);

  const wanted = [
    ...[
      'CUSTOMERS_CREATE',
      'CUSTOMERS_UPDATE',
      'CUSTOMERS_DELETE',
      'PRODUCTS_CREATE',
      'PRODUCTS_UPDATE',
      'PRODUCTS_DELETE',
    ],
    ...['ORDERS_CREATE', 'ORDERS_UPDATED', 'ORDERS_CANCELLED', 'ORDERS_DELETE', 'ORDERS_PAID'],
    ...['BULK_OPERATIONS_FINISH', 'APP_UNINSTALLED'],
  ];
  // The package knows no newer version than 2026-07 yet.
  const versions = servedVersions.filter((each) => each <= '2026-07');

  const place = ({ instancePath, message, params }: ErrorObject) =>
    `${instancePath} ${message ?? ''} ${JSON.stringify(params)}`;

  const compiled = new Map<string, ValidateFunction>();
  function validator(version: string, topic: string): ValidateFunction {
    const key = JSON.stringify(schemaForWebhook(version, topic));
    const made = compiled.get(key) ?? ajv.compile(JSON.parse(key) as object);
    compiled.set(key, made);
    return made;
  }

  /** What is wrong with a body. Where Shopify's own example breaks the inferred schema in the same way, the schema is wrong. */
  function wrong(version: string, topic: string, body: unknown): readonly string[] {
    const valid = validator(version, topic);
    valid(metadataForWebhook(version, topic)?.response ?? {});
    const inExample = new Set((valid.errors ?? []).map(place));
    valid(body);
    return (valid.errors ?? []).map(place).filter((each) => !inExample.has(each));
  }

  const home = {
    ...{
      firstName: 'Ann',
      lastName: 'Lee',
      company: 'Lee Ltd',
      address1: '1 Main St',
      address2: 'Floor 2',
      city: 'New York',
    },
    ...{ provinceCode: 'NY', countryCode: 'US', zip: '10001', phone: '+12125550101' },
  };

  async function everything(version: string): Promise<void> {
    for (const topic of wanted) {
      const hook = { uri: receiver.url };
      await call(
        sim,
        `mutation($topic: WebhookSubscriptionTopic!, $hook: WebhookSubscriptionInput!) {
        webhookSubscriptionCreate(topic: $topic, webhookSubscription: $hook) { userErrors { message } } }`,
        { topic, hook },
        { version },
      );
    }
    const fields = {
      email: 'ann@example.com',
      phone: '+12125550100',
      firstName: 'Ann',
      lastName: 'Lee',
      note: 'n',
      addresses: [home],
    };
    const person = sim.edit({ op: 'create', object: 'Customer', fields });
    const lonely = sim.edit({
      op: 'create',
      object: 'Customer',
      fields: { ...fields, email: 'b@example.com', phone: '+12125550102' },
    });
    sim.edit({ op: 'update', object: 'Customer', id: person.id, fields: { note: 'm' } });
    sim.edit({ op: 'delete', object: 'Customer', id: lonely.id });
    const thing = sim.edit({
      op: 'create',
      object: 'Product',
      fields: { title: 'Chair', sku: 'CH-1', price: 3, tags: ['a', 'b'] },
    });
    sim.edit({ op: 'update', object: 'Product', id: thing.id, fields: { price: 4 } });
    const bought = {
      customer: person.id,
      lines: [{ sku: 'CH-1', quantity: 2 }],
      billingAddress: home,
      shippingAddress: home,
    };
    const kept = sim.placeOrder(bought);
    await mutate(
      sim,
      `mutation { orderCancel(orderId: "${kept.id}", reason: CUSTOMER, restock: false) { orderCancelUserErrors { message } } }`,
    );
    sim.edit({ op: 'delete', object: 'Order', id: sim.placeOrder(bought).id });
    sim.edit({ op: 'delete', object: 'Product', id: thing.id });
    await mutate(
      sim,
      'mutation { bulkOperationRunQuery(query: "{ orders { nodes { id } } }") { userErrors { message } } }',
    );
    while (!sim.webhooks.deliveries().some((each) => each.topic === 'bulk_operations/finish'))
      await new Promise(setImmediate);
    sim.compliance('customers/data_request', receiver.url, person.id);
    sim.compliance('customers/redact', receiver.url, person.id);
    sim.compliance('shop/redact', receiver.url);
    sim.uninstall();
    await sim.settled();
  }

  test.each(versions)('in version %s', async (version) => {
    await everything(version);
    const problems = receiver.received.flatMap((each) => {
      const topic = header(each, 'x-shopify-topic');
      return wrong(version, topic, each.body).map((text) => `${topic}: ${text}`);
    });
    expect(problems).toEqual([]);
    expect(new Set(topics()).size).toBe(wanted.length + 3);
  });

  test('and a body that lacks or misspells something is noticed', () => {
    expect(wrong('2026-07', 'customers/delete', { id: 'one', tax_exemptions: [] })).toHaveLength(2);
  });

  test('a record with little in it differs from the schema by its empty fields only', async () => {
    await subscribe(sim, 'CUSTOMERS_CREATE', receiver.url);
    newCustomer();
    await sim.settled();
    expect(wrong('2026-07', 'customers/create', receiver.received[0]?.body).map((text) => text.split(' ')[0])).toEqual([
      '',
      '/first_name',
      '/last_name',
      '/note',
    ]);
  });
});
