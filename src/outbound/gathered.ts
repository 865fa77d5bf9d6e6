// Owns what capture holds between two durable steps: journal rows as bytes, the dirty set, what a person has to decide. Holds text and
// bytes instead of objects: they live until the flush, and copying living objects took a third of capture's CPU. Never writes.
import type { EntityName, HubId, SpokeName } from '../model/ids.js';
import type { Lsn } from '../model/lsn.js';
import type { Review } from '../store/conflicts.js';
import { CopyBuffer } from '../store/copy.js';
import type { Dirty, EmbeddedRow } from '../store/deliveries.js';
import type { Deletions } from './deletion-breaker.js';

export interface Rekey {
  readonly entity: EntityName;
  readonly from: HubId;
  readonly to: HubId;
}

/** Rows of one or more source transactions on their way to one durable step. */
export class Gathered {
  readonly journal = new CopyBuffer();
  /** UTC days of the journal's rows. */
  readonly days = new Set<string>();
  readonly dirty = new DirtySet();
  readonly reviews: Review[] = [];
  readonly rekeys: Rekey[] = [];
  readonly deletions: Deletions[] = [];
  readonly unnamed: EmbeddedRow[] = [];
  /** Whom to tell once it is durable; of rows that were spilled too. */
  readonly spokes = new Set<SpokeName>();
  transactions = 0;
  changes = 0;
  endLsn: Lsn | null = null;
  committedAtMs: number | null = null;

  /** Takes a finished transaction in. Its dirty keys are newer than those gathered before. */
  absorb(other: Gathered): void {
    this.journal.append(other.journal);
    for (const day of other.days) this.days.add(day);
    this.dirty.absorb(other.dirty);
    for (const review of other.reviews) this.reviews.push(review);
    for (const rekey of other.rekeys) this.rekeys.push(rekey);
    for (const deletions of other.deletions) this.deletions.push(deletions);
    for (const row of other.unnamed) this.unnamed.push(row);
    for (const spoke of other.spokes) this.spokes.add(spoke);
    this.changes += other.changes;
  }

  clearRows(): void {
    this.journal.clear();
    this.days.clear();
    this.dirty.clear();
    this.rekeys.length = 0;
    this.unnamed.length = 0;
  }

  /** Empty again, to take the next transaction in: most hold one row, and new containers cost more than the row. */
  reset(): this {
    this.clearRows();
    this.reviews.length = 0;
    this.deletions.length = 0;
    this.spokes.clear();
    this.changes = 0;
    this.transactions = 0;
    this.endLsn = null;
    this.committedAtMs = null;
    return this;
  }
}

/** By spoke and entity, so that no key has to be put together for each row. */
export class DirtySet {
  private readonly feeds: { spoke: SpokeName; entity: EntityName; rows: Map<HubId, Dirty> }[] = [];

  /** Several changes of one record are one: what they leave behind together is compared with the base. */
  mark(dirty: Dirty): void {
    const rows = this.rowsOf(dirty.spoke, dirty.entity);
    const before = rows.get(dirty.hubId);
    const both = before === undefined ? dirty : { ...dirty, after: union(before.after, dirty.after) };
    rows.set(dirty.hubId, both);
  }

  absorb(newer: DirtySet): void {
    for (const { rows } of newer.feeds) for (const dirty of rows.values()) this.mark(dirty);
  }

  rows(): readonly Dirty[] {
    return this.feeds.flatMap(({ rows }) => [...rows.values()]);
  }

  clear(): void {
    for (const { rows } of this.feeds) if (rows.size > 0) rows.clear();
  }

  private rowsOf(spoke: SpokeName, entity: EntityName): Map<HubId, Dirty> {
    for (const feed of this.feeds) if (feed.spoke === spoke && feed.entity === entity) return feed.rows;
    const rows = new Map<HubId, Dirty>();
    this.feeds.push({ spoke, entity, rows });
    return rows;
  }
}

/** Two JSON objects as one: of a key that stands twice, jsonb keeps the last. Never larger than the journal rows it came from. */
function union(before: Dirty['after'], after: Dirty['after']): string | null {
  if (before === null || before === undefined || after === null || after === undefined) return null;
  if (before === '{}') return after;
  return after === '{}' ? before : `${before.slice(0, -1)},${after.slice(1)}`;
}
