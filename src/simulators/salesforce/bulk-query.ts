// Owns Bulk API 2.0 query: create, poll, results in pages by locator, abort, delete. The rows are a snapshot of the moment the
// query ran.
import type { Reply } from '../faults.js';
import { json, jsonBody, noContent, type Call, type Route } from './call.js';
import { commonInfo, findBulk, move, newBulk, textOr, wrongState, type Bulk } from './bulk-jobs.js';
import { csvCell, csvLine } from './csv.js';
import { ApiError } from './errors.js';
import { runQuery, type Result } from './soql.js';

const pageRowsDefault = 50_000;

export interface BulkQuery extends Bulk {
  readonly query: string;
  result: Result | null;
}

export const bulkQueryRoutes: readonly Route[] = [
  { method: 'POST', pattern: '/jobs/query', handle: create },
  { method: 'GET', pattern: '/jobs/query', handle: list },
  {
    method: 'GET',
    pattern: '/jobs/query/:id',
    handle: (call) => json(200, info(findBulk(call, call.app.bulkQueries))),
  },
  { method: 'PATCH', pattern: '/jobs/query/:id', handle: abort },
  { method: 'DELETE', pattern: '/jobs/query/:id', handle: remove },
  { method: 'GET', pattern: '/jobs/query/:id/results', handle: results },
];

function create(call: Call): Reply {
  const body = jsonBody(call);
  const operation = textOr(body['operation'], 'query');
  const query = textOr(body['query'], '');
  if (operation !== 'query' && operation !== 'queryAll')
    throw new ApiError('INVALIDJOB', `Unable to parse Job: ${operation} is not an operation`);
  // Planned at once, so a wrong query is refused here; run when the operation runs.
  const planned = runQuery(call.app.org, query, { all: operation === 'queryAll', version: call.version, flat: true });
  const bulk: BulkQuery = {
    ...newBulk(call, { ...body, operation }, planned.object.name, 'UploadComplete'),
    query,
    result: null,
  };
  call.app.bulkQueries.set(bulk.id, bulk);
  void run(call, bulk);
  const { jobType: _, ...shown } = info(bulk);
  return json(200, shown);
}

/** Never rejects. */
async function run(call: Call, bulk: BulkQuery): Promise<void> {
  const { app } = call;
  await app.clock.sleep((app.options.bulkMs ?? 0) / 2, app.closing);
  if (bulk.state === 'Aborted') return;
  move(call, bulk, 'InProgress');
  await app.clock.sleep((app.options.bulkMs ?? 0) / 2, app.closing);
  if (stateOf(bulk) === 'Aborted') return;
  try {
    bulk.result = runQuery(app.org, bulk.query, {
      all: bulk.operation === 'queryAll',
      version: call.version,
      flat: true,
    });
    move(call, bulk, 'JobComplete');
  } catch (error) {
    bulk.errorMessage = error instanceof Error ? error.message : String(error);
    move(call, bulk, 'Failed');
  }
}

const stateOf = (bulk: BulkQuery): string => bulk.state;

function info(bulk: BulkQuery): Record<string, unknown> {
  const error = bulk.errorMessage === null ? {} : { errorMessage: bulk.errorMessage };
  const counts =
    bulk.result === null
      ? {}
      : { numberRecordsProcessed: bulk.result.rows.length, retries: 0, totalProcessingTime: bulk.tookMs };
  return { ...commonInfo(bulk), jobType: 'V2Query', ...counts, ...error, isPkChunkingSupported: true };
}

function list(call: Call): Reply {
  return json(200, { done: true, records: [...call.app.bulkQueries.values()].map(info), nextRecordsUrl: null });
}

function abort(call: Call): Reply {
  const bulk = findBulk(call, call.app.bulkQueries);
  if (jsonBody(call)['state'] !== 'Aborted')
    throw new ApiError('INVALIDJOB', 'Unable to parse Job: only Aborted can be set');
  if (bulk.state === 'JobComplete' || bulk.state === 'Failed')
    throw wrongState('Aborting already completed Job not allowed');
  move(call, bulk, 'Aborted');
  return json(200, info(bulk));
}

function remove(call: Call): Reply {
  const bulk = findBulk(call, call.app.bulkQueries);
  if (bulk.state === 'UploadComplete' || bulk.state === 'InProgress')
    throw wrongState('Deleting a running Job is not allowed');
  call.app.bulkQueries.delete(bulk.id);
  return noContent;
}

/** A page; `Sforce-Locator` names the next one, the text `null` ends. */
function results(call: Call): Reply {
  const bulk = findBulk(call, call.app.bulkQueries);
  if (bulk.result === null) throw wrongState(`Job ${bulk.id} has no results: its state is ${bulk.state}`);
  const from = offsetOf(call.query.get('locator'));
  const asked = Number(call.query.get('maxRecords') ?? call.app.options.bulkPageRows ?? pageRowsDefault);
  if (!Number.isInteger(asked) || asked < 1) throw new ApiError('INVALIDJOB', 'maxRecords must be a positive number');
  const { rows, columns } = bulk.result;
  if (from > 0 && from >= rows.length) throw new ApiError('INVALID_QUERY_LOCATOR', 'invalid query locator');
  const page = rows.slice(from, from + asked);
  const lines = [
    csvLine(
      columns.map((column) => column.path.join('.')),
      bulk.format,
    ),
  ];
  for (const row of page)
    lines.push(
      csvLine(
        columns.map((column) => csvCell(column.render(row), column.field)),
        bulk.format,
      ),
    );
  const next = from + page.length;
  const locator = next < rows.length ? Buffer.from(String(next)).toString('base64url') : 'null';
  const headers = {
    'content-type': 'text/csv',
    'sforce-locator': locator,
    'sforce-numberofrecords': String(page.length),
  };
  return { status: 200, headers, body: lines.join('') };
}

function offsetOf(locator: string | null): number {
  if (locator === null || locator === '') return 0;
  const offset = Number(Buffer.from(locator, 'base64url').toString('utf8'));
  if (!Number.isInteger(offset) || offset < 1) throw new ApiError('INVALID_QUERY_LOCATOR', 'invalid query locator');
  return offset;
}
