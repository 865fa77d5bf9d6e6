// Owns incremental reads: a frozen window over the update stamp, keyset-paged, each listed id fetched by id.
// Promises that no record inside (watermark − overlap, shop's now − lag] is skipped; repeats are expected, but an idle
// shop yields empty pages. Never trusts our own clock, nor the listing's fields: the search index lags behind writes.
import { ConfigError, Retriable } from '../../base/errors.js';
import { cursor, externalId } from '../../model/ids.js';
import type { Cursor } from '../../model/ids.js';
import type { CallOptions, Fields, Page } from '../connector.js';
import { RefusedWhole } from './api.js';
import type { Api } from './api.js';
import { changesDocument, shopDocument } from './documents.js';
import { asNumber, asObject, asText, parseJson } from './json.js';
import type { JsonObject, ObjectSpec } from './objects/spec.js';
import { fetchRecords, nextCursor } from './read.js';
import { nodesOf, toVersion } from './record.js';

interface Position {
  /** Everything up to this stamp has been delivered. ISO, whole seconds. */
  readonly watermark: string;
  /** A window that is only partly delivered, with the remote's keyset cursor of the last page. */
  readonly open: { readonly from: string; readonly to: string; readonly after: string } | null;
  /** Who made this cursor, and after how many pages: tells which remembered pages were committed. */
  readonly session: string;
  readonly generation: number;
}

interface Seen {
  readonly stamp: string;
  readonly generation: number;
}

export class Changes {
  private readonly session: string;
  private generation = 0;
  private readonly seen = new Map<string, Map<string, Seen>>();

  constructor(private readonly api: Api) {
    this.session = Math.floor(api.deps.random.next() * 2 ** 48).toString(36);
  }

  async now(options: CallOptions): Promise<Cursor> {
    await this.hearClock(options);
    return this.write({ watermark: toSecond(this.api.nowMs()), open: null });
  }

  async *pages(spec: ObjectSpec, fields: Fields, after: Cursor, options: CallOptions): AsyncIterable<Page> {
    const position = parsePosition(after);
    const seen = this.confirmed(spec.name, position);
    await this.hearClock(options);
    const { lagSeconds, overlapSeconds } = this.api.config;
    const from = position.open?.from ?? toSecond(Date.parse(position.watermark) - overlapSeconds * 1000);
    const to = position.open?.to ?? toSecond(this.api.nowMs() - lagSeconds * 1000);
    if (to < position.watermark) {
      yield { records: [], cursor: this.write(position), last: true, total: null };
      return;
    }
    let next: string | null = position.open?.after ?? null;
    for (;;) {
      const listed: JsonObject = await this.list(spec, { from, after: next }, options);
      const page = asObject(listed[spec.collection]);
      const all = nodesOf(page);
      // The end of the window is cut here: how the search reads an upper bound differs between objects (for some, a
      // whole day). A row beyond it belongs to the next window; only a page of nothing else ends this one early.
      const rows = all.filter((row) => toVersion(row['updatedAt']) <= toVersion(to));
      const fresh = rows.filter((row) => seen.get(asText(row['id']) ?? '')?.stamp !== asText(row['updatedAt']));
      const ids = fresh.map((row) => externalId(asText(row['id']) ?? ''));
      const records = ids.length === 0 ? [] : await fetchRecords(this.api, spec, ids, fields, options);
      const beyond = spec.order === 'stamp' && all.length > 0 && rows.length === 0;
      next = beyond ? null : nextCursor(page);
      this.generation += 1;
      for (const row of fresh) {
        seen.set(asText(row['id']) ?? '', { stamp: asText(row['updatedAt']) ?? '', generation: this.generation });
      }
      const last = next === null;
      const open = next === null ? null : { from, to, after: next };
      yield { records, cursor: this.write({ watermark: last ? to : position.watermark, open }), last, total: null };
      if (last) {
        this.forget(seen, from);
        return;
      }
    }
  }

  /** Any answer tells the shop's time; the first one must come before a window is cut. */
  private async hearClock(options: CallOptions): Promise<void> {
    if (!this.api.hasHeard) await this.api.read(shopDocument(), {}, options);
  }

  /** One page of the window. A keyset cursor the remote no longer takes starts the window again: repeats, no gap. */
  private async list(
    spec: ObjectSpec,
    window: { from: string; after: string | null },
    options: CallOptions,
  ): Promise<JsonObject> {
    const document = changesDocument(spec);
    const query = `updated_at:>='${window.from}'`;
    try {
      return await this.api.read(document, { query, after: window.after }, options);
    } catch (error) {
      const refused = error instanceof RefusedWhole || error instanceof Retriable;
      if (window.after === null || !refused || !/cursor/i.test(error.message)) throw error;
      return this.api.read(document, { query, after: null }, options);
    }
  }

  /**
   * What earlier pages delivered, as far as `position` proves that they were committed. A page whose commit failed is
   * asked for again with an older cursor, and must not be taken for a repeat.
   */
  private confirmed(object: string, position: Position): Map<string, Seen> {
    const seen = this.seen.get(object) ?? new Map<string, Seen>();
    this.seen.set(object, seen);
    if (position.session !== this.session) seen.clear();
    for (const [id, entry] of seen) if (entry.generation > position.generation) seen.delete(id);
    return seen;
  }

  /** Stamps before the next window can begin are of no more use. */
  private forget(seen: Map<string, Seen>, from: string): void {
    for (const [id, entry] of seen) if (Date.parse(entry.stamp) < Date.parse(from)) seen.delete(id);
  }

  private write(position: Pick<Position, 'watermark' | 'open'>): Cursor {
    const { watermark, open } = position;
    return cursor(JSON.stringify({ v: 1, watermark, open, session: this.session, generation: this.generation }));
  }
}

function parsePosition(text: Cursor): Position {
  const value = parseJson(text);
  const watermark = asText(value?.['watermark']);
  if (value?.['v'] !== 1 || watermark === null || Number.isNaN(Date.parse(watermark))) {
    const hint = 'backfill this object again to obtain a new one';
    throw new ConfigError({
      code: 'bad_cursor',
      message: `not a cursor of the shopify connector: ${text.slice(0, 60)}`,
      hint,
    });
  }
  const open = asObject(value['open']);
  const [from, to, after] = [asText(open?.['from']), asText(open?.['to']), asText(open?.['after'])];
  return {
    watermark,
    open: from === null || to === null || after === null ? null : { from, to, after },
    session: asText(value['session']) ?? '',
    generation: asNumber(value['generation']) ?? 0,
  };
}

const toSecond = (ms: number): string => `${new Date(Math.floor(ms / 1000) * 1000).toISOString().slice(0, 19)}Z`;
