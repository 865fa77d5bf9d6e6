// Owns one life of the engine in a simulated run: its real services over a gated way to Postgres and to the spokes. A life ends by being
// abandoned at any instruction: nobody hears of it, its backends are ended, and the next life starts from the database.
import { silentLog } from '../../src/base/log.js';
import { seeded, seededIds, type Random } from '../../src/base/random.js';
import type { Clock } from '../../src/base/clock.js';
import type { Http } from '../../src/base/http.js';
import type { Capabilities, Limiter, Spoke } from '../../src/connectors/connector.js';
import { plainLimiter } from '../../src/connectors/limiter-plain.js';
import type { BoundLimiter } from '../../src/connectors/limiter-gate.js';
import { openMemory } from '../../src/connectors/memory/index.js';
import type { MemoryRemote } from '../../src/connectors/memory/remote.js';
import { bells } from '../../src/engine/connect.js';
import type { EngineContext, LiveSpoke } from '../../src/engine/context.js';
import { defaultLimits, publicationName, type EngineLimits } from '../../src/engine/engine.js';
import { Pauses } from '../../src/engine/pauses.js';
import { describe, supervise, type ServiceDeps } from '../../src/engine/service.js';
import { runServices } from '../../src/engine/spoke-service.js';
import { createInbound } from '../../src/inbound/pipeline.js';
import type { Mapping } from '../../src/mapping/mapping.js';
import { objectsOf } from '../../src/mapping/selection.js';
import { spokeName, type EntityName, type SpokeName } from '../../src/model/ids.js';
import { uncounted } from '../../src/model/status.js';
import { capture } from '../../src/outbound/capture.js';
import type { TableMap } from '../../src/outbound/change-reader.js';
import { routesOf } from '../../src/outbound/route.js';
import { sweep } from '../../src/reconcile/sweep.js';
import { recoverLeases } from '../../src/store/deliveries.js';
import { postgresLedger } from '../../src/store/quota.js';
import type { HubTable } from '../../src/store/hub.js';
import { loadPosition } from '../../src/store/journals.js';
import { expireWaiting } from '../../src/store/parked.js';
import { openWorker, type WorkerSession } from '../../src/store/workers.js';
import type { Backends } from './backends.js';
import { GatedPool } from './gated-pool.js';
import { Owner, type Scheduler } from './scheduler.js';
import { PeekedSource, type SlotMemory } from './source.js';
import { spokeNames, type SpokeId } from './world.js';

export interface LifeOptions {
  readonly number: number;
  readonly seed: number;
  readonly url: string;
  readonly slot: string;
  readonly slotMemory: SlotMemory;
  readonly scheduler: Scheduler;
  readonly backends: Backends;
  readonly remotes: Readonly<Record<SpokeId, MemoryRemote>>;
  readonly mapping: Mapping;
  readonly tables: ReadonlyMap<EntityName, HubTable>;
  /** The hub machine's wall clock may step. */
  readonly offset: { ms: number };
  readonly limits: Partial<EngineLimits>;
  /** Spokes whose calls are counted, in the hub. */
  readonly quotas: readonly SpokeId[];
  readonly pollMs: number;
  readonly captureMs: number;
  readonly captureMessages: number;
  /** The longest that an answer is on its way now. */
  readonly answerMs: () => number;
  /** Named instant: true = the process dies here. */
  readonly dies: (name: string) => boolean;
  readonly died: (name: string) => void;
  readonly violated: (message: string) => void;
  /** Does the server lose the next acknowledgement? */
  readonly forgets: () => boolean;
  /** Does the server refuse a statement of this name? */
  readonly fails: (label: string) => boolean;
  readonly onResult: (label: string, values: readonly unknown[], rows: readonly unknown[]) => void;
  /** Around every call of a spoke, at its effect. */
  readonly watch: (spoke: SpokeId, call: Spoke) => Spoke;
  readonly onLog: (line: string) => void;
}

/** The place in the source, which depends on what loaded it, is no part of what happened. */
const placeless = (name: string, value: unknown): unknown => (name === 'at' ? undefined : value);

class Died extends Error {
  override readonly name = 'Died';
}

/** No longer than the waits that settling.ts allows for. */
const unseenMs = 5_000;

const noHttp: Http = { request: () => Promise.reject(new Error('no HTTP in the simulation')) };

export class Life {
  readonly owner: Owner;
  readonly pool: GatedPool;
  /** Beside the others, as a stream of replication is. */
  readonly apart: GatedPool;
  readonly clock: Clock;
  private readonly random: Random;
  private readonly stop = new AbortController();
  private context: EngineContext | null = null;
  private readonly live = new Map<SpokeName, LiveSpoke>();

  constructor(private readonly options: LifeOptions) {
    const { scheduler, backends, url, number, seed, offset, onResult, fails } = options;
    this.owner = new Owner(`life${number}`);
    this.clock = scheduler.clockOf(this.owner, offset);
    this.random = seeded(seed * 1_000 + number);
    this.pool = new GatedPool(
      { url, applicationName: this.owner.name, max: 14, clock: this.clock, random: this.random },
      { scheduler, backends, owner: this.owner, hubNowMs: () => this.clock.now(), onResult, fails },
    );
    this.apart = new GatedPool(
      { url, applicationName: this.owner.name, max: 14, clock: this.clock, random: this.random },
      { scheduler, backends, owner: this.owner, hubNowMs: () => this.clock.now(), onResult, fails },
    );
  }

  /** Resolves when the services stop; never once it has died. */
  async run(): Promise<void> {
    // As the engine does: when the session's connection goes, everything starts anew.
    await supervise(this.supervision(), { name: 'engine', run: (stop) => this.session(stop) }, this.stop.signal);
  }

  private async session(stop: AbortSignal): Promise<void> {
    const session = await openWorker(this.pool);
    const signal = AbortSignal.any([stop, session.lost]);
    await recoverLeases(this.pool, this.clock.now());
    const pauses = new Pauses({ pool: this.pool.as('house'), clock: this.clock, log: silentLog });
    const contextOf = (actor: string): EngineContext => this.contextOf(session, pauses, actor);
    this.context = contextOf('sweep');
    const service = (name: string, body: (signal: AbortSignal) => Promise<void>): Promise<void> =>
      supervise(this.supervision(), { name, run: body }, signal);
    await Promise.all([
      service('capture', (stop) => this.capture(contextOf('capture'), stop)),
      service('house', (stop) => this.keepHouse(this.pool.as('house'), stop)),
      ...spokeNames.map((name) => service(name, (stop) => this.turnSpoke(contextOf(name), name, stop))),
    ]);
    await session.close();
    if (!stop.aborted) throw session.lost.reason;
  }

  /** Asks the services to end in order. */
  end(): void {
    this.stop.abort(new Error('the simulated engine stops'));
  }

  /** Compares one spoke with the hub, as the timetable would. */
  async sweep(name: SpokeId): Promise<void> {
    const live = this.live.get(spokeName(name));
    if (this.context === null || live === undefined) return;
    await sweep(this.context, live.name, live.spoke, this.stop.signal).catch((error: unknown) =>
      this.log('sweep', error),
    );
  }

  /** From now on a call of the spoke takes so many. */
  widen(name: SpokeId, sizes: Partial<Capabilities>): void {
    const live = this.live.get(spokeName(name));
    if (live !== undefined) Object.assign(live.spoke.capabilities, sizes);
  }

  private supervision(): ServiceDeps {
    const { clock, random } = this;
    const log = {
      warn: (what: { service?: string; err?: unknown }) =>
        this.options.onLog(`${this.owner.name} ${JSON.stringify(what, placeless)}`),
    };
    return { clock, random, log: log as unknown as ServiceDeps['log'] };
  }

  private log(what: string, error: unknown): void {
    this.options.onLog(`${this.owner.name} ${what} ${JSON.stringify(describe(error), placeless)}`);
  }

  /** What one of the services has: its statements go by its name. */
  private contextOf(session: WorkerSession, pauses: Pauses, actor: string): EngineContext {
    const { mapping, tables, limits } = this.options;
    const { clock, random } = this;
    const pool = this.pool.as(actor);
    const ids = seededIds(clock, random);
    const common = { clock, random, ids, log: silentLog, mapping, tables };
    const inbound = createInbound({ ...common, pool, limits: limits.inbound ?? defaultLimits.inbound });
    return {
      ...common,
      pool,
      journalPool: pool,
      counters: uncounted,
      inbound,
      session,
      pauses,
      crashpoint: (name) => this.crashpoint(name),
    };
  }

  private crashpoint(name: string): void {
    if (this.owner.dead) throw new Died(name);
    if (!this.options.dies(name)) return;
    this.options.died(name);
    throw new Died(name);
  }

  private async capture(context: EngineContext, signal: AbortSignal): Promise<void> {
    const { limits, violated, forgets, mapping, slot, slotMemory, captureMs, captureMessages } = this.options;
    const position = await loadPosition(context.pool, slot);
    if (position === null) throw new Error('no position');
    const source = new PeekedSource({
      pool: this.apart.as('capture'),
      clock: this.clock,
      random: this.random,
      slot,
      memory: slotMemory,
      publication: publicationName,
      pollMs: captureMs,
      messagesMax: captureMessages,
      violated,
      forgets,
    });
    const tables: TableMap = new Map(
      [...context.tables.values()].map(({ entity }) => [
        `${entity.table.schema}.${entity.table.name}`,
        { entity, routes: routesOf(mapping, entity) },
      ]),
    );
    await capture(
      {
        pool: context.pool,
        source,
        position,
        tables,
        clock: this.clock,
        log: silentLog,
        limits: limits.capture ?? defaultLimits.capture,
        crashpoint: context.crashpoint,
        wake: (names) => {
          for (const name of names) this.live.get(name)?.outboundBell.ring();
        },
      },
      signal,
    );
  }

  private async keepHouse(pool: GatedPool, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.clock.sleep(2_000, signal);
      await recoverLeases(pool, this.clock.now());
      await expireWaiting(pool, this.clock.now());
    }
  }

  private async turnSpoke(context: EngineContext, id: SpokeId, signal: AbortSignal): Promise<void> {
    const name = spokeName(id);
    const { remotes, limits, pollMs, mapping, watch } = this.options;
    const scope = new AbortController();
    const inner = AbortSignal.any([signal, scope.signal]);
    const limiter = this.limiterOf(id, inner);
    const spoke = watch(
      id,
      openMemory(remotes[id], {
        spoke: name,
        clock: this.clock,
        random: this.random,
        signal: inner,
        log: silentLog,
        http: noHttp,
        limiter,
        state: { get: () => Promise.resolve(null), put: () => Promise.resolve(), exclusive: (_key, body) => body() },
      }),
    );
    const live: LiveSpoke = {
      name,
      connector: 'memory',
      spoke,
      limiter,
      objects: objectsOf(mapping, name),
      defaults: new Map(),
      log: silentLog,
      ready: new Set(),
      ...bells(),
      ...context.pauses.gateOf(name),
    };
    this.live.set(name, live);
    const setup = {
      schedule: { pollMs, quotaReserve: 0, unseenMs },
      outbound: limits.outbound ?? defaultLimits.outbound,
      reconcileCron: null,
      roles: new Set(['inbound', 'outbound']),
      webhookBase: null,
      webhookCheckMs: 60_000,
    };
    try {
      await runServices(context, setup, live, inner);
    } finally {
      scope.abort();
    }
  }

  /** The real gate; a call is two events: the request arrives, the answer arrives. */
  private limiterOf(id: SpokeId, signal: AbortSignal): BoundLimiter {
    const { scheduler } = this.options;
    const { owner, clock, random } = this;
    const inner = plainLimiter({
      spoke: spokeName(id),
      clock,
      random,
      log: silentLog,
      signal,
      concurrency: 3,
      ...(this.options.quotas.includes(id) ? { ledger: postgresLedger(this.pool.as(id), clock) } : {}),
    });
    const run: Limiter['run'] = (request, call) =>
      inner.run(request, async () => {
        const answer = await scheduler.io(
          owner,
          `call ${id}`,
          () =>
            call().then(
              (value) => ({ value }),
              (error: unknown) => ({ error }),
            ),
          { actor: id },
        );
        const answerMs = this.options.answerMs();
        if (answerMs > 0) await clock.sleep(Math.floor(random.next() * answerMs));
        await scheduler.io(owner, `answer ${id}`, () => Promise.resolve(), { actor: id });
        if ('error' in answer) throw answer.error;
        return answer.value;
      });
    return {
      run,
      observe: (budget) => inner.observe(budget),
      backOff: (ms, reason) => inner.backOff(ms, reason),
      status: () => inner.status(),
      close: () => inner.close(),
    };
  }
}
