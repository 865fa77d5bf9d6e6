// Owns an in-process remote system: what a person does there, what happens by itself, and the ledger that proves it.
// Time and chance come in, so that a seeded simulation can decide both. It never calls us: it is called.
import type { Clock } from '../../base/clock.js';
import type { Random } from '../../base/random.js';
import { externalId, objectName, type HubId } from '../../model/ids.js';
import type { RemoteFields, RemoteValue } from '../../model/record.js';
import type { StreamEvent } from '../connector.js';
import { memoryConfig, type MemoryConfig, type MemoryConfigInput } from './config.js';
import { Faults } from './faults.js';
import {
  MemoryStore,
  type Change,
  type ChildChanges,
  type Effect,
  type Stamp,
  type Trigger,
  type Validation,
} from './store.js';
import { byId, type Row, type View } from './table.js';

/** One effect, as the remote's own auditor would write it down. */
export interface LedgerEntry {
  readonly sequence: number;
  readonly atMs: number;
  readonly by: 'self' | 'person';
  readonly op: Change['op'];
  readonly object: string;
  readonly id: string;
  readonly hubKey: HubId | null;
  readonly before: RemoteFields | null;
  readonly after: RemoteFields | null;
}

/** A person's edit was refused: a mistake of the test or of the scenario. */
export class RemoteRefused extends Error {
  override readonly name = 'RemoteRefused';
}

/** Values by path, as a test writes them down. */
type Given = RemoteFields | Readonly<Record<string, RemoteValue>>;

interface Late {
  readonly dueMs: number;
  readonly effect: () => void;
}

const historyMs = 60_000;

export class MemoryRemote {
  readonly config: MemoryConfig;
  readonly faults: Faults;
  readonly ledger: LedgerEntry[] = [];
  /** Calls that reached the remote, by verb. */
  readonly calls: Record<string, number> = {};
  private readonly store: MemoryStore;
  private readonly listeners = new Set<(event: StreamEvent) => void>();
  private readonly hidden = new Map<string, Set<string>>();
  private late: Late[] = [];
  private counter = 0;
  private open: Stamp | null = null;
  private tokens: number;
  private tokensAtMs: number;

  constructor(
    config: MemoryConfigInput,
    private readonly ports: { readonly clock: Clock; readonly random: Random },
  ) {
    this.config = memoryConfig.parse(config);
    this.store = new MemoryStore(this.config);
    this.faults = new Faults(ports.random);
    this.tokens = this.config.budget?.limit ?? 0;
    this.tokensAtMs = ports.clock.monotonic();
  }

  // What a person can do there.

  create(
    object: string,
    fields: Given,
    more: { readonly children?: ChildChanges; readonly hubKey?: HubId } = {},
  ): string {
    return this.byPerson({ op: 'create', object, hubKey: more.hubKey ?? null, fields, children: more.children ?? {} });
  }

  edit(object: string, id: string, fields: Given, children: ChildChanges = {}): void {
    this.byPerson({ op: 'update', object, id, fields, children, expect: null });
  }

  remove(object: string, id: string): void {
    this.byPerson({ op: 'delete', object, id });
  }

  undelete(object: string, id: string): void {
    this.byPerson({ op: 'undelete', object, id });
  }

  merge(object: string, ids: { readonly winner: string; readonly loser: string }): void {
    this.byPerson({ op: 'merge', object, id: ids.winner, loser: ids.loser });
  }

  /** Changes values without version, event or feed entry: only a reconciler can find it. */
  damage(object: string, id: string, fields: Given): void {
    this.byPerson({ op: 'damage', object, id, fields });
  }

  /** Gone for good: no bin, no feed, no event. Absence is all that shows it. */
  erase(object: string, id: string): void {
    this.settle();
    const row = this.store.table(object).current(id);
    if (row === undefined) return;
    this.store.apply({ op: 'delete', object, id }, this.stampNow('person'));
    this.store.table(object).erase(id);
    this.record('delete', 'person', object, { row: { ...row, deleted: true }, before: row });
  }

  /** Everything in `body` carries one stamp and becomes visible together, `commitAfterMs` later (F94, F96). */
  together<T>(body: () => T, commitAfterMs = 0): T {
    const stamp = this.stampNow('person');
    this.open = { ...stamp, visibleAtMs: stamp.visibleAtMs + commitAfterMs };
    try {
      return body();
    } finally {
      this.open = null;
    }
  }

  // What a test asks.

  get(object: string, id: string): Row | undefined {
    this.settle();
    return this.store.table(object).current(id);
  }

  /** Live records by id. */
  list(object: string): readonly Row[] {
    this.settle();
    return [...this.store.table(object).view(Infinity).rows()].filter((row) => !row.deleted).sort(byId);
  }

  validate(object: string, rule: Validation): void {
    this.store.addValidation(object, rule);
  }

  trigger(object: string, rule: Trigger): void {
    this.store.addTrigger(object, rule);
  }

  /** Our credential loses sight of a field (F78); `false` gives it back. */
  hide(object: string, path: string, hidden = true): void {
    const paths = this.hidden.get(object) ?? new Set();
    if (hidden) paths.add(path);
    else paths.delete(path);
    this.hidden.set(object, paths);
  }

  // What the connector's calls come down to.

  isHidden(object: string, path: string): boolean {
    return this.hidden.get(object)?.has(path) === true;
  }

  view(object: string, lagMs: number): View {
    this.settle();
    return this.store.table(object).view(this.ports.clock.monotonic() - lagMs);
  }

  /** The newest stamp given out so far; with clock versions the present moment. */
  newestStamp(): number {
    return this.config.versions === 'clock' ? this.clockStamp() : this.counter;
  }

  /** With counter versions: the lowest stamp that a reader `lagMs` behind cannot see yet, or Infinity. */
  lowestUnseen(object: string, lagMs: number): number {
    const seenMs = this.ports.clock.monotonic() - lagMs;
    let lowest = Infinity;
    for (const row of this.store.table(object).view(Infinity).rows()) {
      if (row.visibleAtMs > seenMs && row.stamp < lowest) lowest = row.stamp;
    }
    return lowest;
  }

  spec(object: string): ReturnType<MemoryStore['spec']> {
    return this.store.spec(object);
  }

  applySelf(change: Change): Effect {
    this.settle();
    return this.apply(change, 'self');
  }

  /** The effect happens when `afterMs` have passed, whoever looks then. */
  applyLater(change: Change, afterMs: number): void {
    this.late.push({ dueMs: this.ports.clock.monotonic() + afterMs, effect: () => void this.apply(change, 'self') });
  }

  /** Takes one call from the budget; otherwise how long until there is one, in ms. */
  spend(): { readonly ok: true; readonly remaining: number } | { readonly ok: false; readonly retryAfterMs: number } {
    const budget = this.config.budget;
    if (budget === undefined) return { ok: true, remaining: Number.MAX_SAFE_INTEGER };
    const nowMs = this.ports.clock.monotonic();
    this.tokens = Math.min(budget.limit, this.tokens + ((nowMs - this.tokensAtMs) / 1000) * budget.restorePerSecond);
    this.tokensAtMs = nowMs;
    if (this.tokens < 1)
      return { ok: false, retryAfterMs: Math.ceil(((1 - this.tokens) / budget.restorePerSecond) * 1000) };
    this.tokens -= 1;
    return { ok: true, remaining: Math.floor(this.tokens) };
  }

  /** Word that the remote never meant: forged, delayed, repeated. */
  tell(event: StreamEvent): void {
    for (const listener of [...this.listeners]) listener(event);
  }

  subscribe(listener: (event: StreamEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Lets every late effect that is due happen, in the order in which they fall due. */
  settle(): void {
    if (this.late.length === 0) return;
    const nowMs = this.ports.clock.monotonic();
    const due = this.late.filter((entry) => entry.dueMs <= nowMs).sort((a, b) => a.dueMs - b.dueMs);
    this.late = this.late.filter((entry) => entry.dueMs > nowMs);
    for (const entry of due) entry.effect();
  }

  private byPerson(change: Change): string {
    this.settle();
    const effect = this.apply(change, 'person');
    if (effect.outcome === 'refused') throw new RemoteRefused(`${effect.code}: ${effect.message}`);
    return effect.row?.id ?? '';
  }

  private apply(change: Change, by: LedgerEntry['by']): Effect {
    const effect = this.store.apply(change, this.open ?? this.stampNow(by));
    if (effect.outcome !== 'applied' || !effect.changed || effect.row === null) return effect;
    const { op } = change;
    this.record(op, by, change.object, { row: effect.row, before: effect.before });
    if (op === 'damage') return effect;
    this.announce(change.object, effect.row);
    if (change.op === 'merge') {
      const loser = this.store.table(change.object).current(change.loser);
      if (loser !== undefined) this.announce(change.object, loser);
    }
    return effect;
  }

  private record(
    op: Change['op'],
    by: LedgerEntry['by'],
    object: string,
    { row, before }: { row: Row; before: Row | null },
  ): void {
    this.ledger.push({
      sequence: this.ledger.length + 1,
      atMs: this.ports.clock.now(),
      by,
      op,
      object,
      id: row.id,
      hubKey: row.hubKey,
      before: before?.fields ?? null,
      after: row.deleted ? null : row.fields,
    });
  }

  private announce(object: string, row: Row): void {
    if (this.listeners.size === 0 || this.faults.chance(this.faults.hintDrop)) return;
    const events: StreamEvent[] = this.faults.chance(this.faults.hintGap)
      ? [{ kind: 'gap', reason: 'events were lost' }]
      : [{ kind: 'hint', hint: { object: objectName(object), externalId: externalId(row.id), deleted: row.deleted } }];
    if (this.faults.chance(this.faults.hintDouble)) events.push(...events);
    for (const event of events) for (const listener of [...this.listeners]) listener(event);
  }

  private stampNow(by: LedgerEntry['by']): Stamp {
    const nowMs = this.ports.clock.monotonic();
    if (this.config.versions !== 'clock') this.counter += 1;
    return {
      stamp: this.newestStamp(),
      visibleAtMs: nowMs,
      horizonMs: nowMs - Math.max(historyMs, this.faults.indexLagMs, this.faults.staleReadMs),
      bySelf: by === 'self',
    };
  }

  private clockStamp(): number {
    const step = this.config.versionStepMs;
    return Math.floor(this.ports.clock.now() / step) * step;
  }
}
