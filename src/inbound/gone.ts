// Deletions of records that we do not know. They are remembered, so that no older read brings such a record in (law 4): nothing would tell of
// the deletion again. Serialised with whoever links records of the entity: one of the two sees the other.
import type { ExternalId, Version } from '../model/ids.js';
import { lockMatching } from '../store/hub.js';
import { goneVersions, rememberGone } from '../store/inbox.js';
import { linksByExternal } from '../store/links.js';
import type { Tx } from '../store/pool.js';
import type { BatchContext } from './batch.js';
import type { Evidence } from './decide.js';
import type { Decision } from './decision.js';
import { feedOf } from './page.js';

/** The decisions; a record that was linked while we waited is looked at again. */
export async function rememberDeletions(
  tx: Tx,
  context: BatchContext,
  decisions: readonly Decision[],
  nowMs: number,
): Promise<readonly Decision[]> {
  const unknown = decisions.filter((decision) => isUnknown(context, decision)).map(({ incoming }) => incoming.record);
  if (unknown.length === 0) return decisions;
  const { mapping, entity } = context;
  await lockMatching(tx, entity.name);
  const ids = unknown.map(({ externalId }) => externalId);
  const linked = await linksByExternal(tx, feedOf(mapping), ids);
  const gone = unknown.filter(({ externalId }) => !linked.has(externalId));
  await rememberGone(tx, mapping.spoke, mapping.object, gone, nowMs);
  return decisions.map((decision): Decision => {
    const { incoming } = decision;
    const isLinkedNow = isUnknown(context, decision) && linked.has(incoming.record.externalId);
    return isLinkedNow ? { incoming, kind: 'refetch', delayMs: 0, why: 'raced' } : decision;
  });
}

/** Embedded children are not read by themselves; without a version nothing is older. */
function isUnknown({ mapping, links }: BatchContext, decision: Decision): boolean {
  const { record } = decision.incoming;
  if (decision.kind !== 'ignore' || decision.why !== 'unknown_deleted' || mapping.embedded !== null) return false;
  return record.deleted && record.version !== '' && !links.has(record.externalId);
}

/** What is remembered of these; asked under the lock under which records are linked. Only a read by id may be older than that. */
export async function deletionsTold(
  tx: Tx,
  { mapping }: BatchContext,
  evidence: Evidence,
  ids: readonly ExternalId[],
): Promise<ReadonlyMap<ExternalId, Version>> {
  if (evidence === 'listing' || mapping.embedded !== null) return new Map();
  return goneVersions(tx, mapping.spoke, mapping.object, ids);
}
