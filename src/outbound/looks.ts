// Owns the looks before a write: does the spoke hold such a record already, has it changed since? What a look finds goes to the
// inbound door; only what may be sent comes back.
import { must } from '../base/assert.js';
import type { ExternalId, HubId } from '../model/ids.js';
import type { Link } from '../model/link.js';
import type { RemoteRecord } from '../model/record.js';
import type { Claimed } from '../store/deliveries.js';
import { findCandidates } from '../store/hub.js';
import { linksByExternal } from '../store/links.js';
import { decidedNew } from '../store/reviews.js';
import { readOf, type Batch, type Sendable } from './batch.js';
import type { ClaimContext } from './claimed.js';
import { findTwins } from './deliver.js';
import { afterLooking, later } from './ending.js';
import { findNews, isBlind } from './news.js';
import type { Settlement } from './settle.js';

/** Before creating: does the spoke hold such a record already (F119)? One free twin of one row is linked, more of either ask a person. */
export async function withoutTwins(
  batch: Batch,
  context: ClaimContext,
  sendable: readonly Sendable[],
  settlements: Settlement[],
): Promise<readonly Sendable[]> {
  const all = sendable.filter(({ outgoing }) => outgoing.intent.op === 'create');
  if (all.length === 0 || context.entity.match.length === 0) return sendable;
  const alone = await decidedNew(
    batch.deps.pool,
    batch.feed,
    all.map(({ delivery }) => delivery.hubId),
  );
  const creates = all.filter(({ delivery }) => !alone.has(delivery.hubId));
  const asked = creates.map(({ outgoing }) => ({ hubId: outgoing.hubId, fields: outgoing.intent.fields }));
  const twins = await findTwins(batch.open.spoke, batch.mapping, context.entity, readOf(batch), asked, batch.options);
  const found = creates.filter(({ delivery }) => (twins.get(delivery.hubId)?.length ?? 0) > 0);
  if (found.length === 0) return sendable;
  const ids = found.flatMap(({ delivery }) => (twins.get(delivery.hubId) ?? []).map((one) => one.externalId));
  const links = await linksByExternal(batch.deps.pool, batch.feed, ids);
  const rivals = await withRivals(batch, context, found);
  const belongsTo = new Map<ExternalId, HubId>();
  const records: RemoteRecord[] = [];
  for (const { delivery } of found) {
    const all = twins.get(delivery.hubId) ?? [];
    // Inbound was faster: what was found has become this row's own record since the row was loaded, and is no twin.
    if (all.some((one) => isOwn(links.get(one.externalId), delivery))) {
      settlements.push(later(batch, delivery, 0, 'linked_meanwhile', false));
      continue;
    }
    const free = all.filter((one) => links.get(one.externalId)?.state !== 'live' && batch.mapping.accepts(one.fields));
    const [only] = free;
    if (only !== undefined && all.length === 1 && !belongsTo.has(only.externalId) && !rivals.has(delivery.hubId)) {
      belongsTo.set(only.externalId, delivery.hubId);
      if (batch.mapping.direction === 'out') {
        // Nothing comes in from there: it is linked as it is, and gets all that the hub holds.
        settlements.push(linkedTo(delivery, only));
        continue;
      }
      records.push(only);
      settlements.push(afterLooking(batch, delivery, 'linked_to_existing'));
    } else {
      const evidence = { hubId: delivery.hubId, externalIds: all.map((one) => one.externalId) };
      settlements.push({
        delivery,
        kind: 'review',
        review: { ...batch.feed, kind: 'duplicate', key: delivery.hubId, evidence },
      });
    }
  }
  if (records.length > 0) {
    await batch.deps.inbound({ spoke: batch.open.name, object: batch.mapping.object, records, belongsTo });
  }
  const taken = new Set(found.map(({ delivery }) => delivery.hubId));
  return sendable.filter(({ delivery }) => !taken.has(delivery.hubId));
}

/** Rows to which the record that was found may belong as well as to another row of the hub: a person decides, whoever comes first. */
async function withRivals(
  { deps, mapping }: Batch,
  { entity, rows }: ClaimContext,
  found: readonly Sendable[],
): Promise<ReadonlySet<HubId>> {
  const rivals = new Set<HubId>();
  const table = must(deps.tables.get(mapping.entity), mapping.entity);
  for (const rule of entity.match) {
    const keyed = found.flatMap(({ delivery: { hubId } }) => {
      const values = rule.keys.map(({ field }) => rows.get(hubId)?.fields[field] ?? '');
      return values.includes('') ? [] : [{ hubId, values }];
    });
    const keys = keyed.map(({ values }) => values);
    for (const one of await findCandidates(deps.pool, table, mapping.spoke, rule, keys)) {
      const hubId = must(keyed[one.ord], 'key').hubId;
      if (one.hubId !== hubId && one.linkedTo === null) rivals.add(hubId);
    }
  }
  return rivals;
}

function isOwn(link: Link | undefined, { hubId }: Claimed): boolean {
  return link?.state === 'live' && link.hubId === hubId;
}

/** Where nothing comes in from: all that the hub holds goes out. */
export function linkedTo(delivery: Claimed, { externalId, version }: RemoteRecord): Settlement {
  const link = { hubId: delivery.hubId, externalId, state: 'live', base: {}, version, settledAtMs: null } as const;
  return { delivery, kind: 'applied', link, children: [], fresh: true, again: true, recheck: false };
}

/**
 * Before a write without a condition: has the spoke changed since? Then inbound looks first, and what is lost to the write is at most
 * what happens while one request is under way.
 */
export async function withoutNews(
  batch: Batch,
  context: ClaimContext,
  sendable: readonly Sendable[],
  settlements: Settlement[],
): Promise<readonly Sendable[]> {
  const { deps, open, mapping, options } = batch;
  const blind = sendable.filter(({ outgoing }) => isBlind(outgoing));
  const changed = await findNews(open.spoke, mapping, readOf(batch), context, blind, options);
  if (changed.size === 0) return sendable;
  await deps.inbound({ spoke: open.name, object: mapping.object, records: [...changed.values()] });
  return sendable.filter(({ delivery, outgoing }) => {
    // A deletion goes on: what it overrules has been kept.
    if (!changed.has(delivery.hubId) || outgoing.intent.op === 'delete') return true;
    settlements.push(afterLooking(batch, delivery, 'changed_meanwhile'));
    return false;
  });
}
