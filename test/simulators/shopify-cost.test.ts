// The price of queries, the leaky bucket, and THROTTLED with HTTP 200.
import { parse, getOperationAST } from 'graphql';
import { afterEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/base/clock.js';
import { actualCost, requestedCost } from '../../src/simulators/shopify/cost.js';
import { adminSchema } from '../../src/simulators/shopify/schema/schema.js';
import { startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { call } from './shopify-support.js';

const schema = adminSchema();

function input(query: string, variables: Readonly<Record<string, unknown>> = {}) {
  const document = parse(query);
  const operation = getOperationAST(document);
  if (!operation) throw new Error('no operation');
  const fragments = Object.fromEntries(
    document.definitions.flatMap((each) => (each.kind === 'FragmentDefinition' ? [[each.name.value, each]] : [])),
  );
  return { schema, operation, fragments, variables };
}

describe('requested cost', () => {
  test.each<[string, number]>([
    ['{ shop { id name } }', 1],
    ['{ customer(id: "x") { id email defaultAddress { city } } }', 2],
    ['{ customers(first: 10) { nodes { id } } }', 12],
    ['{ customers(first: 10) { edges { cursor node { id } } pageInfo { hasNextPage } } }', 12],
    ['{ products(first: 10) { nodes { id variants(first: 5) { nodes { price } } } } }', 2 + 10 * (1 + 2 + 5)],
    ['query($n: Int = 4) { customers(first: $n) { nodes { id } } }', 6],
    ['{ nodes(ids: ["a", "b", "c"]) { id ... on Customer { defaultAddress { city } } ... on Product { id } } }', 6],
    ['{ node(id: "a") { ...f } } fragment f on Customer { lastOrder { id } }', 2],
    ['mutation { customerSet(input: {}) { customer { id metafield(key: "k") { id } } userErrors { message } } }', 10],
    ['mutation { a: customerSet(input: {}) { customer { id } } b: customerSet(input: {}) { customer { id } } }', 20],
    ['mutation { productSet(input: {}) { product { variants(first: 3) { nodes { id } } } } }', 15],
    ['{ __schema { types { name } } }', 0],
  ])('%s', (query, cost) => {
    expect(requestedCost(input(query))).toBe(cost);
  });

  test('by variables', () => {
    expect(requestedCost(input('query($n: Int) { customers(first: $n) { nodes { id } } }', { n: 50 }))).toBe(52);
    expect(requestedCost(input('query($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: ['a', 'b'] }))).toBe(2);
  });

  test('the actual cost counts what was found', () => {
    const query = input(
      '{ products(first: 10) { nodes { id variants(first: 5) { nodes { price } } } } customer(id: "x") { id } }',
    );
    const data = { products: { nodes: [{ id: '1', variants: { nodes: [{ price: '1' }] } }] }, customer: null };
    expect(actualCost(query, data)).toBe(2 + 1 + 2 + 1);
  });
});

let sim: ShopifySimulator;
let ms = 0;
const clock: Clock = {
  now: () => Date.parse('2026-03-01T00:00:00Z') + ms,
  monotonic: () => ms,
  sleep: () => Promise.resolve(),
};

const hundred = '{ customers(first: 98) { nodes { id } } }';
const costOf = (answer: Awaited<ReturnType<typeof call>>) => answer.extensions['cost'];

describe('throttling', () => {
  afterEach(() => sim.close());

  test('F60 an empty bucket answers THROTTLED with HTTP 200, does nothing, and refills with time', async () => {
    sim = await startShopify({ clock, throttle: { max: 150, restorePerSecond: 10 } });
    sim.load(
      'Customer',
      Array.from({ length: 98 }, (_, n) => ({ email: `u${String(n)}@example.com` })),
    );
    const first = await call(sim, hundred);
    expect(costOf(first)).toEqual({
      requestedQueryCost: 100,
      actualQueryCost: 100,
      throttleStatus: { maximumAvailable: 150, currentlyAvailable: 50, restoreRate: 10 },
    });
    const second = await call(sim, hundred);
    expect(second.status).toBe(200);
    expect(second.data).toBeUndefined();
    expect(second.errors).toMatchObject([{ message: 'Throttled', extensions: { code: 'THROTTLED' } }]);
    expect(costOf(second)).toMatchObject({ requestedQueryCost: 100, actualQueryCost: null });
    ms += 5000;
    expect((await call(sim, hundred)).errors).toEqual([]);
  });

  test('what was not used comes back', async () => {
    sim = await startShopify({ clock, throttle: { max: 150, restorePerSecond: 10 } });
    expect(costOf(await call(sim, hundred))).toMatchObject({
      requestedQueryCost: 100,
      actualQueryCost: 2,
      throttleStatus: { currentlyAvailable: 148 },
    });
  });

  test('one query above 1,000 never runs, however full the bucket', async () => {
    sim = await startShopify({ clock, throttle: { max: 20_000, restorePerSecond: 1000 } });
    const answer = await call(sim, '{ products(first: 250) { nodes { id variants(first: 5) { nodes { id } } } } }');
    expect(answer.errors[0]?.extensions).toMatchObject({ code: 'MAX_COST_EXCEEDED', cost: 2002, maxCost: 1000 });
    const sets = Array.from(
      { length: 101 },
      (_, n) => `a${String(n)}: customerSet(input: { email: "u${String(n)}@example.com" }) { customer { id } }`,
    );
    expect((await call(sim, `mutation { ${sets.join('\n')} }`)).errors[0]?.extensions?.['code']).toBe(
      'MAX_COST_EXCEEDED',
    );
    expect(sim.records('Customer')).toEqual([]);
  });
});
