// Backfill over a bulk result that is large, cut, expired, or stands on a host of its own.
import type { ServerResponse } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { Retriable } from '../../src/base/errors.js';
import type { Page } from '../../src/connectors/connector.js';
import { objectName, remotePath } from '../../src/model/ids.js';
import type { Cursor } from '../../src/model/ids.js';
import { collect, interactive, openShopify, scriptedShop } from './shopify-support.js';
import type { GraphqlCall, Opened, ScriptedShop } from './shopify-support.js';

const order = objectName('Order');
const fields = { paths: [remotePath('note')], children: { lineItems: [remotePath('quantity')] } };
const stamp = '2026-11-21T10:00:00Z';

let shop: ScriptedShop;
let opened: Opened;

afterEach(async () => {
  await opened.close();
  await shop.close();
});

interface Script {
  readonly file: Buffer;
  readonly statuses?: string[];
  readonly ranges?: boolean;
  /** Requests of the file that are cut half way, by number. */
  readonly cut?: readonly number[];
}

const asked: { range: string; token: boolean }[] = [];

async function start(script: Script): Promise<void> {
  asked.length = 0;
  const statuses = [...(script.statuses ?? ['COMPLETED'])];
  shop = await scriptedShop((call: GraphqlCall, response, request) => {
    if (request.method === 'GET') {
      asked.push({
        range: String(request.headers['range']),
        token: request.headers['x-shopify-access-token'] !== undefined,
      });
      serve(script, response, String(request.headers['range']));
      return null;
    }
    const status =
      call.operation === 'TruespokeBulkStatus' ? (statuses.length > 1 ? statuses.shift() : statuses[0]) : 'CREATED';
    const operation = {
      id: 'gid://shopify/BulkOperation/1',
      status,
      errorCode: null,
      url: `${shop.url}/result.jsonl?signature=x`,
      rootObjectCount: '3',
    };
    if (call.operation === 'TruespokeBulkRun')
      return { data: { bulkOperationRunQuery: { bulkOperation: operation, userErrors: [] } } };
    if (call.operation === 'TruespokeBulkCancel')
      return { data: { bulkOperationCancel: { bulkOperation: operation, userErrors: [] } } };
    if (call.operation === 'TruespokePageOrder')
      return { data: { orders: { edges: [], pageInfo: { hasNextPage: false, endCursor: null } } } };
    return { data: { bulkOperation: operation } };
  });
  opened = await openShopify(shop.url);
}

function serve(script: Script, response: ServerResponse, range: string): void {
  const { file } = script;
  const [from = 0, to = 0] = (/bytes=(\d+)-(\d+)/.exec(range) ?? []).slice(1).map(Number);
  if (script.ranges === false) return void response.writeHead(200, { 'content-type': 'application/jsonl' }).end(file);
  if (from >= file.length) return void response.writeHead(416, { 'content-range': `bytes */${file.length}` }).end();
  const part = file.subarray(from, Math.min(file.length, to + 1));
  response.writeHead(206, {
    'content-range': `bytes ${from}-${from + part.length - 1}/${file.length}`,
    'content-length': part.length,
  });
  if (script.cut?.includes(asked.length) !== true) return void response.end(part);
  response.write(part.subarray(0, part.length / 2));
  setTimeout(() => response.destroy(), 10);
}

/** Orders of about `bytes` each with two lines, in the order of a grouped result. */
function orders(count: number, bytes: number): Buffer {
  const lines: string[] = [];
  for (let n = 1; n <= count; n += 1) {
    const id = `gid://shopify/Order/${n}`;
    lines.push(JSON.stringify({ id, updatedAt: stamp, hubKey: null, note: 'é'.repeat(bytes / 2) }));
    for (const k of [1, 2])
      lines.push(
        JSON.stringify({ id: `gid://shopify/LineItem/${n}${k}`, quantity: k, customAttributes: [], __parentId: id }),
      );
  }
  return Buffer.from(`${lines.join('\n')}\n`);
}

const scan = (after: Cursor | null = null): AsyncIterable<Page> => opened.spoke.scan(order, fields, after, interactive);
const quantities = (page: Page): unknown[] =>
  page.records.map((record) => record.children['lineItems']?.map((line) => line.fields[remotePath('quantity')]));

test.each([true, false])(
  'a result of 10 MB is read line by line, whether or not the host knows ranges: %s',
  async (ranges) => {
    await start({ file: orders(2500, 4000), ranges });
    const pages = await collect(scan());
    const records = pages.flatMap((page) => page.records);
    expect(records.map((record) => record.externalId)).toEqual(
      Array.from({ length: 2500 }, (_, n) => `gid://shopify/Order/${n + 1}`),
    );
    expect(new Set(pages.flatMap(quantities).map((each) => JSON.stringify(each)))).toEqual(new Set(['[1,2]']));
    expect(records.every((record) => record.fields[remotePath('note')] === 'é'.repeat(2000))).toBe(true);
    expect(asked.length).toBe(ranges ? 3 : 1);
    expect(Math.max(...pages.map((page) => page.records.length))).toBeLessThanOrEqual(500);
  },
);

test('F130 the token does not travel to the host of the result', async () => {
  await start({ file: orders(2, 10) });
  await collect(scan());
  expect(asked.map((each) => each.token)).toEqual([false]);
});

test('F66 a cut result fails the scan, which goes on from its last page without a gap or a second operation', async () => {
  await start({ file: orders(2500, 4000), cut: [2] });
  const pages: Page[] = [];
  const read = async (after: Cursor | null): Promise<void> => {
    for await (const page of scan(after)) pages.push(page);
  };
  await expect(read(null)).rejects.toBeInstanceOf(Retriable);
  expect(pages.length).toBeGreaterThan(1);
  await read(pages.at(-1)?.cursor ?? null);
  const seen = pages.flatMap((page) => page.records.map((record) => record.externalId));
  expect(seen).toEqual(Array.from({ length: 2500 }, (_, n) => `gid://shopify/Order/${n + 1}`));
  expect(shop.calls.filter((call) => call.operation === 'TruespokeBulkRun')).toHaveLength(1);
});

test('F18 the operation is stored before it is polled, and the first page lets a crash go on with it', async () => {
  await start({ file: orders(3, 10), statuses: ['CREATED', 'RUNNING', 'COMPLETED'] });
  const iterator = scan()[Symbol.asyncIterator]();
  const first = await iterator.next();
  expect(opened.state.kept.get('bulk:Order')).toBe('gid://shopify/BulkOperation/1');
  expect(shop.calls.map((call) => call.operation)).toEqual(['TruespokeBulkRun']);
  await iterator.return?.();
  const page = first.value as Page;
  expect(page).toMatchObject({ records: [], last: false });
  const rest = await collect(scan(page.cursor));
  expect(rest.flatMap((each) => each.records)).toHaveLength(3);
  expect(shop.calls.filter((call) => call.operation === 'TruespokeBulkRun')).toHaveLength(1);
});

test('an expired result: everything is read again page by page, never skipped', async () => {
  await start({ file: orders(3, 10), statuses: ['EXPIRED'] });
  const cursor = JSON.stringify({
    kind: 'bulk',
    operation: 'gid://shopify/BulkOperation/1',
    byte: 100,
    total: 3,
  }) as Cursor;
  const pages = await collect(scan(cursor));
  expect(pages.at(-1)?.last).toBe(true);
  expect(shop.calls.at(-1)).toMatchObject({ operation: 'TruespokePageOrder', variables: { after: null } });
});

test('a child that stands apart from its parent is an error, not a lost line', async () => {
  const lines = orders(3, 10).toString().split('\n');
  await start({ file: Buffer.from([lines[0], lines[3], lines[1], ''].join('\n')) });
  await expect(collect(scan())).rejects.toThrow(/stands apart/);
});

test('a broken line is an error, not a lost record', async () => {
  await start({ file: Buffer.from(`${orders(1, 10).toString()}{"id":"gid://shopify/Or\n`) });
  await expect(collect(scan())).rejects.toThrow(/not JSON/);
});
