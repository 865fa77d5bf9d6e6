// Owns incremental reading and its cursors. Promises: a cursor covers its page; a page that was read but not taken account
// of comes again from the older cursor, also inside one spoke object; an idle poll is empty.
import { ConfigError } from '../../base/errors.js';
import { cursor, type Cursor } from '../../model/ids.js';
import type { Page } from '../connector.js';
import { mustKnow, type MemoryClient, type Reading } from './client.js';
import { byStamp, smallest, type Row } from './table.js';

/** `until` is set while a window is being paged: (after, until] in stamps, continued behind (stamp, id). */
export interface Position {
  readonly after: number;
  readonly until: number | null;
  readonly stamp: number;
  readonly id: string;
  /** Page number of this spoke object; what later pages showed is not known to have been taken account of. */
  readonly page: number;
  readonly instance: string;
}

export async function* changes(
  client: MemoryClient,
  recent: Recent,
  { object, fields, after, options }: Reading & { readonly after: Cursor },
): AsyncGenerator<Page> {
  const { remote } = client;
  const { config } = remote;
  let position = decode(client, after);
  recent.forgetBehind(object, position);
  for (;;) {
    const from: Position = position;
    const page = await client.read('changes', options, () => {
      mustKnow(client, object);
      const until = from.until ?? windowEnd(client, object, from.after);
      const start =
        from.until === null ? from.after - (config.versions === 'clock' ? config.overlapMs : 0) : from.stamp;
      const eligible: Row[] = [];
      for (const row of remote.view(object, remote.faults.indexLagMs).rows()) {
        if (row.deleted && (!config.capabilities.deleteFeed || remote.spec(object)?.recycleBin === false)) continue;
        const behind = row.stamp > start || (from.until !== null && row.stamp === start && row.id > from.id);
        if (behind && row.stamp <= until) eligible.push(row);
      }
      return { until, rows: smallest(eligible, config.pageRows, byStamp), more: eligible.length > config.pageRows };
    });
    const number = recent.nextPage();
    const fresh = page.rows.filter((row) => recent.isNew(object, row, number));
    const tail = page.rows.at(-1);
    position =
      page.more && tail !== undefined
        ? {
            after: from.after,
            until: page.until,
            stamp: tail.stamp,
            id: tail.id,
            page: number,
            instance: recent.instance,
          }
        : { ...startAt(client, page.until), page: number, instance: recent.instance };
    if (!page.more) recent.forgetBefore(object, page.until - config.overlapMs);
    yield {
      records: fresh.map((row) => client.toRecord(object, row, fields)),
      cursor: encode(position),
      last: !page.more,
      total: null,
    };
    if (!page.more) return;
  }
}

/**
 * A position behind everything up to `until`. A clock may give the stamp `until` to a later change as well, so the next
 * window includes it again; a counter cannot.
 */
function startAt({ remote }: MemoryClient, until: number): Position {
  const after = remote.config.versions === 'clock' ? until - 1 : until;
  return { after, until: null, stamp: 0, id: '', page: 0, instance: '' };
}

/** The position from which nothing that happens after this call is missed. */
export function cursorNow(client: MemoryClient, object: string): Cursor {
  return encode(startAt(client, windowEnd(client, object, -Infinity)));
}

/** The window ends where nothing can still appear: behind now by the lag, or before the first stamp that is not visible yet. */
function windowEnd({ remote }: MemoryClient, object: string, after: number): number {
  const { versions, lagMs } = remote.config;
  const end =
    versions === 'clock'
      ? remote.newestStamp() - lagMs
      : Math.min(remote.newestStamp(), remote.lowestUnseen(object, remote.faults.indexLagMs) - 1);
  return Math.max(after, end);
}

interface Shown {
  /** The very state, not its stamp: two edits may carry one stamp. A remote connector keeps a digest of the values. */
  readonly row: Row;
  readonly page: number;
}

/** What has been shown inside the overlap, so that an idle poll is empty. Forgets what a reader may not have kept. */
export class Recent {
  private page = 0;
  private readonly shown = new Map<string, Map<string, Shown>>();
  private readonly shownMax = 20_000;

  constructor(readonly instance: string) {}

  nextPage(): number {
    this.page += 1;
    return this.page;
  }

  /** The reader starts at `position`: whatever later pages showed may be lost to it and must be shown again. */
  forgetBehind(object: string, position: Position): void {
    const known = position.instance === this.instance ? position.page : 0;
    const shown = this.shown.get(object) ?? new Map<string, Shown>();
    for (const [id, entry] of shown) if (entry.page > known) shown.delete(id);
  }

  forgetBefore(object: string, stamp: number): void {
    const shown = this.shown.get(object) ?? new Map<string, Shown>();
    for (const [id, entry] of shown) if (entry.row.stamp < stamp) shown.delete(id);
  }

  isNew(object: string, row: Row, page: number): boolean {
    const shown = this.shown.get(object) ?? new Map<string, Shown>();
    this.shown.set(object, shown);
    const seen = shown.get(row.id);
    if (seen?.row === row) return false;
    if (shown.size < this.shownMax) shown.set(row.id, { row, page });
    else shown.delete(row.id); // a full memory costs repeats, never a skipped record
    return true;
  }
}

function encode(position: Position): Cursor {
  return cursor(JSON.stringify(position));
}

function decode(client: MemoryClient, text: Cursor): Position {
  try {
    const position = JSON.parse(text) as Position;
    if (typeof position.after === 'number' && typeof position.page === 'number') return position;
  } catch {
    // falls through to the error below
  }
  throw new ConfigError({
    spoke: client.deps.spoke,
    code: 'bad_cursor',
    message: 'the stored cursor is not one of this connector',
    hint: 'run the backfill again',
  });
}
