// Has a record changed at the spoke since it was last taken account of? Asked before writes that carry no condition, in one read a batch.
// Decides nothing: what has changed is inbound's to look at.
import type { CallOptions, Fields, Spoke } from '../connectors/connector.js';
import type { SpokeMapping } from '../mapping/mapping.js';
import { resembles } from '../mapping/resemble.js';
import { sameRemote } from '../mapping/values.js';
import type { ExternalId, HubId } from '../model/ids.js';
import { imageOf, type Link } from '../model/link.js';
import type { RemoteRecord } from '../model/record.js';
import type { Claimed } from '../store/deliveries.js';
import type { ClaimContext } from './claimed.js';
import type { Outgoing } from './deliver.js';

/** The remote will apply it whatever it holds by then. */
export function isBlind({ intent, expect }: Outgoing): boolean {
  return (intent.op === 'update' || intent.op === 'delete') && expect === null && intent.externalId !== null;
}

/** Records that show something new in what is about to be written (a deletion: in anything), by hub id. */
export async function findNews(
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
  const { fetchBatch } = spoke.capabilities;
  for (let from = 0; from < writes.length; from += fetchBatch) {
    const slice = writes.slice(from, from + fetchBatch);
    const ids = slice.map(({ outgoing }) => outgoing.intent.externalId as ExternalId);
    const records = await spoke.fetch(mapping.object, ids, read, options);
    const byId = new Map(records.map((record) => [record.externalId, record]));
    for (const [i, write] of slice.entries()) {
      const record = byId.get(ids[i] as ExternalId);
      const link = context.links.get(write.delivery.hubId);
      if (record === undefined || record.deleted || link === undefined) continue;
      if (isNews(mapping, link, record, write)) found.set(write.delivery.hubId, record);
    }
  }
  return found;
}

/** An equal stamp is no proof: a coarse one may cover an edit made after we looked (law 4). What lost already is about to be written over. */
function isNews(
  mapping: SpokeMapping,
  link: Link,
  record: RemoteRecord,
  { delivery, outgoing: { intent } }: { readonly delivery: Claimed; readonly outgoing: Outgoing },
): boolean {
  if (record.version !== '' && record.version < link.version) return false;
  return mapping.fields.some((field) => {
    const { name } = field.field;
    const base = link.base[name];
    if (field.direction === 'out' || field.fromParent || field.reads.length === 0) return false;
    if (intent.op === 'update' && intent.hub[name] === undefined) return false;
    const values = field.reads.map((path) => record.fields[path]);
    // Hidden from us since (F78): not written to unseen.
    if (values.some((value) => value === undefined)) return intent.op === 'update' && field.direction === 'both';
    const image = imageOf(values.map((value) => value ?? null));
    if (intent.op === 'delete' && base === undefined && resembles(null, image)) return false;
    // Where nothing was agreed on yet, only emptiness may be written over unseen.
    const known = [base === undefined ? null : base.remote, delivery.observed?.[name], link.overruled[name]];
    return !known.some((one) => one !== undefined && sameRemote(image, one));
  });
}
