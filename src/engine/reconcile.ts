// Owns one reconciliation on command: opens the spoke beside a running engine or without one, compares, and leaves the repair to whoever delivers.
// Calls go through the same limiter and quota ledger as everyone's.
import type { Ids } from '../base/random.js';
import type { EntityName } from '../model/ids.js';
import { sweep, type SweepReport } from '../reconcile/sweep.js';
import { countOpenDrift } from '../store/drift.js';
import { openHubTable, type HubTable } from '../store/hub.js';
import {
  checkContract,
  checkIdentity,
  deletionLimits,
  openSpoke,
  type ConnectDeps,
  type SpokeSetup,
} from './connect.js';

export interface ReconcileDeps extends ConnectDeps {
  readonly ids: Ids;
  /** Only this one, where given. */
  readonly entity?: EntityName | undefined;
  readonly onProgress?: (progress: SweepReport) => void;
}

export interface Reconciliation {
  readonly reports: readonly SweepReport[];
  /** Differences of this spoke that are not repaired yet, whenever they were found. */
  readonly open: number;
}

/** Sweeps one spoke. Rejects when the spoke cannot be reached, is another one than before, or lacks a mapped field. */
export async function reconcileNow(deps: ReconcileDeps, setup: SpokeSetup): Promise<Reconciliation> {
  const tables = new Map<EntityName, HubTable>();
  for (const [name, entity] of deps.mapping.entities) tables.set(name, await openHubTable(deps.pool, entity));
  const { spoke, limiter } = await openSpoke(deps, setup);
  try {
    await checkIdentity(deps, setup.name, spoke);
    await checkContract(deps.mapping, setup.name, spoke);
    const limits = deletionLimits([setup]);
    const reports = await sweep({ ...deps, tables, deletions: limits }, setup.name, spoke, deps.signal);
    return { reports, open: await countOpenDrift(deps.pool, setup.name) };
  } finally {
    await limiter.close();
    await spoke.close();
  }
}
