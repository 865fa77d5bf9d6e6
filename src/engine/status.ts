// Builds the one snapshot that status, metrics, health and the page read. Read from the hub, so that any process can tell.
import type { Clock } from '../base/clock.js';
import { coverageOf, describeUncovered, uncovered } from '../mapping/coverage.js';
import type { Mapping } from '../mapping/mapping.js';
import type { SpokeName } from '../model/ids.js';
import { formatLsn } from '../model/lsn.js';
import type { BackfillStatus, EngineStatus, ReplicationStatus, SpokeStatus } from '../model/status.js';
import { slotHealth } from '../outbound/slot-health.js';
import { readVersionNumber } from '../store/catalogue.js';
import { loadFeeds, type FeedState } from '../store/cursors.js';
import { loadPosition } from '../store/journals.js';
import { isConnectionLoss, type Pool } from '../store/pool.js';
import { loadQuotas, type QuotaRow } from '../store/quota.js';
import { readSlot } from '../store/slots.js';
import { countReviews } from '../store/reviews.js';
import { loadSpokes, type SpokeRow } from '../store/spokes.js';
import { countSpokes, type SpokeCounts } from '../store/status.js';
import type { LiveSpoke } from './context.js';
import type { CaptureState } from './capture-service.js';

export interface StatusInput {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly mapping: Mapping;
  readonly version: string;
  readonly slot: string;
  readonly embedded: boolean;
  readonly serverVersion: string | null;
  readonly roles: readonly string[];
  readonly startedAtMs: number | null;
  /** Absent when this process does not run the engine. */
  readonly capture: CaptureState | null;
  readonly live: ReadonlyMap<SpokeName, LiveSpoke>;
}

export async function readStatus(input: StatusInput): Promise<EngineStatus> {
  const base = {
    at: new Date(input.clock.now()).toISOString(),
    version: input.version,
    startedAt: input.startedAtMs === null ? null : new Date(input.startedAtMs).toISOString(),
    roles: input.roles,
  };
  try {
    const [spokes, counts, feeds, quotas, replication, reviewsOpen] = await Promise.all([
      loadSpokes(input.pool),
      countSpokes(input.pool),
      loadFeeds(input.pool),
      loadQuotas(input.pool),
      readReplication(input),
      countReviews(input.pool),
    ]);
    const quota = new Map(quotas.map((row) => [row.spoke, row]));
    return {
      ...base,
      hub: { reachable: true, embedded: input.embedded, serverVersion: input.serverVersion },
      replication,
      reviewsOpen,
      spokes: spokes.map((row) =>
        spokeStatus(
          input,
          row,
          counts.get(row.name),
          feeds.filter((feed) => feed.spoke === row.name),
          quota.get(row.name),
        ),
      ),
    };
  } catch (error) {
    if (!isConnectionLoss(error)) throw error;
    return {
      ...base,
      hub: { reachable: false, embedded: input.embedded, serverVersion: input.serverVersion },
      replication: stopped(input, error instanceof Error ? error.message : String(error)),
      spokes: [],
    };
  }
}

function stopped(input: StatusInput, reason: string): ReplicationStatus {
  return {
    state: 'stopped',
    reason,
    slot: input.slot,
    slotHealth: 'unknown',
    lagBytes: null,
    lagSeconds: null,
    acknowledgedLsn: null,
  };
}

async function readReplication(input: StatusInput): Promise<ReplicationStatus> {
  const row = await readSlot(input.pool, input.slot, await readVersionNumber(input.pool));
  const health = slotHealth(row);
  const position = await loadPosition(input.pool, input.slot);
  const state = input.capture?.state ?? (row?.active === true ? 'streaming' : 'stopped');
  const reason =
    input.capture === null ? (state === 'stopped' ? 'no engine reads the slot' : null) : input.capture.reason;
  return {
    state,
    reason: reason ?? (health.status === 'healthy' ? null : health.advice),
    slot: input.slot,
    slotHealth: health.status,
    lagBytes: health.lagBytes,
    lagSeconds: lagSeconds(input, health.lagBytes, position?.currentAtMs ?? null),
    acknowledgedLsn: position === null ? null : formatLsn(position.durableLsn),
  };
}

/**
 * At most so old is the oldest commit that is not journaled: nothing before the known time is missing. What this process saw itself is
 * newer than what the hub keeps, which moves every few seconds.
 */
function lagSeconds(input: StatusInput, lagBytes: number, storedMs: number | null): number | null {
  if (lagBytes === 0) return 0;
  const currentMs = Math.max(storedMs ?? -Infinity, input.capture?.committedAtMs ?? -Infinity);
  return currentMs === -Infinity ? null : Math.max(0, Math.round((input.clock.now() - currentMs) / 100) / 10);
}

function spokeStatus(
  input: StatusInput,
  row: SpokeRow,
  counts: SpokeCounts | undefined,
  feeds: readonly FeedState[],
  quota: QuotaRow | undefined,
): SpokeStatus {
  const nowMs = input.clock.now();
  const live = input.live.get(row.name);
  const scans = feeds.filter((feed) => feed.kind === 'scan');
  const age = (ms: number | null | undefined): number | null =>
    ms === null || ms === undefined ? null : Math.max(0, Math.round((nowMs - ms) / 1000));
  const backfill = scans.map((scan) => backfillStatus(input, scan));
  const backfilling = scans.length === 0 || backfill.some((one) => one.state !== 'done');
  const state =
    row.pausedAt !== null ? 'paused' : backfilling ? (scans.length === 0 ? 'starting' : 'backfilling') : 'live';
  const hint = row.pausedHint === null ? '' : ` (${row.pausedHint})`;
  return {
    name: row.name,
    connector: row.connector,
    state,
    reason: row.pausedReason === null ? null : row.pausedReason + hint,
    breaker: live?.limiter.status().breaker ?? 'closed',
    deliveries: {
      pending: (counts?.pending ?? 0) + (counts?.held ?? 0),
      sent: counts?.sent ?? 0,
      unknown: counts?.unknown ?? 0,
      parked: counts?.parkedOpen ?? 0,
    },
    oldestDeliverySeconds: age(counts?.oldestDirtyAtMs),
    inboundAgeSeconds: age(counts?.polledAtMs),
    links: counts?.links ?? 0,
    parkedOpen: counts?.parkedOpen ?? 0,
    conflictsOpen: counts?.conflictsOpen ?? 0,
    driftOpen: counts?.driftOpen ?? 0,
    quota:
      quota === undefined
        ? null
        : {
            remaining: quota.remaining,
            limit: quota.limit,
            resetAt: quota.resetAtMs === null ? null : new Date(quota.resetAtMs).toISOString(),
          },
    backfill,
  };
}

function backfillStatus({ mapping }: StatusInput, scan: FeedState): BackfillStatus {
  const gaps = scan.scanned === null ? [] : uncovered(scan.scanned, coverageOf(mapping, scan.spoke, scan.object));
  const reason = gaps.length === 0 ? null : `newly mapped: ${describeUncovered(gaps).join(', ')}`;
  const waits = gaps.length > 0 && scan.scanning === null;
  return {
    entity: scan.object,
    state: waits ? 'waiting' : scan.finishedAtMs === null ? 'running' : 'done',
    records: scan.records,
    total: scan.total,
    reason,
  };
}
