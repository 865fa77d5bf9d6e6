// Turns the replication source into journal and delivery rows, durable in one transaction with the position, and only then
// acknowledges. A crash between the two repeats work, never loses it (F1–F6). Acknowledging never waits for a spoke.
// Bounded: a transaction of any size is written in chunks inside one open hub transaction with one commit (F50).
import { assert, must } from '../base/assert.js';
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import { fieldName, hubId, type EntityName, type HubId, type SpokeName } from '../model/ids.js';
import type { DeletionLimits } from '../model/deletion-window.js';
import { formatLsn, type Lsn } from '../model/lsn.js';
import type { ReplicationSource, SourceMessage } from '../model/change.js';
import { Halt } from '../base/errors.js';
import { markCarriers, markDirty, type Dirty, type EmbeddedRow } from '../store/deliveries.js';
import {
  advancePosition,
  ensureJournalDay,
  insertJournal,
  journalLine,
  type JournalLine,
  type JournalRow,
  type Position,
} from '../store/journals.js';
import { openReviews, type Review } from '../store/conflicts.js';
import { rekeyLinks } from '../store/links.js';
import { openTransaction, sqlState, transaction, type OpenTransaction, type Pool, type Tx } from '../store/pool.js';
import { DeletionBreaker, type Deletions, type Passed } from './deletion-breaker.js';
import { createChangeReader, type CapturedChange, type ChangeReader, type TableMap } from './change-reader.js';

export interface CaptureDeps {
  /** Reserved connections: the journal never queues behind other work (F40). */
  readonly pool: Pool;
  readonly source: ReplicationSource;
  readonly position: Position;
  readonly tables: TableMap;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: CaptureLimits;
  /** Spokes whose mass-deletion limits are their own; the others have `limits.massDelete`. */
  readonly deletions?: ReadonlyMap<SpokeName, DeletionLimits> | undefined;
  /** Called after a commit with the spokes that got work. */
  readonly wake: (spokes: ReadonlySet<SpokeName>) => void;
  /** Named instants at which drills kill the process. */
  readonly crashpoint: (name: string) => void;
  readonly onProgress?: (progress: CaptureProgress) => void;
  /** Called whenever nothing that the server sent is outstanding, with the time. */
  readonly onCurrent?: (atMs: number) => void;
}

export interface CaptureLimits {
  readonly messagesMax: number;
  readonly waitMs: number;
  /** Rows of one source transaction kept in memory before they are written. */
  readonly spillRows: number;
  /** Deletions of one entity within a quarter of an hour above which they wait for a person. */
  readonly massDelete: DeletionLimits;
  /** How often an idle stream moves the durable position, so that WAL of idle tables is not kept (F36). */
  readonly idleAdvanceMs: number;
  /** Without a sign of life from the server for this long the stream is given up (F30); 45 s when left out. */
  readonly silenceMsMax?: number | undefined;
}

export interface CaptureProgress {
  readonly changes: number;
  readonly transactions: number;
  readonly durableLsn: Lsn;
  readonly committedAtMs: number | null;
}

/** Rows of one or more source transactions on their way to one durable step. */
class Gathered {
  readonly journal: JournalLine[] = [];
  /** UTC days of the journal's rows. */
  readonly days = new Set<string>();
  readonly dirty = new Map<string, Dirty>();
  readonly reviews: Review[] = [];
  readonly rekeys: Rekey[] = [];
  readonly deletions: Deletions[] = [];
  readonly unnamed: EmbeddedRow[] = [];
  transactions = 0;
  changes = 0;
  endLsn: Lsn | null = null;
  committedAtMs: number | null = null;

  /** Takes a finished transaction in. Its dirty keys are newer than those gathered before. */
  absorb(other: Gathered): void {
    for (const line of other.journal) this.journal.push(line);
    for (const day of other.days) this.days.add(day);
    for (const [key, dirty] of other.dirty) this.mark(key, dirty);
    this.reviews.push(...other.reviews);
    this.rekeys.push(...other.rekeys);
    this.deletions.push(...other.deletions);
    for (const row of other.unnamed) this.unnamed.push(row);
    this.changes += other.changes;
  }

  /** Several changes of one record are one: what they leave behind together is compared with the base. */
  mark(key: string, dirty: Dirty): void {
    const before = this.dirty.get(key)?.after;
    const after = before === undefined ? dirty.after : union(before, dirty.after);
    this.dirty.set(key, { ...dirty, after: after ?? null });
  }

  clearRows(): void {
    this.journal.length = 0;
    this.days.clear();
    this.dirty.clear();
    this.rekeys.length = 0;
    this.unnamed.length = 0;
  }

  /** Empty again, to take the next transaction in: most hold one row, and new containers cost more than the row. */
  reset(): void {
    this.clearRows();
    this.reviews.length = 0;
    this.deletions.length = 0;
    this.changes = 0;
  }
}

function union(before: Dirty['after'], after: Dirty['after']): Dirty['after'] {
  return before === null || before === undefined || after === null || after === undefined
    ? null
    : { ...before, ...after };
}

/** Archiving a row deletes its record at the spokes, just as deleting it does. */
function isRemoval({ op, before, after }: CapturedChange): boolean {
  const field = fieldName('deleted_at');
  return (
    op === 'delete' || (op === 'update' && typeof after?.[field] === 'string' && typeof before?.[field] !== 'string')
  );
}

interface Rekey {
  readonly entity: EntityName;
  readonly from: HubId;
  readonly to: HubId;
}

/** A source transaction that has begun and not committed. */
interface OpenSource {
  readonly commitLsn: Lsn;
  readonly lsnText: string;
  readonly at: string;
  readonly atMs: number;
  readonly rows: Gathered;
  readonly deletes: Map<EntityName, number>;
  readonly spokes: Set<SpokeName>;
  seq: number;
}

const uniqueViolation = '23505';

/** Captures until the signal aborts. Rejects when the stream must be reopened. */
export async function capture(deps: CaptureDeps, signal: AbortSignal): Promise<void> {
  const run = new CaptureRun(deps);
  try {
    while (!signal.aborted) {
      const batch = await deps.source.read({ messagesMax: deps.limits.messagesMax, waitMs: deps.limits.waitMs });
      for (const message of batch.messages) {
        const pending = run.take(message);
        if (pending !== undefined) await pending;
      }
      await run.flush();
      await run.idle(batch.serverLsn);
    }
  } finally {
    await run.abandon();
  }
}

class CaptureRun {
  private ready = new Gathered();
  private spare: Gathered | null = null;
  private open: OpenSource | null = null;
  /** Present while a transaction that is too large for memory is being written. */
  private spill: OpenTransaction | null = null;
  private readonly reader: ChangeReader;
  private readonly breaker: DeletionBreaker;
  /** Deletions of the step under way that nobody has to approve. */
  private passed: Passed = [];
  private readonly days = new Set<string>();
  private durableLsn: Lsn;
  private advancedAtMs = Number.NEGATIVE_INFINITY;
  private hurry = false;

  constructor(private readonly deps: CaptureDeps) {
    this.reader = createChangeReader(deps.tables);
    const { clock, log, tables, limits, deletions = new Map() } = deps;
    this.breaker = new DeletionBreaker({ clock, log, tables, limits: limits.massDelete, deletions });
    this.durableLsn = deps.position.durableLsn;
  }

  /** A promise only where something must be written before the next message: no promise a row. */
  take(message: SourceMessage): Promise<void> | undefined {
    switch (message.kind) {
      case 'begin':
        this.begin(message);
        return undefined;
      case 'message':
        if (message.prefix !== 'truespoke') return undefined;
        if (message.transactional) this.reader.mark(message.content);
        // An application waits for everything before this mark (truespoke.await_delivery): say so as soon as it is true.
        else this.hurry = true;
        return undefined;
      case 'insert':
      case 'update':
      case 'delete': {
        const change = this.reader.read(message);
        return change === null ? undefined : this.add(change);
      }
      case 'truncate':
        this.truncate(message);
        return undefined;
      case 'commit':
        return this.commit(message);
      default:
        return message satisfies never;
    }
  }

  private begin(message: Extract<SourceMessage, { kind: 'begin' }>): void {
    assert(this.open === null, 'a transaction began inside another');
    this.open = {
      commitLsn: message.finalLsn,
      lsnText: formatLsn(message.finalLsn),
      at: new Date(message.committedAtMs).toISOString(),
      atMs: message.committedAtMs,
      rows: this.spare ?? new Gathered(),
      deletes: new Map(),
      spokes: new Set(),
      seq: 0,
    };
    this.spare = null;
    this.reader.begin();
    this.deps.crashpoint('source_begin');
  }

  private add(change: CapturedChange): Promise<void> | undefined {
    const open = must(this.open, 'source transaction');
    const { entity, hubId, op, origin, trace, before, after, lane } = change;
    const { at, atMs, lsnText, rows } = open;
    this.record(open, { at, commitLsn: lsnText, seq: open.seq, entity, hubId, op, origin, trace, before, after });
    rows.changes += 1;
    if (change.rekeyedFrom !== null) rows.rekeys.push({ entity, from: change.rekeyedFrom, to: hubId });
    if (isRemoval(change)) open.deletes.set(entity, (open.deletes.get(entity) ?? 0) + 1);
    for (const { spoke, target } of change.unnamed) {
      open.spokes.add(spoke);
      rows.unnamed.push({ spoke, entity, hubId, parent: target, atMs, lsn: lsnText });
    }
    for (const target of change.targets) {
      open.spokes.add(target.spoke);
      const key = `${target.spoke}\n${target.entity}\n${target.hubId}`;
      rows.mark(key, { ...target, lane, atMs, lsn: lsnText, trace });
    }
    return rows.journal.length >= this.deps.limits.spillRows ? this.spillChunk(open) : undefined;
  }

  /** Written down at once: a row that waits as objects costs the collector more than everything else here. */
  private record(open: OpenSource, row: JournalRow): void {
    open.rows.journal.push(journalLine(this.deps.position.epoch, row));
    open.rows.days.add(open.at.slice(0, 10));
    open.seq += 1;
  }

  /** TRUNCATE names no rows: nothing is deleted at any spoke until a person has said so (F51). */
  private truncate(message: Extract<SourceMessage, { kind: 'truncate' }>): void {
    const open = must(this.open, 'source transaction');
    for (const relation of message.relations) {
      const entity = this.deps.tables.get(`${relation.schema}.${relation.table}`)?.entity.name;
      if (entity === undefined) continue;
      this.record(open, {
        at: open.at,
        commitLsn: open.lsnText,
        seq: open.seq,
        entity,
        hubId: hubId('*'),
        op: 'truncate',
        origin: this.reader.origin(),
        trace: null,
        before: null,
        after: null,
      });
      this.deps.log.warn({ entity, lsn: open.lsnText }, 'truncate held');
      open.rows.reviews.push({
        kind: 'truncate',
        spoke: null,
        entity,
        key: open.lsnText,
        evidence: { at: open.at, lsn: open.lsnText },
      });
    }
  }

  private commit(message: Extract<SourceMessage, { kind: 'commit' }>): Promise<void> | undefined {
    const open = must(this.open, 'source transaction');
    assert(message.commitLsn === open.commitLsn, 'a commit of another transaction');
    this.open = null;
    // Sent again after a crash: it is durable here already (F3, F4).
    if (message.endLsn <= this.durableLsn) return this.abandon();
    for (const [entity, count] of open.deletes)
      open.rows.deletions.push({ entity, lsn: open.lsnText, at: open.at, count });
    this.ready.absorb(open.rows);
    open.rows.reset();
    this.spare = open.rows;
    this.ready.transactions += 1;
    this.ready.endLsn = message.endLsn;
    this.ready.committedAtMs = message.committedAtMs;
    for (const spoke of open.spokes) this.woken.add(spoke);
    if (this.spill !== null || this.ready.journal.length >= this.deps.limits.spillRows) return this.flush();
    return undefined;
  }

  private readonly woken = new Set<SpokeName>();

  /** Makes every finished transaction durable, then acknowledges. */
  async flush(): Promise<void> {
    const { ready } = this;
    const { endLsn } = ready;
    if (endLsn === null) return;
    await this.ensureDays(ready.days);
    if (this.spill === null) await this.writeReady(ready, endLsn);
    else {
      await this.write(this.spill.tx, ready, endLsn, true);
      await this.spill.commit();
      this.spill = null;
    }
    this.breaker.passed(this.passed);
    this.ready = new Gathered();
    this.deps.crashpoint('journal_committed');
    this.acknowledge(endLsn);
    this.deps.crashpoint('acknowledged');
    this.deps.onProgress?.({
      changes: ready.changes,
      transactions: ready.transactions,
      durableLsn: endLsn,
      committedAtMs: ready.committedAtMs,
    });
    if (this.woken.size > 0) this.deps.wake(new Set(this.woken));
    this.woken.clear();
  }

  /** The fast way first. What another process stored a moment ago (F24) is met by the careful one. */
  private async writeReady(ready: Gathered, endLsn: Lsn): Promise<void> {
    const { pool } = this.deps;
    try {
      await transaction(pool, (tx) => this.write(tx, ready, endLsn, false));
    } catch (error) {
      if (sqlState(error) !== uniqueViolation) throw error;
      await transaction(pool, (tx) => this.write(tx, ready, endLsn, true));
    }
  }

  private async write(tx: Tx, gathered: Gathered, endLsn: Lsn, mayRepeat: boolean): Promise<void> {
    await this.writeRows(tx, gathered, mayRepeat);
    await openReviews(tx, gathered.reviews, this.deps.clock.now());
    this.passed = await this.breaker.hold(tx, gathered.deletions);
    this.deps.crashpoint('journal_written');
    const { slot, epoch } = this.deps.position;
    const owned = await advancePosition(tx, {
      slot,
      epoch,
      durableLsn: endLsn,
      atMs: this.deps.clock.now(),
      currentAtMs: gathered.committedAtMs,
    });
    this.deps.crashpoint('position_advanced');
    if (owned) return;
    throw new Halt({
      code: 'epoch_changed',
      message: `slot ${slot} was taken over by another process (epoch ${epoch} is past)`,
      hint: 'stop one of the two; what this one had planned is planned again by the other',
    });
  }

  private async writeRows(tx: Tx, gathered: Gathered, mayRepeat: boolean): Promise<void> {
    await insertJournal(tx, gathered.journal, { mayRepeat });
    this.deps.crashpoint('journal_inserted');
    for (const { entity, from, to } of gathered.rekeys) await rekeyLinks(tx, entity, from, to);
    await markDirty(tx, [...gathered.dirty.values()]);
    await markCarriers(tx, gathered.unnamed);
  }

  /** Part of a transaction that is too large for memory: written now, visible with its commit (F2, F50). */
  private async spillChunk(open: OpenSource): Promise<void> {
    if (this.spill === null) {
      // What was complete before it goes first, in its own step.
      await this.flush();
      await this.ensureDays(open.rows.days);
      this.spill = await openTransaction(this.deps.pool);
    }
    await this.writeRows(this.spill.tx, open.rows, true);
    open.rows.clearRows();
    this.deps.crashpoint('journal_spilled');
  }

  private async ensureDays(days: ReadonlySet<string>): Promise<void> {
    for (const day of days) {
      if (this.days.has(day)) continue;
      await ensureJournalDay(this.deps.pool, day);
      this.days.add(day);
    }
  }

  private acknowledge(position: Lsn): void {
    assert(position >= this.durableLsn, 'acknowledgement moved backwards');
    this.durableLsn = position;
    this.deps.source.acknowledge(position);
  }

  /** Nothing outstanding: the server's own position is safe, once it is stored. */
  async idle(serverLsn: Lsn): Promise<void> {
    if (this.open !== null || this.ready.endLsn !== null) return;
    const currentAtMs = this.deps.clock.now();
    this.deps.onCurrent?.(currentAtMs);
    if (serverLsn <= this.durableLsn) return;
    const nowMs = this.deps.clock.monotonic();
    if (!this.hurry && nowMs - this.advancedAtMs < this.deps.limits.idleAdvanceMs) return;
    this.hurry = false;
    this.advancedAtMs = nowMs;
    const { slot, epoch } = this.deps.position;
    const owned = await transaction(this.deps.pool, (tx) =>
      advancePosition(tx, { slot, epoch, durableLsn: serverLsn, atMs: currentAtMs, currentAtMs }),
    );
    if (owned) this.acknowledge(serverLsn);
  }

  /** Drops a half-written transaction: it will be sent again. */
  async abandon(): Promise<void> {
    await this.spill?.rollback();
    this.spill = null;
  }
}
