// Owns reads by id, by key and by listing: batched by cost, children complete. Never trusts the search index: what it
// finds is compared again with the key, and what a poll lists is fetched by id.
import { ConfigError } from '../../base/errors.js';
import { externalId } from '../../model/ids.js';
import type { ExternalId } from '../../model/ids.js';
import type { RemoteRecord } from '../../model/record.js';
import type { CallOptions, Fields, FindKey, InventoryPage } from '../connector.js';
import type { Api } from './api.js';
import {
  fetchBatch,
  fetchDocument,
  findBatch,
  identifyDocument,
  inventoryDocument,
  moreChildrenDocument,
  childSpec,
  searchDocument,
  searchFirst,
} from './documents.js';
import { asArray, asObject, asText, at } from './json.js';
import { catalogue } from './objects/catalogue.js';
import { gidOf } from './objects/spec.js';
import type { JsonObject, ObjectSpec, PathSpec } from './objects/spec.js';
import { nodesOf, toRecord, versionOf } from './record.js';

export function specOf(object: string): ObjectSpec {
  const spec = catalogue.get(object);
  if (spec !== undefined) return spec;
  const hint = `known objects: ${[...catalogue.keys()].join(', ')}`;
  throw new ConfigError({ code: 'unknown_object', message: `no Shopify object named ${JSON.stringify(object)}`, hint });
}

/** Present records; ids that do not exist, or are no ids of this object, are left out. */
export async function fetchRecords(
  api: Api,
  spec: ObjectSpec,
  ids: readonly ExternalId[],
  fields: Fields,
  options: CallOptions,
): Promise<readonly RemoteRecord[]> {
  const { hubKey } = api.config;
  // One malformed id would fail the whole call.
  const wanted = [...new Set(ids)].filter((id) => gidOf(spec.gid, id));
  const records: RemoteRecord[] = [];
  for (const batch of batches(wanted, fetchBatch(spec, fields, hubKey))) {
    const data = await api.read(fetchDocument(spec, fields, hubKey, batch.length), { ids: batch }, options);
    for (const node of asArray(data['nodes']).map(asObject)) {
      if (node === null || node['__typename'] !== spec.name) continue;
      records.push(toRecord(spec, fields, await completeChildren(api, spec, fields, node, options), hubKey));
    }
  }
  return records;
}

/** Pages through what did not come along: a present list of children is a complete one. */
export async function completeChildren(
  api: Api,
  spec: ObjectSpec,
  fields: Fields,
  node: JsonObject,
  options: CallOptions,
): Promise<JsonObject> {
  let whole = node;
  for (const [name, paths] of Object.entries(fields.children)) {
    const field = childSpec(spec, name).field;
    let page = asObject(node[field]);
    const edges = [...asArray(page?.['edges'])];
    while (asObject(page?.['pageInfo'])?.['hasNextPage'] === true) {
      const after = asText(asObject(page?.['pageInfo'])?.['endCursor']);
      const data = await api.read(moreChildrenDocument(spec, name, paths), { id: node['id'], after }, options);
      page = asObject(asObject(data['node'])?.[field]);
      edges.push(...asArray(page?.['edges']));
    }
    if (asObject(node[field]) !== null) whole = { ...whole, [field]: { edges } };
  }
  return whole;
}

type Lookup =
  | { readonly kind: 'identify'; readonly value: JsonObject; readonly accept: (record: RemoteRecord) => boolean }
  | { readonly kind: 'search'; readonly value: string; readonly accept: (record: RemoteRecord) => boolean }
  | { readonly kind: 'none' };

export async function findRecords(
  api: Api,
  spec: ObjectSpec,
  keys: readonly FindKey[],
  fields: Fields,
  options: CallOptions,
): Promise<readonly (readonly RemoteRecord[])[]> {
  // The key's own paths are read too, to be compared again.
  const compared = keys.flatMap((key) =>
    key.by === 'values' ? Object.keys(key.values) : [],
  ) as Fields['paths'][number][];
  const paths = [...new Set([...fields.paths, ...compared])];
  const wide: Fields = { ...fields, paths };
  const lookups = keys.map((key) => plan(api, spec, key));
  const found: (readonly RemoteRecord[])[] = keys.map(() => []);
  for (const kind of ['identify', 'search'] as const) {
    const positions = lookups.flatMap((lookup, n) => (lookup.kind === kind ? [n] : []));
    const size = findBatch(spec, wide, api.config.hubKey, kind === 'search' ? searchFirst : 1);
    for (const batch of batches(positions, size)) {
      const document = kind === 'search' ? searchDocument : identifyDocument;
      const variables = Object.fromEntries(batch.map((n, k) => [`k${k}`, valueOf(lookups[n])]));
      const data = await api.read(document(spec, wide, api.config.hubKey, batch.length), variables, options);
      for (const [k, n] of batch.entries()) {
        const answer = asObject(data[`f${k}`]);
        const nodes = kind === 'search' ? nodesOf(answer) : answer === null ? [] : [answer];
        const whole = await Promise.all(nodes.map((node) => completeChildren(api, spec, wide, node, options)));
        const lookup = lookups[n];
        const records = whole.map((node) => toRecord(spec, wide, node, api.config.hubKey));
        found[n] = lookup === undefined || lookup.kind === 'none' ? [] : records.filter(lookup.accept);
      }
    }
  }
  return found;
}

const valueOf = (lookup: Lookup | undefined): unknown =>
  lookup === undefined || lookup.kind === 'none' ? null : lookup.value;

function plan(api: Api, spec: ObjectSpec, key: FindKey): Lookup {
  if (key.by === 'hubId') {
    const value = { customId: { ...api.config.hubKey, value: key.hubId } };
    return { kind: 'identify', value, accept: (record) => record.hubKey === key.hubId };
  }
  const entries = Object.entries(key.values as Readonly<Record<string, unknown>>);
  const wanted = entries.map(([path, value]) => ({ path: spec.paths.find((each) => each.path === path), value }));
  if (wanted.length === 0 || wanted.some(({ value }) => value === null || value === '')) return { kind: 'none' };
  const accept = (record: RemoteRecord): boolean =>
    wanted.every(
      ({ path, value }) =>
        path !== undefined && same(path, record.fields[path.path as keyof RemoteRecord['fields']], value),
    );
  const exact = wanted.find(({ path }) => path?.identifier !== undefined);
  if (exact?.path?.identifier !== undefined && spec.byIdentifier !== null) {
    if (!plausible(exact.path, exact.value)) return { kind: 'none' };
    return { kind: 'identify', value: { [exact.path.identifier]: exact.value }, accept };
  }
  const terms = wanted.flatMap(({ path, value }) =>
    path?.search === undefined ? [] : [`${path.search}:${quote(value)}`],
  );
  if (terms.length > 0) return { kind: 'search', value: terms.join(' AND '), accept };
  const names = entries.map(([path]) => path).join(', ');
  const searchable = spec.paths.filter((path) => path.search !== undefined).map((path) => path.path);
  throw new ConfigError({
    code: 'not_searchable',
    message: `Shopify cannot find ${spec.name} by ${names}`,
    hint: `match by one of: ${searchable.join(', ')}`,
  });
}

/** The remote refuses an identifier that cannot be one (and with it the whole call); such a value matches nothing. */
function plausible(path: PathSpec, value: unknown): boolean {
  if (typeof value !== 'string') return false;
  if (path.identifier === 'emailAddress') return /^[^\s@]+@[^\s@]+$/.test(value);
  if (path.identifier === 'phoneNumber') return /^\+?[0-9 ().-]{5,}$/.test(value);
  return true;
}

/** A value inside the search syntax: one quoted phrase, whatever it holds. */
const quote = (value: unknown): string => `"${String(value).replace(/[\\"]/g, '\\$&')}"`;

/** As the remote compares: the search is tokenised and prefix-matching, so its answer proves nothing by itself. */
function same(path: PathSpec, shown: unknown, wanted: unknown): boolean {
  if (shown === undefined || shown === null) return false;
  const [a, b] = [String(shown), String(wanted)];
  switch (path.compare ?? 'exact') {
    case 'exact':
      return a === b;
    case 'lower':
      return a.toLowerCase() === b.toLowerCase();
    case 'digits':
      return a.replace(/\D/g, '') === b.replace(/\D/g, '');
  }
}

/** (id, version) of everything, in id order. */
export async function* inventoryPages(api: Api, spec: ObjectSpec, options: CallOptions): AsyncIterable<InventoryPage> {
  let after: string | null = null;
  for (;;) {
    const data = await api.read(inventoryDocument(spec), { after }, options);
    const connection = asObject(data[spec.collection]);
    const entries = nodesOf(connection).map((node) => ({
      externalId: externalId(asText(at(node, 'id')) ?? ''),
      version: versionOf(spec, node),
    }));
    const next = nextCursor(connection);
    yield { entries, last: next === null };
    if (next === null) return;
    after = next;
  }
}

/** The cursor of the following page, or null on the last. */
export function nextCursor(connection: JsonObject | null): string | null {
  const info = asObject(connection?.['pageInfo']);
  return info?.['hasNextPage'] === true ? asText(info['endCursor']) : null;
}

export function batches<T>(all: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size));
}
