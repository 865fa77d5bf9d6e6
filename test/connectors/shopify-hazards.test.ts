// What @shopify/shopify-api 13.1.0 does that we must never let it do. The first tests pin the library's own behaviour: when
// one of them fails after an upgrade, read HAZARDS again; the others show that our use is out of its reach.
import '@shopify/shopify-api/adapters/node';
import { ApiVersion, Session, shopifyApi } from '@shopify/shopify-api';
import { setAbstractFetchFunc } from '@shopify/shopify-api/runtime';
import { afterEach, describe, expect, test } from 'vitest';
import { externalId, hubId, objectName } from '../../src/model/ids.js';
import { interactive, openShopify, scriptedShop, shop } from './shopify-support.js';
import type { ScriptedShop } from './shopify-support.js';

const mutation = 'mutation M { customerDelete(input: { id: "gid://shopify/Customer/1" }) { deletedCustomerId } }';

function library(url: string): { request(retries: number): Promise<unknown> } {
  const api = shopifyApi({
    apiSecretKey: 'x',
    apiVersion: ApiVersion.January26,
    hostName: 'localhost',
    isEmbeddedApp: false,
    isCustomStoreApp: true,
    adminApiAccessToken: 'shpat_test',
    logger: { log: () => undefined },
  });
  setAbstractFetchFunc(((_input: unknown, init: RequestInit) => fetch(url, init)) as typeof fetch);
  const client = new api.clients.Graphql({ session: new Session({ id: shop, shop, state: '', isOnline: false }) });
  return { request: (retries) => client.request(mutation, { retries }).catch((error: unknown) => error) };
}

let scripted: ScriptedShop;

afterEach(() => scripted.close());

describe('the library, with its own retries', () => {
  test('reads Retry-After seconds as milliseconds', async () => {
    const arrivals: number[] = [];
    scripted = await scriptedShop((_call, response) => {
      arrivals.push(performance.now());
      response.statusCode = 429;
      response.setHeader('retry-after', '2');
      return {};
    });
    await library(scripted.url).request(1);
    expect(arrivals).toHaveLength(2);
    expect((arrivals[1] ?? 0) - (arrivals[0] ?? 0)).toBeLessThan(1_000);
  });

  test('sends a mutation again after a reset', async () => {
    scripted = await scriptedShop((_call, _response, request) => {
      request.socket.destroy();
      return null;
    });
    await library(scripted.url).request(1);
    expect(scripted.calls).toHaveLength(2);
  });

  test('does not retry THROTTLED, and throws partial data away with the error', async () => {
    scripted = await scriptedShop(() => ({
      data: { a: 1 },
      errors: [{ message: 'Throttled', extensions: { code: 'THROTTLED' } }],
    }));
    expect(await library(scripted.url).request(1)).toBeInstanceOf(Error);
    expect(scripted.calls).toHaveLength(1);
  });
});

describe('our use of it', () => {
  const remove = {
    op: 'delete',
    object: objectName('Customer'),
    hubId: hubId('h'),
    externalId: externalId('gid://shopify/Customer/1'),
  } as const;

  test('a mutation is sent once, whatever happens to the connection', async () => {
    scripted = await scriptedShop((_call, _response, request) => {
      request.socket.destroy();
      return null;
    });
    const opened = await openShopify(scripted.url);
    expect((await opened.spoke.write([remove], interactive))[0]?.outcome).toBe('unknown');
    expect(scripted.calls).toHaveLength(1);
    await opened.close();
  });

  test('Retry-After is seconds', async () => {
    scripted = await scriptedShop((_call, response) => {
      response.statusCode = 429;
      response.setHeader('retry-after', '7');
      return {};
    });
    const opened = await openShopify(scripted.url);
    expect((await opened.spoke.write([remove], interactive))[0]).toMatchObject({ outcome: 'throttled' });
    expect(opened.limiter.backOffs[0]?.ms).toBeGreaterThanOrEqual(7_000);
    await opened.close();
  });

  test('two shops opened at once each keep their own way out, though the library has one for all', async () => {
    const seen: string[] = [];
    scripted = await scriptedShop(() => ({
      data: { w0_0: { deletedCustomerId: 'gid://shopify/Customer/1', userErrors: [] } },
    }));
    const other = await scriptedShop((_call, _response, request) => {
      seen.push(String(request.headers['x-shopify-access-token']));
      return { data: { w0_0: { deletedCustomerId: 'gid://shopify/Customer/1', userErrors: [] } } };
    });
    const [one, two] = await Promise.all([
      openShopify(scripted.url),
      openShopify(other.url, { config: { accessToken: 'shpat_other' } }),
    ]);
    await Promise.all(
      Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? one : two).spoke.write([remove], interactive)),
    );
    expect([scripted.calls.length, other.calls.length]).toEqual([10, 10]);
    expect(new Set(seen)).toEqual(new Set(['shpat_other']));
    await Promise.all([one.close(), two.close(), other.close()]);
  });
});
