// Owns what the steps of an inbound page share: their dependencies, their limits, the page itself. Decides nothing.
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import type { Ids } from '../base/random.js';
import type { Mapping, SpokeMapping } from '../mapping/mapping.js';
import type { DeletionLimits, DeletionWindow } from '../model/deletion-window.js';
import type { EntityName, ExternalId, HubId, ObjectName, SpokeName } from '../model/ids.js';
import type { RemoteRecord } from '../model/record.js';
import type { HubTable } from '../store/hub.js';
import type { Pool, Tx } from '../store/pool.js';
import type { Feed } from './batch.js';
import type { Evidence } from './decide.js';

export interface InboundDeps {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly mapping: Mapping;
  readonly tables: ReadonlyMap<EntityName, HubTable>;
  readonly limits: InboundLimits;
  /** Spokes whose mass-deletion limit is their own; the others have `limits.massDelete`. */
  readonly deletions?: ReadonlyMap<SpokeName, DeletionLimits> | undefined;
}

export interface InboundRun extends InboundDeps {
  readonly window: DeletionWindow;
}

export interface InboundLimits {
  readonly batchRecords: number;
  /** Within a quarter of an hour. */
  readonly massDelete: DeletionLimits;
  readonly referenceWaitMs: number;
  /** So many new records in a batch are copied in instead of inserted. */
  readonly copyFrom?: number;
}

export interface Page {
  readonly spoke: SpokeName;
  readonly object: ObjectName;
  readonly records: readonly RemoteRecord[];
  readonly evidence: Evidence;
  /** For records read by id: when our last write to each was confirmed, as it stood before they were read. */
  readonly settled?: ReadonlyMap<string, string | null> | undefined;
  /** Backfill pages yield to live edits on their way out. */
  readonly lane: 'interactive' | 'backfill';
  /** Deletions in it were approved by a person. */
  readonly approved?: boolean;
  /** Records that outbound found to be a certain hub record. */
  readonly belongsTo?: ReadonlyMap<ExternalId, HubId> | undefined;
  /** Records that a person has said are new ones. */
  readonly standsAlone?: ReadonlySet<ExternalId> | undefined;
  /** Runs first, in the transaction of the page's first batch: what is replayed is no longer parked. */
  readonly before?: (tx: Tx) => Promise<void>;
  /** Runs in the transaction of the page's last batch: the cursor, the finished hints. */
  readonly commit?: (tx: Tx) => Promise<void>;
}

export interface Hooks {
  readonly before: Page['before'] | undefined;
  readonly commit: Page['commit'] | undefined;
}

export const feedOf = ({ spoke, entity }: SpokeMapping): Feed => ({ spoke, entity });
