// Owns one Bulk 2.0 query job: create, wait with a deadline, read by locator. A slow or failed look never deletes the job; only
// `abandon` does.
import { CsvError, parse } from 'csv-parse/sync';
import { backoffMs } from '../../base/backoff.js';
import type { Clock } from '../../base/clock.js';
import { Retriable } from '../../base/errors.js';
import type { Random } from '../../base/random.js';
import type { CallOptions } from '../connector.js';
import type { SalesforceClient } from './client.js';
import type { SalesforceConfig } from './config.js';
import { isId, parseErrors } from './errors.js';
import type { Raw } from './record.js';

interface JobParts {
  readonly spoke: string;
  readonly client: SalesforceClient;
  readonly config: SalesforceConfig;
  readonly clock: Clock;
  readonly random: Random;
}

export interface ResultPage {
  readonly rows: readonly Raw[];
  /** null on the last page. */
  readonly next: string | null;
}

export const jobBackoff = { firstMs: 500, maxMs: 20_000 };

export class QueryJob {
  constructor(private readonly parts: JobParts) {}

  /** Job id, or null where bulk cannot be used for this query. */
  async create(soql: string, options: CallOptions): Promise<string | null> {
    const json = { operation: 'query', query: soql, contentType: 'CSV', columnDelimiter: 'COMMA', lineEnding: 'LF' };
    const reply = await this.parts.client.call({
      method: 'POST',
      path: '/jobs/query',
      json,
      accept: 'json',
      effect: false,
      ...options,
    });
    const id = (reply.json as { id?: unknown } | undefined)?.id;
    if (reply.status >= 200 && reply.status < 300 && typeof id === 'string' && isId(id)) return id;
    if (reply.status >= 400 && reply.status < 500) return null;
    throw this.#bad(`creating a bulk query answered ${reply.status}`);
  }

  async alive(id: string, options: CallOptions): Promise<boolean> {
    if (!isId(id)) return false;
    const reply = await this.#look(id, options);
    return reply.status === 200 && !['Aborted', 'Failed'].includes(stateOf(reply.json));
  }

  /** Waits for the end of the job. A deadline passes as Retriable: the job lives on and the next run goes on waiting. */
  async finished(
    id: string,
    options: CallOptions,
  ): Promise<{ ok: true; records: number | null } | { ok: false; message: string }> {
    const { clock, random, config } = this.parts;
    const until = clock.monotonic() + config.bulkDeadlineMs;
    for (let attempt = 1; ; attempt += 1) {
      const reply = await this.#look(id, options);
      const state = stateOf(reply.json);
      if (reply.status === 200 && state === 'JobComplete') {
        const count = (reply.json as { numberRecordsProcessed?: unknown }).numberRecordsProcessed;
        return { ok: true, records: typeof count === 'number' ? count : null };
      }
      if (reply.status === 200 && (state === 'Failed' || state === 'Aborted')) {
        return { ok: false, message: String((reply.json as { errorMessage?: unknown }).errorMessage ?? state) };
      }
      if (reply.status !== 200)
        throw this.#bad(`bulk job ${id} answered ${reply.status} ${parseErrors(reply.json)[0]?.code ?? ''}`);
      if (clock.monotonic() >= until) throw this.#bad(`bulk job ${id} is still ${state}`);
      options.signal?.throwIfAborted();
      await clock.sleep(attempt === 1 ? 100 : backoffMs(jobBackoff, attempt - 1, random), options.signal);
    }
  }

  async page(
    id: string,
    from: { readonly locator: string | null; readonly rows: number },
    options: CallOptions,
  ): Promise<ResultPage> {
    const place = from.locator === null ? '' : `&locator=${encodeURIComponent(from.locator)}`;
    const path = `/jobs/query/${id}/results?maxRecords=${from.rows}${place}`;
    const reply = await this.parts.client.call({
      method: 'GET',
      path,
      accept: 'csv',
      effect: false,
      deadlineMs: 300_000,
      ...options,
    });
    if (reply.status !== 200) throw this.#bad(`results of bulk job ${id} answered ${reply.status}`);
    const rows = rowsOf(reply.text);
    if (rows === null) throw this.#bad(`results of bulk job ${id} are no complete CSV`);
    const count = reply.headers['sforce-numberofrecords'];
    if (count !== undefined && Number(count) !== rows.length)
      throw this.#bad(`results of bulk job ${id} have ${rows.length} of ${count} rows`);
    const next = reply.headers['sforce-locator'];
    return { rows, next: next === undefined || next === 'null' || next === '' ? null : next };
  }

  /** Best effort: a job that is not deleted goes away by itself after seven days. */
  async abandon(id: string, options: CallOptions): Promise<void> {
    if (!isId(id)) return;
    try {
      await this.parts.client.call({
        method: 'DELETE',
        path: `/jobs/query/${id}`,
        accept: 'nothing',
        effect: false,
        ...options,
      });
    } catch (error) {
      if (!(error instanceof Retriable)) throw error;
    }
  }

  #look(id: string, options: CallOptions): ReturnType<SalesforceClient['call']> {
    return this.parts.client.call({
      method: 'GET',
      path: `/jobs/query/${id}`,
      accept: 'json',
      effect: false,
      ...options,
    });
  }

  #bad(message: string): Retriable {
    return new Retriable({ spoke: this.parts.spoke, code: 'bulk_query', message: `${this.parts.spoke}: ${message}` });
  }
}

const stateOf = (json: unknown): string => String((json as { state?: unknown } | undefined)?.state ?? '');

/** Rows by header; null when a row has another width or an open quote, so that a cut page is never a short record. */
export function rowsOf(csv: string): Raw[] | null {
  try {
    return parse(csv, { columns: true, bom: true, skip_empty_lines: true, relax_quotes: false }) as Raw[];
  } catch (error) {
    if (error instanceof CsvError) return null;
    throw error;
  }
}
