// Owns one kind of record: the live rows, and the search index that trails them. A read by id sees a write at once; a
// listing over the index sees it only after the lag, as with the real shop. Never deletes the id from being taken.
import type { Stamped } from './rows.js';

export interface TableSnapshot<Row> {
  readonly last: number;
  readonly rows: readonly Row[];
}

interface Change<Row> {
  readonly at: number;
  readonly id: number;
  readonly row: Row | null;
}

export class Table<Row extends Stamped> {
  private readonly rows = new Map<number, Row>();
  private readonly index = new Map<number, Row>();
  private waiting: Change<Row>[] = [];
  private last: number;

  constructor(
    firstId: number,
    /** False for kinds that are never searched: nothing waits to be indexed. */
    private readonly searched = true,
  ) {
    this.last = firstId;
  }

  nextId(): number {
    this.last += 1;
    return this.last;
  }

  get(id: number | null): Row | undefined {
    return id === null ? undefined : this.rows.get(id);
  }

  put(row: Row, at: number): void {
    this.rows.set(row.id, row);
    if (this.searched) this.waiting.push({ at, id: row.id, row });
  }

  delete(id: number, at: number): void {
    this.rows.delete(id);
    if (this.searched) this.waiting.push({ at, id, row: null });
  }

  snapshot(): TableSnapshot<Row> {
    return { last: this.last, rows: [...this.rows.values()] };
  }

  restore({ last, rows }: TableSnapshot<Row>, at: number): void {
    for (const row of rows) this.put(row, at);
    this.last = last;
  }

  get size(): number {
    return this.rows.size;
  }

  /** In id order, which is the order of creation. */
  live(): Iterable<Row> {
    return this.rows.values();
  }

  /** What the search index shows at `now` when it is `lagMs` behind. Rows come in id order. */
  indexed(now: number, lagMs: number): Iterable<Row> {
    let done = 0;
    for (const change of this.waiting) {
      if (change.at > now - lagMs && lagMs > 0) break;
      if (change.row === null) this.index.delete(change.id);
      else this.index.set(change.id, change.row);
      done += 1;
    }
    if (done > 0) this.waiting = this.waiting.slice(done);
    return this.index.values();
  }
}
