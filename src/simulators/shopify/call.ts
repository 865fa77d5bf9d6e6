// Owns what a GraphQL call carries to the resolvers: the shop, who calls, and the quirks that are switched on.
import type { BulkRow, SubscriptionRow } from './rows.js';
import type { SearchQuirks, SearchWarning } from './search.js';
import type { Actor, Shop } from './shop.js';

export interface Quirks extends SearchQuirks {
  /** How far listings with a `query` or sorted by UPDATED_AT are behind, in ms. */
  searchLagMs: number;
  /** Lagging listings also show the old values of a record, not only its old membership. */
  staleBodies: boolean;
  greaterActsAsGreaterOrEqual: boolean;
}

/** What bulk operations offer to mutations. */
export interface BulkDoor {
  startQuery(call: Call, query: string, grouped: boolean): BulkRow;
  startMutation(call: Call, mutation: string, stagedPath: string): BulkRow;
  cancel(call: Call, id: number): BulkRow;
  urlOf(row: BulkRow): string | null;
  stage(filename: string): { readonly url: string; readonly path: string };
}

export interface SearchNotice {
  readonly path: readonly (string | number)[];
  readonly query: string;
  readonly warnings: readonly SearchWarning[];
}

export interface Call {
  readonly shop: Shop;
  readonly actor: Actor;
  /** The version that answers, e.g. `2026-10`. */
  readonly version: string;
  readonly versions: readonly string[];
  readonly quirks: Quirks;
  readonly bulk: BulkDoor;
  readonly scopes: readonly string[];
  readonly notices: SearchNotice[];
  /** Set while a bulk query runs: connections come whole, the outermost one shows only this slice. */
  readonly slice: BulkSlice | null;
}

export interface BulkSlice {
  readonly from: number;
  readonly size: number;
  /** How many rows the outermost connection has; set by it. */
  total: number;
}

/** Only webhooks to this machine can be subscribed. */
export function deliverable(row: Pick<SubscriptionRow, 'uri'>): boolean {
  try {
    const { protocol, hostname } = new URL(row.uri);
    return (
      /^https?:$/.test(protocol) &&
      (hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname))
    );
  } catch {
    return false;
  }
}
