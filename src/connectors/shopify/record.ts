// Owns the turn from an answer's node to a RemoteRecord. Pure. Absent in the answer stays absent; null stays null.
import { externalId, hubId, objectName, version } from '../../model/ids.js';
import type { HubId, RemotePath, Version } from '../../model/ids.js';
import type { RemoteRecord, RemoteValue } from '../../model/record.js';
import type { Fields } from '../connector.js';
import { childSpec } from './documents.js';
import { asArray, asObject, asText, at } from './json.js';
import { childKey } from './objects/order.js';
import type { HubKeyPlace, JsonObject, ObjectSpec, PathSpec } from './objects/spec.js';

/** Fixed-width UTC with milliseconds, so that text compares; '' for what is no time. */
export function toVersion(stamp: unknown): Version {
  const ms = typeof stamp === 'string' ? Date.parse(stamp) : Number.NaN;
  return version(Number.isNaN(ms) ? '' : new Date(ms).toISOString());
}

/** The latest of an object's stamps. */
export function versionOf(spec: ObjectSpec, node: JsonObject): Version {
  return spec.stamps.map((place) => toVersion(at(node, place))).reduce((a, b) => (a > b ? a : b));
}

export function toRecord(spec: ObjectSpec, fields: Fields, node: JsonObject, hubKey: HubKeyPlace): RemoteRecord {
  const children: Record<string, readonly RemoteRecord[]> = {};
  for (const [name, paths] of Object.entries(fields.children)) {
    const child = childSpec(spec, name);
    const connection = asObject(node[child.field]);
    if (connection === null) continue;
    children[name] = nodesOf(connection).map((line) => ({
      object: objectName(`${spec.name}.${name}`),
      externalId: externalId(asText(line['id']) ?? ''),
      version: version(''),
      deleted: false,
      hubKey: childHubKey(line, hubKey),
      modifiedBySelf: null,
      mergedInto: null,
      fields: readPaths(child.paths, paths, line),
      children: {},
    }));
  }
  return {
    object: objectName(spec.name),
    externalId: externalId(asText(node['id']) ?? ''),
    version: versionOf(spec, node),
    deleted: false,
    hubKey: toHubId(asText(asObject(node['hubKey'])?.['value'])),
    modifiedBySelf: null,
    mergedInto: null,
    fields: readPaths(spec.paths, fields.paths, node),
    children,
  };
}

export const nodesOf = (connection: JsonObject | null): readonly JsonObject[] =>
  asArray(connection?.['edges'])
    .map((edge) => asObject(asObject(edge)?.['node']))
    .filter((node) => node !== null);

function readPaths(specs: readonly PathSpec[], wanted: readonly string[], node: JsonObject): RemoteRecord['fields'] {
  const fields: Record<RemotePath, RemoteValue> = {};
  for (const path of wanted) {
    const spec = specs.find((candidate) => candidate.path === path);
    const value = spec === undefined ? undefined : at(node, spec.at);
    if (value !== undefined) fields[path as RemotePath] = value as RemoteValue;
  }
  return fields;
}

function childHubKey(line: JsonObject, hubKey: HubKeyPlace): HubId | null {
  const name = childKey({ hubKey });
  const found = asArray(line['customAttributes'])
    .map(asObject)
    .find((attribute) => attribute?.['key'] === name);
  return toHubId(asText(found?.['value']));
}

const toHubId = (text: string | null): HubId | null => (text === null || text === '' ? null : hubId(text));
