// Owns what the simulators' own books say: which API calls went over the wire, and whether any record was made twice. The ledgers are written by the
// systems themselves, so they hold what really took effect, answered or not.
import type { LedgerEntry } from '../../simulators/ledger.js';
import type { World } from './world.js';

type Routes = Readonly<Record<string, number>>;

export interface Books {
  readonly salesforce: { readonly routes: Routes; readonly seq: number };
  readonly shopify: { readonly routes: Routes; readonly seq: number };
}

export interface Calls {
  readonly total: number;
  readonly salesforce: Routes;
  readonly shopify: Routes;
}

export function openBooks({ salesforce, shopify }: World): Books {
  return {
    salesforce: { routes: salesforce.stats().byRoute, seq: salesforce.ledger.lastSeq },
    shopify: { routes: shopify.stats().byRoute, seq: shopify.ledger.lastSeq },
  };
}

export function callsSince(world: World, before: Books): Calls {
  const now = openBooks(world);
  const salesforce = increase(before.salesforce.routes, now.salesforce.routes);
  const shopify = increase(before.shopify.routes, now.shopify.routes);
  const total = [...Object.values(salesforce), ...Object.values(shopify)].reduce((sum, count) => sum + count, 0);
  return { total, salesforce, shopify };
}

function increase(before: Routes, after: Routes): Routes {
  const grown = Object.entries(after).map(([route, count]) => [route, count - (before[route] ?? 0)] as const);
  return Object.fromEntries(grown.filter(([, count]) => count > 0));
}

/** Writes of the engine that took effect since. */
export function engineWrites({ salesforce, shopify }: World, since: Books): number {
  const ours = (entry: LedgerEntry): boolean => entry.requestId !== null;
  return (
    salesforce.ledger.entries({ after: since.salesforce.seq }).filter(ours).length +
    shopify.ledger.entries({ after: since.shopify.seq }).filter(ours).length
  );
}

export interface Creates {
  readonly total: number;
  /** `salesforce Contact ann@example.com: made 2 times` */
  readonly duplicates: readonly string[];
}

/** What makes two records the same thing to a person, by object. */
const keys: Readonly<Record<string, (after: Readonly<Record<string, unknown>>) => unknown>> = {
  Contact: (after) => lower(after['Email']),
  Product2: (after) => after['StockKeepingUnit'],
  Order: (after) => after['OrderReferenceNumber'] ?? after['name'],
  OrderItem: (after) => after['Truespoke_Id__c'],
  Customer: (after) => lower(after['email']),
  Product: (after) => (after['variants'] as readonly Readonly<Record<string, unknown>>[] | undefined)?.[0]?.['sku'],
};

/** Every record that came into being since, by whoever made it. */
export function createsSince({ salesforce, shopify }: World, since: Books): Creates {
  const counts = new Map<string, number>();
  let total = 0;
  const count = (system: string, entries: readonly LedgerEntry[]): void => {
    for (const { object, after } of entries) {
      const key = after === null ? undefined : keys[object]?.(after);
      if (key === undefined || key === null) continue;
      total += 1;
      const name = `${system} ${object} ${String(key)}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  };
  count('salesforce', salesforce.ledger.entries({ op: 'create', after: since.salesforce.seq }));
  count('shopify', shopify.ledger.entries({ op: 'create', after: since.shopify.seq }));
  const duplicates = [...counts]
    .filter(([, times]) => times > 1)
    .map(([name, times]) => `${name}: made ${times} times`);
  return { total, duplicates };
}

function lower(value: unknown): string | null {
  return typeof value === 'string' ? value.toLowerCase() : null;
}
