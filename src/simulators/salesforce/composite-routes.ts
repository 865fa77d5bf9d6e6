// Owns the composite routes: composite (with references between subrequests), batch, and tree. Every subrequest goes through
// dispatch, so it behaves as a call of its own.
import type { Reply } from '../faults.js';
import { json, jsonBody, param, type Call, type Route } from './call.js';
import { dispatch } from './dispatch.js';
import { ApiError, resultError } from './errors.js';
import { transact } from './transact.js';
import type { Transaction } from './transaction.js';
import type { ObjectDef } from './words.js';

const subrequestsMax = 25;
const treeRecordsMax = 200;

export const compositeRoutes: readonly Route[] = [
  { method: 'POST', pattern: '/composite', handle: composite },
  { method: 'POST', pattern: '/composite/batch', handle: batch },
  { method: 'POST', pattern: '/composite/tree/:object', handle: tree },
];

interface Subrequest {
  readonly method: string;
  readonly url: string;
  readonly referenceId: string;
  readonly body?: unknown;
  readonly httpHeaders?: Readonly<Record<string, string>>;
}

interface Subresponse {
  readonly body: unknown;
  readonly httpHeaders: Readonly<Record<string, string>>;
  readonly httpStatusCode: number;
  readonly referenceId: string;
}

async function composite(call: Call): Promise<Reply> {
  const { compositeRequest, allOrNone } = jsonBody(call);
  const subrequests = listOf(compositeRequest, 'compositeRequest') as readonly Subrequest[];
  const joined = allOrNone === true ? (call.joined ?? call.app.org.transaction(call.actor)) : call.joined;
  const start = joined?.savepoint() ?? 0;
  const done = new Map<string, unknown>();
  const responses: Subresponse[] = [];
  let failed = false;
  for (const subrequest of subrequests) {
    const response: Subresponse =
      failed && allOrNone === true ? halted(subrequest) : await runSubrequest(call, subrequest, done, joined);
    failed ||= response.httpStatusCode >= 400;
    done.set(subrequest.referenceId, response.body);
    responses.push(response);
  }
  if (joined !== null && allOrNone === true) {
    if (failed) joined.rollback(start);
    else if (call.joined === null) await joined.commit();
  }
  const shown =
    failed && allOrNone === true ? responses.map((one) => (one.httpStatusCode < 400 ? halted(one) : one)) : responses;
  return json(200, { compositeResponse: shown });
}

function halted(one: { readonly referenceId: string }): Subresponse {
  const body = [
    {
      errorCode: 'PROCESSING_HALTED',
      message: 'The transaction was rolled back since another operation in the same transaction failed.',
    },
  ];
  return { body, httpHeaders: {}, httpStatusCode: 400, referenceId: one.referenceId };
}

async function runSubrequest(
  call: Call,
  one: Subrequest,
  done: ReadonlyMap<string, unknown>,
  joined: Transaction | null,
): Promise<Subresponse> {
  const { referenceId } = one;
  try {
    const url = String(fill(one.url, done));
    const reply = await subcall(call, one.method, url, fill(one.body, done), one.httpHeaders ?? {}, joined);
    const { 'content-type': _, ...httpHeaders } = reply.headers;
    return { body: bodyOf(reply), httpHeaders, httpStatusCode: reply.status, referenceId };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return {
      body: [{ errorCode: error.errorCode, message: error.message }],
      httpHeaders: {},
      httpStatusCode: 400,
      referenceId,
    };
  }
}

function subcall(
  call: Call,
  method: string,
  target: string,
  body: unknown,
  headers: Readonly<Record<string, string>>,
  joined: Transaction | null,
): Promise<Reply> {
  const url = new URL(target, 'http://localhost');
  const match = /^\/services\/data\/v(\d+\.\d)(\/.*)?$/.exec(url.pathname);
  if (match === null) throw new ApiError('NOT_FOUND', 'The requested resource does not exist');
  const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  return dispatch({
    ...call,
    method: method.toUpperCase(),
    path: match[2] ?? '/',
    version: match[1] ?? call.version,
    query: url.searchParams,
    headers: { ...given, 'content-type': 'application/json' },
    body: body === undefined ? new Uint8Array() : Buffer.from(JSON.stringify(body)),
    joined,
  });
}

function bodyOf(reply: Reply): unknown {
  const text = typeof reply.body === 'string' ? reply.body : Buffer.from(reply.body).toString('utf8');
  return text === '' ? null : (JSON.parse(text) as unknown);
}

/** Puts earlier results into `@{reference.path[0].field}`, in texts at any depth. */
function fill(value: unknown, done: ReadonlyMap<string, unknown>): unknown {
  if (typeof value === 'string')
    return value.replace(/@\{([^}]+)\}/g, (_all, path: string) => String(resolve(path, done)));
  if (Array.isArray(value)) return value.map((one) => fill(one, done));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, fill(one, done)]));
}

function resolve(path: string, done: ReadonlyMap<string, unknown>): unknown {
  const [reference = '', ...steps] = path.split(/[.[\]]+/).filter((part) => part !== '');
  let value = done.get(reference);
  for (const step of steps) {
    value =
      typeof value === 'object' && value !== null && Object.hasOwn(value, step)
        ? (value as Record<string, unknown>)[step]
        : undefined;
  }
  if (value === undefined)
    throw new ApiError('PROCESSING_HALTED', `Invalid reference specified. No value for ${path} found.`);
  return value;
}

async function batch(call: Call): Promise<Reply> {
  const { batchRequests, haltOnError } = jsonBody(call);
  const subrequests = listOf(batchRequests, 'batchRequests') as readonly {
    method: string;
    url: string;
    richInput?: unknown;
  }[];
  const results: { statusCode: number; result: unknown }[] = [];
  let failed = false;
  for (const one of subrequests) {
    if (failed && haltOnError === true) {
      const result = [{ errorCode: 'BATCH_PROCESSING_HALTED', message: 'Batch processing was halted per request.' }];
      results.push({ statusCode: 412, result });
      continue;
    }
    const target = one.url.startsWith('/services/') ? one.url : `/services/data/${one.url.replace(/^\//, '')}`;
    const reply = await subcall(call, one.method, target, one.richInput, {}, call.joined);
    failed ||= reply.status >= 400;
    results.push({ statusCode: reply.status, result: bodyOf(reply) });
  }
  return json(200, { hasErrors: failed, results });
}

function listOf(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new ApiError('JSON_PARSER_ERROR', `${name} is required at [line:1, column:1]`);
  if (value.length > subrequestsMax)
    throw new ApiError('LIMIT_EXCEEDED', `The number of subrequests is above ${String(subrequestsMax)}.`);
  return value;
}

interface TreeRecord {
  readonly attributes?: { readonly type?: string; readonly referenceId?: string };
  readonly [name: string]: unknown;
}

interface TreeError {
  readonly referenceId: string;
  readonly errors: readonly unknown[];
}

async function tree(call: Call): Promise<Reply> {
  const { records } = jsonBody(call);
  const list = (Array.isArray(records) ? records : []) as readonly TreeRecord[];
  const type = param(call, 'object');
  const made: { referenceId: string; id: string }[] = [];
  const errors: TreeError[] = [];
  try {
    await transact(call, (tx) => {
      for (const one of list) plant(tx, objectNamed(tx, type), one, {}, made, errors);
      if (made.length > treeRecordsMax)
        throw new ApiError('INVALID_INPUT', `A tree has at most ${String(treeRecordsMax)} records.`);
      // All or none: leaving with an error takes back what was made.
      if (errors.length > 0) throw new ApiError('INVALID_INPUT', 'tree refused');
    });
  } catch (error) {
    if (errors.length === 0) throw error;
    return json(400, { hasErrors: true, results: errors });
  }
  return json(201, { hasErrors: false, results: made });
}

function objectNamed(tx: Transaction, name: string): ObjectDef {
  const object = tx.org.catalogue.object(name);
  if (object === undefined) throw new ApiError('NOT_FOUND', 'The requested resource does not exist');
  return object;
}

function plant(
  tx: Transaction,
  object: ObjectDef,
  record: TreeRecord,
  parent: Readonly<Record<string, unknown>>,
  made: { referenceId: string; id: string }[],
  errors: TreeError[],
): void {
  const referenceId = record.attributes?.referenceId ?? '';
  const fields: Record<string, unknown> = { ...parent };
  const children: { readonly name: string; readonly records: readonly TreeRecord[] }[] = [];
  for (const [name, value] of Object.entries(record)) {
    if (name === 'attributes') continue;
    const nested = (value as { records?: unknown } | null)?.records;
    if (Array.isArray(nested)) children.push({ name, records: nested as TreeRecord[] });
    else fields[name] = value;
  }
  try {
    const id = tx.attempt(() => tx.insert(object, fields, 'json'));
    made.push({ referenceId, id });
    for (const { name, records } of children) {
      const relation = tx.org.catalogue.child(object.name, name);
      if (relation === undefined) throw new ApiError('INVALID_FIELD', `No such relation '${name}' on ${object.name}`);
      for (const child of records)
        plant(tx, objectNamed(tx, relation.child), child, { [relation.field.name]: id }, made, errors);
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    errors.push({ referenceId, errors: [resultError(error)] });
  }
}
