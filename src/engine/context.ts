// What every service of the engine shares. Built once by engine.ts.
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import type { Ids, Random } from '../base/random.js';
import type { SpokePaused } from '../base/errors.js';
import type { BoundLimiter } from '../connectors/limiter-gate.js';
import type { Spoke } from '../connectors/connector.js';
import type { Inbound } from '../inbound/pipeline.js';
import type { Mapping } from '../mapping/mapping.js';
import type { DeletionLimits } from '../model/deletion-window.js';
import type { EntityName, ObjectName, SpokeName } from '../model/ids.js';
import type { RemoteFields } from '../model/record.js';
import type { Counters } from '../model/status.js';
import type { HubTable } from '../store/hub.js';
import type { Pool } from '../store/pool.js';
import type { WorkerSession } from '../store/workers.js';
import type { Pauses } from './pauses.js';
import type { Bell } from './service.js';

export interface EngineContext {
  readonly pool: Pool;
  /** Never shared with other work (F40). */
  readonly journalPool: Pool;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly log: Log;
  readonly counters: Counters;
  readonly mapping: Mapping;
  readonly tables: ReadonlyMap<EntityName, HubTable>;
  readonly inbound: Inbound;
  readonly session: WorkerSession;
  readonly pauses: Pauses;
  readonly crashpoint: (name: string) => void;
  /** Spokes whose mass-deletion limits are their own. */
  readonly deletions?: ReadonlyMap<SpokeName, DeletionLimits> | undefined;
}

/** One connected spoke and what its services tell each other. */
export interface LiveSpoke {
  readonly name: SpokeName;
  readonly connector: string;
  readonly spoke: Spoke;
  readonly limiter: BoundLimiter;
  readonly objects: readonly ObjectName[];
  readonly defaults: ReadonlyMap<EntityName, RemoteFields>;
  readonly log: Log;
  /** Rung when there may be something to send, to fetch, to poll. */
  readonly outboundBell: Bell;
  readonly hintBell: Bell;
  readonly pollBell: Bell;
  /** Entities whose existing records were read: creates are safe. */
  readonly ready: Set<EntityName>;
  /** Resolves when the spoke is not paused; at once when the signal aborts. */
  whenOpen(signal: AbortSignal): Promise<void>;
  pause(error: SpokePaused): Promise<void>;
}
