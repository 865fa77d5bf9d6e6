// Bulk operations: queries to JSON lines, mutations from an uploaded file.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { call, mutate, receive, subscribe, type Json } from './shopify-support.js';

let sim: ShopifySimulator;

beforeEach(async () => {
  sim = await startShopify({ throttle: { max: 1e6, restorePerSecond: 1e6 }, bulk: { delayMs: 2 } });
});

afterEach(() => sim.close());

const runQuery = `mutation($query: String!, $grouped: Boolean!) {
  bulkOperationRunQuery(query: $query, groupObjects: $grouped) {
    bulkOperation { id status } userErrors { field message code } } }`;

const poll = `query($id: ID!) { bulkOperation(id: $id) {
  status errorCode objectCount rootObjectCount fileSize url completedAt } }`;

/** Asks until the operation is over; the operation itself bounds the wait. */
async function finished(id: unknown): Promise<Json> {
  for (let tries = 0; tries < 2000; tries += 1) {
    const operation = (await call(sim, poll, { id })).data['bulkOperation'];
    if (operation !== undefined && !['CREATED', 'RUNNING', 'CANCELING'].includes(operation['status'] ?? ''))
      return operation;
  }
  throw new Error('the bulk operation does not end');
}

async function start(query: string, grouped = true) {
  const made = await mutate(sim, runQuery, { query, grouped });
  return made['bulkOperation']?.['id'];
}

async function lines(operation: Json): Promise<readonly Json[]> {
  const text = await (await fetch(String(operation['url']))).text();
  expect(text.endsWith('\n')).toBe(true);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Json);
}

const orders = '{ orders { edges { node { id name lineItems { edges { node { id sku quantity } } } } } } }';

function seedOrders(count: number): void {
  sim.load('Product', [
    { title: 'Chair', sku: 'CH-1', price: 3 },
    { title: 'Table', sku: 'TA-1', price: 5 },
  ]);
  const bought = [
    { sku: 'CH-1', quantity: 1 },
    { sku: 'TA-1', quantity: 2 },
  ];
  sim.load(
    'Order',
    Array.from({ length: count }, (_, n) => ({ customer: `u${String(n % 7)}@example.com`, lines: bought })),
  );
}

describe('bulk queries', () => {
  test('children are lines of their own, right behind their parent when grouped', async () => {
    seedOrders(3);
    const operation = await finished(await start(orders));
    expect(operation).toMatchObject({ status: 'COMPLETED', objectCount: '9', rootObjectCount: '3' });
    const read = await lines(operation);
    expect(read.map((line) => line['name'] ?? line['sku'])).toEqual([
      '#1001',
      'CH-1',
      'TA-1',
      '#1002',
      'CH-1',
      'TA-1',
      '#1003',
      'CH-1',
      'TA-1',
    ]);
    expect(read[0]).toEqual({ id: read[0]?.['id'], name: '#1001' });
    expect(read[1]).toEqual({ id: read[1]?.['id'], sku: 'CH-1', quantity: 1, __parentId: read[0]?.['id'] });
  });

  test('not grouped: a child comes behind its parent, but others may come between', async () => {
    seedOrders(3);
    const read = await lines(await finished(await start(orders, false)));
    expect(read.map((line) => '__parentId' in line)).toEqual([false, false, false, true, true, true, true, true, true]);
  });

  test('more than one slice, nodes and aliases, and a filter', async () => {
    sim.load(
      'Customer',
      Array.from({ length: 1203 }, (_, n) => ({ email: `u${String(n)}@example.com`, tags: n % 2 ? ['odd'] : [] })),
    );
    const all = await lines(await finished(await start('{ people: customers { nodes { id mail: email } } }')));
    expect(new Set(all.map((line) => line['mail'])).size).toBe(1203);
    const odd = await finished(await start('{ customers(query: "tag:odd") { nodes { id } } }'));
    expect(odd['objectCount']).toBe('601');
  });

  test('nothing found: complete, without a file', async () => {
    expect(await finished(await start(orders))).toMatchObject({ status: 'COMPLETED', objectCount: '0', url: null });
  });

  test.each<[string, RegExp]>([
    ['{ shop { id } }', /at least one connection/],
    ['{ customers { edges { node { fax } } } }', /Cannot query field "fax"/],
    ['{ node(id: "x") { id } customers { nodes { id } } }', /top level node/],
    ['{ orders { edges { node { name lineItems { edges { node { id } } } } } } }', /must select the 'id' field/],
    ['mutation { customerSet(input: {}) { customer { id } } }', /must be a query/],
    ['{ customers { edges', /Syntax Error/],
  ])('%s is refused', async (query, message) => {
    const { bulkOperation, userErrors } = await mutate(sim, runQuery, { query, grouped: true });
    expect(bulkOperation).toBeNull();
    expect(userErrors[0]).toMatchObject({ field: ['query'], code: 'INVALID' });
    expect(userErrors[0]?.message).toMatch(message);
  });

  test('only so many run at once; a canceled one makes room', async () => {
    await sim.close();
    sim = await startShopify({ bulk: { delayMs: 60_000, concurrent: 1 } });
    const id = await start(orders);
    const second = await mutate(sim, runQuery, { query: orders, grouped: true });
    expect(second.userErrors).toMatchObject([{ code: 'OPERATION_IN_PROGRESS' }]);
    const current = await call(sim, '{ currentBulkOperation { id status } }');
    expect(current.data['currentBulkOperation']).toEqual({ id, status: 'CREATED' });
    const cancel =
      'mutation($id: ID!) { bulkOperationCancel(id: $id) { bulkOperation { status } userErrors { message } } }';
    expect((await mutate(sim, cancel, { id }))['bulkOperation']?.['status']).toBe('CANCELING');
  });

  test('10,000 customers are written in about a second', async () => {
    sim.load(
      'Customer',
      Array.from({ length: 10_000 }, (_, n) => ({ email: `u${String(n)}@example.com`, firstName: 'A' })),
    );
    const began = performance.now();
    const operation = await finished(
      await start('{ customers { edges { node { id email firstName lastName tags updatedAt } } } }'),
    );
    expect(operation['objectCount']).toBe('10000');
    expect(performance.now() - began).toBeLessThan(8000);
  });

  test('the end is announced to subscribers', async () => {
    const receiver = await receive();
    await subscribe(sim, 'BULK_OPERATIONS_FINISH', receiver.url);
    const id = await start(orders);
    await finished(id);
    await sim.settled();
    expect(receiver.received.map(({ body }) => body)).toMatchObject([
      { admin_graphql_api_id: id, status: 'completed', type: 'query' },
    ]);
    await receiver.close();
  });
});

test('a bulk mutation runs once a line of the staged file, each with its own outcome', async () => {
  const staged = await mutate(
    sim,
    `mutation($input: [StagedUploadInput!]!) { stagedUploadsCreate(input: $input) {
      stagedTargets { url parameters { name value } } userErrors { message } } }`,
    {
      input: [
        { resource: 'BULK_MUTATION_VARIABLES', filename: 'vars.jsonl', mimeType: 'text/jsonl', httpMethod: 'POST' },
      ],
    },
  );
  const target = staged['stagedTargets']?.[0];
  const form = new FormData();
  for (const each of target?.['parameters'] ?? []) form.append(String(each['name']), String(each['value']));
  const rows = [{ email: 'a@example.com' }, { email: 'nonsense' }, { email: 'b@example.com' }];
  form.append('file', new Blob([rows.map((input) => JSON.stringify({ input })).join('\n')]), 'vars.jsonl');
  expect((await fetch(String(target?.['url']), { method: 'POST', body: form })).status).toBe(201);
  const path = target?.['parameters']?.[0]?.['value'];
  const made = await mutate(
    sim,
    `mutation($mutation: String!, $path: String!) { bulkOperationRunMutation(mutation: $mutation, stagedUploadPath: $path) {
      bulkOperation { id } userErrors { message code } } }`,
    {
      path,
      mutation: `mutation($input: CustomerSetInput!) { customerSet(input: $input) { customer { email } userErrors { code } } }`,
    },
  );
  const read = await lines(await finished(made['bulkOperation']?.['id']));
  expect(read).toEqual([
    { data: { customerSet: { customer: { email: 'a@example.com' }, userErrors: [] } }, __lineNumber: 0 },
    { data: { customerSet: { customer: null, userErrors: [{ code: 'INVALID' }] } }, __lineNumber: 1 },
    { data: { customerSet: { customer: { email: 'b@example.com' }, userErrors: [] } }, __lineNumber: 2 },
  ]);
  expect(sim.ledger.entries({ object: 'Customer' })).toHaveLength(2);
});
