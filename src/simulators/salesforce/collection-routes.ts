// Owns the collection routes: up to 200 records a call, one result a record in the order of the request, all or none on demand.
import type { Reply } from '../faults.js';
import { json, jsonBody, param, pathObject, type Call, type Route } from './call.js';
import { ApiError, badReference, resultError } from './errors.js';
import { normaliseId } from './ids.js';
import { runQuery } from './soql.js';
import { transact } from './transact.js';
import type { Transaction } from './transaction.js';
import type { FieldDef, ObjectDef } from './words.js';

const recordsMax = 200;
const retrieveMax = 2000;

export const collectionRoutes: readonly Route[] = [
  { method: 'POST', pattern: '/composite/sobjects', handle: (call) => writeAll(call, insertOne) },
  { method: 'PATCH', pattern: '/composite/sobjects', handle: (call) => writeAll(call, updateOne) },
  { method: 'DELETE', pattern: '/composite/sobjects', handle: removeAll },
  { method: 'PATCH', pattern: '/composite/sobjects/:object/:field', handle: upsertAll },
  { method: 'GET', pattern: '/composite/sobjects/:object', handle: retrieve },
  { method: 'POST', pattern: '/composite/sobjects/:object', handle: retrieve },
];

export interface RecordResult {
  readonly id?: string;
  readonly success: boolean;
  readonly errors: readonly unknown[];
  readonly created?: boolean;
}

type One = (tx: Transaction, record: Record<string, unknown>, seen: Set<string>) => RecordResult;

async function writeAll(call: Call, one: One): Promise<Reply> {
  const { records, allOrNone } = recordsOf(call);
  const seen = new Set<string>();
  return json(200, await each(call, records, allOrNone, (tx, record) => one(tx, record, seen)));
}

/** Runs one unit a record in one transaction. A failing record is taken back alone, or all are. */
export function each<T>(
  call: Call,
  list: readonly T[],
  allOrNone: boolean,
  one: (tx: Transaction, element: T) => RecordResult,
): Promise<readonly RecordResult[]> {
  return transact(call, (tx) => {
    const start = tx.savepoint();
    const results = list.map((element): RecordResult => {
      try {
        return tx.attempt(() => one(tx, element));
      } catch (error) {
        // A body that cannot be read refuses the whole request.
        if (!(error instanceof ApiError) || error.errorCode === 'JSON_PARSER_ERROR') throw error;
        return { success: false, errors: [resultError(error)] };
      }
    });
    if (!allOrNone || results.every((result) => result.success)) return results;
    tx.rollback(start);
    return results.map((result) => (result.success ? { success: false, errors: [resultError(rolledBack)] } : result));
  });
}

const rolledBack = new ApiError(
  'ALL_OR_NONE_OPERATION_ROLLED_BACK',
  'Record rolled back because not all records were valid and the request was using AllOrNone header',
);

function insertOne(tx: Transaction, record: Record<string, unknown>): RecordResult {
  const { object, fields } = typed(tx, record);
  if (idOf(fields) !== null)
    throw new ApiError('INVALID_FIELD_FOR_INSERT_UPDATE', 'cannot specify Id in an insert call', ['Id']);
  return { id: tx.insert(object, fields, 'json'), success: true, errors: [] };
}

function updateOne(tx: Transaction, record: Record<string, unknown>, seen: Set<string>): RecordResult {
  const { object, fields } = typed(tx, record);
  const text = idOf(fields);
  if (text === null) throw new ApiError('MISSING_ARGUMENT', 'Id not specified in an update call', ['Id']);
  const id = checkedId(text, object);
  if (seen.has(id)) throw new ApiError('DUPLICATE_VALUE', `duplicate id in list: ${id}`);
  seen.add(id);
  tx.update(object, id, withoutId(fields), 'json');
  return { id, success: true, errors: [] };
}

async function removeAll(call: Call): Promise<Reply> {
  const ids = (call.query.get('ids') ?? '')
    .split(',')
    .map((id) => id.trim())
    .filter((id) => id !== '');
  limitRecords(ids.length);
  const allOrNone = call.query.get('allOrNone') === 'true';
  const results = await each(call, ids, allOrNone, (tx, text) => {
    const id = normaliseId(text);
    const object = id === null ? undefined : tx.org.catalogue.ofId(id);
    if (id === null || object === undefined) throw new ApiError('MALFORMED_ID', `malformed id ${text}`);
    tx.remove(object, id);
    return { id, success: true, errors: [] };
  });
  return json(200, results);
}

async function upsertAll(call: Call): Promise<Reply> {
  const object = pathObject(call);
  const name = param(call, 'field');
  const field = call.app.org.catalogue.field(object.name, name);
  if (field === undefined || !(field.externalId || field.idLookup)) {
    throw new ApiError('NOT_FOUND', `Provided external ID field does not exist or is not accessible: ${name}`);
  }
  const { records, allOrNone } = recordsOf(call);
  const seen = new Set<string>();
  const results = await each(call, records, allOrNone, (tx, record) => {
    const { object: own, fields } = typed(tx, record);
    if (own !== object) throw new ApiError('INVALID_TYPE', `record of type ${own.name} in an upsert of ${object.name}`);
    return upsertRecord(tx, object, field, fields, 'json', seen);
  });
  return json(200, results);
}

/** Creates or updates one record by the value of its key field. */
export function upsertRecord(
  tx: Transaction,
  object: ObjectDef,
  field: FieldDef,
  fields: Record<string, unknown>,
  source: 'json' | 'csv',
  seen: Set<string>,
): RecordResult {
  const name = Object.keys(fields).find((key) => key.toLowerCase() === field.name.toLowerCase());
  const raw = name === undefined ? undefined : fields[name];
  const key = typeof raw === 'string' ? raw.trim() : '';
  if (field.type === 'id') return upsertById(tx, object, fields, key, source);
  if (key === '') throw new ApiError('MISSING_ARGUMENT', `${field.name} not specified`, [field.name]);
  const folded = field.caseSensitive ? key : key.toLowerCase();
  if (seen.has(folded)) throw new ApiError('DUPLICATE_VALUE', `Duplicate external id specified: ${key}`, [field.name]);
  seen.add(folded);
  const rows = tx.org.store.table(object.name).matching(field, key);
  if (rows.length > 1) {
    const ids = rows.map((row) => String(row['Id'])).join(', ');
    throw new ApiError(
      'DUPLICATE_EXTERNAL_ID',
      `${field.label}: more than one record found for external id field: [${ids}]`,
      [field.name],
    );
  }
  const [row] = rows;
  if (row === undefined)
    return { id: tx.insert(object, withoutId(fields), source), success: true, errors: [], created: true };
  const id = String(row['Id']);
  // The key itself is not written again: a change of its case would look like an edit.
  const { [name ?? '']: _, ...rest } = withoutId(fields);
  tx.update(object, id, rest, source);
  return { id, success: true, errors: [], created: false };
}

function upsertById(
  tx: Transaction,
  object: ObjectDef,
  fields: Record<string, unknown>,
  key: string,
  source: 'json' | 'csv',
): RecordResult {
  if (key === '') return { id: tx.insert(object, withoutId(fields), source), success: true, errors: [], created: true };
  const id = checkedId(key, object);
  tx.update(object, id, withoutId(fields), source);
  return { id, success: true, errors: [], created: false };
}

/** Records by id in the order asked for, null where there is none. */
function retrieve(call: Call): Reply {
  const object = pathObject(call);
  const body = call.method === 'POST' ? jsonBody(call) : null;
  const list = (name: string): string[] => {
    const given = body === null ? (call.query.get(name) ?? '').split(',') : body[name];
    return Array.isArray(given) ? given.map(String).filter((text) => text !== '') : [];
  };
  const ids = list('ids');
  if (ids.length > retrieveMax)
    throw new ApiError(
      'EXCEEDED_ID_LIMIT',
      `record limit reached. cannot submit more than ${String(retrieveMax)} records into this call`,
    );
  const names = list('fields');
  if (names.length === 0) throw new ApiError('MALFORMED_QUERY', 'no fields are specified');
  const { org } = call.app;
  const wanted = ids.map((text) => checkedId(text, object));
  if (wanted.length === 0) return json(200, []);
  const result = runQuery(org, `SELECT ${names.join(',')} FROM ${object.name}`, { all: false, version: call.version });
  const byId = new Map(result.rows.map((row) => [String(row['Id']), row]));
  return json(
    200,
    wanted.map((id) => {
      const row = byId.get(id);
      return row === undefined ? null : result.record(row);
    }),
  );
}

function recordsOf(call: Call): { records: readonly Record<string, unknown>[]; allOrNone: boolean } {
  const { records, allOrNone } = jsonBody(call);
  if (!Array.isArray(records))
    throw new ApiError('JSON_PARSER_ERROR', 'The records list is required at [line:1, column:1]');
  limitRecords(records.length);
  return { records: records as Record<string, unknown>[], allOrNone: allOrNone === true };
}

function limitRecords(count: number): void {
  if (count > recordsMax) {
    throw new ApiError(
      'EXCEEDED_ID_LIMIT',
      `record limit reached. cannot submit more than ${String(recordsMax)} records into this call`,
    );
  }
}

function typed(
  tx: Transaction,
  record: Record<string, unknown>,
): { object: ObjectDef; fields: Record<string, unknown> } {
  const { attributes, ...fields } = record;
  const type = (attributes as { type?: unknown } | undefined)?.type;
  if (typeof type !== 'string')
    throw new ApiError('INVALID_INPUT', 'Include an entity type with your request.', [], 400);
  const object = tx.org.catalogue.object(type);
  if (object === undefined) throw new ApiError('INVALID_TYPE', `sObject type '${type}' is not supported.`);
  return { object, fields };
}

function idOf(fields: Readonly<Record<string, unknown>>): string | null {
  const name = Object.keys(fields).find((key) => key.toLowerCase() === 'id');
  const value = name === undefined ? null : fields[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

export function withoutId(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => name.toLowerCase() !== 'id'));
}

/** An id of the right object, 18 characters. */
export function checkedId(text: string, object: ObjectDef): string {
  const id = normaliseId(text);
  if (id === null)
    throw new ApiError('MALFORMED_ID', `${object.label} ID: id value of incorrect type: ${text}`, ['Id']);
  if (!id.startsWith(object.keyPrefix)) throw badReference();
  return id;
}
