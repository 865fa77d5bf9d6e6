// Owns what the engine tells about itself: one plain snapshot that status, metrics, health and the page all read, and the
// names of what is counted. Holds ids and numbers, never a record's values.
import type { SpokeName } from './ids.js';

/** Delivery rows by state; `pending` includes those that wait for their turn to try again. */
export interface DeliveryCounts {
  readonly pending: number;
  readonly sent: number;
  readonly unknown: number;
  readonly parked: number;
}

export interface ReplicationStatus {
  /** `standby`: another process holds the slot. */
  readonly state: 'streaming' | 'connecting' | 'standby' | 'stopped' | 'broken';
  /** Why it is not streaming, with the next step; null while streaming. */
  readonly reason: string | null;
  readonly slot: string;
  /** The slot's own health by name: `healthy`, `lagging`, `lost`, `inactive` … */
  readonly slotHealth: string;
  /** WAL between the server's insert position and what we acknowledged, bytes; null when not known. */
  readonly lagBytes: number | null;
  /** Age of the oldest committed transaction that is not journaled, seconds; null when not known. */
  readonly lagSeconds: number | null;
  /** LSN text. */
  readonly acknowledgedLsn: string | null;
}

export interface QuotaStatus {
  readonly remaining: number;
  readonly limit: number;
  readonly resetAt: string | null;
}

export interface BackfillStatus {
  readonly entity: string;
  readonly state: 'waiting' | 'running' | 'done';
  readonly records: number;
  /** Records to expect, where the remote tells. */
  readonly total: number | null;
  /** Why what was read before is read again; absent or null: it is not. */
  readonly reason?: string | null;
}

export interface SpokeStatus {
  readonly name: SpokeName;
  readonly connector: string;
  readonly state: 'starting' | 'backfilling' | 'live' | 'paused' | 'stopped';
  /** Why it is paused or stopped, with the next step. */
  readonly reason: string | null;
  readonly breaker: 'closed' | 'open' | 'half-open';
  readonly deliveries: DeliveryCounts;
  /** Age of the oldest unsettled delivery, seconds; null when there is none. */
  readonly oldestDeliverySeconds: number | null;
  /** Seconds since the last poll that was complete; null before the first. */
  readonly inboundAgeSeconds: number | null;
  readonly links: number;
  readonly parkedOpen: number;
  readonly conflictsOpen: number;
  readonly driftOpen: number;
  /** null where the spoke tells none. */
  readonly quota: QuotaStatus | null;
  readonly backfill: readonly BackfillStatus[];
}

export interface EngineStatus {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly version: string;
  readonly startedAt: string | null;
  readonly roles: readonly string[];
  readonly hub: { readonly reachable: boolean; readonly embedded: boolean; readonly serverVersion: string | null };
  readonly replication: ReplicationStatus;
  /** Questions that wait for a person: held deletions, ambiguous matches, duplicates. */
  readonly reviewsOpen?: number;
  readonly spokes: readonly SpokeStatus[];
}

/** What happens and is counted. Adding is all a counter can do, so a stage may hold one and stay free of I/O. */
export interface Counters {
  recordsIn(spoke: string, entity: string, count: number): void;
  recordsOut(
    spoke: string,
    entity: string,
    outcome: 'applied' | 'rejected' | 'unknown' | 'throttled' | 'stale' | 'unchanged',
    count: number,
  ): void;
  merges(
    spoke: string,
    entity: string,
    outcome: 'taken' | 'agreed' | 'echo' | 'stale' | 'conflict',
    count: number,
  ): void;
  conflicts(spoke: string, entity: string, count: number): void;
  parked(spoke: string, direction: 'in' | 'out', count: number): void;
  apiCalls(spoke: string, outcome: 'ok' | 'failed' | 'throttled', count: number): void;
  webhooks(spoke: string, outcome: 'stored' | 'duplicate' | 'refused' | 'failed', count: number): void;
  journaled(transactions: number, changes: number): void;
}

const nothing = (): void => undefined;

export const uncounted: Counters = {
  recordsIn: nothing,
  recordsOut: nothing,
  merges: nothing,
  conflicts: nothing,
  parked: nothing,
  apiCalls: nothing,
  webhooks: nothing,
  journaled: nothing,
};
