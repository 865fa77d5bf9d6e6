// Owns query results in pages: a result kept under a locator until it is read or evicted, so pages come from one snapshot.
import { must } from '../../base/assert.js';
import { ApiError } from './errors.js';
import { longId } from './ids.js';
import type { Result } from './soql.js';
import type { Json } from './words.js';

const cursorsMax = 50;

interface Open {
  readonly result: Result;
  readonly pageRows: number;
}

export class Cursors {
  private readonly open = new Map<string, Open>();
  private count = 0;

  /** The first page of a result. */
  first(result: Result, pageRows: number, version: string): Json {
    if (result.made !== null) {
      const whole = { totalSize: result.count, done: true, records: result.made };
      return whole;
    }
    if (result.rows.length <= pageRows) return this.page(result, '', 0, pageRows, version);
    this.count += 1;
    const id = longId(`01gHs0000${String(this.count).padStart(6, '0')}`);
    this.open.set(id, { result, pageRows });
    // The real platform keeps a few cursors a user and drops the oldest.
    if (this.open.size > cursorsMax) this.open.delete(must(this.open.keys().next().value, 'oldest cursor'));
    return this.page(result, id, 0, pageRows, version);
  }

  /** A further page by its locator `<id>-<offset>`. */
  next(locator: string, version: string): Json {
    const [id = '', offset = ''] = locator.split('-');
    const open = this.open.get(id);
    if (open === undefined || !/^\d+$/.test(offset)) {
      throw new ApiError('INVALID_QUERY_LOCATOR', 'invalid query locator');
    }
    return this.page(open.result, id, Number(offset), open.pageRows, version);
  }

  clear(): void {
    this.open.clear();
  }

  private page(result: Result, id: string, from: number, pageRows: number, version: string): Json {
    const to = Math.min(from + pageRows, result.rows.length);
    const records = result.rows.slice(from, to).map(result.record);
    const totalSize = result.rows.length;
    if (to >= totalSize) return { totalSize, done: true, records };
    return { totalSize, done: false, nextRecordsUrl: `/services/data/v${version}/query/${id}-${String(to)}`, records };
  }
}
