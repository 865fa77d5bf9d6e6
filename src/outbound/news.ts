// Has a record changed at the spoke since it was last taken account of? Asked before writes that carry no condition, in one read a batch.
// Decides nothing: what has changed is inbound's to look at.
import type { CallOptions, Fields, Spoke } from '../connectors/connector.js';
import type { SpokeMapping } from '../mapping/mapping.js';
import { sameRemote } from '../mapping/values.js';
import type { ExternalId, HubId } from '../model/ids.js';
import { imageOf, type Link } from '../model/link.js';
import type { RemoteRecord, RemoteValue } from '../model/record.js';
import type { Claimed } from '../store/deliveries.js';
import { judgedImages } from '../store/conflicts.js';
import type { Queryable } from '../store/pool.js';
import type { ClaimContext } from './claimed.js';
import type { Outgoing } from './deliver.js';

/** The remote will apply it whatever it holds by then. */
export function isBlind({ intent, expect }: Outgoing): boolean {
  return (intent.op === 'update' || intent.op === 'delete') && expect === null && intent.externalId !== null;
}

/** Records that show something new, by hub id. */
export async function findNews(
  db: Queryable,
  spoke: Spoke,
  mapping: SpokeMapping,
  read: Fields,
  context: Pick<ClaimContext, 'links'>,
  writes: readonly { readonly delivery: Claimed; readonly outgoing: Outgoing }[],
  options: CallOptions,
): Promise<ReadonlyMap<HubId, RemoteRecord>> {
  const found = new Map<HubId, RemoteRecord>();
  // Nothing comes in from there: there is nothing to lose.
  if (mapping.direction === 'out') return found;
  const suspects: Suspect[] = [];
  const { fetchBatch } = spoke.capabilities;
  for (let from = 0; from < writes.length; from += fetchBatch) {
    const slice = writes.slice(from, from + fetchBatch);
    const ids = slice.map(({ outgoing }) => outgoing.intent.externalId as ExternalId);
    const records = await spoke.fetch(mapping.object, ids, read, options);
    const byId = new Map(records.map((record) => [record.externalId, record]));
    for (const [i, { delivery }] of slice.entries()) {
      const record = byId.get(ids[i] as ExternalId);
      const link = context.links.get(delivery.hubId);
      if (record === undefined || record.deleted || link === undefined) continue;
      if (record.version !== '' && record.version < link.version) continue;
      const images = newImages(mapping, link, record, delivery.observed);
      if (images.size === 0) continue;
      if (record.version === '' || record.version === link.version)
        suspects.push({ hubId: delivery.hubId, record, images });
      else found.set(delivery.hubId, record);
    }
  }
  for (const { hubId, record } of await unjudged(db, mapping, suspects)) found.set(hubId, record);
  return found;
}

interface Suspect {
  readonly hubId: HubId;
  readonly record: RemoteRecord;
  readonly images: ReadonlyMap<string, RemoteValue>;
}

/**
 * A coarse stamp may cover an edit made after we looked (law 4). What was overruled keeps its stamp too: it stands in the conflict log,
 * and is about to be written over on purpose.
 */
async function unjudged(
  db: Queryable,
  mapping: SpokeMapping,
  suspects: readonly Suspect[],
): Promise<readonly Suspect[]> {
  const judged = await judgedImages(
    db,
    mapping,
    suspects.map(({ hubId }) => hubId),
  );
  return suspects.filter(({ hubId, images }) =>
    [...images].some(
      ([field, image]) =>
        judged.get(hubId)?.some((one) => one.field === field && sameRemote(one.remote, image)) !== true,
    ),
  );
}

/** Fields that show something else than the base, and than what a repair has seen already. */
function newImages(
  mapping: SpokeMapping,
  link: Link,
  record: RemoteRecord,
  observed: Claimed['observed'],
): ReadonlyMap<string, RemoteValue> {
  const images = new Map<string, RemoteValue>();
  for (const field of mapping.fields) {
    const { name } = field.field;
    const base = link.base[name];
    if (field.direction === 'out' || field.fromParent || field.reads.length === 0 || base === undefined) continue;
    const values = field.reads.map((path) => record.fields[path]);
    if (values.some((value) => value === undefined)) continue;
    const image = imageOf(values.map((value) => value ?? null));
    const seen = observed?.[name];
    if (!sameRemote(image, base.remote) && (seen === undefined || !sameRemote(image, seen))) images.set(name, image);
  }
  return images;
}
