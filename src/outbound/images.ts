// Owns images of records around our own writes: what an answer that shows nothing is completed with, and what is known to have stood there.
// Reads the spoke where it must; decides nothing about bases.
import type { CallOptions, Fields, Spoke, Write, WriteResult } from '../connectors/connector.js';
import type { SpokeMapping } from '../mapping/mapping.js';
import { resembles } from '../mapping/resemble.js';
import { isList, sameRemote } from '../mapping/values.js';
import type { ExternalId, RemotePath } from '../model/ids.js';
import type { Link } from '../model/link.js';
import type { RemoteFields, RemoteRecord, RemoteValue } from '../model/record.js';

/**
 * Completes answers that do not show the record: what the spoke made of our values (trimmed, rounded) belongs into the base, or it
 * would come back as an edit of someone (law 2). Only an image of the very version that the write left, and that looks like what was
 * sent, counts: a coarse stamp may cover an edit made right after ours. An update without one is read back like an unanswered one.
 */
export async function readImages(
  spoke: Spoke,
  writes: readonly Write[],
  results: readonly WriteResult[],
  fields: Fields,
  known: KnownImages,
  options: CallOptions,
): Promise<readonly WriteResult[]> {
  const bare = results.flatMap((result, i) => {
    const write = writes[i];
    const shown = result.outcome !== 'applied' || result.record !== null || result.version === '';
    return shown || write === undefined || write.op === 'delete' ? [] : [{ write, externalId: result.externalId }];
  });
  const images = new Map<ExternalId, RemoteRecord>();
  const { fetchBatch } = spoke.capabilities;
  for (let from = 0; from < bare.length; from += fetchBatch) {
    const slice = bare.slice(from, from + fetchBatch);
    const [first] = slice;
    if (first === undefined) break;
    const ids = slice.map(({ externalId: id }) => id);
    // The writes are done whatever becomes of this look.
    const found = await spoke.fetch(first.write.object, ids, fields, options).catch(() => []);
    for (const record of found) images.set(record.externalId, record);
  }
  const asked = new Set<Write>(bare.map(({ write }) => write));
  return results.map((result, i) => {
    const write = writes[i];
    if (result.outcome !== 'applied' || write === undefined || !asked.has(write)) return result;
    const image = images.get(result.externalId);
    if (image?.version === result.version && looksLike(image, known.sent(write), known.before(write)))
      return { ...result, record: image };
    return write.op === 'update' ? { outcome: 'unknown', cause: 'not_read_back' } : result;
  });
}

/** What an image of a record may show without being anybody else's edit. */
export interface KnownImages {
  /** What the write has left in every path that it covers. */
  readonly sent: (write: Write) => RemoteFields;
  /**
   * Images of the record from before this write that it may go on showing. Still there after a write that was confirmed, they are what the
   * spoke makes of our values: else these would be written again for ever.
   */
  readonly before: (write: Write) => readonly RemoteFields[];
}

function looksLike(image: RemoteRecord, sent: RemoteFields, before: readonly RemoteFields[]): boolean {
  if (image.deleted) return false;
  return (Object.entries(sent) as [RemotePath, RemoteValue][]).every(([path, value]) => {
    const shown = image.fields[path];
    const stayed = before.some((one) => one[path] !== undefined && sameRemote(one[path], shown ?? null));
    return shown === undefined || resembles(value, shown) || stayed;
  });
}

/** A create leaves out what is empty: what its record shows there is the remote's own default, or an edit made right after ours. */
export function sentBy(mapping: SpokeMapping, write: Write): RemoteFields {
  if (write.op !== 'create') return write.op === 'update' ? write.fields : {};
  const empty = mapping.fields.flatMap(({ writes }) => writes.map((path) => [path, null] as const));
  return { ...(Object.fromEntries(empty) as RemoteFields), ...write.fields };
}

/**
 * What a record that was written already may go on showing: where it lost against the hub and was overwritten; and, when this is not the
 * first try, what it showed when both last agreed (one who put that back at the moment of our first try has lost against the hub).
 */
export function shownBefore(
  mapping: SpokeMapping,
  link: Link | undefined,
  triedBefore: boolean,
): readonly RemoteFields[] {
  if (link === undefined) return [];
  return [pathsOf(mapping, link.overruled), ...(triedBefore ? [agreedPaths(mapping, link)] : [])];
}

/** What each path of the record showed when both sides last agreed. */
export function agreedPaths(mapping: SpokeMapping, link: Link | undefined): RemoteFields {
  const base = Object.entries(link?.base ?? {}).map(([name, { remote }]) => [name, remote] as const);
  return pathsOf(mapping, Object.fromEntries(base));
}

function pathsOf(mapping: SpokeMapping, images: Readonly<Record<string, RemoteValue>>): RemoteFields {
  const paths: Record<RemotePath, RemoteValue> = {};
  for (const { field, reads } of mapping.fields) {
    const image = images[field.name];
    if (image === undefined) continue;
    const values = reads.length > 1 && isList(image) ? image : [image];
    for (const [i, path] of reads.entries()) paths[path] = values[i] ?? null;
  }
  return paths;
}
