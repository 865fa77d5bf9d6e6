// Owns incremental reading: a frozen window (watermark − overlap, server now − lag], keyset-paged by (SystemModstamp, Id), deleted
// records included, companions surfacing as changes of the record they belong to. The cursor holds everything correctness needs;
// the memory of what was shown only keeps an idle poll quiet and may be lost at any time.
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
  /** Everything up to here is known, late commits within the overlap aside. */
  readonly mark: string;
  /** Inside a window: its end, and the last row seen. */
  readonly until?: string;
  readonly at?: Position | null;
}

export interface ChangesOptions extends CallOptions {
  readonly overlapMs: number;
  /** Server time minus lag. */
  readonly untilMs: number;
}

const pageRows = 2_000;
const rememberedMax = 20_000;

export function startCursor(reader: string, ms: number): Cursor {
  return encode({ v: 1, reader, mark: stamp(ms) });
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
  return { ...value, v: 1, mark: value.mark, reader: value.reader ?? '' };
}

/** What was shown, by key. An entry silences a repetition only once the window that showed it is behind the reader's watermark. */
export class Shown {
  readonly #entries = new Map<
    string,
    { readonly stamp: string; readonly digest: string; readonly coveredBy: string }
  >();

  silent(key: string, digest: string, mark: string): boolean {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.digest === digest && entry.coveredBy <= mark;
  }

  note(key: string, entry: { stamp: string; digest: string; coveredBy: string }): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > rememberedMax) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
  }

  forgetBefore(from: string): void {
    for (const [key, entry] of this.#entries) if (entry.stamp <= from) this.#entries.delete(key);
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
  const from = stamp(Date.parse(start.mark) - options.overlapMs);
  const until = start.until ?? stamp(Math.max(options.untilMs, Date.parse(start.mark)));
  const key = `${start.reader} ${plan.object.name} ${digestOf(plan.columns.map((column) => column.path))}`;
  const shown = parts.memory.get(key) ?? new Shown();
  parts.memory.set(key, shown);
  shown.forgetBefore(from);
  const window = new Window({ parts, plan, shown, options, mark: start.mark, from, until });

  let at = start.at ?? null;
  for (;;) {
    const phase = at?.phase ?? 0;
    const { records, next } = phase === 0 ? await window.main(at) : await window.companions(at);
    const end: ChangesCursor = { v: 1, reader: start.reader, mark: until };
    const position = next === null ? end : { ...end, mark: start.mark, until, at: next };
    if (records.length > 0 || next === null)
      yield { records, cursor: encode(position), last: next === null, total: null };
    if (next === null) return;
    at = next;
  }
}

interface WindowParts {
  readonly parts: ReadParts;
  readonly plan: ReadPlan;
  readonly shown: Shown;
  readonly options: ChangesOptions;
  readonly mark: string;
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
    const { parts, plan, shown, mark, until, options } = this.given;
    const companion = plan.companion;
    if (companion === null) return { records: [], next: null };
    const parent = companion.definition.parentField;
    const rows = await this.#rows(`${companionSelect(companion, companion.object.name, [parent])} AND `, at);
    const news = rows.filter((row) => !shown.silent(`companion ${String(row['Id'])}`, digestOf(row), mark));
    const ids = news.map((row) => row[parent]).filter((id) => typeof id === 'string');
    const records = ids.length === 0 ? [] : await fetchByIds(parts, plan, ids, options);
    for (const row of news) {
      shown.note(`companion ${String(row['Id'])}`, { stamp: versionOf(row), digest: digestOf(row), coveredBy: until });
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
    const { shown, mark, until } = this.given;
    return records.filter((record) => {
      const digest = digestOf([record.version, record.deleted, record.mergedInto, record.hubKey, record.fields]);
      if (this.#now.get(record.externalId) === digest || shown.silent(record.externalId, digest, mark)) return false;
      this.#now.set(record.externalId, digest);
      shown.note(record.externalId, { stamp: record.version, digest, coveredBy: until });
      return true;
    });
  }
}
