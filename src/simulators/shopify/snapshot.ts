// Owns taking a simulated shop out of memory and putting it back: records with their ids and stamps, metafields, subscriptions. Ledger,
// bulk operations and deliveries under way are of one run and stay behind.
import type { ObjectKind, Stamped } from './rows.js';
import type { Shop } from './shop.js';
import type { Table, TableSnapshot } from './table.js';

const kinds = ['customers', 'products', 'variants', 'orders', 'metafields', 'definitions', 'subscriptions'] as const;
const indexes = ['customerByEmail', 'customerByPhone', 'productByHandle', 'uniqueValues'] as const;

export interface ShopSnapshot {
  readonly domain: string;
  readonly tables: Readonly<Record<string, TableSnapshot<Stamped & { readonly kind: ObjectKind }>>>;
  readonly indexes: Readonly<Record<string, readonly (readonly [string, number])[]>>;
  /** Ids of metafields by owner. */
  readonly owned: readonly (readonly [string, readonly number[]])[];
  readonly ordersOfCustomer: readonly (readonly [number, readonly number[]])[];
  readonly lastOrderNumber: number;
  readonly lastMinor: number;
}

export function snapshotOf(shop: Shop): ShopSnapshot {
  return {
    domain: shop.facts.domain,
    tables: Object.fromEntries(kinds.map((kind) => [kind, shop[kind].snapshot()])),
    indexes: Object.fromEntries(indexes.map((name) => [name, [...shop[name]]])),
    owned: [...shop.owned].map(([owner, rows]) => [owner, [...rows.values()].map((row) => row.id)]),
    ordersOfCustomer: [...shop.ordersOfCustomer].map(([customer, orders]) => [customer, [...orders]]),
    lastOrderNumber: shop.lastOrderNumber,
    lastMinor: shop.lastMinor,
  };
}

/** Into a fresh shop. Throws RangeError for a snapshot of another shop. */
export function restore(shop: Shop, snapshot: ShopSnapshot): void {
  if (snapshot.domain !== shop.facts.domain) {
    throw new RangeError(`the snapshot is of ${snapshot.domain}, not ${shop.facts.domain}`);
  }
  for (const kind of kinds) {
    const kept = snapshot.tables[kind];
    // One table holds rows of one kind, and `snapshotOf` wrote them from the same table.
    if (kept !== undefined) (shop[kind] as unknown as Table<Stamped>).restore(kept, shop.clock.now());
  }
  for (const name of indexes) for (const [key, id] of snapshot.indexes[name] ?? []) shop[name].set(key, id);
  for (const [owner, ids] of snapshot.owned) {
    const rows = ids.flatMap((id) => shop.metafields.get(id) ?? []);
    shop.owned.set(owner, new Map(rows.map((row) => [`${row.namespace}.${row.key}`, row])));
  }
  for (const [customer, orders] of snapshot.ordersOfCustomer) shop.ordersOfCustomer.set(customer, new Set(orders));
  shop.lastOrderNumber = snapshot.lastOrderNumber;
  shop.lastMinor = snapshot.lastMinor;
}
