// Owns the calls that write up to 200 records, and the one that writes a single record under a condition. One outcome a record;
// results are taken by position only after their ids agree. Never repeats a call that may have had an effect.
import { OutcomeUnknown, RateLimited, TruespokeError } from '../../base/errors.js';
import type { CallOptions, WriteResult } from '../connector.js';
import type { Call, Reply, SalesforceClient } from './client.js';
import { id18, parseErrors, recoveryOf, type ApiError } from './errors.js';
import type { Body } from './prepare.js';

export const collectionRows = 200;

/** One record of a call. `id` null for a create. */
export interface Row {
  readonly id: string | null;
  readonly body: Body;
}

/** `done`: the record is as we wanted it. */
export type RowOutcome =
  { readonly done: string } | { readonly errors: readonly ApiError[] } | { readonly settled: WriteResult };

export interface CollectionCall {
  readonly op: 'create' | 'update' | 'delete';
  readonly object: string;
}

/**
 * Rejects only with what says that no record was touched (Retriable, RateLimited, SpokePaused). A lost response is `unknown`
 * for each record.
 */
export async function writeRows(
  client: SalesforceClient,
  call: CollectionCall,
  rows: readonly Row[],
  options: CallOptions,
): Promise<RowOutcome[]> {
  let reply: Reply;
  try {
    reply = await client.call({
      ...requestOf(call, rows),
      accept: 'json',
      effect: true,
      lane: options.lane,
      signal: options.signal,
    });
  } catch (error) {
    if (error instanceof OutcomeUnknown)
      return rows.map(() => ({ settled: { outcome: 'unknown', cause: error.message } }));
    throw error;
  }
  if (reply.status >= 200 && reply.status < 300 && Array.isArray(reply.json))
    return match(call, rows, reply.json as unknown[]);
  const errors = parseErrors(reply.json);
  if (errors.length === 0 || reply.status < 400) {
    return rows.map(() => ({ settled: { outcome: 'unknown', cause: `status ${reply.status} without results` } }));
  }
  if (rows.length === 1) return [{ errors }];
  // Nothing was written: one record made the whole call unreadable. Halving finds it, and the others flow on.
  const half = rows.length >> 1;
  const first = await writeRows(client, call, rows.slice(0, half), options);
  try {
    return [...first, ...(await writeRows(client, call, rows.slice(half), options))];
  } catch (error) {
    // The first half may have had an effect, so this call cannot reject any more.
    return [...first, ...rows.slice(half).map(() => ({ settled: notSent(error) }))];
  }
}

/** For writes that were never sent because an earlier one of the same batch showed that the remote cannot be used now. */
export function notSent(error: unknown): WriteResult {
  if (error instanceof RateLimited) return { outcome: 'throttled', retryAfterMs: error.retryAfterMs };
  if (error instanceof TruespokeError) return { outcome: 'throttled', retryAfterMs: 1_000 };
  throw error;
}

function requestOf(call: CollectionCall, rows: readonly Row[]): Pick<Call, 'method' | 'path' | 'json'> {
  const attributes = { type: call.object };
  const records = rows.map((row) => ({ attributes, ...(row.id === null ? {} : { id: row.id }), ...row.body }));
  const json = { allOrNone: false, records };
  switch (call.op) {
    case 'create':
      return { method: 'POST', path: '/composite/sobjects', json };
    case 'update':
      return { method: 'PATCH', path: '/composite/sobjects', json };
    case 'delete':
      return {
        method: 'DELETE',
        path: `/composite/sobjects?ids=${rows.map((row) => row.id ?? '').join(',')}&allOrNone=false`,
      };
    default:
      return call.op satisfies never;
  }
}

/** F70: fewer or reordered results. Known ids decide; where they cannot, the outcome is unknown. */
function match(call: CollectionCall, rows: readonly Row[], results: readonly unknown[]): RowOutcome[] {
  const read = results.map(outcomeOf);
  const agree =
    read.length === rows.length &&
    rows.every((row, at) => row.id === null || read[at]?.id === null || read[at]?.id === id18(row.id));
  const unknown: RowOutcome = { settled: { outcome: 'unknown', cause: 'the results do not fit the records sent' } };
  if (agree) return rows.map((row, at) => closed(call, row, read[at]?.outcome ?? unknown));
  const byId = new Map(read.flatMap((one) => (one.id === null ? [] : [[one.id, one.outcome] as const])));
  return rows.map((row) => (row.id === null ? unknown : closed(call, row, byId.get(id18(row.id)) ?? unknown)));
}

function outcomeOf(result: unknown): { id: string | null; outcome: RowOutcome } {
  const { id, success, errors } = (result ?? {}) as { id?: unknown; success?: unknown; errors?: unknown };
  const known = typeof id === 'string' && id !== '' ? id18(id) : null;
  if (success === true && known !== null) return { id: known, outcome: { done: known } };
  const list = parseErrors(errors);
  if (success === false && list.length > 0) return { id: known, outcome: { errors: list } };
  return { id: known, outcome: { settled: { outcome: 'unknown', cause: 'a result says neither success nor error' } } };
}

/** F84: deleting what is deleted is what was wanted. */
function closed(call: CollectionCall, row: Row, outcome: RowOutcome): RowOutcome {
  const deleted =
    call.op === 'delete' &&
    row.id !== null &&
    'errors' in outcome &&
    outcome.errors.some((error) => recoveryOf(error.code) === 'deleted');
  return deleted && row.id !== null ? { done: id18(row.id) } : outcome;
}

/** A change that holds only while nobody has changed the record after `expectMs`. */
export interface ConditionalRow {
  readonly object: string;
  readonly id: string;
  readonly body: Body;
  readonly expectMs: number;
}

/** Subrequests of one composite call. */
export const conditionalRows = 25;

/**
 * Changes records each under its own condition, up to 25 in one call. Salesforce compares whole seconds: an edit in the same
 * second as the expected version is not noticed. Rejects only while no record was touched.
 */
export async function writeIfUnmodified(
  client: SalesforceClient,
  rows: readonly ConditionalRow[],
  options: CallOptions,
): Promise<RowOutcome[]> {
  const [first] = rows;
  if (first === undefined) return [];
  if (rows.length === 1) return [await writeOne(client, first, options)];
  const compositeRequest = rows.map((row, n) => ({
    method: 'PATCH',
    url: client.dataPath(`/sobjects/${row.object}/${row.id}`),
    referenceId: `r${n}`,
    httpHeaders: { 'If-Unmodified-Since': httpDate(row.expectMs) },
    body: row.body,
  }));
  let reply: Reply;
  try {
    const json = { allOrNone: false, collateSubrequests: false, compositeRequest };
    reply = await client.call({ method: 'POST', path: '/composite', json, accept: 'json', effect: true, ...options });
  } catch (error) {
    if (error instanceof OutcomeUnknown)
      return rows.map(() => ({ settled: { outcome: 'unknown', cause: error.message } }));
    throw error;
  }
  const answers = (reply.json as { compositeResponse?: unknown } | undefined)?.compositeResponse;
  const byReference = new Map(
    (Array.isArray(answers) ? (answers as Record<string, unknown>[]) : []).map((one) => [one['referenceId'], one]),
  );
  return rows.map((row, n) => {
    const answer = byReference.get(`r${n}`);
    const status = answer?.['httpStatusCode'];
    if (typeof status === 'number') return conditionalOutcome(row, { status, json: answer?.['body'] });
    const errors = reply.status >= 400 ? parseErrors(reply.json) : [];
    return errors.length > 0 ? { errors } : { settled: { outcome: 'unknown', cause: 'no answer for this record' } };
  });
}

/** In a composite call `@{…}` in a text means a reference to another answer: such a record goes alone. */
export function fitsComposite(row: ConditionalRow): boolean {
  return !Object.values(row.body).some((value) => typeof value === 'string' && value.includes('@{'));
}

const httpDate = (ms: number): string => new Date(Math.ceil(ms / 1_000) * 1_000).toUTCString();

async function writeOne(client: SalesforceClient, row: ConditionalRow, options: CallOptions): Promise<RowOutcome> {
  try {
    const reply = await client.call({
      method: 'PATCH',
      path: `/sobjects/${row.object}/${row.id}`,
      headers: { 'if-unmodified-since': httpDate(row.expectMs) },
      json: row.body,
      accept: 'nothing',
      effect: true,
      ...options,
    });
    return conditionalOutcome(row, reply);
  } catch (error) {
    if (error instanceof OutcomeUnknown) return { settled: { outcome: 'unknown', cause: error.message } };
    throw error;
  }
}

function conditionalOutcome(row: ConditionalRow, reply: Pick<Reply, 'status' | 'json'>): RowOutcome {
  const { status } = reply;
  if (status === 412) return { settled: { outcome: 'stale', record: null } };
  if (status >= 200 && status < 300) {
    // Documented answer is 204 without a body; a page of a proxy is no success.
    const clean = status === 204 || reply.json !== undefined;
    return clean
      ? { done: id18(row.id) }
      : { settled: { outcome: 'unknown', cause: `status ${status} with a body that is not JSON` } };
  }
  const errors = status < 500 ? parseErrors(reply.json) : [];
  return errors.length > 0
    ? { errors }
    : { settled: { outcome: 'unknown', cause: `status ${status} without a reason` } };
}
