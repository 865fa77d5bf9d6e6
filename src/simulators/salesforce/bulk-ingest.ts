// Owns Bulk API 2.0 ingest: create, upload, close, process in transactions of 200 rows, results as CSV, delete. Results come in
// the order in which chunks finished, not in the order of the upload, as in the real API.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { must } from '../../base/assert.js';
import { seeded } from '../../base/random.js';
import type { Reply } from '../faults.js';
import { json, jsonBody, noContent, type Call, type Route } from './call.js';
import { checkedId, upsertRecord, withoutId, type RecordResult } from './collection-routes.js';
import { commonInfo, findBulk, move, newBulk, textOr, wrongState, type Bulk } from './bulk-jobs.js';
import { csvLine, readCsv, type CsvTable } from './csv.js';
import { ApiError } from './errors.js';
import type { Transaction } from './transaction.js';
import type { FieldDef, ObjectDef } from './words.js';

const chunkRows = 200;
const operations = ['insert', 'update', 'upsert', 'delete', 'hardDelete'];

interface Outcome {
  readonly row: number;
  readonly id: string;
  readonly created: boolean;
  readonly error: string | null;
}

export interface Ingest extends Bulk {
  readonly externalIdFieldName: string | null;
  upload: string | null;
  table: CsvTable | null;
  outcomes: readonly Outcome[];
}

export const ingestRoutes: readonly Route[] = [
  { method: 'POST', pattern: '/jobs/ingest', handle: create },
  { method: 'GET', pattern: '/jobs/ingest', handle: list },
  { method: 'GET', pattern: '/jobs/ingest/:id', handle: (call) => json(200, info(findBulk(call, call.app.ingests))) },
  { method: 'PATCH', pattern: '/jobs/ingest/:id', handle: change },
  { method: 'DELETE', pattern: '/jobs/ingest/:id', handle: remove },
  { method: 'PUT', pattern: '/jobs/ingest/:id/batches', handle: upload },
  { method: 'GET', pattern: '/jobs/ingest/:id/successfulResults', handle: (call) => results(call, 'successful') },
  { method: 'GET', pattern: '/jobs/ingest/:id/failedResults', handle: (call) => results(call, 'failed') },
  { method: 'GET', pattern: '/jobs/ingest/:id/unprocessedrecords', handle: (call) => results(call, 'unprocessed') },
];

function create(call: Call): Reply {
  const body = jsonBody(call);
  const object = call.app.org.catalogue.object(textOr(body['object'], ''));
  const operation = textOr(body['operation'], '');
  if (object === undefined)
    throw new ApiError(
      'INVALIDJOB',
      `InvalidJob : The entity '${textOr(body['object'], '')}' is not supported by the Bulk API.`,
    );
  if (!operations.includes(operation))
    throw new ApiError('INVALIDJOB', `Unable to parse Job: ${operation} is not an operation`);
  const externalIdFieldName = typeof body['externalIdFieldName'] === 'string' ? body['externalIdFieldName'] : null;
  if (operation === 'upsert') keyField(call, object, externalIdFieldName);
  const ingest: Ingest = {
    ...newBulk(call, { ...body, operation }, object.name, 'Open'),
    externalIdFieldName,
    upload: null,
    table: null,
    outcomes: [],
  };
  call.app.ingests.set(ingest.id, ingest);
  return json(200, { ...info(ingest), contentUrl: `services/data/v${call.version}/jobs/ingest/${ingest.id}/batches` });
}

function keyField(call: Call, object: ObjectDef, name: string | null): FieldDef {
  const field = name === null ? undefined : call.app.org.catalogue.field(object.name, name);
  if (field === undefined || !(field.externalId || field.idLookup)) {
    throw new ApiError(
      'INVALIDJOB',
      `InvalidJob : Field name provided, ${name ?? 'null'} does not match an External ID, Salesforce Id, or indexed field for ${object.name}`,
    );
  }
  return field;
}

function info(ingest: Ingest): Record<string, unknown> {
  const failed = ingest.outcomes.filter((outcome) => outcome.error !== null).length;
  const counts = { numberRecordsProcessed: ingest.outcomes.length, numberRecordsFailed: failed };
  const { externalIdFieldName } = ingest;
  const work = {
    retries: 0,
    totalProcessingTime: ingest.tookMs,
    apiActiveProcessingTime: ingest.tookMs,
    apexProcessingTime: 0,
  };
  const error = ingest.errorMessage === null ? {} : { errorMessage: ingest.errorMessage };
  return {
    ...commonInfo(ingest),
    ...(externalIdFieldName === null ? {} : { externalIdFieldName }),
    jobType: 'V2Ingest',
    ...work,
    ...counts,
    ...error,
  };
}

function list(call: Call): Reply {
  return json(200, { done: true, records: [...call.app.ingests.values()].map(info), nextRecordsUrl: null });
}

function upload(call: Call): Reply {
  const ingest = findBulk(call, call.app.ingests);
  if (ingest.state !== 'Open' || ingest.upload !== null)
    throw wrongState(`Job: ${ingest.id} has already been uploaded or is not open.`);
  const type = call.headers['content-type'] ?? '';
  if (!type.includes('text/csv')) throw new ApiError('UNSUPPORTED_MEDIA_TYPE', `Content-Type ${type} is not text/csv`);
  ingest.upload = Buffer.from(call.body).toString('utf8');
  return { status: 201, headers: {}, body: '' };
}

function change(call: Call): Reply {
  const ingest = findBulk(call, call.app.ingests);
  const { state } = jsonBody(call);
  if (state === 'Aborted') {
    if (ingest.state === 'JobComplete' || ingest.state === 'Failed')
      throw wrongState('Aborting already completed Job not allowed');
    move(call, ingest, 'Aborted');
  } else if (state === 'UploadComplete') {
    if (ingest.state !== 'Open') throw wrongState(`Closing already ${ingest.state} Job not allowed`);
    move(call, ingest, 'UploadComplete');
    void process(call, ingest);
  } else throw new ApiError('INVALIDJOB', `Unable to parse Job: ${String(state)} is not a state`);
  return json(200, info(ingest));
}

function remove(call: Call): Reply {
  const ingest = findBulk(call, call.app.ingests);
  if (ingest.state === 'Open' || ingest.state === 'InProgress')
    throw wrongState('Deleting an open or running Job is not allowed');
  call.app.ingests.delete(ingest.id);
  return noContent;
}

/** Never rejects: what goes wrong is the state of the operation. */
async function process(call: Call, ingest: Ingest): Promise<void> {
  const { app } = call;
  await app.clock.sleep((app.options.bulkMs ?? 0) / 2, app.closing);
  if (ingest.state !== 'UploadComplete') return;
  move(call, ingest, 'InProgress');
  try {
    const table = readCsv(ingest.upload ?? '', ingest.format);
    ingest.table = table;
    const object = must(app.org.catalogue.object(ingest.object), 'ingested object');
    checkHeader(call, ingest, object, table);
    await app.clock.sleep((app.options.bulkMs ?? 0) / 2, app.closing);
    await processChunks(call, ingest, object, table);
    if (stateOf(ingest) !== 'Aborted') move(call, ingest, 'JobComplete');
  } catch (error) {
    ingest.errorMessage = error instanceof Error ? error.message : String(error);
    move(call, ingest, 'Failed');
  }
}

// Read through a function: the state changes under way, which narrowing by assignment would hide.
const stateOf = (ingest: Ingest): string => ingest.state;

function checkHeader(call: Call, ingest: Ingest, object: ObjectDef, table: CsvTable): void {
  for (const name of table.header) {
    const [relationship = '', parentField] = name.split('.');
    const known =
      parentField === undefined
        ? call.app.org.catalogue.field(object.name, name) !== undefined
        : call.app.org.catalogue.parent(object.name, relationship) !== undefined;
    if (!known) throw new Error(`InvalidBatch : Field name not found : ${name}`);
  }
  const deletes = ingest.operation === 'delete' || ingest.operation === 'hardDelete';
  if (deletes && (table.header.length !== 1 || table.header[0]?.toLowerCase() !== 'id')) {
    throw new Error("InvalidBatch : The 'delete' batch must contain only ids");
  }
}

async function processChunks(call: Call, ingest: Ingest, object: ObjectDef, table: CsvTable): Promise<void> {
  const starts: number[] = [];
  for (let at = 0; at < table.rows.length; at += chunkRows) starts.push(at);
  // Chunks run in parallel in the real API; a seeded order stands for that.
  const random = seeded((call.app.options.seed ?? 1) + ingest.id.length);
  const shuffled = starts.map((start) => ({ start, rank: random.next() })).sort((a, b) => a.rank - b.rank);
  for (const { start } of shuffled) {
    if (stateOf(ingest) === 'Aborted' || call.app.closing.aborted) return;
    ingest.outcomes = [...ingest.outcomes, ...(await processChunk(call, ingest, object, table, start))];
    await nextTurn();
  }
}

async function processChunk(
  call: Call,
  ingest: Ingest,
  object: ObjectDef,
  table: CsvTable,
  start: number,
): Promise<readonly Outcome[]> {
  const tx = call.app.org.transaction({ ...call.actor, route: `bulk ${ingest.operation}` });
  const seen = new Set<string>();
  const outcomes: Outcome[] = [];
  for (const [i, cells] of table.rows.slice(start, start + chunkRows).entries()) {
    const row = start + i;
    try {
      const result = tx.attempt(() => one(call, tx, ingest, object, recordOf(table.header, cells), seen));
      outcomes.push({ row, id: result.id ?? '', created: result.created === true, error: null });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      outcomes.push({
        row,
        id: '',
        created: false,
        error: `${error.errorCode}:${error.message}:${error.fields.join(',')} --`,
      });
    }
  }
  await tx.commit();
  return outcomes;
}

function recordOf(header: readonly string[], cells: readonly string[]): Record<string, unknown> {
  const record: Record<string, unknown> = {};
  for (const [i, name] of header.entries()) {
    const cell = cells[i] ?? '';
    if (cell !== '') record[name] = cell === '#N/A' ? null : cell;
  }
  return record;
}

function one(
  call: Call,
  tx: Transaction,
  ingest: Ingest,
  object: ObjectDef,
  record: Record<string, unknown>,
  seen: Set<string>,
): RecordResult {
  const { operation } = ingest;
  if (operation === 'insert')
    return { id: tx.insert(object, withoutId(record), 'csv'), success: true, errors: [], created: true };
  if (operation === 'upsert')
    return upsertRecord(tx, object, keyField(call, object, ingest.externalIdFieldName), record, 'csv', seen);
  const name = Object.keys(record).find((key) => key.toLowerCase() === 'id');
  if (name === undefined) throw new ApiError('MISSING_ARGUMENT', 'Id not specified in an update call', ['Id']);
  const id = checkedId(String(record[name]), object);
  if (seen.has(id)) throw new ApiError('DUPLICATE_VALUE', `duplicate id in list: ${id}`);
  seen.add(id);
  if (operation === 'update') tx.update(object, id, withoutId(record), 'csv');
  else if (operation === 'delete') tx.remove(object, id);
  else tx.purge(object, id);
  return { id, success: true, errors: [] };
}

function results(call: Call, which: 'successful' | 'failed' | 'unprocessed'): Reply {
  const ingest = findBulk(call, call.app.ingests);
  const done = ingest.state === 'JobComplete' || ingest.state === 'Failed' || ingest.state === 'Aborted';
  if (!done) throw wrongState(`Job ${ingest.id} is not complete`);
  const { header, rows } = ingest.table ?? { header: [], rows: [] };
  const extra = which === 'successful' ? ['sf__Id', 'sf__Created'] : which === 'failed' ? ['sf__Id', 'sf__Error'] : [];
  const lines = [csvLine([...extra, ...header], ingest.format)];
  if (which === 'unprocessed') {
    const processed = new Set(ingest.outcomes.map((outcome) => outcome.row));
    for (const [i, row] of rows.entries()) if (!processed.has(i)) lines.push(csvLine(row, ingest.format));
  } else {
    for (const { row, id, created, error } of ingest.outcomes) {
      if ((error === null) !== (which === 'successful')) continue;
      lines.push(csvLine([id, error ?? String(created), ...(rows[row] ?? [])], ingest.format));
    }
  }
  return { status: 200, headers: { 'content-type': 'text/csv' }, body: lines.join('') };
}
