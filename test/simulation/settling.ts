// Owns the second half of a run: everything is well again; all must come to rest before a virtual deadline, and then nobody writes.
import { publicationName } from '../../src/engine/engine.js';
import { replayBatch } from '../../src/engine/replay.js';
import type { Random } from '../../src/base/random.js';
import { remotePath, spokeName } from '../../src/model/ids.js';
import { objectsOf } from '../../src/mapping/selection.js';
import { transaction } from '../../src/store/pool.js';
import { lateMsMax } from './faults.js';
import { flushText, moveSlot } from './source.js';
import { unreadProblems } from './oracle-unread.js';
import { driftSince, lastRun, parkedByThrottle } from './rest.js';
import type { Simulation } from './simulation.js';
import { followedEntities, mapping, spokeNames } from './world.js';

/** The longest wait that is ours to choose: back-off, second look at an absence, pause between polls. */
const waitMs = 6_000;
const deadlineMs = 4 * 3_600_000;
const roundsMax = 30;
const damaged = 'after damage';
const polledObjects = spokeNames.reduce((sum, name) => sum + objectsOf(mapping, spokeName(name)).length, 0);

export class Settling {
  constructor(private readonly run: Simulation) {}

  /** Runs until nothing is on its way; fails when that takes too long in virtual time. */
  async converge(when: string): Promise<void> {
    const { run } = this;
    const endMs = run.scheduler.nowMs + deadlineMs;
    run.scheduler.note(`phase: settles ${when}`);
    // What was sent before may still arrive.
    await run.scheduler.leap(lateMsMax);
    for (const name of spokeNames) run.remotes[name].settle();
    for (let round = 1; ; round += 1) {
      await this.settleDown(endMs);
      if (round === 1 && run.scheduler.nowMs < endMs)
        for (const found of await unreadProblems(run.restPorts)) run.fail(found);
      const [before, last] = [await this.state(), await lastRun(run.monitor)];
      run.scheduler.note(`phase: sweeps, round ${round} ${when}`);
      await this.sweepAll();
      run.scheduler.note(`phase: quiet after sweeps, round ${round} ${when}`);
      if (round === 1 && when !== damaged) for (const found of await driftSince(run.monitor, last)) run.fail(found);
      await this.quiesce(waitMs, waitMs);
      if (run.broken || (before === (await this.state()) && (await this.busy()) === '')) return;
      if (run.scheduler.nowMs > endMs || round >= roundsMax) {
        run.fail(`no rest ${when}: ${await this.busy()}`);
        return;
      }
    }
  }

  /** What a person would do once everything is well: try again what was set aside. */
  async replay(): Promise<void> {
    const { run } = this;
    for (const found of await parkedByThrottle(run.monitor)) run.fail(found);
    const deps = { clock: run.clock, mapping };
    const { replayed } = await transaction(run.monitor, (tx) => replayBatch(tx, deps, {}));
    if (replayed.length > 0) await this.converge('after the replay of what was parked');
  }

  /** Values change and no feed tells: the reconciler finds it, and the hub's value goes out again. */
  async damage(random: Random): Promise<void> {
    const { run } = this;
    const { keys, fields } = followedEntities.person;
    for (const name of spokeNames) {
      const [object, path] = [keys[name]?.object ?? '', fields.find((one) => one.field === 'name')?.paths[name] ?? ''];
      for (const row of run.remotes[name].list(object)) {
        if (row.fields[remotePath(path)] === null || random.next() > 0.3) continue;
        run.remotes[name].damage(object, row.id, { [path]: null });
        run.scheduler.note(`${name}: ${row.id} is damaged`);
      }
    }
    await this.converge(damaged);
    if (!run.broken) for (const one of await run.oracle.atRest()) run.fail(`after damage: ${one}`);
  }

  /** Nothing may be written while nobody does anything. */
  async idle(polls: number): Promise<void> {
    const { run } = this;
    const [effects, rows] = [this.effects(), await this.journalRows()];
    const before = run.polls;
    run.scheduler.note('phase: idle');
    while (run.polls < before + polls && !run.broken) await this.quiesce(run.plan.pollMs, run.plan.pollMs);
    if (effects !== this.effects())
      run.fail(`writes at the spokes while nobody did anything: ${effects} became ${this.effects()}`);
    if (rows !== (await this.journalRows())) run.fail('the hub changed while nobody did anything');
  }

  /** Until nothing is due, or only what nothing but time can bring. */
  private async settleDown(endMs: number): Promise<void> {
    const { run } = this;
    // A poll that failed before waits for its turn.
    run.readUp.clear();
    await this.quiesce(waitMs, waitMs);
    // What was refused just before healing may have paused its spoke since.
    await run.operator();
    for (let leapMs = waitMs / 2; !run.broken && run.scheduler.nowMs < endMs; leapMs = Math.min(2 * leapMs, 600_000)) {
      if (run.readUp.size >= polledObjects && (await this.busy()) === '') return;
      await this.quiesce(leapMs, leapMs);
    }
  }

  private async sweepAll(): Promise<void> {
    const { run } = this;
    for (const name of spokeNames) {
      const { life } = run;
      if (life !== null) await this.finish(life.sweep(name));
    }
  }

  private effects(): string {
    return spokeNames.map((name) => this.run.remotes[name].ledger.length).join('/');
  }

  private async journalRows(): Promise<string> {
    const { rows } = await this.run.monitor.query(`select count(*)::text as n from truespoke.journal`);
    return rows[0]?.['n'] ?? '';
  }

  private async state(): Promise<string> {
    return `${this.effects()} ${await this.journalRows()}`;
  }

  private async busy(): Promise<string> {
    const { slot, slotMemory } = this.run;
    if (slotMemory.ahead > 0) await moveSlot(this.run.monitor, slot, slotMemory);
    await this.run.monitor.query(flushText);
    const { rows } = await this.run.monitor.query(
      `select 'delivery ' || spoke || ' ' || entity || ' ' || hub_id || ' ' || state || ' ' || coalesce(reason, '') || ' ' || coalesce(waits_for, '') as what
         from truespoke.delivery where state <> 'held'
       union all select 'hint ' || spoke || ' ' || object || ' ' || external_id from truespoke.inbox where done_at is null
       union all select 'commits that were not read' from pg_logical_slot_peek_binary_changes($1, null, 1, 'proto_version', '1', 'publication_names', $2)
       order by 1 limit 5`,
      [slot, publicationName],
    );
    return rows.map((row) => row['what']).join('; ');
  }

  /** Lets `ms` of virtual time pass, event by event, in leaps. */
  private async quiesce(ms: number, leapMs: number): Promise<void> {
    const { run } = this;
    const endMs = run.scheduler.nowMs + ms;
    const eventsMax = run.scheduler.fired + run.eventsMax;
    for (;;) {
      while (run.scheduler.ready > 0) {
        await run.scheduler.fire();
        run.oracle.checkLedgers();
        // What is due again as soon as it is done never lets time pass.
        if (run.scheduler.fired > eventsMax) run.fail(`no rest: something never ceases: ${await this.busy()}`);
        if (run.broken) return;
      }
      if (run.scheduler.nowMs >= endMs) return;
      await run.scheduler.leap(leapMs);
    }
  }

  private async finish(work: Promise<void>): Promise<void> {
    const { run } = this;
    let done = false;
    void work.finally(() => (done = true));
    for (let i = 0; !done && i < 20_000; i += 1) {
      if (run.scheduler.ready > 0) await run.scheduler.fire();
      else await run.scheduler.leap(200);
      if (run.broken) return;
    }
  }
}
