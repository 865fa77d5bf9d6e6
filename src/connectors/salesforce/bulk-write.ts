// Owns Bulk 2.0 ingest: the job id and its records are durable before the first byte is uploaded, a job is started once, and after
// a restart a stored job is finished and its results are matched to the records by key. Never submits again what a stored job
// may still apply, never deletes a job that it cannot see to be over.
import { createHash } from 'node:crypto';
import { stringify } from 'csv-stringify/sync';
import { must } from '../../base/assert.js';
import { backoffMs } from '../../base/backoff.js';
import type { Clock } from '../../base/clock.js';
import { OutcomeUnknown, RateLimited, Retriable } from '../../base/errors.js';
import type { Log } from '../../base/log.js';
import type { Random } from '../../base/random.js';
import type { CallOptions, ConnectorState, Write } from '../connector.js';
import { jobBackoff, rowsOf } from './bulk-query.js';
import type { Reply, SalesforceClient } from './client.js';
import type { RowOutcome } from './collections.js';
import type { SalesforceConfig } from './config.js';
import { id18, isId, parseErrors, type ApiError } from './errors.js';
import type { Body, Prepared } from './prepare.js';

export interface BulkParts {
  readonly spoke: string;
  readonly config: SalesforceConfig;
  readonly client: SalesforceClient;
  readonly state: ConnectorState;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** One job of ours that may still apply records. `rows`: key of a record → digest of what was sent for it. */
interface StoredJob {
  readonly id: string;
  readonly op: 'create' | 'update';
  readonly rows: Readonly<Record<string, string>>;
}

const stateKey = 'salesforce.bulk-ingest';
const none = '#N/A';
/** Keeps the stored rows and the CSV of one job small (the API's own limits are 150 MB and 100 million rows a day). */
export const bulkRowsMax = 10_000;

export class BulkWriter {
  /** Jobs that this process is waiting for at this moment. */
  readonly #mine = new Set<string>();
  /** Outcomes of jobs finished after a restart: taken once, by the write that asks for the same thing again. */
  readonly #recovered = new Map<string, { readonly digest: string; readonly outcome: RowOutcome }>();

  constructor(private readonly parts: BulkParts) {}

  /** Can this record's body be said in CSV? `#N/A` is the word for null there. */
  expressible(one: Prepared): boolean {
    return !Object.values(one.body).includes(none);
  }

  /** F18, F19: before records of a stored job are written again, that job is brought to its end. Throws Retriable while it runs. */
  async drain(writes: readonly Write[], options: CallOptions): Promise<void> {
    const stored = await this.#stored();
    if (stored.length === 0) return;
    const keys = new Set(writes.flatMap((write) => [keyOf('create', write), keyOf('update', write)]));
    for (const job of stored) {
      if (this.#mine.has(job.id) || !Object.keys(job.rows).some((key) => keys.has(key))) continue;
      await this.#finishStored(job, options);
    }
  }

  /** What a finished job did with exactly this write, or null. */
  recovered(one: Prepared): RowOutcome | null {
    const op = one.write.op === 'create' ? 'create' : 'update';
    const key = keyOf(op, one.write);
    const found = this.#recovered.get(key);
    if (found === undefined) return null;
    this.#recovered.delete(key);
    return found.digest === digestOf(one.body) ? found.outcome : null;
  }

  /** At most `bulkRowsMax` records of one object. Rejects only before the job was started. */
  async write(op: 'create' | 'update', group: readonly Prepared[], options: CallOptions): Promise<RowOutcome[]> {
    const id = await this.#create(op, must(group[0], 'group').write.object, options);
    this.#mine.add(id);
    try {
      const rows = Object.fromEntries(group.map((one) => [keyOf(op, one.write), digestOf(one.body)]));
      const job: StoredJob = { id, op, rows };
      await this.#change((jobs) => [...jobs, job]);
      if (!(await this.#upload(job, csvOf(op, group), options))) {
        return group.map(() => ({
          settled: { outcome: 'unknown', cause: `bulk job ${id} may or may not have been started` },
        }));
      }
      if (!(await this.#ended(id, options))) {
        return group.map(() => ({ settled: { outcome: 'unknown', cause: `bulk job ${id} is still running` } }));
      }
      const outcomes = await this.#results(job, options);
      if (outcomes === null)
        return group.map(() => ({
          settled: { outcome: 'unknown', cause: `results of bulk job ${id} could not be read` },
        }));
      await this.#forget(id);
      return group.map(
        (one) =>
          outcomes.get(keyOf(op, one.write)) ?? {
            settled: { outcome: 'unknown', cause: `bulk job ${id} says nothing about the record` },
          },
      );
    } finally {
      this.#mine.delete(id);
    }
  }

  async #create(op: 'create' | 'update', object: string, options: CallOptions): Promise<string> {
    const operation = op === 'create' ? 'insert' : 'update';
    const json = { object, operation, contentType: 'CSV', columnDelimiter: 'COMMA', lineEnding: 'LF' };
    // An answer lost here leaves an empty job behind: nothing can come of it.
    const reply = await this.parts.client.call({
      method: 'POST',
      path: '/jobs/ingest',
      json,
      accept: 'json',
      effect: false,
      ...options,
    });
    const id = (reply.json as { id?: unknown } | undefined)?.id;
    if (reply.status >= 300 || typeof id !== 'string' || !isId(id))
      throw this.#bad(`creating a bulk job answered ${reply.status}`);
    return id;
  }

  /** True once the job is started, false where that is not known. Throws, with the job aborted, while it was certainly not started. */
  async #upload(job: StoredJob, csv: string, options: CallOptions): Promise<boolean> {
    const path = `/jobs/ingest/${job.id}`;
    try {
      const text = { type: 'text/csv; charset=UTF-8', body: csv };
      // Rows in an open job do nothing: a lost answer here is no lost write.
      const reply = await this.parts.client.call({
        method: 'PUT',
        path: `${path}/batches`,
        text,
        accept: 'nothing',
        effect: false,
        deadlineMs: 300_000,
        ...options,
      });
      if (reply.status >= 300)
        throw this.#bad(
          `uploading to bulk job ${job.id} answered ${reply.status} ${parseErrors(reply.json)[0]?.code ?? ''}`,
        );
    } catch (error) {
      if (await this.#abort(job.id, options)) await this.#forget(job.id);
      throw error;
    }
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      try {
        const json = { state: 'UploadComplete' };
        const reply = await this.parts.client.call({
          method: 'PATCH',
          path,
          json,
          accept: 'json',
          effect: true,
          ...options,
        });
        if (reply.status < 300) return true;
      } catch (error) {
        if (!(error instanceof OutcomeUnknown) && !(error instanceof Retriable) && !(error instanceof RateLimited))
          return false;
      }
      const state = await this.#state(job.id, options);
      if (state !== null && state !== 'Open') return true;
      await this.parts.clock.sleep(backoffMs(jobBackoff, attempt, this.parts.random), options.signal);
    }
    if (!(await this.#abort(job.id, options))) return false;
    await this.#forget(job.id);
    throw this.#bad(`bulk job ${job.id} could not be started`);
  }

  /** False when the deadline passes first. One bad look changes nothing. */
  async #ended(id: string, options: CallOptions): Promise<boolean> {
    const { clock, random, config } = this.parts;
    const until = clock.monotonic() + config.bulkDeadlineMs;
    for (let attempt = 1; clock.monotonic() < until && options.signal?.aborted !== true; attempt += 1) {
      const state = await this.#state(id, options);
      if (state === 'JobComplete' || state === 'Failed' || state === 'Aborted') return true;
      await clock.sleep(attempt === 1 ? 100 : backoffMs(jobBackoff, attempt - 1, random), options.signal);
    }
    return false;
  }

  /** null when it cannot be seen now; 'Gone' when the org no longer knows the job. */
  async #state(id: string, options: CallOptions): Promise<string | null> {
    try {
      const reply = await this.parts.client.call({
        method: 'GET',
        path: `/jobs/ingest/${id}`,
        accept: 'json',
        effect: false,
        ...options,
      });
      if (reply.status === 404) return 'Gone';
      const state = (reply.json as { state?: unknown } | undefined)?.state;
      return reply.status === 200 && typeof state === 'string' ? state : null;
    } catch (error) {
      // A look that failed is no answer about the job; the caller looks again or gives up by its deadline.
      if (error instanceof Retriable || error instanceof RateLimited) return null;
      throw error;
    }
  }

  async #abort(id: string, options: CallOptions): Promise<boolean> {
    try {
      const reply = await this.parts.client.call({
        method: 'PATCH',
        path: `/jobs/ingest/${id}`,
        json: { state: 'Aborted' },
        accept: 'json',
        effect: false,
        ...options,
      });
      return reply.status < 300 || (await this.#state(id, options)) === 'Aborted';
    } catch {
      // Whatever the reason, the stored id stays and the next drain sees to it.
      return false;
    }
  }

  async #results(job: StoredJob, options: CallOptions): Promise<Map<string, RowOutcome> | null> {
    const outcomes = new Map<string, RowOutcome>();
    const keyField = job.op === 'create' ? this.parts.config.externalIdField : 'Id';
    const keyIn = (row: Record<string, unknown>): string => {
      const given = String(row[keyField] ?? '');
      return job.op === 'create' ? `hub ${given}` : `id ${id18(given)}`;
    };
    for (const [part, read] of resultParts) {
      let reply: Reply;
      try {
        reply = await this.parts.client.call({
          method: 'GET',
          path: `/jobs/ingest/${job.id}/${part}`,
          accept: 'csv',
          effect: false,
          deadlineMs: 300_000,
          ...options,
        });
      } catch (error) {
        // The stored id stays: the results are there for seven days.
        if (error instanceof Retriable || error instanceof RateLimited) return null;
        throw error;
      }
      if (reply.status !== 200) return null;
      const rows = rowsOf(reply.text);
      if (rows === null) return null;
      for (const row of rows) outcomes.set(keyIn(row), read(row));
    }
    return outcomes;
  }

  async #finishStored(job: StoredJob, options: CallOptions): Promise<void> {
    const state = await this.#state(job.id, options);
    this.parts.log.info({ spoke: this.parts.spoke, bulkJob: job.id, state }, 'a bulk job of an earlier run');
    if (state === 'Gone' || state === 'Aborted') return this.#forget(job.id);
    if (state === 'Open') {
      if (!(await this.#abort(job.id, options)))
        throw this.#bad(`bulk job ${job.id} of an earlier run could not be aborted`);
      return this.#forget(job.id);
    }
    if (state === null || !(await this.#ended(job.id, options)))
      throw this.#bad(`bulk job ${job.id} of an earlier run is not over`);
    const outcomes = await this.#results(job, options);
    if (outcomes === null) throw this.#bad(`results of bulk job ${job.id} of an earlier run could not be read`);
    for (const [key, outcome] of outcomes) {
      const digest = job.rows[key];
      if (digest !== undefined) this.#recovered.set(key, { digest, outcome });
    }
    await this.#forget(job.id);
  }

  async #stored(): Promise<readonly StoredJob[]> {
    const text = await this.parts.state.get(stateKey);
    return text === null ? [] : (JSON.parse(text) as StoredJob[]);
  }

  #forget(id: string): Promise<void> {
    return this.#change((jobs) => jobs.filter((job) => job.id !== id));
  }

  #change(to: (jobs: readonly StoredJob[]) => readonly StoredJob[]): Promise<void> {
    return this.parts.state.exclusive(stateKey, async () => {
      const jobs = to(await this.#stored());
      await this.parts.state.put(stateKey, jobs.length === 0 ? null : JSON.stringify(jobs));
    });
  }

  #bad(message: string): Retriable {
    return new Retriable({ spoke: this.parts.spoke, code: 'bulk_write', message: `${this.parts.spoke}: ${message}` });
  }
}

const resultParts: readonly (readonly [string, (row: Record<string, unknown>) => RowOutcome])[] = [
  ['successfulResults', (row) => ({ done: id18(String(row['sf__Id'])) })],
  ['failedResults', (row) => ({ errors: [bulkError(String(row['sf__Error'] ?? ''))] })],
  [
    'unprocessedrecords',
    () => ({
      errors: [
        { code: 'PROCESSING_HALTED', message: 'the bulk job ended before this record', fields: [], existing: [] },
      ],
    }),
  ],
];

/** `REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --` */
export function bulkError(text: string): ApiError {
  const code = /^([A-Z][A-Z0-9_]*):/.exec(text)?.[1] ?? 'UNKNOWN';
  const rest = code === 'UNKNOWN' ? text : text.slice(code.length + 1);
  const tail = /:([\w,. ]*) --\s*$/.exec(rest);
  const fields = (tail?.[1] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const message = rest.replace(/:[\w,. ]* --\s*$/, '');
  return (
    parseErrors([{ errorCode: code, message: message === '' ? code : message, fields }])[0] ?? {
      code,
      message,
      fields,
      existing: [],
    }
  );
}

function keyOf(op: 'create' | 'update', write: Write): string {
  return op === 'create' || write.op === 'create' ? `hub ${write.hubId}` : `id ${id18(write.externalId)}`;
}

const digestOf = (body: Body): string =>
  createHash('sha1')
    .update(JSON.stringify(Object.entries(body).sort(([a], [b]) => (a < b ? -1 : 1))))
    .digest('base64');

/** An empty cell means "no change", so absent and null stay apart. Values are JSON scalars; a Date cannot get here. */
export function csvOf(op: 'create' | 'update', group: readonly Prepared[]): string {
  const names = [...new Set(group.flatMap((one) => Object.keys(one.body)))].sort();
  const header = op === 'update' ? ['Id', ...names] : names;
  const rows = group.map((one) => {
    const cells = names.map((name) => {
      const value = one.body[name];
      return value === undefined ? '' : value === null || value === '' ? none : String(value);
    });
    return op === 'update' && one.write.op !== 'create' ? [id18(one.write.externalId), ...cells] : cells;
  });
  return stringify([header, ...rows], { record_delimiter: '\n' });
}
