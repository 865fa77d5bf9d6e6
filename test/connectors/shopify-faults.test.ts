// What each failure of Shopify becomes: never a false success, never a second send, one result a write.
// Proves: Law 5, Invariant 7
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { Retriable, SpokePaused, Unreachable } from '../../src/base/errors.js';
import type { Write, WriteResult } from '../../src/connectors/connector.js';
import { externalId, hubId, objectName, remotePath } from '../../src/model/ids.js';
import { interactive, openShopify, scriptedShop } from './shopify-support.js';
import type { Answer, Opened, ScriptedShop } from './shopify-support.js';

const customer = objectName('Customer');
const gid = (n: number): string => `gid://shopify/Customer/${n}`;
const fields = (
  paths: Record<string, unknown>,
): Write['hubId'] extends never ? never : Extract<Write, { op: 'update' }>['fields'] => paths as never;

const update = (n: number, paths: Record<string, unknown> = { firstName: 'Ada' }): Write => ({
  op: 'update',
  object: customer,
  hubId: hubId(`h${n}`),
  externalId: externalId(gid(n)),
  fields: fields(paths),
  children: {},
  expect: null,
});
const remove = (n: number): Write => ({
  op: 'delete',
  object: customer,
  hubId: hubId(`h${n}`),
  externalId: externalId(gid(n)),
});

const shown = (n: number): object => ({
  customer: {
    id: gid(n),
    updatedAt: '2026-11-21T10:00:00Z',
    hubKey: null,
    firstName: 'Ada',
    defaultEmailAddress: null,
  },
  userErrors: [],
});

let shop: ScriptedShop;
let opened: Opened;

async function start(answer: Answer, config: object = {}): Promise<void> {
  shop = await scriptedShop(answer);
  opened = await openShopify(shop.url, { config });
}

afterEach(async () => {
  await opened.close();
  await shop.close();
});

const write = (...writes: readonly Write[]): Promise<readonly WriteResult[]> => opened.spoke.write(writes, interactive);

describe('limits', () => {
  test.each([
    ['seconds', '2.0', 2_000],
    ['garbage', 'soon', 2_000],
    ['absent', undefined, 2_000],
    ['more than is sensible', '86400', 120_000],
  ])('F59 429 with Retry-After: %s', async (_name, header, ms) => {
    await start((_call, response) => {
      response.statusCode = 429;
      if (header !== undefined) response.setHeader('retry-after', header);
      return { errors: 'Throttled' };
    });
    const [result] = await write(update(1));
    expect(result?.outcome).toBe('throttled');
    const waited = opened.limiter.backOffs[0]?.ms ?? 0;
    expect(waited).toBeGreaterThanOrEqual(ms);
    expect(waited).toBeLessThanOrEqual(ms * 1.1 + 1);
    expect(shop.calls).toHaveLength(1);
  });

  test('F59 429 with Retry-After: a date', async () => {
    await start((_call, response) => {
      response.statusCode = 429;
      const now = Date.UTC(2026, 10, 21, 10, 0, 0);
      response.setHeader('date', new Date(now).toUTCString());
      response.setHeader('retry-after', new Date(now + 5_000).toUTCString());
      return {};
    });
    await write(update(1));
    expect(opened.limiter.backOffs[0]?.ms).toBeGreaterThan(4_000);
    expect(opened.limiter.backOffs[0]?.ms).toBeLessThan(6_000);
  });

  const throttled = {
    errors: [{ message: 'Throttled', extensions: { code: 'THROTTLED' } }],
    extensions: {
      cost: {
        requestedQueryCost: 300,
        throttleStatus: { maximumAvailable: 2000, currentlyAvailable: 100, restoreRate: 100 },
      },
    },
  };

  test('F60 THROTTLED in an HTTP 200 waits for the restore rate and is not sent again', async () => {
    await start(() => throttled);
    const results = await write(update(1), update(2));
    expect(results.map((result) => result.outcome)).toEqual(['throttled', 'throttled']);
    expect(opened.limiter.backOffs).toEqual([{ ms: 2_000, reason: 'THROTTLED' }]);
    expect(opened.limiter.budgets[0]).toMatchObject({ remaining: 100, limit: 2000 });
    expect(shop.calls).toHaveLength(1);
  });

  test('F60 a throttled read is read again once the shop allows', async () => {
    let n = 0;
    await start(() => ((n += 1) === 1 ? throttled : { data: { nodes: [] } }));
    await expect(
      opened.spoke.fetch(customer, [externalId(gid(1))], { paths: [], children: {} }, interactive),
    ).resolves.toEqual([]);
    expect(shop.calls).toHaveLength(2);
  });
});

describe('lost and broken answers', () => {
  test('F62 503 is unknown, after one request', async () => {
    await start((_call, response) => {
      response.statusCode = 503;
      return {};
    });
    expect((await write(update(1))).map((result) => result.outcome)).toEqual(['unknown']);
    expect(shop.calls).toHaveLength(1);
  });

  test('F63 connect refused: nothing was sent, and the caller is told so', async () => {
    await start(() => ({}));
    await opened.close();
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const port = (closed.address() as { port: number }).port;
    await new Promise((resolve) => closed.close(resolve));
    opened = await openShopify(`http://127.0.0.1:${port}`);
    await expect(write(update(1))).rejects.toBeInstanceOf(Unreachable);
  });

  test('F64 connection lost after the request arrived: unknown for all, and the library resends nothing', async () => {
    await start((_call, _response, request) => {
      request.socket.destroy();
      return null;
    });
    const results = await write(update(1), update(2));
    expect(results.map((result) => result.outcome)).toEqual(['unknown', 'unknown']);
    expect(shop.calls).toHaveLength(1);
  });

  test('F66 body cut: unknown', async () => {
    await start((_call, response) => {
      response.setHeader('content-type', 'application/json');
      response.setHeader('content-length', '5000');
      response.write('{"data":{"w0_0":');
      setTimeout(() => response.destroy(), 20);
      return null;
    });
    expect((await write(update(1)))[0]?.outcome).toBe('unknown');
  });

  test('F81 an answer that never ends: unknown at the total deadline', async () => {
    await start(
      (_call, response) => {
        response.setHeader('content-type', 'application/json');
        const drip = setInterval(() => response.write(' '), 20);
        response.on('close', () => clearInterval(drip));
        return null;
      },
      { deadlineSeconds: 0.3 },
    );
    expect((await write(update(1)))[0]?.outcome).toBe('unknown');
  });

  test.each([
    ['HTML', 'text/html', '<html>maintenance</html>'],
    ['broken JSON', 'application/json', '{"data": {'],
    ['JSON of another form', 'application/json', '"fine"'],
    ['neither data nor errors', 'application/json', '{}'],
  ])('F67 200 with %s: unknown for a write, a failure for a read', async (_name, type, text) => {
    await start((_call, response) => {
      response.setHeader('content-type', type);
      response.end(text);
      return null;
    });
    expect((await write(update(1)))[0]?.outcome).toBe('unknown');
    const read = opened.spoke.fetch(customer, [externalId(gid(1))], { paths: [], children: {} }, interactive);
    await expect(read).rejects.toBeInstanceOf(Retriable);
  });
});

describe('one result a write', () => {
  test('F68 userErrors in an HTTP 200 are a rejection with its paths', async () => {
    await start(() => ({
      data: {
        w0_0: {
          customer: null,
          userErrors: [{ field: ['input', 'firstName'], message: 'is too long', code: 'TOO_LONG' }],
        },
      },
    }));
    expect(await write(update(1))).toEqual([
      {
        outcome: 'rejected',
        code: 'TOO_LONG',
        message: 'input.firstName: is too long',
        recovery: 'park',
        paths: ['firstName'],
      },
    ]);
  });

  test('F69 partial batch: each write has its own outcome', async () => {
    await start(() => ({
      data: {
        w0_0: shown(1),
        w1_0: { customer: null, userErrors: [{ field: ['input', 'email'], message: 'is invalid', code: 'INVALID' }] },
        w2_0: null,
      },
      errors: [{ message: 'Internal error', path: ['w2_0'], extensions: { code: 'INTERNAL_SERVER_ERROR' } }],
    }));
    const results = await write(update(1), update(2), update(3));
    expect(results.map((result) => result.outcome)).toEqual(['applied', 'rejected', 'unknown']);
  });

  test('F70 fewer and reordered results are matched by alias; what is missing is unknown', async () => {
    await start(() => ({ data: { w2_0: shown(3), w0_0: shown(1) } }));
    const results = await write(update(1), update(2), update(3));
    expect(results.map((result) => (result.outcome === 'applied' ? result.externalId : result.outcome))).toEqual([
      gid(1),
      'unknown',
      gid(3),
    ]);
  });

  test('F70 a result that shows another record is not taken for ours', async () => {
    await start(() => ({ data: { w0_0: shown(9) } }));
    expect((await write(update(1)))[0]?.outcome).toBe('unknown');
  });

  test('F84 DELETE answered "does not exist" is success', async () => {
    await start(() => ({
      data: { w0_0: { deletedCustomerId: null, userErrors: [{ field: ['id'], message: "Customer can't be found" }] } },
    }));
    expect((await write(remove(1)))[0]).toMatchObject({ outcome: 'applied', externalId: gid(1) });
  });

  test('an update of what does not exist is gone', async () => {
    await start(() => ({
      data: {
        w0_0: {
          customer: null,
          userErrors: [
            { field: ['input'], message: 'Resource matching the identifier was not found.', code: 'NOT_FOUND' },
          ],
        },
      },
    }));
    expect((await write(update(1)))[0]).toMatchObject({ outcome: 'rejected', recovery: 'gone' });
  });

  test('a value that refuses the whole request parks its own record only', async () => {
    await start((call) => {
      if (JSON.stringify(call.variables).includes('bad')) {
        return {
          errors: [
            {
              message: 'Variable $w1_0_input of type CustomerSetInput! was provided invalid value',
              extensions: { code: 'INVALID_VARIABLE' },
            },
          ],
        };
      }
      const id = /Customer\/(\d+)/.exec(JSON.stringify(call.variables))?.[1];
      return { data: { w0_0: shown(Number(id)) } };
    });
    const results = await write(update(1), update(2, { firstName: 'bad' }), update(3));
    expect(results.map((result) => result.outcome)).toEqual(['applied', 'rejected', 'applied']);
  });

  test('what Shopify cannot change is refused without a request', async () => {
    await start(() => ({}));
    const order = objectName('Order');
    const base = { object: order, hubId: hubId('h'), externalId: externalId('gid://shopify/Order/1') };
    const line = { hubId: hubId('l'), externalId: null, fields: {} };
    const results = await write(
      { ...base, op: 'update', fields: {}, children: { lineItems: [line] }, expect: null },
      { ...base, op: 'update', fields: fields({ processedAt: '2026-01-01T00:00:00Z' }), children: {}, expect: null },
      { ...base, op: 'delete' },
      { ...base, op: 'undelete' },
    );
    expect(results.map((result) => (result.outcome === 'rejected' ? result.code : result.outcome))).toEqual([
      'unsupported_change',
      'unsupported_change',
      'unsupported_delete',
      'unsupported_undelete',
    ]);
    expect(shop.calls).toHaveLength(0);
  });
});

describe('the shop is not what it was', () => {
  test.each([[401], [403], [402], [404], [423]])('F77 HTTP %i pauses the spoke after one try', async (status) => {
    await start((_call, response) => {
      response.statusCode = status;
      return { errors: 'no' };
    });
    await expect(write(update(1))).rejects.toBeInstanceOf(SpokePaused);
    expect(shop.calls).toHaveLength(1);
  });

  test('F78 a field we may not see is absent, not null', async () => {
    const node = {
      __typename: 'Customer',
      id: gid(1),
      updatedAt: '2026-11-21T10:00:00Z',
      hubKey: null,
      firstName: 'Ada',
      note: null,
    };
    await start(() => ({
      data: { nodes: [node] },
      errors: [
        { message: 'Access denied for note field.', path: ['nodes', 0, 'note'], extensions: { code: 'ACCESS_DENIED' } },
      ],
    }));
    const paths = ['firstName', 'note'].map(remotePath);
    const [record] = await opened.spoke.fetch(customer, [externalId(gid(1))], { paths, children: {} }, interactive);
    expect(record?.fields).toEqual({ firstName: 'Ada' });
  });

  test.each([[['nodes', 0]], [['nodes', 0, 'displayName']]])(
    'F78 a record we may not see is not one that does not exist: %j',
    async (path) => {
      await start(() => ({
        data: { nodes: [null] },
        errors: [{ message: 'Access denied for Customer object.', path, extensions: { code: 'ACCESS_DENIED' } }],
      }));
      const read = opened.spoke.fetch(customer, [externalId(gid(1))], { paths: [], children: {} }, interactive);
      await expect(read).rejects.toMatchObject({ recovery: 'pause', code: 'access_denied' });
    },
  );

  test('F79 a version that fell forward raises the alarm once and shows in the schema', async () => {
    const alarms: unknown[] = [];
    shop = await scriptedShop((_call, response) => {
      response.setHeader('x-shopify-api-version', '2027-01');
      return { data: { shop: null, currentAppInstallation: { accessScopes: [{ handle: 'read_customers' }] } } };
    });
    const log = { error: (event: unknown) => alarms.push(event), warn: () => undefined };
    opened = await openShopify(shop.url, { deps: { log: log as never } });
    await opened.spoke.describe([customer]);
    const schema = await opened.spoke.describe([customer]);
    expect(schema.apiVersion).toBe('2027-01');
    expect(alarms).toEqual([
      { spoke: 'shopify', pinned: '2026-10', served: '2027-01', code: 'api_version_fell_forward' },
    ]);
  });

  test('F80 a redirect to another host is refused, and the token goes nowhere', async () => {
    const elsewhere = await scriptedShop(() => ({}));
    await start((_call, response) => {
      response.statusCode = 302;
      response.setHeader('location', `${elsewhere.url}/admin`);
      return {};
    });
    await expect(write(update(1))).rejects.toMatchObject({ code: 'redirected' });
    expect(elsewhere.calls).toHaveLength(0);
    await elsewhere.close();
  });

  test('another shop behind the token pauses the spoke', async () => {
    await start(() => ({
      data: {
        shop: {
          id: 'gid://shopify/Shop/2',
          name: 'Other',
          myshopifyDomain: 'other.myshopify.com',
          currencyCode: 'EUR',
        },
      },
    }));
    await expect(opened.spoke.identity()).rejects.toMatchObject({ code: 'other_shop' });
  });

  test('a bulk result on a foreign host is not fetched', async () => {
    await start((call) => {
      const operation = {
        id: 'gid://shopify/BulkOperation/1',
        status: 'COMPLETED',
        url: 'https://storage.example.com/x',
        rootObjectCount: '1',
      };
      return call.operation === 'TruespokeBulkRun'
        ? { data: { bulkOperationRunQuery: { bulkOperation: operation, userErrors: [] } } }
        : { data: { bulkOperation: operation } };
    });
    const scan = opened.spoke.scan(customer, { paths: [], children: {} }, null, interactive)[Symbol.asyncIterator]();
    await scan.next();
    await expect(scan.next()).rejects.toMatchObject({ code: 'foreign_host' });
  });
});
