// The engine: prepares the hub, then runs capture, every spoke and housekeeping until the signal aborts. Holds no state that matters:
// a process may die at any instruction and a fresh one goes on from Postgres alone.
import { createHash } from 'node:crypto';
import type { Clock } from '../base/clock.js';
import { Problems } from '../base/errors.js';
import type { Http } from '../base/http.js';
import type { Log } from '../base/log.js';
import type { Ids, Random } from '../base/random.js';
import type { InboundLimits } from '../inbound/page.js';
import { createInbound } from '../inbound/pipeline.js';
import type { Mapping } from '../mapping/mapping.js';
import type { DeletionLimits } from '../model/deletion-window.js';
import type { EntityName, SpokeName } from '../model/ids.js';
import type { Counters, EngineStatus } from '../model/status.js';
import type { CaptureLimits } from '../outbound/capture.js';
import type { OutboundLimits } from '../outbound/batch.js';
import { recoverLeases } from '../store/deliveries.js';
import { migrateHub } from '../store/hub-schema.js';
import { openHubTable, type HubTable } from '../store/hub.js';
import { trimInbox } from '../store/inbox.js';
import { dropJournalBefore } from '../store/journals.js';
import { migrate } from '../store/migrate.js';
import { expireWaiting } from '../store/parked.js';
import { isConnectionLoss, openPool, transaction, type Pool } from '../store/pool.js';
import { ensureFullIdentity, freeReturned } from '../store/resync.js';
import { registerSpoke } from '../store/spokes.js';
import { refreshStatistics } from '../store/statistics.js';
import { openWorker, type WorkerSession } from '../store/workers.js';
import { captureChanges, type CaptureState } from './capture-service.js';
import { deletionLimits, type SpokeSetup } from './connect.js';
import type { EngineContext, LiveSpoke } from './context.js';
import { orderPause, orderResume, type OrderDeps } from './orders.js';
import { describe, supervise, superviseAll } from './service.js';
import { Pauses } from './pauses.js';
import { runSpoke } from './spoke-service.js';
import { readStatus } from './status.js';
import { receiveWebhook } from './webhooks.js';

export interface EngineOptions {
  readonly hub: {
    readonly url: string;
    readonly embedded: boolean;
    readonly serverVersion: string | null;
    readonly poolSize: number;
  };
  readonly spokes: readonly SpokeSetup[];
  readonly mapping: Mapping;
  readonly migrations: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: Ids;
  readonly log: Log;
  readonly http: Http;
  readonly counters: Counters;
  readonly version: string;
  readonly roles: readonly EngineRole[];
  readonly pollMs: number;
  /** How often fields are asked for that a spoke did not show (F78); left out = every minute. */
  readonly unseenMs?: number;
  /** Cron in UTC; null = only on command. */
  readonly reconcileCron: string | null;
  readonly catalogueMs: number;
  readonly retentionMs: number;
  readonly webhookBase: string | null;
  readonly crashpoint: (name: string) => void;
  readonly limits?: Partial<EngineLimits>;
}

export type EngineRole = 'capture' | 'inbound' | 'outbound' | 'reconcile';
export const allRoles: readonly EngineRole[] = ['capture', 'inbound', 'outbound', 'reconcile'];

export interface EngineLimits {
  readonly capture: CaptureLimits;
  readonly inbound: InboundLimits;
  readonly outbound: OutboundLimits;
}

const massDelete: DeletionLimits = { absolute: 100, relative: 0.1 };

export const defaultLimits: EngineLimits = {
  capture: { messagesMax: 10_000, waitMs: 5_000, spillRows: 20_000, massDelete, idleAdvanceMs: 10_000 },
  inbound: { batchRecords: 1_000, massDelete, referenceWaitMs: 24 * 3_600_000 },
  outbound: {
    leaseMs: 300_000,
    attemptsMax: 8,
    backoff: { firstMs: 500, maxMs: 60_000 },
    conditionalRecords: 25,
    bulkRecords: 10_000,
    unknownReadBacks: 4,
  },
};

export const publicationName = 'truespoke';

/** Slots are of the whole cluster, hubs are databases: each hub has a slot of its own. */
export function slotOf(hubUrl: string): string {
  const database = decodeURIComponent(new URL(hubUrl).pathname.slice(1));
  const plain = database.toLowerCase().replace(/[^a-z0-9_]/g, '_');
  if (plain === database && plain.length <= 50) return plain === '' ? 'truespoke' : `truespoke_${plain}`;
  const digest = createHash('sha256').update(database).digest('hex').slice(0, 8);
  return `truespoke_${plain.slice(0, 40)}_${digest}`;
}

export interface Engine {
  /** Migrations, hub tables, spokes. Safe to repeat and to run from many processes. */
  prepare(): Promise<void>;
  /** Runs until the signal aborts; rejects only when it cannot go on. */
  run(signal: AbortSignal): Promise<void>;
  status(): Promise<EngineStatus>;
  webhook(
    spoke: string,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array,
  ): Promise<{ readonly status: number }>;
  pause(spoke: string, by: string): Promise<boolean>;
  resume(spoke: string, by: string): Promise<boolean>;
  close(): Promise<void>;
}

export function createEngine(options: EngineOptions): Engine {
  return new RunningEngine(options);
}

class RunningEngine implements Engine {
  private readonly pool: Pool;
  private readonly journalPool: Pool;
  private readonly lockPool: Pool;
  private readonly limits: EngineLimits;
  private readonly live = new Map<SpokeName, LiveSpoke>();
  private readonly capture: CaptureState = {
    state: 'connecting',
    reason: null,
    acknowledged: null,
    committedAtMs: null,
  };
  private tables: ReadonlyMap<EntityName, HubTable> = new Map();
  private startedAtMs: number | null = null;
  private closed: Promise<void> | null = null;

  constructor(private readonly options: EngineOptions) {
    const { hub, clock, random, log } = options;
    const onIdleError = (error: Error): void => log.warn({ err: describe(error) }, 'hub connection lost');
    const common = { url: hub.url, clock, random, onIdleError };
    this.limits = { ...defaultLimits, ...options.limits };
    this.pool = openPool({ ...common, applicationName: 'truespoke engine', max: hub.poolSize });
    this.journalPool = openPool({ ...common, applicationName: 'truespoke journal', max: 2, reserved: true });
    this.lockPool = openPool({ ...common, applicationName: 'truespoke worker', max: 2, idleInTransactionTimeoutMs: 0 });
  }

  async prepare(): Promise<void> {
    const { options, pool } = this;
    await migrate(pool, options.migrations, () => options.crashpoint('migration_ran'));
    options.crashpoint('schema_migrated');
    await migrateHub(pool, options.mapping);
    options.crashpoint('hub_migrated');
    const tables = new Map<EntityName, HubTable>();
    for (const [name, entity] of options.mapping.entities) tables.set(name, await openHubTable(pool, entity));
    this.refuseUncreatable(tables);
    await transaction(pool, (tx) => ensureFullIdentity(tx, [...tables.values()]));
    for (const spoke of options.spokes) await registerSpoke(pool, spoke.name, spoke.connector.name);
    this.tables = tables;
  }

  /** An adopted table numbers its own rows or lets us make ids; else inbound could never insert. */
  private refuseUncreatable(tables: ReadonlyMap<EntityName, HubTable>): void {
    const numeric = /^(smallint|integer|bigint|numeric)/;
    const problems = [...tables.values()]
      .filter(({ id, entity }) => entity.table.adopted && numeric.test(id.type) && id.sequence === null)
      .map(({ entity, id, sql }) => ({
        message: `table ${sql}: its key ${id.sql} is ${id.type} without a sequence, so entity ${entity.name} cannot get new rows`,
        hint: `ALTER TABLE ${sql} ALTER COLUMN ${id.sql} ADD GENERATED BY DEFAULT AS IDENTITY`,
      }));
    if (problems.length > 0) throw new Problems(problems, 'hub_not_as_mapped');
  }

  async run(signal: AbortSignal): Promise<void> {
    this.startedAtMs = this.options.clock.now();
    const session: Parameters<typeof supervise>[1] = {
      name: 'engine',
      run: (stop) => this.runSession(stop),
    };
    await supervise(this.options, session, signal);
  }

  /** Everything that is held by one worker session; when its connection goes, all of it starts anew. */
  private async runSession(signal: AbortSignal): Promise<void> {
    const session = await openWorker(this.lockPool);
    const stop = AbortSignal.any([signal, session.lost]);
    try {
      await recoverLeases(this.pool, this.options.clock.now());
      const context = this.context(session);
      await superviseAll(this.options, this.services(context), stop);
      if (!signal.aborted) throw session.lost.reason;
    } finally {
      await session.close();
    }
  }

  private context(session: WorkerSession): EngineContext {
    const { clock, random, ids, log, counters, mapping, crashpoint } = this.options;
    const { pool, journalPool, tables } = this;
    const deletions = deletionLimits(this.options.spokes);
    const inbound = createInbound({ pool, clock, ids, log, mapping, tables, limits: this.limits.inbound, deletions });
    const common = { pool, journalPool, clock, random, ids, log, counters, mapping, tables };
    return { ...common, inbound, session, pauses: new Pauses({ pool, clock, log }), crashpoint, deletions };
  }

  private services(context: EngineContext): readonly Parameters<typeof supervise>[1][] {
    const { options, limits } = this;
    const roles = new Set<string>(options.roles);
    const services: Parameters<typeof supervise>[1][] = options.spokes.map((spoke) => ({
      name: `spoke ${spoke.name}`,
      run: (signal) =>
        runSpoke(
          context,
          {
            spoke,
            connect: { ...context, http: options.http, signal },
            schedule: {
              pollMs: options.pollMs,
              quotaReserve: spoke.quotaReserve,
              unseenMs: options.unseenMs ?? 60_000,
            },
            outbound: limits.outbound,
            reconcileCron: options.reconcileCron,
            roles,
            webhookBase: options.webhookBase,
            webhookCheckMs: 60_000,
          },
          this.live,
          signal,
        ),
    }));
    if (roles.has('capture')) {
      const setup = {
        url: options.hub.url,
        slot: slotOf(options.hub.url),
        publication: publicationName,
        limits: limits.capture,
        catalogueMs: Math.min(options.catalogueMs, 60_000),
      };
      services.push({
        name: 'capture',
        run: (signal) => captureChanges(context, setup, this.live, this.capture, signal),
      });
    }
    services.push({ name: 'housekeeping', run: (signal) => this.keepHouse(signal) });
    return services;
  }

  private async keepHouse(signal: AbortSignal): Promise<void> {
    const { clock, log, retentionMs } = this.options;
    for (let round = 0; !signal.aborted; round += 1) {
      await clock.sleep(1_000, signal);
      const taken = await recoverLeases(this.pool, clock.now());
      if (taken > 0) log.warn({ deliveries: taken }, 'leases taken back');
      for (const table of this.tables.values()) await freeReturned(this.pool, table);
      await refreshStatistics(this.pool);
      if (round % 60 !== 0) continue;
      await expireWaiting(this.pool, clock.now());
      await trimInbox(this.pool, clock.now() - retentionMs);
      if (round % 3_600 === 0)
        await dropJournalBefore(this.pool, new Date(clock.now() - retentionMs).toISOString().slice(0, 10));
    }
  }

  status(): Promise<EngineStatus> {
    const { clock, mapping, version, hub, roles } = this.options;
    return readStatus({
      pool: this.pool,
      clock,
      mapping,
      version,
      slot: slotOf(hub.url),
      embedded: hub.embedded,
      serverVersion: hub.serverVersion,
      roles,
      startedAtMs: this.startedAtMs,
      capture: this.startedAtMs === null ? null : this.capture,
      live: this.live,
    });
  }

  webhook(
    spoke: string,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array,
  ): Promise<{ readonly status: number }> {
    const { clock, log, counters, crashpoint, spokes: configured } = this.options;
    const deps = { pool: this.pool, clock, log, counters, live: this.live, configured, crashpoint };
    return receiveWebhook(deps, spoke, headers, body);
  }

  pause(spoke: string, by: string): Promise<boolean> {
    return orderPause(this.orders(by), spoke, { reason: `paused by ${by}`, hint: `truespoke resume ${spoke}` });
  }

  resume(spoke: string, by: string): Promise<boolean> {
    return orderResume(this.orders(by), spoke);
  }

  private orders(by: string): OrderDeps {
    return { pool: this.pool, clock: this.options.clock, actor: `api ${by}` };
  }

  close(): Promise<void> {
    this.closed ??= this.endPools();
    return this.closed;
  }

  private async endPools(): Promise<void> {
    const ended = await Promise.allSettled([this.pool.end(), this.journalPool.end(), this.lockPool.end()]);
    for (const result of ended) {
      if (result.status === 'rejected' && !isConnectionLoss(result.reason)) throw result.reason;
    }
  }
}
