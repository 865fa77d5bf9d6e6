// Turns the replication source into journal and delivery rows, durable in one transaction with the position, and only then
// acknowledges. A crash between the two repeats work, never loses it (F1–F6). Acknowledging never waits for a spoke.
// Bounded: a transaction of any size is written in chunks inside one open hub transaction with one commit (F50).
import { assert, must } from '../base/assert.js';
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import { fieldName, hubId, type EntityName, type SpokeName } from '../model/ids.js';
import type { DeletionLimits } from '../model/deletion-window.js';
import { formatLsn, type Lsn } from '../model/lsn.js';
import type { ReplicationSource, SourceMessage } from '../model/change.js';
import { Halt } from '../base/errors.js';
import { markCarriers, markDirty } from '../store/deliveries.js';
import {
  advancePosition,
  ensureJournalDay,
  insertJournal,
  journalLine,
  type JournalRow,
  type Position,
} from '../store/journals.js';
import { openReviews } from '../store/conflicts.js';
import { rekeyLinks } from '../store/links.js';
import { openTransaction, sqlState, transaction, type OpenTransaction, type Pool, type Tx } from '../store/pool.js';
import { DeletionBreaker, type Passed } from './deletion-breaker.js';
import { createChangeReader, type CapturedChange, type ChangeReader, type TableMap } from './change-reader.js';
import { Gathered } from './gathered.js';

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

const jsonOf = (fields: CapturedChange['after']): string | null => (fields === null ? null : JSON.stringify(fields));

/** Archiving a row deletes its record at the spokes, just as deleting it does. */
function isRemoval({ op, before, after }: CapturedChange): boolean {
  const field = fieldName('deleted_at');
  return (
    op === 'delete' || (op === 'update' && typeof after?.[field] === 'string' && typeof before?.[field] !== 'string')
  );
}

/** A source transaction that has begun and not committed. */
interface OpenSource {
  readonly commitLsn: Lsn;
  readonly lsnText: string;
  readonly at: string;
  readonly atMs: number;
  readonly rows: Gathered;
  /** Most transactions delete nothing. */
  deletes: Map<EntityName, number> | null;
  seq: number;
}

const uniqueViolation = '23505';

/** Messages decoded at a time, however many a step takes: they are garbage before the collector has to copy them. */
const portionMessages = 1_000;

/**
 * Captures until the signal aborts. Rejects when the stream must be reopened. While there is more than a step takes, the next one is read
 * while the last one is written; else a step is durable before the next read.
 */
export async function capture(deps: CaptureDeps, signal: AbortSignal): Promise<void> {
  const { messagesMax, waitMs } = deps.limits;
  const portion = Math.min(portionMessages, messagesMax);
  const run = new CaptureRun(deps);
  let taken = 0;
  try {
    while (!signal.aborted) {
      const batch = await deps.source.read({ messagesMax: portion, waitMs: run.waits ? 0 : waitMs });
      for (const message of batch.messages) {
        const pending = run.take(message);
        if (pending !== undefined) await pending;
      }
      taken += batch.messages.length;
      const more = batch.messages.length >= portion;
      if (more && taken < messagesMax) continue;
      taken = 0;
      await run.flushBehind();
      if (more) continue;
      await run.flushed();
      await run.idle(batch.serverLsn);
    }
    await run.flush();
  } finally {
    await run.abandon();
  }
}

class CaptureRun {
  private ready = new Gathered();
  private spare: Gathered | null = null;
  private emptied: Gathered | null = null;
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
  /** The step that is being written. Its failure is thrown where it is waited for. */
  private step: Promise<void> | null = null;

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
      deletes: null,
      seq: 0,
    };
    this.spare = null;
    this.reader.begin();
    this.deps.crashpoint('source_begin');
  }

  private add(change: CapturedChange): Promise<void> | undefined {
    const open = must(this.open, 'source transaction');
    const { entity, hubId, op, origin, trace, lane } = change;
    const { at, atMs, lsnText, rows } = open;
    const before = jsonOf(change.before);
    const after = jsonOf(change.after);
    this.record(open, { at, commitLsn: lsnText, seq: open.seq, entity, hubId, op, origin, trace, before, after });
    rows.changes += 1;
    if (change.rekeyedFrom !== null) rows.rekeys.push({ entity, from: change.rekeyedFrom, to: hubId });
    if (isRemoval(change)) (open.deletes ??= new Map()).set(entity, (open.deletes.get(entity) ?? 0) + 1);
    for (const { spoke, target } of change.unnamed) {
      rows.spokes.add(spoke);
      rows.unnamed.push({ spoke, entity, hubId, parent: target, atMs, lsn: lsnText });
    }
    for (const target of change.targets) {
      rows.spokes.add(target.spoke);
      rows.dirty.mark({
        spoke: target.spoke,
        entity: target.entity,
        hubId: target.hubId,
        lane,
        atMs,
        lsn: lsnText,
        trace,
        // Where all that changed concerns the spoke, its text is written once.
        after: target.after === change.after ? after : jsonOf(target.after),
      });
    }
    return rows.journal.lines >= this.deps.limits.spillRows ? this.spillChunk(open) : undefined;
  }

  /** Written down at once: a row that waits as objects costs the collector more than everything else here. */
  private record(open: OpenSource, row: JournalRow): void {
    open.rows.journal.add(journalLine(this.deps.position.epoch, row));
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
    for (const [entity, count] of open.deletes ?? [])
      open.rows.deletions.push({ entity, lsn: open.lsnText, at: open.at, count });
    this.ready.absorb(open.rows);
    this.spare = open.rows.reset();
    this.ready.transactions += 1;
    this.ready.endLsn = message.endLsn;
    this.ready.committedAtMs = message.committedAtMs;
    if (this.spill !== null || this.ready.journal.lines >= this.deps.limits.spillRows) return this.flush();
    return undefined;
  }

  /** Something that was read is not durable yet. */
  get waits(): boolean {
    return this.step !== null || this.ready.endLsn !== null;
  }

  /** Makes every finished transaction durable, then acknowledges. */
  async flush(): Promise<void> {
    await this.flushBehind();
    await this.flushed();
  }

  /** Begins to, once the step before it is durable: steps follow one another, only reading goes on beside. */
  async flushBehind(): Promise<void> {
    await this.flushed();
    const { ready } = this;
    if (ready.endLsn === null) return;
    this.ready = this.emptied ?? new Gathered();
    this.emptied = null;
    this.step = this.durable(ready, ready.endLsn);
    this.step.catch(() => undefined);
  }

  async flushed(): Promise<void> {
    const { step } = this;
    if (step === null) return;
    await step;
    this.step = null;
  }

  private async durable(ready: Gathered, endLsn: Lsn): Promise<void> {
    await this.ensureDays(ready.days);
    if (this.spill === null) await this.writeReady(ready, endLsn);
    else {
      await this.write(this.spill.tx, ready, endLsn, true);
      await this.spill.commit();
      this.spill = null;
    }
    this.breaker.passed(this.passed);
    this.deps.crashpoint('journal_committed');
    this.acknowledge(endLsn);
    this.deps.crashpoint('acknowledged');
    this.deps.onProgress?.({
      changes: ready.changes,
      transactions: ready.transactions,
      durableLsn: endLsn,
      committedAtMs: ready.committedAtMs,
    });
    if (ready.spokes.size > 0) this.deps.wake(new Set(ready.spokes));
    this.emptied = ready.reset();
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
    await markDirty(tx, gathered.dirty.rows());
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
    if (this.open !== null || this.waits) return;
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
    // Whoever ends the stream may close the pool next. What failed here was thrown where it was waited for, or is sent again.
    await this.step?.catch(() => undefined);
    await this.spill?.rollback();
    this.spill = null;
  }
}
