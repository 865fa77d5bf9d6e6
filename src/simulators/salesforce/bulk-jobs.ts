// Owns what bulk ingest and bulk query share: numbered operations with a state, their info document, and finding one by id.
import { ApiError, notFound } from './errors.js';
import { longId, normaliseId } from './ids.js';
import { csvFormat, type CsvFormat } from './csv.js';
import { param, type Call } from './call.js';
import { stampOf } from './stamps.js';

export type BulkState = 'Open' | 'UploadComplete' | 'InProgress' | 'JobComplete' | 'Failed' | 'Aborted';

export interface Bulk {
  readonly id: string;
  readonly operation: string;
  readonly object: string;
  readonly createdById: string;
  readonly createdDate: string;
  readonly apiVersion: number;
  readonly columnDelimiter: string;
  readonly lineEnding: string;
  readonly format: CsvFormat;
  state: BulkState;
  systemModstamp: string;
  startedAtMs: number;
  tookMs: number;
  errorMessage: string | null;
}

let numbers = 0;

/** The common part of a new operation, from the body of its creation. */
export function newBulk(call: Call, body: Readonly<Record<string, unknown>>, object: string, state: BulkState): Bulk {
  numbers += 1;
  const now = stampOf(call.app.clock.now());
  const columnDelimiter = textOr(body['columnDelimiter'], 'COMMA');
  const lineEnding = textOr(body['lineEnding'], 'LF');
  return {
    id: longId(`750Hs0000${String(numbers).padStart(6, '0')}`),
    operation: textOr(body['operation'], ''),
    object,
    createdById: call.actor.userId,
    createdDate: now,
    systemModstamp: now,
    apiVersion: Number(call.version),
    columnDelimiter,
    lineEnding,
    format: csvFormat(columnDelimiter, lineEnding),
    state,
    startedAtMs: call.app.clock.now(),
    tookMs: 0,
    errorMessage: null,
  };
}

export function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' && value !== '' ? value : otherwise;
}

/** The fields that every info document has. */
export function commonInfo(bulk: Bulk): Record<string, unknown> {
  const {
    id,
    operation,
    object,
    createdById,
    createdDate,
    systemModstamp,
    state,
    apiVersion,
    lineEnding,
    columnDelimiter,
  } = bulk;
  return {
    id,
    operation,
    object,
    createdById,
    createdDate,
    systemModstamp,
    state,
    concurrencyMode: 'Parallel',
    contentType: 'CSV',
    apiVersion,
    lineEnding,
    columnDelimiter,
  };
}

export function move(call: Pick<Call, 'app'>, bulk: Bulk, state: BulkState): void {
  bulk.state = state;
  bulk.systemModstamp = stampOf(call.app.clock.now());
  bulk.tookMs = Math.max(0, Math.round(call.app.clock.now() - bulk.startedAtMs));
}

export function findBulk<B extends Bulk>(call: Call, all: ReadonlyMap<string, B>): B {
  const found = all.get(normaliseId(param(call, 'id')) ?? '');
  if (found === undefined) throw notFound();
  return found;
}

export const wrongState = (message: string): ApiError => new ApiError('INVALIDJOBSTATE', message);
