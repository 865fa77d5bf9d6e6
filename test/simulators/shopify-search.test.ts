// Search syntax, paging and the lag of the search index.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/base/clock.js';
import { search, type SearchFields } from '../../src/simulators/shopify/search.js';
import { startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { call } from './shopify-support.js';

interface Row {
  readonly id: number;
  readonly email: string | null;
  readonly title: string;
  readonly tags: readonly string[];
  readonly at: number;
}

const fields: SearchFields<Row> = {
  named: {
    id: { kind: 'id', of: (row) => row.id },
    email: { kind: 'word', of: (row) => row.email },
    title: { kind: 'text', of: (row) => row.title },
    tag: { kind: 'word', of: (row) => row.tags },
    updated_at: { kind: 'stamp', of: (row) => row.at },
  },
  loose: ['email', 'title'],
};

const at = (text: string) => Date.parse(text);
const rows: readonly Row[] = [
  { id: 1, email: 'ann@example.com', title: 'Oak Chair', tags: ['vip'], at: at('2026-01-01T10:00:00.100Z') },
  { id: 2, email: 'bob@example.com', title: 'Oak Table', tags: ['vip', 'new'], at: at('2026-01-01T10:00:01.900Z') },
  { id: 3, email: null, title: "Ann's Pine Chair", tags: [], at: at('2026-01-02T00:00:00.000Z') },
];

function found(query: string, greaterActsAsGreaterOrEqual = false): readonly number[] {
  const { matches } = search(query, fields, { greaterActsAsGreaterOrEqual });
  return rows.filter(matches).map((row) => row.id);
}

describe('search syntax', () => {
  test.each<[string, readonly number[]]>([
    ['email:ann@example.com', [1]],
    ['email:ANN@Example.com', [1]],
    ["email:'bob@example.com'", [2]],
    ['email:a*', [1]],
    ['email:*', [1, 2]],
    ['-email:*', [3]],
    ['title:chair', [1, 3]],
    ['title:"oak chair"', [1]],
    ["title:'Ann\\'s'", [3]],
    ['tag:vip', [1, 2]],
    ['tag:vip AND NOT tag:new', [1]],
    ['tag:vip -tag:new', [1]],
    ['tag:new OR title:pine', [2, 3]],
    ['(tag:new OR title:pine) AND id:>2', [3]],
    ['id:>=2 id:<3', [2]],
    ['id:gid://shopify/Customer/3', [3]],
    ['oak', [1, 2]],
    ["updated_at:>'2026-01-01T10:00:00Z'", [2, 3]],
    ["updated_at:>='2026-01-01T10:00:00Z'", [1, 2, 3]],
    ["updated_at:<='2026-01-01T10:00:01Z'", [1, 2]],
    ["updated_at:>='2026-01-01T12:00:00+02:00' updated_at:<2026-01-02", [1, 2]],
    ['', [1, 2, 3]],
  ])('%s', (query, ids) => {
    expect(found(query)).toEqual(ids);
  });

  test('F95 with the quirk on, > acts as >=', () => {
    expect(found("updated_at:>'2026-01-01T10:00:00Z'", true)).toEqual([1, 2, 3]);
  });

  test('an unknown field filters nothing and only warns', () => {
    const { matches, warnings } = search('fax:123 AND id:1', fields, { greaterActsAsGreaterOrEqual: false });
    expect(rows.filter(matches).map((row) => row.id)).toEqual([1]);
    expect(warnings).toEqual([
      { field: 'fax', message: 'Invalid search field for this query.', code: 'invalid_field' },
    ]);
  });

  test('a query of nothing but brackets or backslashes is answered, not a crash or a long wait', () => {
    expect(found(`${'('.repeat(5000)}tag:vip`)).toEqual([]);
    expect(found(`${'('.repeat(100)}tag:vip`)).toEqual([1, 2]);
    expect(found(`'${'\\'.repeat(20_000)}`).length).toBeLessThanOrEqual(3);
  });
});

let sim: ShopifySimulator;
let now = at('2026-03-01T00:00:00Z');
const clock: Clock = { now: () => now, monotonic: () => performance.now(), sleep: () => Promise.resolve() };

beforeEach(async () => {
  now = at('2026-03-01T00:00:00Z');
  sim = await startShopify({ clock, throttle: { max: 1e6, restorePerSecond: 1e6 } });
});

afterEach(() => sim.close());

const page = `query($first: Int, $after: String, $query: String, $reverse: Boolean, $sortKey: CustomerSortKeys) {
  customers(first: $first, after: $after, query: $query, reverse: $reverse, sortKey: $sortKey) {
    nodes { id email } edges { cursor } pageInfo { hasNextPage endCursor } } }`;

async function emails(variables: object): Promise<readonly (string | undefined)[]> {
  const { data } = await call(sim, page, { first: 250, ...variables });
  return (data['customers']?.['nodes'] ?? []).map((node) => node['email']);
}

const mail = (n: number) => `u${String(n)}@example.com`;

describe('paging', () => {
  test('F94 records with one stamp are all met, once, page by page', async () => {
    sim.load(
      'Customer',
      Array.from({ length: 23 }, (_, n) => ({ email: mail(n), updatedAt: '2026-02-01T00:00:00Z' })),
    );
    const seen: unknown[] = [];
    let after: unknown = null;
    for (let more = true; more;) {
      const { data } = await call(sim, page, {
        first: 5,
        after,
        sortKey: 'UPDATED_AT',
        query: "updated_at:>='2026-01-01'",
      });
      seen.push(...(data['customers']?.['nodes'] ?? []).map((node) => node['email']));
      more = data['customers']?.['pageInfo']?.['hasNextPage'] === true;
      after = data['customers']?.['pageInfo']?.['endCursor'];
    }
    expect(seen).toEqual(Array.from({ length: 23 }, (_, n) => mail(n)));
  });

  test('F93 a record that moves while a reader pages is met at its new place', async () => {
    const stamps = ['2026-02-01T00:00:00Z', '2026-02-02T00:00:00Z', '2026-02-03T00:00:00Z'];
    const ids = sim.load(
      'Customer',
      stamps.map((updatedAt, n) => ({ email: mail(n), updatedAt })),
    );
    const first = await call(sim, page, { first: 1, sortKey: 'UPDATED_AT' });
    sim.edit({ op: 'update', object: 'Customer', id: ids[1], fields: { note: 'moved' } });
    const after = first.data['customers']?.['pageInfo']?.['endCursor'];
    expect(await emails({ after, sortKey: 'UPDATED_AT' })).toEqual([mail(2), mail(1)]);
  });

  test('newest first with reverse; a page size is needed and at most 250', async () => {
    sim.load('Customer', [{ email: mail(1) }, { email: mail(2) }]);
    expect(await emails({ reverse: true })).toEqual([mail(2), mail(1)]);
    expect((await call(sim, page, { first: null })).errors[0]?.message).toBe('you must provide one of first or last');
    expect((await call(sim, page, { first: 251 })).errors).toHaveLength(1);
    expect((await call(sim, page, { first: 1, after: 'nonsense' })).errors[0]?.message).toMatch(/Invalid cursor/);
  });
});

describe('search index lag', () => {
  test('F97 a listing does not see a write until the lag has passed; a look-up by id does', async () => {
    sim.quirks.searchLagMs = 5000;
    const { id } = sim.edit({ op: 'create', object: 'Customer', fields: { email: mail(1) } });
    const query = "updated_at:>='2026-01-01'";
    expect(await emails({ query })).toEqual([]);
    expect(await emails({ sortKey: 'UPDATED_AT' })).toEqual([]);
    const byId = await call(sim, 'query($id: ID!) { customer(id: $id) { email } }', { id });
    expect(byId.data['customer']).toEqual({ email: mail(1) });
    now += 5001;
    expect(await emails({ query })).toEqual([mail(1)]);
  });

  test('F98 with stale bodies a listing shows the values of before our write', async () => {
    const [id] = sim.load('Customer', [{ email: mail(1), createdAt: '2026-01-01T00:00:00Z' }]);
    const query = "updated_at:>='2025-01-01'";
    sim.quirks.searchLagMs = 5000;
    sim.edit({ op: 'update', object: 'Customer', id, fields: { email: mail(2) } });
    expect(await emails({ query })).toEqual([mail(2)]);
    sim.quirks.staleBodies = true;
    expect(await emails({ query })).toEqual([mail(1)]);
    now += 5001;
    expect(await emails({ query })).toEqual([mail(2)]);
  });

  test('a deleted record is gone from listings at once', async () => {
    const [id] = sim.load('Customer', [{ email: mail(1), createdAt: '2026-01-01T00:00:00Z' }]);
    sim.quirks.searchLagMs = 5000;
    sim.edit({ op: 'delete', object: 'Customer', id });
    expect(await emails({ query: "updated_at:>='2025-01-01'" })).toEqual([]);
  });
});

test('each object is searched by its own fields', async () => {
  sim.load('Product', [
    { title: 'Chair', sku: 'CH-1', vendor: 'Acme' },
    { title: 'Table', sku: 'TA-1', status: 'DRAFT' },
  ]);
  const { name } = sim.placeOrder({ customer: mail(1), lines: [{ sku: 'CH-1', quantity: 1 }] });
  const { data } = await call(
    sim,
    `query($name: String) {
      sku: products(first: 5, query: "sku:ch-1") { nodes { title } }
      draft: products(first: 5, query: "status:draft") { nodes { title } }
      variant: productVariants(first: 5, query: "sku:TA-1") { nodes { sku } }
      order: orders(first: 5, query: $name) { nodes { name } }
      none: orders(first: 5, query: "financial_status:pending") { nodes { name } }
      count: customersCount(query: "email:u1@example.com") { count precision } }`,
    { name: `name:'${name}'` },
  );
  expect(data).toEqual({
    sku: { nodes: [{ title: 'Chair' }] },
    draft: { nodes: [{ title: 'Table' }] },
    variant: { nodes: [{ sku: 'TA-1' }] },
    order: { nodes: [{ name }] },
    none: { nodes: [] },
    count: { count: 1, precision: 'EXACT' },
  });
});
