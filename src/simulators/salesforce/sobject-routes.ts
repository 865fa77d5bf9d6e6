// Owns the routes of single records: describe, create, read, update, delete, upsert by external id, conditional requests,
// and the replication lists (updated, deleted).
import { must } from '../../base/assert.js';
import type { Reply } from '../faults.js';
import { json, jsonBody, noContent, param, pathObject, versionOf, type Call, type Route } from './call.js';
import { describeGlobal, describeObject } from './describe.js';
import { ApiError, notFound } from './errors.js';
import { normaliseId } from './ids.js';
import { runQuery } from './soql.js';
import { msOf, parseStamp, stampOf, wholeSecond } from './stamps.js';
import { transact } from './transact.js';
import type { Transaction } from './transaction.js';
import type { FieldDef, ObjectDef, Row } from './words.js';

export const sobjectRoutes: readonly Route[] = [
  {
    method: 'GET',
    pattern: '/sobjects',
    handle: (call) => json(200, describeGlobal(call.app.org.catalogue, call.version)),
  },
  { method: 'GET', pattern: '/sobjects/:object', handle: basicInfo },
  { method: 'GET', pattern: '/sobjects/:object/describe', handle: describe },
  { method: 'GET', pattern: '/sobjects/:object/updated', handle: updated },
  { method: 'GET', pattern: '/sobjects/:object/deleted', handle: deletedList },
  { method: 'POST', pattern: '/sobjects/:object', handle: create },
  { method: 'GET', pattern: '/sobjects/:object/:id', handle: read },
  { method: 'PATCH', pattern: '/sobjects/:object/:id', handle: update },
  { method: 'DELETE', pattern: '/sobjects/:object/:id', handle: remove },
  { method: 'GET', pattern: '/sobjects/:object/:field/:value', handle: readByKey },
  { method: 'PATCH', pattern: '/sobjects/:object/:field/:value', handle: upsert },
  { method: 'POST', pattern: '/sobjects/:object/:field/:value', handle: upsert },
  { method: 'DELETE', pattern: '/sobjects/:object/:field/:value', handle: removeByKey },
];

function basicInfo(call: Call): Reply {
  const object = pathObject(call);
  const whole = describeObject(call.app.org.catalogue, object, call.version) as { fields: unknown };
  const { fields: _, ...objectDescribe } = whole;
  return json(200, { objectDescribe, recentItems: [] });
}

function describe(call: Call): Reply {
  return json(200, describeObject(call.app.org.catalogue, pathObject(call), call.version));
}

async function create(call: Call): Promise<Reply> {
  const object = pathObject(call);
  const id = await transact(call, (tx) => tx.insert(object, jsonBody(call), 'json'));
  const location = `/services/data/v${call.version}/sobjects/${object.name}/${id}`;
  const reply = json(201, { id, success: true, errors: [] });
  return { ...reply, headers: { ...reply.headers, location } };
}

function read(call: Call): Reply {
  const object = pathObject(call);
  return readRow(call, object, rowInPath(call, object));
}

function readByKey(call: Call): Reply {
  const object = pathObject(call);
  const rows = keyedRows(call, object);
  if (rows.length > 1) return ambiguous(call, object, rows);
  const [row] = rows;
  if (row === undefined) throw notFound();
  return readRow(call, object, row);
}

function readRow(call: Call, object: ObjectDef, row: Row): Reply {
  if (row['IsDeleted'] === true) throw notFound();
  const modified = msOf(String(row['LastModifiedDate']));
  const since = headerDate(call, 'if-modified-since');
  const lastModified = new Date(modified).toUTCString();
  if (since !== null && wholeSecond(modified) <= since)
    return { status: 304, headers: { 'last-modified': lastModified }, body: '' };
  refuseModified(call, row);
  const asked = call.query.get('fields');
  const names = asked === null ? object.fields.map((field) => field.name) : asked.split(',').map((name) => name.trim());
  const text = `SELECT ${names.join(',')} FROM ${object.name} WHERE Id = '${String(row['Id'])}'`;
  const result = runQuery(call.app.org, text, { all: false, version: call.version });
  const [found] = result.rows;
  if (found === undefined) throw notFound();
  const reply = json(200, result.record(found));
  return { ...reply, headers: { ...reply.headers, 'last-modified': lastModified } };
}

async function update(call: Call): Promise<Reply> {
  const object = pathObject(call);
  const row = rowInPath(call, object);
  await transact(call, (tx) => {
    const live = tx.liveRow(object, String(row['Id']));
    refuseModified(call, live);
    tx.update(object, String(row['Id']), withoutId(jsonBody(call)), 'json');
  });
  return noContent;
}

function withoutId(body: Record<string, unknown>): Record<string, unknown> {
  // The id belongs into the path; in the body it is refused.
  const name = Object.keys(body).find((key) => key.toLowerCase() === 'id');
  if (name !== undefined)
    throw new ApiError('INVALID_FIELD', 'The Id field should not be specified in the sobject data.');
  return body;
}

async function remove(call: Call): Promise<Reply> {
  const object = pathObject(call);
  const row = rowInPath(call, object);
  await transact(call, (tx) => tx.remove(object, String(row['Id'])));
  return noContent;
}

async function removeByKey(call: Call): Promise<Reply> {
  const object = pathObject(call);
  const rows = keyedRows(call, object);
  if (rows.length > 1) return ambiguous(call, object, rows);
  const [row] = rows;
  if (row === undefined) throw notFound();
  await transact(call, (tx) => tx.remove(object, String(row['Id'])));
  return noContent;
}

async function upsert(call: Call): Promise<Reply> {
  const object = pathObject(call);
  const field = keyField(call, object);
  const body = jsonBody(call);
  if (Object.keys(body).some((name) => name.toLowerCase() === field.name.toLowerCase())) {
    throw new ApiError('INVALID_FIELD', `The ${field.name} field should not be specified in the sobject data.`);
  }
  const rows = keyedRows(call, object);
  if (rows.length > 1) return ambiguous(call, object, rows);
  const { id, created } = await transact(call, (tx) =>
    upsertOne(tx, object, field, param(call, 'value'), body, rows[0], call),
  );
  if (created) return json(201, { id, success: true, errors: [], created: true });
  return versionOf(call) >= 46 ? json(200, { id, success: true, errors: [], created: false }) : noContent;
}

function upsertOne(
  tx: Transaction,
  object: ObjectDef,
  field: FieldDef,
  key: string,
  body: Record<string, unknown>,
  row: Row | undefined,
  call: Call,
): { id: string; created: boolean } {
  if (row !== undefined) {
    refuseModified(call, row);
    tx.update(object, String(row['Id']), body, 'json');
    return { id: String(row['Id']), created: false };
  }
  if (call.query.get('updateOnly') === 'true') throw notFound();
  if (field.type === 'id') throw notFound();
  return { id: tx.insert(object, { ...body, [field.name]: key }, 'json'), created: true };
}

/** 300 Multiple Choices: the body lists the records. */
function ambiguous(call: Call, object: ObjectDef, rows: readonly Row[]): Reply {
  return json(
    300,
    rows.map((row) => `/services/data/v${call.version}/sobjects/${object.name}/${String(row['Id'])}`),
  );
}

function keyField(call: Call, object: ObjectDef): FieldDef {
  const name = param(call, 'field');
  const field = call.app.org.catalogue.field(object.name, name);
  if (field === undefined || !(field.externalId || field.idLookup)) {
    throw new ApiError('NOT_FOUND', `Provided external ID field does not exist or is not accessible: ${name}`);
  }
  return field;
}

function keyedRows(call: Call, object: ObjectDef): readonly Row[] {
  const field = keyField(call, object);
  const value = param(call, 'value');
  const table = call.app.org.store.table(object.name);
  if (field.type !== 'id') return table.matching(field, value.trim());
  const row = table.get(normaliseId(value) ?? '');
  return row === undefined || row['IsDeleted'] === true ? [] : [row];
}

function rowInPath(call: Call, object: ObjectDef): Row {
  const text = param(call, 'id');
  const id = normaliseId(text);
  if (id === null) throw new ApiError('MALFORMED_ID', `malformed id ${text}`);
  const row = call.app.org.row(object.name, id);
  if (row === undefined) throw notFound();
  return row;
}

/** If-Unmodified-Since on LastModifiedDate, at the header's resolution of one second. */
function refuseModified(call: Call, row: Row): void {
  const since = headerDate(call, 'if-unmodified-since');
  if (since === null) return;
  if (wholeSecond(msOf(String(row['LastModifiedDate']))) > since) {
    throw new ApiError('PRECONDITION_FAILED', 'The resource has been modified since the given time', [], 412);
  }
}

function headerDate(call: Call, name: string): number | null {
  const text = call.headers[name];
  if (text === undefined) return null;
  const ms = Date.parse(text);
  if (!Number.isNaN(ms)) return ms;
  if (call.method === 'GET') return null;
  throw new ApiError('INVALID_HEADER', `Invalid value for header ${name}`, [], 400);
}

function range(call: Call): readonly [string, string] {
  const [start, end] = ['start', 'end'].map((name) => {
    const text = (call.query.get(name) ?? '').replace(' ', '+');
    const stamp = parseStamp(text);
    if (stamp === null) throw new ApiError('INVALID_FIELD', `Unable to parse datetime: ${name}=${text}`);
    // The platform ignores the seconds of both ends.
    return `${stamp.slice(0, 16)}:00.000+0000`;
  });
  const from = must(start, 'start');
  const to = must(end, 'end');
  const now = call.app.org.clock.now();
  if (msOf(from) < now - 30 * 86_400_000)
    throw new ApiError('INVALID_REPLICATION_DATE', 'start date before org replication enabled date');
  if (from >= to) throw new ApiError('INVALID_REPLICATION_DATE', 'startDate before endDate');
  return [from, to];
}

function changedBetween(call: Call, object: ObjectDef, gone: boolean): { rows: Row[]; to: string } {
  const [from, to] = range(call);
  const rows = [...call.app.org.rows(object.name)].filter((row) => {
    const stamp = String(row['SystemModstamp']);
    return (row['IsDeleted'] === true) === gone && stamp >= from && stamp < to;
  });
  return { rows, to };
}

function updated(call: Call): Reply {
  const { rows, to } = changedBetween(call, pathObject(call), false);
  return json(200, { ids: rows.map((row) => row['Id']), latestDateCovered: to });
}

function deletedList(call: Call): Reply {
  const { rows, to } = changedBetween(call, pathObject(call), true);
  const earliest = stampOf(call.app.org.clock.now() - 30 * 86_400_000);
  const deletedRecords = rows.map((row) => ({ id: row['Id'], deletedDate: row['SystemModstamp'] }));
  return json(200, { deletedRecords, earliestDateAvailable: earliest, latestDateCovered: to });
}
