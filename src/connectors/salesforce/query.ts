// Owns running a query and following its pages. A 2xx of another shape is a failure, and so is a page address that leaves the API.
import { Retriable, SpokePaused } from '../../base/errors.js';
import type { CallOptions } from '../connector.js';
import type { SalesforceClient } from './client.js';
import { parseErrors, recoveryOf } from './errors.js';
import type { Raw } from './record.js';

export interface QueryOptions extends CallOptions {
  /** Deleted records too. */
  readonly deleted?: boolean | undefined;
}

export interface Query {
  /** All rows. Callers bound the result with LIMIT or an IN list. */
  all(soql: string, options: QueryOptions): Promise<readonly Raw[]>;
  count(soql: string, options: CallOptions): Promise<number>;
}

const pagesMax = 1_000;

/** `onCatalogueChanged`: a field or object we knew is gone; describe again before the next try. */
export function createQuery(client: SalesforceClient, spoke: string, onCatalogueChanged: () => void): Query {
  const page = async (
    path: string,
    options: CallOptions,
  ): Promise<{ rows: Raw[]; next: string | null; total: number }> => {
    const headers = { 'sforce-query-options': 'batchSize=2000' };
    const reply = await client.call({
      method: 'GET',
      path,
      headers,
      accept: 'json',
      effect: false,
      lane: options.lane,
      signal: options.signal,
    });
    if (reply.status !== 200) throw refusal(reply.json, reply.status, spoke, onCatalogueChanged);
    const { records, done, nextRecordsUrl, totalSize } = reply.json as Record<string, unknown>;
    if (!Array.isArray(records) || typeof done !== 'boolean' || typeof totalSize !== 'number') {
      throw new Retriable({
        spoke,
        code: 'bad_query_answer',
        message: `${spoke}: a query answered 200 without records`,
      });
    }
    if (!done && (typeof nextRecordsUrl !== 'string' || !nextRecordsUrl.startsWith('/services/data/'))) {
      throw new Retriable({
        spoke,
        code: 'bad_query_answer',
        message: `${spoke}: a query has more pages but no address for them`,
      });
    }
    return { rows: records as Raw[], next: done ? null : String(nextRecordsUrl), total: totalSize };
  };

  return {
    async all(soql, options) {
      const rows: Raw[] = [];
      let path: string | null = `/${options.deleted === true ? 'queryAll' : 'query'}?q=${encodeURIComponent(soql)}`;
      for (let pages = 0; path !== null; pages += 1) {
        if (pages >= pagesMax)
          throw new Retriable({
            spoke,
            code: 'query_too_long',
            message: `${spoke}: a query has more than ${pagesMax} pages`,
          });
        const got = await page(path, options);
        rows.push(...got.rows);
        path = got.next;
      }
      return rows;
    },
    async count(soql, options) {
      return (await page(`/query?q=${encodeURIComponent(soql)}`, options)).total;
    },
  };
}

function refusal(json: unknown, status: number, spoke: string, onCatalogueChanged: () => void): Error {
  const first = parseErrors(json)[0];
  const code = first?.code ?? `status ${status}`;
  const message = `${spoke}: a query was refused: ${code}: ${first?.message ?? ''}`;
  if (code === 'INVALID_FIELD' || code === 'INVALID_TYPE') {
    onCatalogueChanged();
    return new Retriable({ spoke, code: 'catalogue_changed', message });
  }
  const recovery = recoveryOf(code);
  if (recovery === 'retry') return new Retriable({ spoke, code: code.toLowerCase(), message });
  return new SpokePaused({
    spoke,
    code: code.toLowerCase(),
    message,
    hint: 'check the mapping and the permissions of the integration user',
  });
}
