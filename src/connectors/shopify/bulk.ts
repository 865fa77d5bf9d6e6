// Owns backfill: a bulk operation, its JSONL result read in ranges, children joined to their parents with bounded memory.
// Promises that the operation's id is durable before it is polled, and that any page's cursor resumes without a gap.
// Never sends the access token to the host of the result, and never follows a result to a host that is not Shopify's.
import { backoffMs } from '../../base/backoff.js';
import { eitherOf } from '../../base/signals.js';
import { BadRecord, Retriable, SpokePaused } from '../../base/errors.js';
import { HttpFailure } from '../../base/http.js';
import type { HttpResponse } from '../../base/http.js';
import { cursor } from '../../model/ids.js';
import type { Cursor } from '../../model/ids.js';
import type { RemoteRecord } from '../../model/record.js';
import type { CallOptions, Fields, Page } from '../connector.js';
import type { Api } from './api.js';
import {
  bulkCancelDocument,
  bulkQuery,
  bulkRunDocument,
  bulkStatusDocument,
  childSpec,
  pageDocument,
} from './documents.js';
import { toUserErrors } from './user-errors.js';
import { asNumber, asObject, asText, parseJson } from './json.js';
import type { JsonObject, ObjectSpec } from './objects/spec.js';
import { completeChildren, nextCursor } from './read.js';
import { nodesOf, toRecord } from './record.js';

const pageRows = 500;
const rangeBytes = 4 * 1024 * 1024;
/** A host that ignores ranges sends everything at once; beyond this the scan is refused. */
const resultBytesMax = 512 * 1024 * 1024;
const polling = { firstMs: 150, maxMs: 5_000 };
const resultHosts = [/^storage\.googleapis\.com$/, /\.shopify\.com$/, /\.shopifycdn\.com$/, /\.myshopify\.com$/];

type Place =
  | { readonly kind: 'bulk'; readonly operation: string; readonly byte: number; readonly total: number | null }
  | { readonly kind: 'pages'; readonly after: string };

export async function* scanPages(
  api: Api,
  spec: ObjectSpec,
  fields: Fields,
  after: Cursor | null,
  options: CallOptions,
): AsyncIterable<Page> {
  let place = after === null ? null : parsePlace(after);
  if (place === null) {
    const operation = await start(api, spec, fields, options);
    place = operation === null ? null : { kind: 'bulk', operation, byte: 0, total: null };
    // An empty page first: once its cursor is stored, a crash goes on with this operation instead of a new one.
    if (place !== null) yield { records: [], cursor: write(place), last: false, total: null };
  }
  if (place?.kind === 'bulk') {
    const result = await finished(api, place.operation, options);
    if (result !== null) {
      yield* resultPages(api, spec, fields, place, result);
      await api.deps.state.put(stateKey(spec), null);
      return;
    }
    // Expired or failed since: from the beginning again, which repeats but does not skip.
    api.deps.log.warn({ spoke: api.deps.spoke, object: spec.name }, 'bulk operation is gone; reading pages instead');
  }
  yield* connectionPages(
    api,
    spec,
    fields,
    place?.kind === 'pages' && place.after !== '' ? place.after : null,
    options,
  );
}

const stateKey = (spec: ObjectSpec): string => `bulk:${spec.name}`;

/** Starts a bulk operation; null when the shop has no room for another now. */
async function start(api: Api, spec: ObjectSpec, fields: Fields, options: CallOptions): Promise<string | null> {
  const { state } = api.deps;
  return state.exclusive(stateKey(spec), async () => {
    const earlier = await state.get(stateKey(spec));
    // An operation of ours that nobody waits for any more (F18): it was a read, so it is stopped, not reused, because
    // what it saw may be older than the position from which changes will be polled.
    if (earlier !== null) await cancel(api, earlier, options);
    const variables = { query: bulkQuery(spec, fields, api.config.hubKey), group: true };
    const data = await api.read(bulkRunDocument(), variables, options);
    const payload = asObject(data['bulkOperationRunQuery']);
    const errors = toUserErrors(payload);
    const busy = errors.some(
      (error) =>
        error.code === 'OPERATION_IN_PROGRESS' ||
        error.code === 'LIMIT_REACHED' ||
        /in progress|already/i.test(error.message),
    );
    if (busy) return null;
    const id = asText(asObject(payload?.['bulkOperation'])?.['id']);
    if (id === null) {
      const reason = errors.map((error) => error.message).join('; ') || 'no reason given';
      throw new BadRecord({
        spoke: api.deps.spoke,
        code: 'bulk_refused',
        message: `${api.deps.spoke}: Shopify refused the bulk query of ${spec.name}: ${reason}`,
      });
    }
    await state.put(stateKey(spec), id);
    return id;
  });
}

async function cancel(api: Api, id: string, options: CallOptions): Promise<void> {
  const status = await operationOf(api, id, options);
  if (['CREATED', 'RUNNING'].includes(asText(status?.['status']) ?? ''))
    await api.read(bulkCancelDocument(), { id }, options);
  await pause(api, 1, options);
}

async function operationOf(api: Api, id: string, options: CallOptions): Promise<JsonObject | null> {
  const data = await api.read(bulkStatusDocument(), { id }, options);
  return asObject(data['bulkOperation']);
}

interface Result {
  /** null: nothing was found. */
  readonly url: string | null;
  readonly total: number | null;
}

/** Waits for the operation's end; null when it can no longer give a result. */
async function finished(api: Api, id: string, options: CallOptions): Promise<Result | null> {
  for (let attempt = 1; ; attempt += 1) {
    const operation = await operationOf(api, id, options);
    const status = asText(operation?.['status']);
    switch (status) {
      case 'COMPLETED':
        return { url: asText(operation?.['url']), total: count(operation?.['rootObjectCount']) };
      case 'CREATED':
      case 'RUNNING':
        await pause(api, attempt, options);
        break;
      case 'FAILED': {
        const code = asText(operation?.['errorCode']);
        if (code !== 'ACCESS_DENIED') return null;
        throw new SpokePaused({
          spoke: api.deps.spoke,
          code: 'access_denied',
          message: `${api.deps.spoke}: Shopify denies access to what a backfill reads`,
          hint: 'grant the app its read scopes, then resume the spoke',
        });
      }
      default:
        return null;
    }
  }
}

async function pause(api: Api, attempt: number, options: CallOptions): Promise<void> {
  const { clock, random, signal, spoke } = api.deps;
  const either = eitherOf(options.signal, signal);
  await clock.sleep(backoffMs(polling, attempt, random), either);
  if (either.aborted)
    throw new Retriable({ spoke, code: 'aborted', message: `${spoke}: stopped while a bulk operation was under way` });
}

const count = (value: unknown): number | null => {
  const number = typeof value === 'string' ? Number(value) : asNumber(value);
  return number === null || Number.isNaN(number) ? null : number;
};

async function* resultPages(
  api: Api,
  spec: ObjectSpec,
  fields: Fields,
  place: Extract<Place, { kind: 'bulk' }>,
  result: Result,
): AsyncIterable<Page> {
  const { total } = result;
  let records: RemoteRecord[] = [];
  let byte = place.byte;
  if (result.url !== null) {
    for await (const root of roots(spec, lines(api, result.url, place.byte))) {
      if (records.length >= pageRows) {
        yield { records, cursor: write({ ...place, byte: root.start, total }), last: false, total };
        records = [];
      }
      records.push(toRecord(spec, fields, root.node, api.config.hubKey));
      byte = root.end;
    }
  }
  yield { records, cursor: write({ ...place, byte, total }), last: true, total };
}

interface Line {
  readonly node: JsonObject;
  readonly start: number;
  readonly end: number;
}

/** Root objects with their children's lines put back where a plain query would show them. Grouped output: one at a time. */
async function* roots(spec: ObjectSpec, source: AsyncIterable<Line>): AsyncIterable<Line> {
  let open: { node: Record<string, unknown>; start: number; end: number } | null = null;
  for await (const { node, start, end } of source) {
    const parent = asText(node['__parentId']);
    if (parent === null) {
      if (open !== null) yield open;
      open = { node: { ...emptyConnections(spec), ...node }, start, end };
    } else {
      if (open === null || open.node['id'] !== parent) {
        throw new Retriable({
          code: 'bulk_order',
          message: `a child of ${parent} stands apart from it in the bulk result of ${spec.name}`,
        });
      }
      attach(spec, open.node, node);
      open.end = end;
    }
  }
  if (open !== null) yield open;
}

function emptyConnections(spec: ObjectSpec): Record<string, unknown> {
  const fields = [
    ...Object.keys(spec.children).map((name) => childSpec(spec, name).field),
    ...(spec.single === null ? [] : [spec.single.field]),
  ];
  return Object.fromEntries(fields.map((field) => [field, { edges: [] as unknown[] }]));
}

function attach(spec: ObjectSpec, root: Record<string, unknown>, child: JsonObject): void {
  const type = /^gid:\/\/shopify\/([A-Za-z]+)\//.exec(asText(child['id']) ?? '')?.[1];
  const field =
    spec.single?.gid === type
      ? spec.single?.field
      : Object.values(spec.children).find((each) => each.gid === type)?.field;
  if (field === undefined) return;
  (asObject(root[field])?.['edges'] as unknown[]).push({ node: child });
}

/** The result's lines from byte `from`, fetched in ranges: a cut costs one range, and memory stays bounded. */
async function* lines(api: Api, url: string, from: number): AsyncIterable<Line> {
  let rest: Buffer = Buffer.alloc(0);
  let start = from;
  let position = from;
  for (;;) {
    const range = await getRange(api, url, position);
    position += range.bytes.length;
    rest = rest.length === 0 ? range.bytes : Buffer.concat([rest, range.bytes]);
    let at = 0;
    for (let end = rest.indexOf(10, at); end >= 0; end = rest.indexOf(10, at)) {
      const text = rest.toString('utf8', at, end).trim();
      if (text !== '') yield { node: parseLine(text), start, end: start + (end + 1 - at) };
      start += end + 1 - at;
      at = end + 1;
    }
    rest = rest.subarray(at);
    if (range.last) break;
  }
  const text = rest.toString('utf8').trim();
  if (text !== '') yield { node: parseLine(text), start, end: start + rest.length };
}

function parseLine(text: string): JsonObject {
  const node = parseJson(text);
  if (node !== null) return node;
  throw new Retriable({
    code: 'bulk_broken',
    message: 'a line of the bulk result is not JSON; the result will be read again',
  });
}

async function getRange(
  api: Api,
  url: string,
  from: number,
): Promise<{ readonly bytes: Buffer; readonly last: boolean }> {
  checkHost(api, url);
  const { spoke, http, signal } = api.deps;
  let response: HttpResponse;
  try {
    response = await http.request({
      method: 'GET',
      url,
      headers: { range: `bytes=${from}-${from + rangeBytes - 1}`, 'accept-encoding': 'identity' },
      deadlineMs: Math.max(60_000, api.config.deadlineSeconds * 1000),
      bodyBytesMax: resultBytesMax,
      signal,
    });
  } catch (error) {
    const reason = error instanceof HttpFailure ? error.message : 'request failed';
    throw new Retriable({
      spoke,
      code: 'bulk_download',
      message: `${spoke}: the bulk result could not be read: ${reason}`,
      cause: error,
    });
  }
  const body = Buffer.from(response.body);
  // 416: the range begins at the end, there is nothing more.
  if (response.status === 416) return { bytes: Buffer.alloc(0), last: true };
  if (response.status === 200) return { bytes: body.subarray(from), last: true };
  const whole = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers['content-range'] ?? '');
  if (
    response.status !== 206 ||
    whole === null ||
    Number(whole[1]) !== from ||
    Number(whole[2]) - from + 1 !== body.length
  ) {
    throw new Retriable({
      spoke,
      code: 'bulk_download',
      message: `${spoke}: the bulk result answered HTTP ${response.status}`,
    });
  }
  return { bytes: body, last: Number(whole[2]) + 1 >= Number(whole[3]) };
}

function checkHost(api: Api, url: string): void {
  const { protocol, hostname, origin } = new URL(url);
  const own = api.config.apiUrl === undefined ? null : new URL(api.config.apiUrl).origin;
  if (origin === own || (protocol === 'https:' && resultHosts.some((host) => host.test(hostname)))) return;
  const { spoke } = api.deps;
  throw new SpokePaused({
    spoke,
    code: 'foreign_host',
    message: `${spoke}: a bulk result points to ${hostname}, which is not Shopify's`,
    hint: 'nothing was fetched from there; report this to Shopify',
  });
}

/** Whole records page by page, where no bulk operation can run. */
async function* connectionPages(
  api: Api,
  spec: ObjectSpec,
  fields: Fields,
  from: string | null,
  options: CallOptions,
): AsyncIterable<Page> {
  let after = from;
  for (;;) {
    const data: JsonObject = await api.read(pageDocument(spec, fields, api.config.hubKey), { after }, options);
    const connection = asObject(data[spec.collection]);
    const records: RemoteRecord[] = [];
    for (const node of nodesOf(connection)) {
      records.push(toRecord(spec, fields, await completeChildren(api, spec, fields, node, options), api.config.hubKey));
    }
    const next = nextCursor(connection);
    const end = asText(asObject(connection?.['pageInfo'])?.['endCursor']) ?? after ?? '';
    yield { records, cursor: write({ kind: 'pages', after: next ?? end }), last: next === null, total: null };
    if (next === null) return;
    after = next;
  }
}

const write = (place: Place): Cursor => cursor(JSON.stringify(place));

function parsePlace(text: Cursor): Place | null {
  const value = parseJson(text);
  if (value?.['kind'] === 'bulk') {
    const operation = asText(value['operation']);
    if (operation !== null)
      return { kind: 'bulk', operation, byte: asNumber(value['byte']) ?? 0, total: asNumber(value['total']) };
  }
  if (value?.['kind'] === 'pages') return { kind: 'pages', after: asText(value['after']) ?? '' };
  return null;
}
