// Owns what the kill -9 matrix does to a real engine process and how it judges it: edits, a death at a named point, a restart, and the verdict
// of the simulators' own ledgers. One hub and both simulators serve many drills: each one judges only what came after its mark.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { LedgerEntry } from '../../../src/simulators/ledger.js';
import { openProcessRig, type ProcessRig, type ProcessRigOptions } from '../../support/engine-process.js';
import { measureRecovery, sides, type DrillRow, type Side } from './death.js';

/** Restart until everything agrees again. */
const recoveryMsMax = Number(process.env['DRILL_LIMIT_MS'] ?? 5_000);

const objects = { salesforce: 'Contact', shopify: 'Customer' } as const;
const names = {
  salesforce: { email: 'Email', first: 'FirstName' },
  shopify: { email: 'email', first: 'firstName' },
} as const;

/** The same person by e-mail address; what is deleted in one place is deleted in all. */
export const peopleMapping = (spokes: readonly Side[] = sides): string => `entity: customer
fields:
  email: { type: text, match: case-insensitive }
  first_name: text
  last_name: text
spokes:
${spokes
  .map((side) =>
    side === 'salesforce'
      ? `  salesforce:
    object: Contact
    fields: { email: Email, first_name: FirstName, last_name: LastName }
    delete: propagate
`
      : `  shopify:
    object: Customer
    fields: { email: email, first_name: firstName, last_name: lastName }
    delete: propagate
`,
  )
  .join('')}`;

/**
 * A shop of a large plan: how fast a process recovers is measured, not how fast the budget of its calls refills after many deaths. It tries a
 * webhook again for ten minutes (the real one for four hours): on a busy machine two starts of a process take longer than half a minute.
 */
const common = (mapped: readonly Side[]): ProcessRigOptions => ({
  mapping: peopleMapping(mapped),
  shopifyOptions: {
    throttle: { max: 20_000, restorePerSecond: 1_000 },
    webhookRetryMs: [500, 500, 500, ...Array.from({ length: 300 }, () => 2_000)],
    webhookFailuresMax: 10_000,
  },
});

/** What must stand in a ledger since the mark, and what may. */
interface Expected {
  readonly creates: Set<string>;
  readonly deletes: Set<string>;
  /** E-mail address → values it got, the last of which must have been written. */
  readonly updates: Map<string, string[]>;
}

const nothing = (): Expected => ({ creates: new Set(), deletes: new Set(), updates: new Map() });

export class World {
  private round = 0;
  private changes = 0;
  private since = '';
  private unfinished = false;
  private latest: string | null = null;
  /** E-mail address → first name: what hub and spokes must hold in the end. */
  private readonly people = new Map<string, string>();
  private expected: Record<Side, Expected> = { salesforce: nothing(), shopify: nothing() };
  private seen = { salesforce: 0, shopify: 0 };

  private constructor(
    readonly rig: ProcessRig,
    private readonly mapped: readonly Side[],
  ) {}

  /** Two people are there, in the hub and at both spokes, and no engine runs. */
  static async open(options: ProcessRigOptions = {}, mapped: readonly Side[] = sides): Promise<World> {
    const rig = await openProcessRig({ ...common(mapped), ...options });
    const world = new World(rig, mapped);
    await world.settleFirst();
    return world;
  }

  private async settleFirst(): Promise<void> {
    const first = await this.rig.start();
    await this.rig.sql(
      `insert into hub.customer (email, first_name, last_name) values ('hub@x.test', 'r0', 'Hub'), ('salesforce@x.test', 'r0', 'S'), ('shopify@x.test', 'r0', 'S')`,
    );
    for (const email of ['hub@x.test', 'salesforce@x.test', 'shopify@x.test']) this.people.set(email, 'r0');
    await this.rig.until(() => this.agrees());
    await this.rig.settled();
    await this.rig.kill(first);
  }

  /** Nothing was read yet: no engine has run. */
  static async openUnread(mapped: readonly Side[] = sides, options: ProcessRigOptions = {}): Promise<World> {
    return new World(await openProcessRig({ ...common(mapped), ...options }), mapped);
  }

  end(): Promise<void> {
    return this.rig.end();
  }

  /** The value that the newest edit gave. */
  lastValue(): string {
    return `r${this.round}`;
  }

  /** An application's transaction of many inserts. */
  async commitMany(count: number): Promise<void> {
    this.round += 1;
    const value = `r${this.round}`;
    const emails = Array.from({ length: count }, (_, i) => `m${this.round}-${i}@x.test`);
    await this.rig.sql(
      `insert into hub.customer (email, first_name, last_name) select e, $2, 'Many' from unnest($1::text[]) e`,
      [emails, value],
    );
    this.changes += count;
    for (const email of emails) {
      this.people.set(email, value);
      for (const side of this.mapped) this.expected[side].creates.add(email);
    }
  }

  /** Records that have always been at a spoke. */
  loadMany(side: Side, count: number): void {
    const rows = Array.from({ length: count }, (_, i) => `l${i}@x.test`);
    for (const email of rows) this.people.set(email, 'r0');
    if (side === 'salesforce')
      this.rig.salesforce.load(
        'Contact',
        rows.map((Email) => ({ Email, FirstName: 'r0', LastName: 'Old' })),
      );
    else
      this.rig.shopify.load(
        'Customer',
        rows.map((email) => ({ email, firstName: 'r0', lastName: 'Old' })),
      );
  }

  /** Everybody who is known has to be created there. */
  mustArrive(side: Side): void {
    for (const email of this.people.keys()) this.expected[side].creates.add(email);
  }

  /** From the next start on the reconciler begins every second. */
  async reconcileEverySecond(): Promise<void> {
    const file = join(this.rig.folder, 'truespoke.yaml');
    await writeFile(file, (await readFile(file, 'utf8')).replace('reconcile: false', 'reconcile: "* * * * * *"'));
  }

  /** An engine runs until all of this has arrived, and is killed. */
  async lives(act: () => Promise<void>): Promise<void> {
    const engine = await this.rig.start();
    await act();
    await this.rig.until(() => this.agrees());
    await this.rig.settled();
    await this.rig.kill(engine);
  }

  /** From here on a drill answers for what happens. */
  async mark(): Promise<void> {
    if (this.unfinished) await this.tidyUp();
    const [row] = await this.rig.sql('select pg_current_wal_lsn()::text as lsn');
    this.since = row?.['lsn'] ?? '';
    this.changes = 0;
    this.expected = { salesforce: nothing(), shopify: nothing() };
    this.seen = { salesforce: this.rig.salesforce.ledger.lastSeq, shopify: this.rig.shopify.ledger.lastSeq };
  }

  /** An application's transaction: one update, one insert, and the deletion of what the one before inserted. */
  async commit(): Promise<void> {
    this.round += 1;
    const [value, email] = [`r${this.round}`, `n${this.round}@x.test`];
    const gone = this.latest;
    await this.rig.sql(`begin; update hub.customer set first_name = '${value}' where email = 'hub@x.test';
      insert into hub.customer (email, first_name, last_name) values ('${email}', '${value}', 'New');
      delete from hub.customer where email = '${gone ?? ''}'; commit`);
    this.people.set('hub@x.test', value).set(email, value);
    this.latest = email;
    this.changes += gone === null ? 2 : 3;
    if (gone !== null) this.people.delete(gone);
    for (const side of this.mapped) {
      this.note(side, 'hub@x.test', value);
      this.expected[side].creates.add(email);
      if (gone !== null) this.expected[side].deletes.add(gone);
    }
  }

  /** A person at a spoke changes one record and makes another. */
  async personEdits(side: Side): Promise<void> {
    this.round += 1;
    const [value, email, old] = [`r${this.round}`, `n${this.round}@x.test`, `${side}@x.test`];
    const id = this.idOf(side, old);
    if (side === 'salesforce') {
      await this.rig.salesforce.edit({ op: 'update', object: 'Contact', id, fields: { FirstName: value } });
      const fields = { Email: email, FirstName: value, LastName: 'New' };
      await this.rig.salesforce.edit({ op: 'create', object: 'Contact', fields });
    } else {
      this.rig.shopify.edit({ op: 'update', object: 'Customer', id, fields: { firstName: value } });
      this.rig.shopify.edit({ op: 'create', object: 'Customer', fields: { email, firstName: value, lastName: 'New' } });
    }
    this.people.set(old, value).set(email, value);
    for (const other of this.mapped) {
      if (other === side) continue;
      this.note(other, old, value);
      this.expected[other].creates.add(email);
    }
  }

  /** The drill before failed half-way: what it left must not be laid at this one's door. */
  private async tidyUp(): Promise<void> {
    this.rig.salesforce.faults.clear();
    this.rig.shopify.faults.clear();
    const engine = await this.rig.start();
    await this.rig.settled().finally(() => this.rig.kill(engine));
    this.unfinished = false;
  }

  private note(side: Side, email: string, value: string): void {
    const { updates } = this.expected[side];
    updates.set(email, [...(updates.get(email) ?? []), value]);
  }

  private idOf(side: Side, email: string): string {
    const found = this.records(side).find((row) => row[names[side].email] === email);
    return String(found?.[side === 'salesforce' ? 'Id' : 'id']);
  }

  private records(side: Side): readonly Readonly<Record<string, unknown>>[] {
    const all = side === 'salesforce' ? this.rig.salesforce.records('Contact') : this.rig.shopify.records('Customer');
    return all.filter((row) => row['IsDeleted'] !== true);
  }

  /** `e-mail address first name` of every live record, sorted: a duplicate shows. */
  shown(side: Side): readonly string[] {
    return this.records(side)
      .map((row) => `${String(row[names[side].email])} ${String(row[names[side].first])}`)
      .sort();
  }

  async agrees(only: readonly Side[] = this.mapped): Promise<true> {
    const wanted = JSON.stringify([...this.people].map((pair) => pair.join(' ')).sort());
    const [size] = await this.rig.sql('select count(*)::text as n from hub.customer');
    if (Number(size?.['n']) !== this.people.size)
      throw new Error(`the hub holds ${size?.['n']} of ${this.people.size}`);
    const hub = (await this.rig.sql('select email, first_name from hub.customer')).map(
      (row) => `${row['email']} ${row['first_name']}`,
    );
    const all = { hub: hub.sort(), ...Object.fromEntries(only.map((side) => [side, this.shown(side)])) };
    for (const [where, list] of Object.entries(all))
      if (JSON.stringify(list) !== wanted)
        throw new Error(`${where} holds ${JSON.stringify(list).slice(0, 300)}, not ${wanted.slice(0, 300)}`);
    return true;
  }

  /** Runs an engine that dies at `crash` (`point/spoke:hit`). `act` is repeated, each time when all agrees; null: it dies of itself. */
  async dies(crash: string, act: (() => Promise<void>) | null): Promise<void> {
    this.unfinished = true;
    await act?.();
    const engine = await this.rig.start(crash);
    const state = { dead: false };
    void engine.ended.then(() => (state.dead = true));
    for (let acts = 0; !state.dead && act !== null && acts < 10; acts += 1) {
      await this.rig.until(async () => state.dead || (await this.agrees()));
      if (!state.dead) await act();
    }
    await this.rig
      .until(() => state.dead, 30_000)
      .catch(() => Promise.reject(new Error(`${crash}: never reached\n${engine.log().slice(-4_000)}`)));
    expect(await engine.ended).toBe('SIGKILL');
  }

  /** Restart; then everything agrees, nothing is on its way, and the ledgers show each effect once. */
  async recovers(row: DrillRow, then?: () => Promise<void>): Promise<void> {
    const measured = measureRecovery();
    const engine = await this.rig.start();
    try {
      measured.up(engine);
      await this.rig.until(() => this.agrees());
      row.recovery = measured.agreed();
      await this.judge();
      await then?.();
      this.unfinished = false;
    } finally {
      await this.rig.kill(engine);
    }
    // On a busy machine it is not the engine that is slow: what it stood in the queue for a processor is other programs' time.
    const { ms, queuedMs, timeline } = row.recovery;
    const told = `restart until everything agrees again, ms without the queue for a processor\n${timeline.join('\n')}`;
    expect(ms - (queuedMs ?? 0), told).toBeLessThanOrEqual(recoveryMsMax);
  }

  async judge(): Promise<void> {
    await this.rig.settled();
    for (const side of this.mapped) this.judgeSide(side);
    const [row] = await this.rig.sql(
      `select (select count(*) from truespoke.journal where origin = 'application' and commit_lsn > $1::pg_lsn)::text as changes,
              (select count(distinct (commit_lsn, seq)) from truespoke.journal
                where origin = 'application' and commit_lsn > $1::pg_lsn)::text as distinct,
              (select count(*) from truespoke.parked where state in ('open', 'waiting'))::text as parked,
              (select count(*) from truespoke.conflict)::text as conflicts,
              (select count(*) from truespoke.link l join hub.customer c on c.id::text = l.hub_id
                where l.state = 'live' and l.base_hub ->> 'first_name' is distinct from c.first_name)::text as untrue`,
      [this.since],
    );
    const changes = String(this.changes);
    expect(row).toEqual({ changes, distinct: changes, parked: '0', conflicts: '0', untrue: '0' });
    // A webhook that is still tried again would strike in the next drill.
    if (this.mapped.includes('shopify')) await this.rig.shopify.settled();
  }

  /** By the ledger: no effect twice, none that nobody asked for, and none missing. */
  private judgeSide(side: Side): void {
    const { creates, deletes, updates } = this.expected[side];
    const email = names[side].email;
    const first = names[side].first;
    const told = (entry: LedgerEntry): string => {
      const image = entry.after ?? entry.before;
      const who = `${entry.op} ${String(image?.[email])}`;
      return entry.op === 'update' ? `${who} ${String(image?.[first])}` : who;
    };
    const effects = this.rig.writes(side, objects[side], this.seen[side]).map(told);
    // Made and deleted again before anything was sent: nothing to be done, or both.
    const brief = (one: string): boolean => creates.has(one) && deletes.has(one) && !effects.includes(`create ${one}`);
    const must = [
      ...[...creates].filter((one) => !brief(one)).map((one) => `create ${one}`),
      ...[...deletes].filter((one) => !brief(one)).map((one) => `delete ${one}`),
      ...[...updates].map(([one, values]) => `update ${one} ${String(values.at(-1))}`),
    ];
    const may = new Set([
      ...must,
      ...[...updates].flatMap(([one, all]) => all.map((value) => `update ${one} ${value}`)),
    ]);
    const doubled = effects.filter((effect, at) => effects.indexOf(effect) !== at);
    const verdict = {
      doubled,
      unasked: effects.filter((effect) => !may.has(effect)),
      missing: must.filter((effect) => !effects.includes(effect)),
    };
    expect({ side, ...verdict }).toEqual({ side, doubled: [], unasked: [], missing: [] });
  }
}
