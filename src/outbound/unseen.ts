// Owns what becomes of fields that a spoke does not show though they were asked for, as where our user may no longer read them (F78).
// Nothing is written to them unseen: somebody's edit may stand there. The rest of the record goes its way; what waits is looked at again.
import type { ExternalId } from '../model/ids.js';
import type { RemoteRecord } from '../model/record.js';
import { readOf, type Batch } from './batch.js';
import type { ClaimContext, Planned } from './claimed.js';
import { backoff, later } from './ending.js';
import type { Settlement } from './settle.js';

/** Reads the records whose only differences wait for a field to be shown, and lets inbound look. */
export async function lookAtUnseen(
  batch: Batch,
  context: ClaimContext,
  planned: readonly Planned[],
): Promise<readonly Settlement[]> {
  const waiting = planned.filter(({ difference }) => difference.kind === 'unseen');
  const ids = waiting.flatMap(({ delivery }): ExternalId[] => {
    const link = context.links.get(delivery.hubId);
    return link === undefined ? [] : [link.externalId];
  });
  const { spoke, name } = batch.open;
  const records: RemoteRecord[] = [];
  for (let from = 0; from < ids.length; from += spoke.capabilities.fetchBatch) {
    const slice = ids.slice(from, from + spoke.capabilities.fetchBatch);
    records.push(...(await spoke.fetch(batch.mapping.object, slice, readOf(batch), batch.options)));
  }
  if (records.length > 0) await batch.deps.inbound({ spoke: name, object: batch.mapping.object, records });
  return waiting.map(({ delivery }) => later(batch, delivery, backoff(batch, delivery), 'field_not_shown', true));
}
