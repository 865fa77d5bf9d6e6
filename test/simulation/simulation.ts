// Owns one seed's run: the world, and whose turn it is. People, applications, troubles and the engine act in the order of the seed; then
// everything heals, comes to rest in virtual time, and is judged. The same seed gives the same trace.
import { createHash } from 'node:crypto';
import { seeded, type Random } from '../../src/base/random.js';
import type { Clock } from '../../src/base/clock.js';
import type { Capabilities } from '../../src/connectors/connector.js';
import type { MemoryConfigInput } from '../../src/connectors/memory/config.js';
import { MemoryRemote } from '../../src/connectors/memory/remote.js';
import { defaultLimits, publicationName, type EngineLimits } from '../../src/engine/engine.js';
import type { EntityName } from '../../src/model/ids.js';
import { zeroLsn } from '../../src/model/lsn.js';
import { prepareSource } from '../../src/outbound/publication.js';
import { openHubTable, type HubTable } from '../../src/store/hub.js';
import { startEpoch } from '../../src/store/journals.js';
import type { Pool } from '../../src/store/pool.js';
import { resumeSpoke } from '../../src/store/spokes.js';
import { Application } from './applications.js';
import type { SimulationDatabase } from './database.js';
import { batchesMax, drawFaults, type FaultPlan } from './faults.js';
import { GatedPool } from './gated-pool.js';
import { Life } from './life.js';
import { Model, type Instant } from './model.js';
import { Oracle, Violation } from './oracle.js';
import { People } from './people.js';
import type { SlotMemory } from './source.js';
import { Settling } from './settling.js';
import { restProblems, type RestPorts } from './rest.js';
import { Owner, Scheduler } from './scheduler.js';
import { Troubles } from './troubles.js';
import { watched } from './watch.js';
import { Wire } from './wire.js';
import { mapping, spokeConfigs, spokeNames, type SpokeId } from './world.js';

export interface SimulationOptions {
  readonly seed: number;
  /** Records made, edited or deleted by people and applications. */
  readonly operations: number;
  readonly cluster: string;
  readonly plan?: Partial<FaultPlan>;
}

export interface SimulationResult {
  readonly seed: number;
  readonly plan: FaultPlan;
  readonly violations: readonly string[];
  /** Of every event in order, of every effect at the spokes and of the final state of the hub. */
  readonly hash: string;
  readonly trace: readonly string[];
  readonly events: number;
  readonly lives: number;
  readonly edits: number;
  readonly faults: number;
}

/** More events for an operation than this is a loop that never ends. */
const eventsMaxPerOperation = 600;

/** Transactions of applications at once. */
const applicationsMax = 8;

/** What a page and a call of a spoke take, `batches` times what its configuration says. */
function sizesOf(
  name: SpokeId,
  batches: number,
): { readonly pageRows: number; readonly capabilities: Pick<Capabilities, 'writeBatch' | 'fetchBatch' | 'findBatch'> } {
  const { pageRows = 1, capabilities } = spokeConfigs[name];
  const { writeBatch = 1, fetchBatch = 1, findBatch = 1 } = capabilities ?? {};
  return {
    pageRows: pageRows * batches,
    capabilities: {
      writeBatch: writeBatch * batches,
      fetchBatch: fetchBatch * batches,
      findBatch: findBatch * batches,
    },
  };
}

/** What is published of them. */
export function capturedTables(tables: readonly HubTable[]): Parameters<typeof prepareSource>[2] {
  return tables.map(({ entity }) => ({
    schema: entity.table.schema,
    table: entity.table.name,
    key: entity.table.id,
    columns: entity.fields.map((field) => field.name),
  }));
}

export class Simulation {
  readonly scheduler: Scheduler;
  readonly plan: FaultPlan;
  readonly remotes: Record<SpokeId, MemoryRemote>;
  readonly monitor: Pool;
  readonly clock: Clock;
  readonly offset = { ms: 0 };
  readonly oracle: Oracle;
  life: Life | null = null;
  lives = 0;
  /** Calls for changes so far. */
  polls = 0;
  healed = false;
  /** Objects of which every change was read since somebody emptied this. */
  readonly readUp = new Set<string>();
  private readonly inboundLimits;
  private readonly random: Random;
  private readonly world = new Owner('world');
  private readonly model = new Model();
  private readonly violations: string[] = [];
  private readonly wire = new Wire((message) => this.fail(message));
  private readonly applications: GatedPool;
  private readonly people: People;
  private readonly application: Application;
  private readonly troubles: Troubles;
  private readonly settling: Settling;
  private tables: ReadonlyMap<EntityName, HubTable> = new Map();
  private acting = 0;
  private applicationsSoFar = 0;
  private left = 0;
  private stalled: { readonly life: Life; readonly untilMs: number } | null = null;
  private dead: Owner[] = [];
  private ghosts: (() => Promise<unknown>)[] = [];
  readonly slot: string;
  readonly slotMemory: SlotMemory = { confirmed: zeroLsn, ahead: 0 };

  constructor(
    private readonly options: SimulationOptions,
    private readonly db: SimulationDatabase,
  ) {
    const { seed } = options;
    // Slots are named across the whole cluster.
    this.slot = `s_${db.name}`;
    this.random = seeded(seed);
    this.plan = { ...drawFaults(seeded(seed * 7 + 1)), ...options.plan };
    this.inboundLimits = { ...defaultLimits.inbound, batchRecords: 10 * this.plan.batches, referenceWaitMs: 3_600_000 };
    this.left = options.operations;
    this.monitor = db.monitor;
    this.scheduler = new Scheduler({
      random: this.random,
      blockers: (pids) => this.blockers(pids),
      refuse: (pid) => db.backends.refuse(pid),
    });
    this.clock = this.scheduler.clockOf(this.world);
    const { clock, random } = this;
    const remote = (name: SpokeId): MemoryRemote => new MemoryRemote(this.configOf(name), { clock, random });
    this.remotes = { alpha: remote('alpha'), beta: remote('beta'), gamma: remote('gamma') };
    this.applications = this.applicationPool();
    const common = {
      random,
      model: this.model,
      at: () => ({ at: this.scheduler.fired, atMs: clock.now(), watchMs: clock.monotonic() }),
      note: (line: string) => this.scheduler.note(line),
      did: () => (this.left -= 1),
      plan: this.plan,
    };
    this.people = new People({ ...common, remotes: this.remotes });
    this.application = new Application({ ...common, pool: this.applications, clock });
    this.troubles = new Troubles(this, random);
    this.settling = new Settling(this);
    this.oracle = new Oracle({
      model: this.model,
      remotes: this.remotes,
      db: this.monitor,
      violated: (message) => this.fail(message),
    });
  }

  /** More than these in one phase, and something never ends. */
  get eventsMax(): number {
    return Math.max(100, this.options.operations) * eventsMaxPerOperation;
  }

  get broken(): boolean {
    return this.violations.length > 0;
  }

  async run(): Promise<SimulationResult> {
    try {
      await this.prepare();
      this.begin();
      await this.safety();
      await this.heal();
      await this.settling.converge('after healing');
      if (!this.broken) await this.settling.replay();
      if (!this.broken) this.violations.push(...(await this.oracle.atRest()), ...(await this.atRest()));
      if (!this.broken) await this.settling.idle(this.plan.idlePolls);
      if (!this.broken && this.plan.damage) await this.settling.damage(this.random);
    } catch (error) {
      if (!(error instanceof Violation))
        this.violations.push(`the simulation broke: ${(error as Error).stack ?? String(error)}`);
    }
    return {
      seed: this.options.seed,
      plan: this.plan,
      violations: this.violations,
      hash: await this.hash(),
      trace: this.scheduler.trace,
      events: this.scheduler.fired,
      lives: this.lives,
      edits: this.model.edits.size,
      faults: this.faults,
    };
  }

  /** Nothing of this run goes on. */
  close(): void {
    for (const life of [this.life, this.stalled?.life ?? null]) if (life !== null) this.scheduler.kill(life.owner);
    this.world.dead = true;
  }

  fail(message: string): void {
    this.scheduler.note(`VIOLATION ${message}`);
    this.violations.push(message);
  }

  /** The engine's process dies at this instant. */
  crash(where: string): void {
    const { life } = this;
    if (life === null) return;
    this.life = null;
    this.kill(life, where);
  }

  /** It stops in its tracks; another process takes over; then it wakes (F24). */
  stall(): void {
    const { life, scheduler } = this;
    if (life === null || this.stalled !== null) return;
    const untilMs = scheduler.nowMs + 2_000 + Math.floor(this.random.next() * 2 * this.plan.leaseMs);
    scheduler.note(`${life.owner.name} stalls until ${untilMs}`);
    life.owner.frozen = true;
    this.wire.died();
    this.stalled = { life, untilMs };
    this.life = null;
  }

  async restartPostgres(): Promise<void> {
    this.scheduler.note('every connection to Postgres ends');
    await this.db.backends.restart();
    await this.scheduler.unblock();
  }

  sweep(spoke: SpokeId): void {
    const { life, scheduler } = this;
    if (life === null) return;
    scheduler.note(`sweep of ${spoke}`);
    void life.sweep(spoke);
  }

  get restPorts(): RestPorts {
    return { db: this.monitor, model: this.model, remotes: this.remotes };
  }

  private async atRest(): Promise<readonly string[]> {
    return restProblems(this.restPorts);
  }

  private get instant(): Instant {
    return { at: this.scheduler.fired, watchMs: this.clock.monotonic() };
  }

  private get faults(): number {
    return this.troubles.count + spokeNames.reduce((sum, name) => sum + this.remotes[name].faults.struck, 0);
  }

  private configOf(name: SpokeId): MemoryConfigInput {
    const { batches, quotas } = this.plan;
    const config = spokeConfigs[name];
    const { pageRows, capabilities } = sizesOf(name, batches);
    return {
      ...config,
      pageRows,
      capabilities: { ...config.capabilities, ...capabilities },
      ...(quotas.includes(name) ? { budget: { limit: 30, restorePerSecond: 12 } } : {}),
    };
  }

  /**
   * Small pages have had their chances while everybody worked; from here on each call takes as much as any seed's does. What is left to
   * do is ten times what was done, nothing goes wrong with it any more, and it was half of what a seed cost. The same life goes on: what
   * it had forgotten stays forgotten.
   */
  private widen(): void {
    const batches = Math.max(this.plan.batches, batchesMax);
    this.inboundLimits.batchRecords = 10 * batches;
    for (const name of spokeNames) {
      const { pageRows, capabilities } = sizesOf(name, batches);
      Object.assign(this.remotes[name].config, { pageRows });
      Object.assign(this.remotes[name].config.capabilities, capabilities);
      this.life?.widen(name, capabilities);
    }
  }

  private applicationPool(): GatedPool {
    const { scheduler, db, world, clock, random } = this;
    const hub = scheduler.clockOf(world, this.offset);
    return new GatedPool(
      { url: db.url, applicationName: 'application', max: 20, clock, random },
      { scheduler, backends: db.backends, owner: world, hubNowMs: () => hub.now(), touchesHub: true },
    );
  }

  private async prepare(): Promise<void> {
    const tables = new Map<EntityName, HubTable>();
    for (const [name, entity] of mapping.entities) tables.set(name, await openHubTable(this.monitor, entity));
    this.tables = tables;
    const capture = capturedTables([...tables.values()]);
    const { position } = await prepareSource(this.monitor, { slot: this.slot, publication: publicationName }, capture);
    this.slotMemory.confirmed = position.durableLsn;
    await startEpoch(this.monitor, { ...position, epoch: 1, memberships: null }, 0);
    for (let i = 0; i < 4; i += 1) this.people.create(spokeNames[i % 3] as SpokeId, 'person');
    for (const name of spokeNames) Object.assign(this.remotes[name].faults, this.plan.spokes[name]);
  }

  /** A new life of the engine, from the database alone. */
  private begin(): void {
    this.lives += 1;
    const life: Life = new Life({
      number: this.lives,
      seed: this.options.seed,
      url: this.db.url,
      slot: this.slot,
      slotMemory: this.slotMemory,
      scheduler: this.scheduler,
      backends: this.db.backends,
      remotes: this.remotes,
      mapping,
      tables: this.tables,
      offset: this.offset,
      limits: this.limits(),
      quotas: this.plan.quotas,
      pollMs: this.plan.pollMs,
      captureMs: this.plan.captureMs,
      captureMessages: this.plan.captureMessages,
      answerMs: () => (this.healed ? 0 : this.plan.answerMs),
      dies: (name) => this.troubles.dies(name),
      died: (name) => this.end(life, name),
      violated: (message) => this.fail(message),
      forgets: () => this.troubles.forgetsAck(),
      fails: (label) => this.troubles.fails(label),
      onResult: (label, values, rows) => this.oracle.hear(label, values, rows, this.scheduler.fired),
      watch: (name, spoke) =>
        watched(name, spoke, {
          wire: this.wire,
          note: (line) => this.scheduler.note(line),
          read: (ids) => this.oracle.read(name, ids, this.instant),
          polled: () => (this.polls += 1),
          readUp: (object) => this.readUp.add(`${name}/${object}`),
          looked: (values) => this.oracle.looked(name, values, this.instant),
        }),
      onLog: (line) => this.scheduler.note(`log ${line}`),
    });
    this.life = life;
    life.run().catch((error: unknown) => {
      if (!life.owner.dead) this.violations.push(`the engine gave up: ${String(error)}`);
    });
  }

  private limits(): Partial<EngineLimits> {
    const { spillRows, leaseMs } = this.plan;
    return {
      capture: { ...defaultLimits.capture, idleAdvanceMs: 10_000, spillRows },
      inbound: this.inboundLimits,
      outbound: {
        ...defaultLimits.outbound,
        leaseMs,
        backoff: { firstMs: 200, maxMs: 5_000 },
        // As long as inbound: what a parked record holds up is parked as well, and comes to rest.
        referenceWaitMs: 3_600_000,
      },
    };
  }

  /** At a named instant: whichever of two lives came there. */
  private end(life: Life, name: string): void {
    if (life === this.life) return this.crash(`at ${name}`);
    this.stalled = null;
    this.kill(life, `at ${name}`);
  }

  private kill(life: Life, where: string): void {
    this.scheduler.note(`crash ${where}`);
    this.wire.died();
    const lost = this.scheduler.kill(life.owner);
    this.dead.push(life.owner);
    // A request may have left before: then it arrives, and nobody hears the answer.
    for (const { label, start } of lost)
      if (label.startsWith('call') && this.random.next() < 0.5) this.ghosts.push(start);
  }

  private async safety(): Promise<void> {
    let untilLook = 40;
    while (this.left > 0 || this.acting > 0) {
      if (this.scheduler.fired > this.eventsMax) this.fail('no rest: too many events for so few operations');
      await this.afterlife();
      const draw = this.random.next();
      if (this.left > 0 && draw < this.plan.actRate) this.act();
      else if (draw > 1 - this.plan.faultRate) await this.troubles.strike();
      else await this.go(draw);
      if (this.faults < this.owed()) await this.troubles.topUp();
      this.oracle.checkLedgers();
      if (--untilLook <= 0) {
        untilLook = 150;
        this.scheduler.reweigh();
        await this.operator();
        await this.oracle.checkHub();
      }
      if (this.broken) throw new Violation(this.violations[0]);
    }
  }

  /** So many faults there should have been by now. */
  private owed(): number {
    const { operations } = this.options;
    const done = 1 - Math.max(0, this.left) / operations;
    return Math.floor(this.plan.faultsMin * Math.min(1, done * 1.2));
  }

  private async go(draw: number): Promise<void> {
    if (this.scheduler.ready === 0 || draw < this.plan.actRate + 0.04) await this.scheduler.pass(this.plan.passMs);
    else await this.scheduler.fire();
  }

  private act(): void {
    if (this.random.next() < 0.55 && this.acting < applicationsMax) {
      this.acting += 1;
      this.applicationsSoFar += 1;
      const name = `app${this.applicationsSoFar}`;
      void this.application.act(name).finally(() => {
        this.acting -= 1;
      });
      return;
    }
    this.people.act();
  }

  /** A person looks after what was paused. */
  async operator(): Promise<void> {
    for (const name of spokeNames) await resumeSpoke(this.monitor, name);
  }

  /** The dead are buried, who stalled wakes, somebody is alive. */
  private async afterlife(): Promise<void> {
    const { stalled } = this;
    if (stalled !== null && stalled.life.owner.frozen && (this.healed || this.scheduler.nowMs >= stalled.untilMs)) {
      this.scheduler.note(`${stalled.life.owner.name} wakes`);
      stalled.life.owner.frozen = false;
    }
    if (this.dead.length === 0 && this.life !== null) return;
    for (const owner of this.dead.splice(0)) await this.db.backends.bury(owner);
    for (const ghost of this.ghosts.splice(0)) {
      this.scheduler.note('a request of the dead arrives');
      await ghost();
    }
    await this.scheduler.unblock();
    if (this.life === null) this.begin();
  }

  private async heal(): Promise<void> {
    this.healed = true;
    this.troubles.heal();
    const { stalled } = this;
    this.stalled = null;
    // Who slept through everything gets a moment, then it goes.
    if (stalled !== null) {
      stalled.life.owner.frozen = false;
      for (let i = 0; i < 30 && this.scheduler.ready > 0; i += 1) await this.scheduler.fire();
      this.kill(stalled.life, 'after it woke');
    }
    await this.afterlife();
    this.widen();
    await this.operator();
  }

  private async blockers(pids: readonly number[]): Promise<ReadonlyMap<number, readonly number[]>> {
    const { rows } = await this.monitor.query({
      name: 'blockers',
      text: `select pid::text as pid, array_to_string(pg_blocking_pids(pid), ',') as by from unnest($1::int[]) as pid where cardinality(pg_blocking_pids(pid)) > 0`,
      values: [`{${pids.join(',')}}`],
    });
    return new Map(rows.map((row) => [Number(row['pid']), (row['by'] ?? '').split(',').map(Number)]));
  }

  private async hash(): Promise<string> {
    const { rows } = await this.monitor.query(
      `select entity, hub_id, op, origin, before::text as before, after::text as after from truespoke.journal order by epoch, commit_lsn, seq`,
    );
    const ledgers = spokeNames.map((name) => this.remotes[name].ledger);
    return createHash('sha256')
      .update(JSON.stringify([this.scheduler.trace, ledgers, rows]))
      .digest('hex')
      .slice(0, 16);
  }
}
