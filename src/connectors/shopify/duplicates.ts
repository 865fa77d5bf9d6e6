// Owns what is said about a refused duplicate: who holds the value already. Reads only.
import { TruespokeError } from '../../base/errors.js';
import type { ExternalId, RemotePath } from '../../model/ids.js';
import type { RemoteValue } from '../../model/record.js';
import type { CallOptions, Write } from '../connector.js';
import type { Api } from './api.js';
import type { ObjectSpec } from './objects/spec.js';
import { findRecords } from './read.js';

/** The record that an earlier send of this very create made (it arrived after its read-back), or null. */
export async function landedEarlier(
  api: Api,
  spec: ObjectSpec,
  write: Write,
  options: CallOptions,
): Promise<ExternalId | null> {
  if (write.op !== 'create' || spec.byIdentifier === null) return null;
  const found = await quietly(() =>
    findRecords(api, spec, [{ by: 'hubId', hubId: write.hubId }], { paths: [], children: {} }, options),
  );
  return found?.[0]?.[0]?.externalId ?? null;
}

/** Ids of the records that already hold a unique value of this write; null where the shop could not tell. */
export async function findExisting(
  api: Api,
  spec: ObjectSpec,
  write: Write,
  options: CallOptions,
): Promise<readonly ExternalId[] | null> {
  if (write.op !== 'create' && write.op !== 'update') return null;
  const fields = write.fields as Readonly<Record<string, RemoteValue>>;
  const unique = spec.paths.filter((path) => path.identifier !== undefined && typeof fields[path.path] === 'string');
  const keys = unique.map(
    (path) => ({ by: 'values', values: { [path.path as RemotePath]: fields[path.path] ?? null } }) as const,
  );
  if (keys.length === 0) return null;
  const found = await quietly(() => findRecords(api, spec, keys, { paths: [], children: {} }, options));
  if (found === null) return null;
  const own = write.op === 'update' ? write.externalId : null;
  return [...new Set(found.flat().map((record) => record.externalId))].filter((id) => id !== own);
}

/** The rejection stands whether or not it can be explained: a failed look leaves it as it is. */
async function quietly<T>(look: () => Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof TruespokeError) return null;
    throw error;
  }
}
