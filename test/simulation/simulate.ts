// Runs one seed: builds the world, lets people, applications, faults and the engine act in the order of the seed, heals everything,
// waits for rest in virtual time, and judges. The same seed gives the same trace.
import { createHash, randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import pg from 'pg';
import { seeded, type Random } from '../../src/base/random.js';
import { MemoryRemote } from '../../src/connectors/memory/remote.js';
import { defaultLimits, publicationName, type EngineLimits } from '../../src/engine/engine.js';
import { replayBatch } from '../../src/engine/replay.js';
import type { EntityName } from '../../src/model/ids.js';
import { prepareSource } from '../../src/outbound/publication.js';
import { migrateHub } from '../../src/store/hub-schema.js';
import { openHubTable, type HubTable } from '../../src/store/hub.js';
import { startEpoch } from '../../src/store/journals.js';
import { migrate } from '../../src/store/migrate.js';
import { openPool, transaction, type Pool } from '../../src/store/pool.js';
import { ensureFullIdentity } from '../../src/store/resync.js';
import type { Spoke } from '../../src/connectors/connector.js';
import type { RemoteRecord } from '../../src/model/record.js';
import { registerSpoke } from '../../src/store/spokes.js';
import { spokeName } from '../../src/model/ids.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';
import { Application } from './applications.js';
import { drawFaults, type FaultPlan } from './faults.js';
import { GatedPool } from './gated-pool.js';
import { Life } from './life.js';
import { Model } from './model.js';
import { Oracle, Violation } from './oracle.js';
import { People } from './people.js';
import { Owner, Scheduler } from './scheduler.js';
import { loadWorld, spokeConfigs, spokeNames, type SpokeId } from './world.js';

export interface SimulationOptions {
  readonly seed: number;
  /** Acts of people and applications. */
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

const mapping = loadWorld();

async function buildTemplate(url: string): Promise<void> {
  const pool = openPool({ url, applicationName: 'truespoke simulation template', max: 2 });
  try {
    await migrate(pool, resolve('migrations'));
    await migrateHub(pool, mapping);
    const tables: HubTable[] = [];
    for (const entity of mapping.entities.values()) tables.push(await openHubTable(pool, entity));
    await transaction(pool, (tx) => ensureFullIdentity(tx, tables));
    for (const name of spokeNames) await registerSpoke(pool, spokeName(name), 'memory');
  } finally {
    await pool.end();
  }
}

const limits: Partial<EngineLimits> = {
  capture: { ...defaultLimits.capture, idleAdvanceMs: 10_000, spillRows: 6 },
  inbound: { ...defaultLimits.inbound, batchRecords: 10, referenceWaitMs: 3_600_000 },
  outbound: { ...defaultLimits.outbound, leaseMs: 60_000, backoff: { firstMs: 200, maxMs: 5_000 } },
};

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const db = await testDatabase({
    cluster: options.cluster,
    template: { name: `simulation_${mapping.digest.slice(0, 12)}`, build: buildTemplate },
  });
  // Locks must show before a wait is called a wait; a commit must be decodable once it is answered.
  await withAdmin(options.cluster, [
    `alter database ${db.name} set deadlock_timeout = '10ms'`,
    `alter database ${db.name} set synchronous_commit = on`,
  ]);
  const run = new Simulation(options, db);
  try {
    return await run.run();
  } finally {
    await run.close();
    await db.drop();
  }
}

async function withAdmin(cluster: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: `${cluster}/postgres` });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

class Simulation {
  private readonly random: Random;
  private readonly plan: FaultPlan;
  private readonly scheduler: Scheduler;
  private readonly world = new Owner('world');
  private readonly remotes: Record<SpokeId, MemoryRemote>;
  private readonly model = new Model();
  private readonly offset = { ms: 0 };
  private readonly violations: string[] = [];
  private readonly monitor: Pool;
  private readonly applications: GatedPool;
  private readonly oracle: Oracle;
  private readonly people: People;
  private readonly application: Application;
  private tables: ReadonlyMap<EntityName, HubTable> = new Map();
  private life: Life | null = null;
  private lives = 0;
  private acting = 0;
  private faults = 0;
  private healed = false;
  private ghosts: (() => Promise<unknown>)[] = [];
  private readonly pools: Pool[] = [];
  private readonly slot: string;

  constructor(
    private readonly options: SimulationOptions,
    private readonly db: TestDatabase,
  ) {
    const { seed } = options;
    // Slots are named across the whole cluster.
    this.slot = `s_${db.name}`;
    this.random = seeded(seed);
    this.plan = { ...drawFaults(seeded(seed * 7 + 1)), ...options.plan };
    this.monitor = openPool({ url: db.url, applicationName: 'monitor', max: 2 });
    this.scheduler = new Scheduler({ random: this.random, isBlocked: (pid) => this.isBlocked(pid) });
    const clock = this.scheduler.clockOf(this.world);
    const hub = this.scheduler.clockOf(this.world, this.offset);
    const remote = (name: SpokeId): MemoryRemote =>
      new MemoryRemote(spokeConfigs[name], { clock, random: this.random });
    this.remotes = { alpha: remote('alpha'), beta: remote('beta'), gamma: remote('gamma') };
    this.applications = new GatedPool(
      { url: db.url, applicationName: 'application', max: 20, clock, random: this.random },
      { scheduler: this.scheduler, owner: this.world, hubNowMs: () => hub.now() },
    );
    const common = {
      random: this.random,
      model: this.model,
      at: () => ({ at: this.scheduler.fired, atMs: clock.now() }),
      note: (line: string) => this.scheduler.note(line),
      deletes: this.plan.deletes,
    };
    this.people = new People({ ...common, remotes: this.remotes, together: this.plan.together });
    this.application = new Application({ ...common, pool: this.applications, clock });
    this.oracle = new Oracle({
      model: this.model,
      remotes: this.remotes,
      db: this.monitor,
      violated: (message) => this.violate(message),
    });
  }

  async run(): Promise<SimulationResult> {
    try {
      await this.prepare();
      this.begin();
      await this.safety();
      await this.heal();
      await this.converge('after healing');
      const deps = { clock: this.scheduler.clockOf(this.world), mapping };
      const { replayed } = await transaction(this.monitor, (tx) => replayBatch(tx, deps, {}));
      if (replayed.length > 0) await this.converge('after the replay of what was parked');
      this.violations.push(...(await this.oracle.atRest()));
      await this.idle();
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

  async close(): Promise<void> {
    if (this.life !== null) this.scheduler.kill(this.life.owner);
    this.world.dead = true;
    await this.monitor
      .query(
        `select pg_terminate_backend(pid, 2000) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
      )
      .catch(() => undefined);
    await Promise.all(
      [this.monitor, this.applications, ...this.pools].map((pool) =>
        Promise.race([pool.end(), new Promise((done) => setTimeout(done, 200))]),
      ),
    );
  }

  private async prepare(): Promise<void> {
    const tables = new Map<EntityName, HubTable>();
    for (const [name, entity] of mapping.entities) tables.set(name, await openHubTable(this.monitor, entity));
    this.tables = tables;
    const capture = [...tables.values()].map(({ entity }) => ({
      schema: entity.table.schema,
      table: entity.table.name,
      key: entity.table.id,
      columns: entity.fields.map((field) => field.name),
    }));
    const { position } = await prepareSource(this.monitor, { slot: this.slot, publication: publicationName }, capture);
    await startEpoch(this.monitor, { ...position, epoch: 1, memberships: null }, 0);
    for (let i = 0; i < 4; i += 1) this.people.create(spokeNames[i % 3] as SpokeId, 'person');
    for (const name of spokeNames) Object.assign(this.remotes[name].faults, this.plan.spokes[name]);
  }

  /** A new life of the engine, from the database alone. */
  private begin(): void {
    this.lives += 1;
    const { seed } = this.options;
    const life = new Life({
      number: this.lives,
      seed,
      url: this.db.url,
      slot: this.slot,
      scheduler: this.scheduler,
      remotes: this.remotes,
      mapping,
      tables: this.tables,
      offset: this.offset,
      limits,
      pollMs: this.plan.pollMs,
      dies: (name) => this.dies(name),
      died: (name) => this.crash(`at ${name}`),
      violated: (message) => this.violate(message),
      onResult: (label, values, rows) => this.oracle.hear(label, values, rows, this.scheduler.fired),
      watch: (name, spoke) =>
        watched(
          name,
          spoke,
          (line) => this.scheduler.note(line),
          (ids) => this.oracle.read(name, ids, this.scheduler.fired),
        ),
      onLog: (line) => this.scheduler.note(`log ${line}`),
    });
    this.pools.push(life.pool);
    this.life = life;
    this.scheduler
      .as('start', () => life.run())
      .catch((error: unknown) => {
        if (!life.owner.dead) this.violations.push(`the engine gave up: ${String(error)}`);
      });
  }

  private dies(name: string): boolean {
    if (this.healed || this.lives >= this.plan.livesMax) return false;
    const rate = this.plan.crashpoints[name] ?? this.plan.crashpointRate;
    return rate > 0 && this.random.next() < rate;
  }

  private crash(where: string): void {
    const { life } = this;
    if (life === null) return;
    this.faults += 1;
    this.scheduler.note(`crash ${where}`);
    const lost = this.scheduler.kill(life.owner);
    this.life = null;
    // A request may have left before: then it arrives, and nobody hears the answer.
    for (const { label, start } of lost)
      if (label.startsWith('call') && this.random.next() < 0.5) this.ghosts.push(start);
  }

  private async safety(): Promise<void> {
    let left = this.options.operations;
    let untilLook = 40;
    while (left > 0 || this.acting > 0) {
      if (this.scheduler.fired > this.options.operations * 400)
        throw new Error('too many events for so few operations');
      const draw = this.random.next();
      if (this.life === null) await this.reborn();
      if (left > 0 && draw < this.plan.actRate) {
        left -= 1;
        this.act();
      } else if (draw > 1 - this.plan.faultRate) await this.fault();
      else await this.go(draw);
      this.oracle.checkLedgers();
      if (--untilLook <= 0) {
        untilLook = 60;
        this.scheduler.reweigh();
        await this.oracle.checkHub();
      }
      if (this.violations.length > 0) throw new Violation(this.violations[0]);
    }
  }

  private async go(draw: number): Promise<void> {
    if (this.scheduler.ready === 0 || draw < this.plan.actRate + 0.04) await this.scheduler.pass(this.plan.passMs);
    else await this.scheduler.fire();
  }

  private act(): void {
    if (this.random.next() < 0.55) {
      this.acting += 1;
      const name = `app${this.acting}`;
      void this.scheduler
        .as(name, () => this.application.act())
        .finally(() => {
          this.acting -= 1;
        });
      return;
    }
    this.people.act();
  }

  private async fault(): Promise<void> {
    const draw = this.random.next();
    const { plan } = this;
    if (draw < 0.3 && this.lives < plan.livesMax && plan.crashes) {
      // Something was done and nobody heard of it, or nothing was.
      if (this.random.next() < 0.5 && this.scheduler.ready > 0) await this.scheduler.fire();
      this.crash('between two events');
    } else if (draw < 0.5 && plan.clockSteps) {
      this.faults += 1;
      this.offset.ms += Math.floor((this.random.next() - 0.5) * 7_200_000);
      this.scheduler.note(`the hub's clock steps to ${this.offset.ms}`);
    } else if (draw < 0.7 && this.life !== null) {
      const name = spokeNames[Math.floor(this.random.next() * 3)] as SpokeId;
      this.scheduler.note(`sweep of ${name}`);
      const { life } = this;
      void this.scheduler.as('sweep', () => life.sweep(name));
    } else if (draw < 0.85) {
      this.faults += 1;
      const name = spokeNames[Math.floor(this.random.next() * 3)] as SpokeId;
      const kinds = plan.scripted;
      const kind = kinds[Math.floor(this.random.next() * kinds.length)];
      if (kind !== undefined && (kind !== 'lateApplied' || name !== 'gamma')) {
        this.scheduler.note(`next write at ${name}: ${kind}`);
        this.remotes[name].faults.next(kind, 'write');
      }
    } else await this.scheduler.leap(Math.floor(this.random.next() * 5_000));
  }

  private async reborn(): Promise<void> {
    await this.monitor.query(
      `select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and application_name like 'life%'`,
    );
    for (const ghost of this.ghosts.splice(0)) {
      this.scheduler.note('a request of the dead arrives');
      await ghost();
    }
    await this.scheduler.unblock();
    this.begin();
  }

  private async heal(): Promise<void> {
    this.healed = true;
    for (const name of spokeNames) this.remotes[name].faults.heal();
    this.scheduler.note('healed');
    if (this.life === null) await this.reborn();
    await Promise.resolve();
  }

  /** Runs until nothing is on its way; fails when that takes too long in virtual time. */
  private async converge(when: string): Promise<void> {
    const deadlineMs = this.scheduler.nowMs + 3_600_000;
    let quiet = 0;
    let round = 0;
    while (quiet < 2) {
      round += 1;
      if (round % 2 === 1 && this.life !== null) {
        const { life } = this;
        for (const name of spokeNames) await this.finish(this.scheduler.as('sweep', () => life.sweep(name)));
      }
      await this.quiesce(30_000, 6_000);
      const before = this.effects();
      await this.quiesce(20_000, 10_000);
      quiet = before === this.effects() && (await this.busy()) === '' ? quiet + 1 : 0;
      if (this.violations.length > 0) throw new Violation(this.violations[0]);
      if (this.scheduler.nowMs > deadlineMs || round > 40) {
        this.violations.push(`no rest ${when}: ${await this.busy()}`);
        return;
      }
    }
  }

  private effects(): string {
    return spokeNames.map((name) => this.remotes[name].ledger.length).join('/');
  }

  private async busy(): Promise<string> {
    const { rows } = await this.monitor.query(
      `select 'delivery ' || spoke || ' ' || entity || ' ' || hub_id || ' ' || state || ' ' || coalesce(reason, '') || ' ' || coalesce(waits_for, '') as what
         from truespoke.delivery where state <> 'held'
       union all select 'hint ' || spoke || ' ' || object || ' ' || external_id from truespoke.inbox where done_at is null
       order by 1 limit 5`,
    );
    return rows.map((row) => row['what']).join('; ');
  }

  /** Lets `ms` of virtual time pass, event by event, in leaps. */
  private async quiesce(ms: number, leapMs: number): Promise<void> {
    const endMs = this.scheduler.nowMs + ms;
    for (;;) {
      while (this.scheduler.ready > 0) {
        await this.scheduler.fire();
        this.oracle.checkLedgers();
        if (this.violations.length > 0) return;
      }
      if (this.scheduler.nowMs >= endMs) return;
      await this.scheduler.leap(leapMs);
    }
  }

  private async finish(work: Promise<void>): Promise<void> {
    let done = false;
    void work.finally(() => (done = true));
    for (let i = 0; !done && i < 100_000; i += 1) {
      if (this.scheduler.ready > 0) await this.scheduler.fire();
      else await this.scheduler.leap(200);
      if (this.violations.length > 0) return;
    }
  }

  /** Nothing may be written while nobody does anything. */
  private async idle(): Promise<void> {
    const before = this.effects();
    const journal = async (): Promise<string> =>
      (await this.monitor.query(`select count(*)::text as n from truespoke.journal`)).rows[0]?.['n'] ?? '';
    const rows = await journal();
    for (let i = 0; i < this.plan.idleRounds; i += 1) await this.quiesce(this.plan.pollMs, this.plan.pollMs);
    if (before !== this.effects())
      this.violations.push(`writes at the spokes while nobody did anything: ${before} became ${this.effects()}`);
    if (rows !== (await journal())) this.violations.push(`the hub changed while nobody did anything`);
  }

  private violate(message: string): void {
    this.scheduler.note(`VIOLATION ${message}`);
    this.violations.push(message);
  }

  private async isBlocked(pid: number): Promise<boolean> {
    const { rows } = await this.monitor.query(`select cardinality(pg_blocking_pids($1))::text as n`, [pid]);
    return rows[0]?.['n'] !== '0';
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

/** Notes what goes over the wire, for whoever reads the trace of a failing seed. */
function watched(
  name: SpokeId,
  spoke: Spoke,
  note: (line: string) => void,
  read: (ids: readonly string[]) => void,
): Spoke {
  return {
    ...spoke,
    async write(writes, options) {
      note(`  ${name} write ${JSON.stringify(writes)}`);
      const results = await spoke.write(writes, options);
      note(`  ${name} wrote ${JSON.stringify(results)}`);
      return results;
    },
    async fetch(object, ids, fields, options) {
      read(ids);
      const records = await spoke.fetch(object, ids, fields, options);
      note(`  ${name} fetched ${ids.join(',')}: ${JSON.stringify(records.map(brief))}`);
      return records;
    },
    async find(object, keys, fields, options) {
      const found = await spoke.find(object, keys, fields, options);
      note(`  ${name} found ${JSON.stringify(keys)}: ${JSON.stringify(found.map((records) => records.map(brief)))}`);
      return found;
    },
    async *changes(object, fields, after, options) {
      for await (const page of spoke.changes(object, fields, after, options)) {
        if (page.records.length > 0) note(`  ${name} changes ${JSON.stringify(page.records.map(brief))}`);
        yield page;
      }
    },
  };
}

const brief = (record: RemoteRecord): unknown => [
  record.externalId,
  record.version,
  record.deleted ? 'deleted' : record.fields,
  record.children,
];

export const freshSeed = (): number => randomBytes(4).readUInt32BE(0);
