// Owns the records of one object and their recent past, so that a read may see an older moment (index lag, stale replica).
// Knows nothing of rules, faults or the contract.
import type { HubId } from '../../model/ids.js';
import type { RemoteFields } from '../../model/record.js';

export interface ChildRow {
  readonly id: string;
  readonly hubKey: HubId | null;
  readonly fields: RemoteFields;
}

/** One state of a record. */
export interface Row {
  readonly id: string;
  /** Counter or milliseconds, as the remote's versions go. */
  readonly stamp: number;
  /** Wall clock at which this state became visible. */
  readonly visibleAtMs: number;
  readonly deleted: boolean;
  readonly bySelf: boolean;
  readonly hubKey: HubId | null;
  readonly mergedInto: string | null;
  readonly fields: RemoteFields;
  readonly children: Readonly<Record<string, readonly ChildRow[]>>;
}

/** What a reader sees: everything that became visible up to a moment. */
export interface View {
  get(id: string): Row | undefined;
  rows(): Iterable<Row>;
}

export class Table {
  /** Newest state last; older states only as long as a lagging reader may ask for them. */
  private readonly histories = new Map<string, Row[]>();
  private readonly byHubKey = new Map<HubId, string>();

  current(id: string): Row | undefined {
    return this.histories.get(id)?.at(-1);
  }

  /** The live record that carries this hub id now. */
  withHubKey(key: HubId): Row | undefined {
    const id = this.byHubKey.get(key);
    const row = id === undefined ? undefined : this.current(id);
    return row?.deleted === true ? undefined : row;
  }

  /** `horizonMs`: readers never look further back than this moment. */
  put(row: Row, horizonMs: number): void {
    const history = this.histories.get(row.id) ?? [];
    history.push(row);
    let keepFrom = history.length - 1;
    while (keepFrom > 0 && (history[keepFrom]?.visibleAtMs ?? 0) > horizonMs) keepFrom--;
    if (keepFrom > 0) history.splice(0, keepFrom);
    this.histories.set(row.id, history);
    if (row.hubKey !== null && !row.deleted) this.byHubKey.set(row.hubKey, row.id);
  }

  /** Nothing of the record remains, not even for a lagging reader. */
  erase(id: string): void {
    this.histories.delete(id);
  }

  view(atMs: number): View {
    const at = (history: readonly Row[]): Row | undefined => {
      for (let index = history.length - 1; index >= 0; index--) {
        const row = history[index];
        if (row !== undefined && row.visibleAtMs <= atMs) return row;
      }
      return undefined;
    };
    const histories = this.histories;
    return {
      get: (id) => at(histories.get(id) ?? []),
      *rows() {
        for (const history of histories.values()) {
          const row = at(history);
          if (row !== undefined) yield row;
        }
      },
    };
  }
}

/** The smallest `count` of `rows` by (stamp, id) or id, without sorting everything. */
export function smallest(rows: Iterable<Row>, count: number, compare: (a: Row, b: Row) => number): Row[] {
  let kept: Row[] = [];
  for (const row of rows) {
    kept.push(row);
    if (kept.length >= count * 4 + 64) kept = kept.sort(compare).slice(0, count);
  }
  return kept.sort(compare).slice(0, count);
}

export const byId = (a: Row, b: Row): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
export const byStamp = (a: Row, b: Row): number => a.stamp - b.stamp || byId(a, b);
