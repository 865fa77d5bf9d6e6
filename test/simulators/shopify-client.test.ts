// The real client library, @shopify/shopify-api, against the simulated shop. It insists on https://{shop}; only its fetch is
// led to loopback.
import '@shopify/shopify-api/adapters/node';
import { ApiVersion, GraphqlQueryError, HttpResponseError, Session, shopifyApi } from '@shopify/shopify-api';
import { setAbstractFetchFunc } from '@shopify/shopify-api/runtime';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startShopify, type ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { receive, type Receiver } from './shopify-support.js';

const secret = 'the webhook secret';
let sim: ShopifySimulator;

beforeAll(() => {
  setAbstractFetchFunc((input, init) => {
    const url = new URL(input instanceof Request ? input.url : String(input));
    expect(url.origin).toBe(`https://${sim.domain}`);
    return fetch(`${sim.url}${url.pathname}${url.search}`, init);
  });
});

afterAll(() => {
  setAbstractFetchFunc(fetch);
});

const shopify = shopifyApi({
  apiKey: 'key',
  apiSecretKey: secret,
  hostName: 'localhost',
  apiVersion: ApiVersion.January26,
  isEmbeddedApp: false,
  logger: { log: () => undefined },
});

function client(accessToken = sim.accessToken) {
  const session = new Session({ id: 's', shop: sim.domain, state: '', isOnline: false, accessToken });
  return new shopify.clients.Graphql({ session });
}

beforeEach(async () => {
  sim = await startShopify({ webhookSecrets: [secret] });
});

afterEach(() => sim.close());

describe('@shopify/shopify-api 13.1.0', () => {
  test('reads and writes with variables, and sees cost and version', async () => {
    const made = await client().request(
      'mutation($input: CustomerSetInput!) { customerSet(input: $input) { customer { id email } userErrors { field message code } } }',
      { variables: { input: { email: 'Ann@Example.com' } } },
    );
    expect(made.data).toMatchObject({ customerSet: { customer: { email: 'ann@example.com' }, userErrors: [] } });
    expect(made.extensions).toMatchObject({
      cost: { requestedQueryCost: 10, throttleStatus: { maximumAvailable: 2000 } },
    });
    expect(made.headers?.['X-Shopify-Api-Version'] ?? made.headers?.['x-shopify-api-version']).toEqual(['2026-01']);
    expect(sim.ledger.entries({ object: 'Customer' })).toHaveLength(1);
  });

  test('turns errors of the document and a wrong token into its own', async () => {
    await expect(client().request('{ shop { fax } }')).rejects.toBeInstanceOf(GraphqlQueryError);
    await expect(client('shpat_wrong').request('{ shop { id } }')).rejects.toBeInstanceOf(HttpResponseError);
  });

  test('does not retry THROTTLED, which comes with HTTP 200', async () => {
    sim.faults.put({ id: 'f', route: 'query shop', kind: 'throttle', times: 1 });
    await expect(client().request('{ shop { id } }', { retries: 2 })).rejects.toBeInstanceOf(GraphqlQueryError);
    expect(sim.stats().total).toBe(1);
  });

  test('validates the webhooks of the shop, and refuses a forged one', async () => {
    const receiver: Receiver = await receive();
    sim.webhooks.send(receiver.url, 'shop/redact', { shop_id: 1, shop_domain: sim.domain });
    await sim.settled();
    sim.webhooks.plan.forge = 1;
    sim.webhooks.send(receiver.url, 'shop/redact', { shop_id: 1, shop_domain: sim.domain });
    await sim.settled();
    await receiver.close();
    const verdicts = await Promise.all(
      receiver.received.map(({ raw, headers }) => {
        const rawRequest = { headers, url: '/hooks', method: 'POST' };
        return shopify.webhooks.validate({ rawBody: raw.toString('utf8'), rawRequest });
      }),
    );
    expect(verdicts).toMatchObject([
      { valid: true, topic: 'SHOP_REDACT', domain: sim.domain },
      { valid: false, reason: 'invalid_hmac' },
    ]);
  });
});
