// Owns a connector opened over real HTTP against a simulated shop, and the words its tests share. Keeps every document
// that left the connector, so that a file's tests can hold them against the official schemas.
import { parse, validate } from 'graphql';
import type { Write, WriteResult } from '../../src/connectors/connector.js';
import { externalId, hubId, objectName, remotePath } from '../../src/model/ids.js';
import type { ExternalId } from '../../src/model/ids.js';
import { startShopify } from '../../src/simulators/shopify/server.js';
import type { ShopifyOptions, ShopifySimulator } from '../../src/simulators/shopify/server.js';
import { interactive, officialSchemas, openShopify } from './shopify-support.js';
import type { Opened } from './shopify-support.js';

export const customer = objectName('Customer');
export const product = objectName('Product');
export const order = objectName('Order');
export const paths = (...names: string[]) => ({ paths: names.map(remotePath), children: {} });
export const person = paths('email', 'firstName', 'lastName', 'phone', 'note', 'tags');
export const article = paths('title', 'variant.sku', 'variant.price', 'status', 'productType');
export const sale = {
  paths: ['name', 'customer', 'currencyCode', 'totalPrice', 'displayFinancialStatus', 'processedAt'].map(remotePath),
  children: { lineItems: ['sku', 'title', 'quantity', 'originalUnitPrice', 'product', 'variant'].map(remotePath) },
};
export const ids = (list: readonly string[]): readonly ExternalId[] => list.map(externalId);
export const byHubId = (id: string) => ({ by: 'hubId', hubId: hubId(id) }) as const;

export function create(
  object: typeof customer,
  id: string,
  fields: Record<string, unknown>,
  lines: Record<string, unknown>[] = [],
): Write {
  const children = lines.map((line, n) => ({ hubId: hubId(`${id}-${n}`), externalId: null, fields: line as never }));
  const base = { op: 'create', object, hubId: hubId(id), fields: fields as never } as const;
  return { ...base, children: lines.length === 0 ? {} : { lineItems: children } };
}

export const update = (object: typeof customer, id: string, fields: Record<string, unknown>): Write => ({
  op: 'update',
  object,
  hubId: hubId('h'),
  externalId: externalId(id),
  fields: fields as never,
  children: {},
  expect: null,
});

export function applied(result: WriteResult | undefined): Extract<WriteResult, { outcome: 'applied' }> {
  if (result?.outcome !== 'applied') throw new Error(`not applied: ${JSON.stringify(result)}`);
  return result;
}

/** One shop and one connector at a time; `start` before and `stop` after each test. */
export class Live {
  sim!: ShopifySimulator;
  opened!: Opened;
  private readonly sent = new Set<string>();

  async start(options: ShopifyOptions = {}): Promise<void> {
    this.sim = await startShopify({ throttle: { max: 1e6, restorePerSecond: 1e6 }, ...options });
    await this.open();
  }

  /** Another connector on the same shop, as after a restart. */
  async open(config: object = {}): Promise<void> {
    const { accessToken, webhookSecrets, url } = this.sim;
    this.opened = await openShopify(url, { config: { accessToken, webhookSecrets, ...config } });
  }

  async stop(): Promise<void> {
    for (const request of this.opened.requests) {
      if (request.method === 'POST') this.sent.add((JSON.parse(String(request.body)) as { query: string }).query);
    }
    await this.opened.close();
    await this.sim.close();
  }

  write(...writes: Write[]): Promise<readonly WriteResult[]> {
    return this.opened.spoke.write(writes, interactive);
  }

  creates(object: string): number {
    return this.sim.ledger.entries({ object, op: 'create' }).length;
  }

  /** What the official schemas say against the documents that were sent; null when they are not at hand. */
  problems(): { readonly documents: number; readonly problems: readonly string[] } | null {
    const schemas = officialSchemas();
    if (schemas === null) return null;
    const problems = [...schemas].flatMap(([version, schema]) =>
      [...this.sent].flatMap((text) => validate(schema, parse(text)).map((error) => `${version}: ${error.message}`)),
    );
    return { documents: this.sent.size, problems };
  }
}
