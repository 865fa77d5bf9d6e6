// Faults on the wire of the simulated shop, and its control endpoint.
import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { call, controlPost } from './shopify-support.js';

let sim: ShopifySimulator;

beforeEach(async () => {
  sim = await startShopify();
});

afterEach(() => sim.close());

const create =
  'mutation MakeCustomer { customerSet(input: { email: "a@example.com" }) { customer { id } userErrors { code } } }';
const customers = () => sim.records('Customer').length;

describe('faults', () => {
  test('F64 lost response: the write took effect, the caller hears nothing', async () => {
    sim.faults.put({ id: 'f', route: '^mutation customerSet$', kind: 'lost-response', times: 1 });
    await expect(call(sim, create)).rejects.toThrow();
    expect(customers()).toBe(1);
    expect((await call(sim, create)).data['customerSet']?.['userErrors']).toEqual([{ code: 'TAKEN' }]);
  });

  test('F63 a refused connection changes nothing', async () => {
    sim.faults.put({ id: 'f', route: 'MakeCustomer', kind: 'refuse', times: 1 });
    await expect(call(sim, create)).rejects.toThrow();
    expect(customers()).toBe(0);
  });

  test('F65 late apply: nothing at first, then the write', async () => {
    sim.faults.put({ id: 'f', route: 'mutation', kind: 'late-apply', ms: 30, times: 1 });
    await expect(call(sim, create)).rejects.toThrow();
    expect(customers()).toBe(0);
    while (customers() === 0) await new Promise(setImmediate);
    expect(sim.ledger.entries({ object: 'Customer' })).toMatchObject([{ actor: 'app', op: 'create' }]);
  });

  test('F66 F67 a cut body and a page of HTML: applied, unreadable', async () => {
    sim.faults.put({ id: 'cut', route: 'mutation', kind: 'cut-body', times: 1 });
    await expect(call(sim, create)).rejects.toThrow();
    expect(customers()).toBe(1);
    sim.faults.put({ id: 'html', route: 'query shop', kind: 'html', times: 1 });
    await expect(call(sim, '{ shop { id } }')).rejects.toThrow(/JSON/);
  });

  test('F60 throttled by a fault: HTTP 200, the price, an empty bucket, nothing done', async () => {
    sim.faults.put({ id: 'f', route: 'mutation', kind: 'throttle', times: 1 });
    const answer = await call(sim, create);
    expect(answer.status).toBe(200);
    expect(answer.errors).toMatchObject([{ extensions: { code: 'THROTTLED' } }]);
    expect(answer.extensions['cost']).toMatchObject({
      requestedQueryCost: 10,
      throttleStatus: { currentlyAvailable: 0 },
    });
    expect(customers()).toBe(0);
  });

  test('F59 F62 a status with Retry-After, by seed and probability', async () => {
    sim.faults.put({
      id: 'f',
      route: 'query',
      kind: 'status',
      status: 429,
      retryAfter: '2.0',
      probability: 0.5,
      seed: 7,
    });
    const run = async () => {
      const statuses: number[] = [];
      for (let n = 0; n < 12; n += 1) {
        const headers = { 'x-shopify-access-token': sim.accessToken, 'content-type': 'application/json' };
        const body = '{"query":"{ shop { id } }"}';
        const response = await fetch(`${sim.url}/admin/api/2026-10/graphql.json`, { method: 'POST', headers, body });
        statuses.push(response.status);
        if (response.status === 429) expect(response.headers.get('retry-after')).toBe('2.0');
      }
      return statuses;
    };
    const first = await run();
    expect(new Set(first)).toEqual(new Set([200, 429]));
    sim.faults.put({
      id: 'f',
      route: 'query',
      kind: 'status',
      status: 429,
      retryAfter: '2.0',
      probability: 0.5,
      seed: 7,
    });
    expect(await run()).toEqual(first);
  });

  test('only the named operation is hit', async () => {
    sim.faults.put({ id: 'f', route: '^query products$', kind: 'status', status: 503 });
    expect((await call(sim, '{ shop { id } }')).status).toBe(200);
    expect((await call(sim, '{ products(first: 1) { nodes { id } } }')).status).toBe(503);
  });
});

describe('the control endpoint', () => {
  test('seeds, edits, orders and shows records, ledger and statistics', async () => {
    const loaded = await controlPost(sim, 'load', {
      object: 'Product',
      rows: [{ title: 'Chair', sku: 'CH-1', price: '5' }],
    });
    const id = String(loaded.body['ids']?.[0]);
    await controlPost(sim, 'edit', {
      op: 'update',
      object: 'Product',
      id,
      fields: { 'variant.price': '6.5' },
      actor: 'eve',
    });
    const order = await controlPost(sim, 'place-order', {
      customer: 'b@example.com',
      lines: [{ sku: 'CH-1', quantity: 2 }],
    });
    expect(order.body['name']).toBe('#1001');
    await call(sim, '{ shop { id } }');
    const read = async (path: string) => (await (await fetch(`${sim.url}/__control/${path}`)).json()) as unknown;
    expect(await read('records/Product')).toMatchObject([{ id, variants: [{ sku: 'CH-1', price: '6.50' }] }]);
    expect(await read('records/Order')).toMatchObject([
      { email: 'b@example.com', total: '13.00', financialStatus: 'PAID' },
    ]);
    expect(await read('ledger?actor=eve')).toMatchObject([{ op: 'update', object: 'Product' }]);
    expect(await read('ledger?actor=buyer')).toMatchObject([{ object: 'Customer' }, { object: 'Order' }]);
    expect(await read('stats')).toMatchObject({ total: 1, byRoute: { 'query shop': 1 }, byOutcome: { '2xx': 1 } });
  });

  test('says what is wrong with a request', async () => {
    const refused = async (route: string, body: unknown) => {
      const answer = await controlPost(sim, route, body);
      expect(answer.status).toBe(400);
      return answer.body['error'];
    };
    expect(await refused('load', { object: 'Invoice', rows: [{}] })).toMatch(/there are Customer, Product, Order/);
    expect(await refused('load', { object: 'Customer', rows: [{ email: 'nonsense' }] })).toMatch(
      /row 0: Email is invalid/,
    );
    expect(await refused('edit', { op: 'undelete', object: 'Customer', id: '1' })).toMatch(/cannot undelete/);
    expect(await refused('webhooks', { lose: 1 })).toMatch(/not lose/);
    expect(await refused('quirks', { searchLagMs: 'long' })).toMatch(/not searchLagMs/);
    expect((await controlPost(sim, 'nothing', {})).status).toBe(404);
  });

  test('switches quirks, throttle, scopes, versions and delivery plans', async () => {
    await controlPost(sim, 'quirks', { searchLagMs: 50, staleBodies: true });
    expect(sim.quirks).toMatchObject({ searchLagMs: 50, staleBodies: true });
    await controlPost(sim, 'webhooks', { drop: 0.5, delayMs: 3 });
    expect(sim.webhooks.plan).toMatchObject({ drop: 0.5, delayMs: 3, double: 0 });
    await controlPost(sim, 'scopes', { scopes: [] });
    expect((await call(sim, '{ products(first: 1) { nodes { id } } }')).errors[0]?.extensions?.['code']).toBe(
      'ACCESS_DENIED',
    );
    await controlPost(sim, 'throttle', { max: 50, restorePerSecond: 1 });
    await controlPost(sim, 'drain', { points: 45 });
    expect((await call(sim, create)).errors[0]?.extensions?.['code']).toBe('THROTTLED');
  });

  test('answers no foreign host: a page elsewhere cannot rebind its name to it', async () => {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const url = `${sim.url}/__control/ledger`;
      request(url, { headers: { host: 'evil.example' } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
    expect(status).toBe(403);
  });
});
