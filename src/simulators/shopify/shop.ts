// Owns the state of one simulated shop and the one door through which it changes: `commit` replaces a row, writes the
// ledger and announces the event. Validation lives in the write rules (customers, products, orders, metafields); the order
// of the steps here is: row, ledger, webhooks. In-memory only.
import type { Clock } from '../../base/clock.js';
import type { Ledger, LedgerImage, LedgerOperation } from '../ledger.js';
import { gid } from './gid.js';
import type {
  BulkRow,
  CustomerRow,
  DefinitionRow,
  MetafieldRow,
  ObjectKind,
  OrderRow,
  OwnerKind,
  ProductRow,
  SubscriptionRow,
  VariantRow,
} from './rows.js';
import { Table } from './table.js';

/** Who writes, and through what. `quiet` writes (seeding) leave no trace in ledger and webhooks. */
export interface Actor {
  readonly name: string;
  readonly route: string;
  readonly requestId: string | null;
  readonly quiet: boolean;
}

/** Something subscribers may want to hear about. */
export interface ShopEvent {
  /** Enum spelling, e.g. `CUSTOMERS_UPDATE`. One act may be news to more than one topic. */
  readonly topics: readonly string[];
  readonly kind: ObjectKind;
  readonly id: number;
}

export interface ShopFacts {
  readonly id: number;
  readonly name: string;
  readonly domain: string;
  readonly email: string;
  readonly currency: string;
  readonly country: string;
  readonly createdAt: number;
}

export class Shop {
  readonly customers = new Table<CustomerRow>(7_000_000_000_000);
  readonly products = new Table<ProductRow>(8_100_000_000_000);
  readonly variants = new Table<VariantRow>(45_000_000_000_000);
  readonly orders = new Table<OrderRow>(5_600_000_000_000);
  readonly metafields = new Table<MetafieldRow>(26_000_000_000_000, false);
  readonly definitions = new Table<DefinitionRow>(130_000_000_000, false);
  readonly subscriptions = new Table<SubscriptionRow>(1_500_000_000_000, false);
  readonly bulk = new Table<BulkRow>(4_200_000_000_000, false);
  readonly customerByEmail = new Map<string, number>();
  readonly customerByPhone = new Map<string, number>();
  readonly productByHandle = new Map<string, number>();
  /** Metafields of one owner by `namespace.key`. */
  readonly owned = new Map<string, Map<string, MetafieldRow>>();
  /** Owners by the value of a unique metafield. */
  readonly uniqueValues = new Map<string, number>();
  readonly ordersOfCustomer = new Map<number, Set<number>>();
  private readonly skus = new Map<string, number>();
  lastOrderNumber = 1000;
  lastMinor = 1_000_000_000_000;

  constructor(
    readonly facts: ShopFacts,
    readonly clock: Clock,
    readonly ledger: Ledger,
    /** Runs after each change that is not quiet. Must not throw. */
    private readonly announce: (event: ShopEvent) => void,
  ) {}

  /** Set while old records are seeded: they carry old stamps. */
  pinned: number | null = null;

  now(): number {
    return this.pinned ?? this.clock.now();
  }

  /** Ids of things inside records: addresses, line items, options. */
  minorId(): number {
    this.lastMinor += 1;
    return this.lastMinor;
  }

  commit(
    actor: Actor,
    change: {
      readonly kind: ObjectKind;
      readonly id: number;
      readonly op: LedgerOperation;
      readonly before: LedgerImage | null;
      readonly after: LedgerImage | null;
      readonly topics: readonly string[];
    },
  ): void {
    if (actor.quiet) return;
    const { kind, id, op, before, after } = change;
    const { name, route, requestId } = actor;
    this.ledger.append({ actor: name, object: kind, id: gid(kind, id), op, before, after, requestId, route });
    if (change.topics.length > 0) this.announce({ topics: change.topics, kind, id });
  }

  /** For effects that nobody wrote: an order makes its customer's totals move. No ledger entry. */
  ripple(actor: Actor, event: ShopEvent): void {
    if (!actor.quiet) this.announce(event);
  }

  /** The variant with this SKU, the oldest of several. Remembers, and checks what it remembers. */
  variantBySku(sku: string): number | null {
    const known = this.variants.get(this.skus.get(sku) ?? null);
    if (known?.sku === sku) return known.id;
    for (const row of this.variants.live())
      if (row.sku !== null && !this.skus.has(row.sku)) this.skus.set(row.sku, row.id);
    const found = this.variants.get(this.skus.get(sku) ?? null);
    if (found?.sku === sku) return found.id;
    this.skus.delete(sku);
    for (const row of this.variants.live()) if (row.sku === sku) return row.id;
    return null;
  }

  metafieldsOf(kind: OwnerKind, id: number): Iterable<MetafieldRow> {
    return this.owned.get(ownerKey(kind, id))?.values() ?? [];
  }

  metafieldOf(kind: OwnerKind, id: number, namespace: string, key: string): MetafieldRow | undefined {
    return this.owned.get(ownerKey(kind, id))?.get(`${namespace}.${key}`);
  }

  definitionOf(kind: OwnerKind, namespace: string, key: string): DefinitionRow | undefined {
    for (const row of this.definitions.live()) {
      if (row.ownerKind === kind && row.namespace === namespace && row.key === key) return row;
    }
    return undefined;
  }

  /** The record that holds a unique metafield value. */
  ownerByValue(kind: OwnerKind, namespace: string, key: string, value: string): number | null {
    return this.uniqueValues.get(uniqueKey(kind, namespace, key, value)) ?? null;
  }
}

export function ownerKey(kind: OwnerKind, id: number): string {
  return `${kind}/${String(id)}`;
}

export function uniqueKey(kind: OwnerKind, namespace: string, key: string, value: string): string {
  return JSON.stringify([kind, namespace, key, value]);
}
