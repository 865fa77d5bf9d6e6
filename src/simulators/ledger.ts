// Owns a simulator's ground truth: every write, when, by whom, from what to what. Append-only; numbers never repeat, even
// after a clear. Never used by the simulated API itself, so a test may trust it against what the API shows.
import type { Clock } from '../base/clock.js';

export type LedgerOperation = 'create' | 'update' | 'delete' | 'undelete' | 'merge' | 'purge';

export type LedgerImage = Readonly<Record<string, unknown>>;

export interface LedgerEntry {
  /** 1, 2, 3 … in the order in which writes took effect. */
  readonly seq: number;
  /** ISO 8601 in UTC with milliseconds. */
  readonly at: string;
  /** The authenticated user or app; `person` (or a given name) for edits through the control endpoint. */
  readonly actor: string;
  readonly object: string;
  readonly id: string;
  readonly op: LedgerOperation;
  readonly before: LedgerImage | null;
  readonly after: LedgerImage | null;
  /** The request that caused the write; null for edits made in-process. */
  readonly requestId: string | null;
  /** The API route or operation name, e.g. `PATCH /sobjects/Contact`. */
  readonly route: string;
}

export interface LedgerQuery {
  readonly object?: string | undefined;
  readonly id?: string | undefined;
  readonly op?: LedgerOperation | undefined;
  readonly actor?: string | undefined;
  /** Entries with a greater `seq` only. */
  readonly after?: number | undefined;
}

export class Ledger {
  private log: LedgerEntry[] = [];
  private last = 0;

  constructor(private readonly clock: Clock) {}

  append(entry: Omit<LedgerEntry, 'seq' | 'at'>): LedgerEntry {
    this.last += 1;
    const full: LedgerEntry = { seq: this.last, at: new Date(this.clock.now()).toISOString(), ...entry };
    this.log.push(full);
    return full;
  }

  /** Number of the newest entry, 0 before the first: take it before an act, then `entries({ after })`. */
  get lastSeq(): number {
    return this.last;
  }

  entries(query: LedgerQuery = {}): readonly LedgerEntry[] {
    return this.log.filter(
      (entry) =>
        (query.object === undefined || entry.object === query.object) &&
        (query.id === undefined || entry.id === query.id) &&
        (query.op === undefined || entry.op === query.op) &&
        (query.actor === undefined || entry.actor === query.actor) &&
        (query.after === undefined || entry.seq > query.after),
    );
  }

  clear(): void {
    this.log = [];
  }
}
