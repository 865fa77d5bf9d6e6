// Owns incremental reading: a frozen window (from, server now − lag], keyset-paged by (SystemModstamp, Id), deleted records
// included, companions surfacing as changes of the record they belong to. Stamps predate commits by up to ten minutes, so once a
// minute the window begins a whole overlap before the last such sweep; between sweeps it begins seconds before the watermark.
// The cursor holds everything correctness needs; the memory of what was shown only keeps an idle poll quiet and may be lost.
import { createHash } from 'node:crypto';
import { Retriable } from '../../base/errors.js';
import { cursor, type Cursor } from '../../model/ids.js';
import type { RemoteRecord } from '../../model/record.js';
import type { CallOptions, Page } from '../connector.js';
import { id18 } from './errors.js';
import { companionSelect, selectFrom } from './plan.js';
import { fetchByIds, type ReadParts } from './read.js';
import { childRows, toRecord, versionOf, type Raw, type ReadPlan } from './record.js';
import { quoted, stamp } from './soql.js';

interface Position {
  /** 0: the object itself, 1: its companion. */
  readonly phase: 0 | 1;
  readonly stamp: string;
  readonly id: string;
}

interface ChangesCursor {
  readonly v: 1;
  /** Names the reader, so that two readers of one object never silence each other. */
  readonly reader: string;
  /** Windows completed. */
  readonly n: number;
  /** Everything up to here is known, late commits aside. */
  readonly mark: string;
  /** End of the last sweep over the whole overlap: everything that was committed by then is known. */
  readonly swept: string;
  /** Inside a window: its bounds, and the last row seen. */
  readonly inside?: { readonly from: string; readonly until: string; readonly sweep: boolean; readonly at: Position };
}

export interface ChangesOptions extends CallOptions {
  readonly overlapMs: number;
  /** Server time minus lag. */
  readonly untilMs: number;
}

const pageRows = 2_000;
const rememberedMax = 100_000;
const readersMax = 500;
const sweepEveryMs = 60_000;
/** Between sweeps: what usually separates a stamp from its commit. */
const shallowMs = 10_000;

export function startCursor(reader: string, ms: number): Cursor {
  return encode({ v: 1, reader, n: 0, mark: stamp(ms), swept: stamp(ms) });
}

const encode = (value: ChangesCursor): Cursor => cursor(JSON.stringify(value));

function decode(text: Cursor, spoke: string): ChangesCursor {
  let value: Partial<ChangesCursor> | null = null;
  try {
    value = JSON.parse(text) as Partial<ChangesCursor> | null;
  } catch {
    value = null; // Handled with every other unreadable cursor below.
  }
  if (value?.v !== 1 || typeof value.mark !== 'string' || !Number.isFinite(Date.parse(value.mark))) {
    throw new Retriable({
      spoke,
      code: 'bad_cursor',
      message: `${spoke}: a stored cursor cannot be read`,
      hint: 'run a backfill of this entity; it makes a new one',
    });
  }
  const { reader = '', n = 0, mark, swept = mark, inside } = value;
  return { v: 1, reader, n, mark, swept, ...(inside === undefined ? {} : { inside }) };
}

/** What was shown, by key. Only what a completed window showed silences a repetition: its reader has taken it. */
export class Shown {
  readonly #entries = new Map<string, { readonly stamp: string; readonly digest: string; readonly window: number }>();

  silent(key: string, digest: string, completed: number): boolean {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.digest === digest && entry.window <= completed;
  }

  note(key: string, entry: { stamp: string; digest: string; window: number }): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > rememberedMax) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
  }

  /** Drops what no window reaches any more, and what an uncompleted one showed: its reader may never have taken it. */
  forget(before: string, completed: number): void {
    for (const [key, entry] of this.#entries) {
      if (entry.stamp <= before || entry.window > completed) this.#entries.delete(key);
    }
  }
}

export type Memory = Map<string, Shown>;

// The version alone would hide a second edit within the same stamp: Salesforce keeps whole seconds.
const digestOf = (value: unknown): string => createHash('sha1').update(JSON.stringify(value)).digest('base64');

export async function* changesOf(
  parts: ReadParts & { memory: Memory },
  plan: ReadPlan,
  after: Cursor,
  options: ChangesOptions,
): AsyncGenerator<Page> {
  const start = decode(after, parts.spoke);
  const bounds = start.inside ?? boundsOf(start, options);
  const shown = shownBy(
    parts.memory,
    `${start.reader} ${plan.object.name} ${digestOf(plan.columns.map((column) => column.path))}`,
  );
  shown.forget(stamp(Date.parse(start.swept) - options.overlapMs), start.n);
  const window = new Window({ parts, plan, shown, options, completed: start.n, ...bounds });

  let at: Position | null = start.inside?.at ?? null;
  for (;;) {
    const phase = at?.phase ?? 0;
    const { records, next } = phase === 0 ? await window.main(at) : await window.companions(at);
    const position: ChangesCursor =
      next === null
        ? {
            v: 1,
            reader: start.reader,
            n: start.n + 1,
            mark: bounds.until,
            swept: bounds.sweep ? bounds.until : start.swept,
          }
        : { ...start, inside: { from: bounds.from, until: bounds.until, sweep: bounds.sweep, at: next } };
    if (records.length > 0 || next === null)
      yield { records, cursor: encode(position), last: next === null, total: null };
    if (next === null) return;
    at = next;
  }
}

function boundsOf(start: ChangesCursor, options: ChangesOptions): { from: string; until: string; sweep: boolean } {
  const mark = Date.parse(start.mark);
  const until = Math.max(options.untilMs, mark);
  const sweep = start.n === 0 || until - Date.parse(start.swept) >= sweepEveryMs;
  const from = sweep ? Date.parse(start.swept) - options.overlapMs : mark - Math.min(shallowMs, options.overlapMs);
  return { from: stamp(from), until: stamp(until), sweep };
}

function shownBy(memory: Memory, key: string): Shown {
  const known = memory.get(key) ?? new Shown();
  memory.delete(key);
  memory.set(key, known);
  const [oldest] = memory.keys();
  if (memory.size > readersMax && oldest !== undefined) memory.delete(oldest);
  return known;
}

interface WindowParts {
  readonly parts: ReadParts;
  readonly plan: ReadPlan;
  readonly shown: Shown;
  readonly options: ChangesOptions;
  readonly completed: number;
  readonly from: string;
  readonly until: string;
}

/** One frozen window of one reader. */
class Window {
  /** Shown by this very run: the page before was taken before this one is asked for. */
  readonly #now = new Map<string, string>();

  constructor(private readonly given: WindowParts) {}

  async main(at: Position | null): Promise<{ records: RemoteRecord[]; next: Position | null }> {
    const { parts, plan, options } = this.given;
    const select = selectFrom(plan, true);
    const self = await parts.self(options);
    const rows = await this.#rows(`${select} WHERE `, at);
    const records = rows.map((raw) => toRecord(plan, raw, childRows(plan, raw), self));
    const then: Position | null = plan.companion === null ? null : { phase: 1, stamp: this.given.from, id: '' };
    return { records: this.#fresh(records), next: this.#next(rows, at, 0) ?? then };
  }

  async companions(at: Position | null): Promise<{ records: RemoteRecord[]; next: Position | null }> {
    const { parts, plan, shown, completed, options } = this.given;
    const companion = plan.companion;
    if (companion === null) return { records: [], next: null };
    const parent = companion.definition.parentField;
    const rows = await this.#rows(`${companionSelect(companion, companion.object.name, [parent])} AND `, at);
    const news = rows.filter((row) => !shown.silent(`companion ${String(row['Id'])}`, digestOf(row), completed));
    const ids = news.map((row) => row[parent]).filter((id) => typeof id === 'string');
    const records = ids.length === 0 ? [] : await fetchByIds(parts, plan, ids, options);
    for (const row of news) {
      shown.note(`companion ${String(row['Id'])}`, {
        stamp: versionOf(row),
        digest: digestOf(row),
        window: completed + 1,
      });
    }
    return { records: this.#fresh(records), next: this.#next(rows, at, 1) };
  }

  async #rows(select: string, at: Position | null): Promise<readonly Raw[]> {
    const { parts, options, from, until } = this.given;
    const begin =
      at === null || at.id === ''
        ? `SystemModstamp > ${from}`
        : `(SystemModstamp > ${at.stamp} OR (SystemModstamp = ${at.stamp} AND Id > ${quoted(at.id)}))`;
    const soql = `${select}${begin} AND SystemModstamp <= ${until} ORDER BY SystemModstamp, Id LIMIT ${pageRows}`;
    const rows = await parts.query.all(soql, { ...options, deleted: true });
    // A remote whose `>` acts as `>=` shows the last row again.
    return at === null ? rows : rows.filter((row) => id18(String(row['Id'])) !== at.id || versionOf(row) !== at.stamp);
  }

  #next(rows: readonly Raw[], at: Position | null, phase: 0 | 1): Position | null {
    const last = rows.at(-1);
    if (last === undefined || rows.length < pageRows - (at === null ? 0 : 1)) return null;
    const next: Position = { phase, stamp: versionOf(last), id: id18(String(last['Id'])) };
    if (at !== null && at.phase === phase && next.stamp < at.stamp) {
      throw new Retriable({
        spoke: this.given.parts.spoke,
        code: 'paging_went_back',
        message: `${this.given.parts.spoke}: a page came out of order`,
      });
    }
    return next;
  }

  #fresh(records: readonly RemoteRecord[]): RemoteRecord[] {
    const { shown, completed } = this.given;
    return records.filter((record) => {
      const digest = digestOf([record.version, record.deleted, record.mergedInto, record.hubKey, record.fields]);
      if (this.#now.get(record.externalId) === digest || shown.silent(record.externalId, digest, completed))
        return false;
      this.#now.set(record.externalId, digest);
      shown.note(record.externalId, { stamp: record.version, digest, window: completed + 1 });
      return true;
    });
  }
}
