// Owns what the steps of one outbound batch share: their dependencies, their limits and the batch itself. Decides nothing.
import type { Backoff } from '../base/backoff.js';
import type { Clock } from '../base/clock.js';
import type { SpokePaused } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Random } from '../base/random.js';
import type { CallOptions } from '../connectors/connector.js';
import type { Mapping, SpokeMapping } from '../mapping/mapping.js';
import { selectionOf } from '../mapping/selection.js';
import type { EntityName, ExternalId, HubId, SpokeName } from '../model/ids.js';
import type { RemoteRecord } from '../model/record.js';
import type { HubTable } from '../store/hub.js';
import type { Pool } from '../store/pool.js';
import type { Planned } from './claimed.js';
import type { Outgoing } from './deliver.js';
import type { OpenSpoke } from './open-spoke.js';
import type { Pace } from './pace.js';

/** Where outbound hands what a spoke showed: inbound merges it, in its own transaction. */
export type InboundDoor = (observed: {
  readonly spoke: SpokeName;
  readonly object: SpokeMapping['object'];
  readonly records: readonly RemoteRecord[];
  readonly belongsTo?: ReadonlyMap<ExternalId, HubId>;
}) => Promise<void>;

export interface OutboundDeps {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly mapping: Mapping;
  readonly tables: ReadonlyMap<EntityName, HubTable>;
  readonly inbound: InboundDoor;
  readonly worker: string;
  readonly limits: OutboundLimits;
  /** Named instants at which drills kill the process. */
  readonly crashpoint: (name: string) => void;
  /** Called when a batch has been claimed. `more`: something else was due, and may go out beside it. */
  readonly onClaimed?: ((more: boolean) => void) | undefined;
  /** Called when a batch has left something behind that may go at once: freed by it, put off, or edited meanwhile. */
  readonly onFreed?: (() => void) | undefined;
  /** Says whether what is due may be claimed now; without it, it may. */
  readonly pace?: Pace | undefined;
  /** Runs the calls of a batch, from its first look to its last answer, when the spoke has a free lane; without it, at once. */
  readonly inLane?: (<T>(calls: () => Promise<T>) => Promise<T>) | undefined;
}

export interface OutboundLimits {
  /** How long a record waits for one that it refers to before a person is asked (F122); a day when left out. */
  readonly referenceWaitMs?: number | undefined;
  readonly leaseMs: number;
  readonly attemptsMax: number;
  readonly backoff: Backoff;
  /** Most records in one piece of bulk work: bounds memory and the time of a lease. */
  readonly bulkRecords: number;
  /** Batches up to this size use conditional writes where the spoke has them: each costs a call of its own. */
  readonly conditionalRecords: number;
  /** How long a record whose fate is unknown is looked for before its create may be repeated at a spoke without idempotency. */
  readonly unknownReadBacks: number;
}

export interface Delivered {
  /** Deliveries claimed; 0 = nothing was due. */
  readonly claimed: number;
  readonly writes: number;
  readonly parked: number;
  readonly unknown: number;
  readonly pause: SpokePaused | null;
}

export const idle: Delivered = { claimed: 0, writes: 0, parked: 0, unknown: 0, pause: null };

export interface Batch {
  readonly deps: OutboundDeps;
  readonly open: OpenSpoke;
  readonly mapping: SpokeMapping;
  readonly options: CallOptions;
  /** By the clock that no step moves: how old the lease is. */
  readonly claimedAtMs: number;
  readonly feed: { readonly spoke: SpokeName; readonly entity: EntityName };
}

export interface Sendable extends Planned {
  readonly outgoing: Outgoing;
  readonly again: boolean;
}

/** What is read of a record of this batch. */
export const readOf = ({ deps, open, mapping }: Batch): ReturnType<typeof selectionOf> =>
  selectionOf(deps.mapping, open.name, mapping.object);
