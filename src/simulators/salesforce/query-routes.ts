// Owns the query routes: query, queryAll, further pages, explain is not simulated.
import { json, param, type Call, type Route } from './call.js';
import { ApiError } from './errors.js';
import { runQuery } from './soql.js';
import type { Reply } from '../faults.js';

const pageRowsDefault = 2000;

export const queryRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/query', handle: (call) => query(call, false) },
  { method: 'GET', pattern: '/queryAll', handle: (call) => query(call, true) },
  { method: 'GET', pattern: '/query/:locator', handle: more },
  { method: 'GET', pattern: '/queryAll/:locator', handle: more },
];

function query(call: Call, all: boolean): Reply {
  const text = call.query.get('q');
  if (text === null || text.trim() === '') throw new ApiError('MALFORMED_QUERY', 'A query string has to be specified');
  if (text.length > 100_000)
    throw new ApiError('QUERY_TOO_COMPLICATED', 'SOQL statements cannot be longer than 100000 characters.');
  const result = runQuery(call.app.org, text, { all, version: call.version });
  return json(200, call.app.cursors.first(result, pageRows(call), call.version));
}

function more(call: Call): Reply {
  return json(200, call.app.cursors.next(param(call, 'locator'), call.version));
}

/** `Sforce-Query-Options: batchSize=500`, 200 to 2,000; the option `pageRows` of the simulator goes below for tests. */
function pageRows(call: Call): number {
  const asked = /batchSize=(\d+)/i.exec(call.headers['sforce-query-options'] ?? '')?.[1];
  const most = call.app.options.pageRows ?? pageRowsDefault;
  if (asked === undefined) return most;
  return Math.min(most, Math.max(200, Math.min(pageRowsDefault, Number(asked))));
}
