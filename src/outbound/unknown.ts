// Owns Law 5: a write whose answer was lost is read back, then settled, sent again or shown to inbound; never sent blindly.
import { must } from '../base/assert.js';
import type { ExternalId } from '../model/ids.js';
import { missingRecord, type RemoteRecord } from '../model/record.js';
import type { Claimed } from '../store/deliveries.js';
import { idle, readOf, type Batch, type Delivered } from './batch.js';
import { childLinks } from './children.js';
import { loadClaim, type ClaimContext } from './claimed.js';
import { readBack, type Outgoing } from './deliver.js';
import { countsInDoubt } from './doubts.js';
import { applied, later, unknownAgain } from './ending.js';
import { agreedPaths } from './images.js';
import { partlyShown, settleBatch, type Settlement } from './settle.js';
import { judgeTries } from './tries.js';
import { youngOf } from './young.js';

/** Law 5: reads back what was never answered, then settles it, sends it again or lets inbound look. */
export async function resolveUnknown(batch: Batch, claimed: readonly Claimed[]): Promise<Delivered> {
  const { deps, mapping } = batch;
  const pending = claimed.flatMap((delivery) =>
    delivery.intent === null ? [] : [{ hubId: delivery.hubId, intent: delivery.intent }],
  );
  const table = must(deps.tables.get(mapping.entity), mapping.entity);
  const context = await loadClaim(deps.pool, deps.mapping, mapping, table, claimed);
  let found: Awaited<ReturnType<typeof readBack>>;
  try {
    found = await readBack(batch.open.spoke, mapping, readOf(batch), pending, batch.options);
  } catch (error) {
    deps.log.warn({ ...batch.feed, err: error }, 'read-back failed');
    await settleBatch(
      batch,
      claimed.map((delivery) => unknownAgain(batch, delivery, 'read_back_failed')),
    );
    return { ...idle, claimed: claimed.length, unknown: claimed.length };
  }
  deps.crashpoint('delivery_read_back');
  const settlements: Settlement[] = [];
  const changed: RemoteRecord[] = [];
  const shownIn = (delivery: Claimed): readonly RemoteRecord[] => found.get(delivery.hubId) ?? [];
  const absent = claimed.filter((one) => shownIn(one).length === 0 && one.intent?.op === 'update');
  const young = await youngOf(
    batch,
    absent.map(({ intent }) => intent?.externalId as ExternalId),
  );
  const lagging = new Set(absent.filter(({ intent }) => young.has(intent?.externalId as ExternalId)));
  for (const delivery of claimed) {
    settlements.push(
      lagging.has(delivery)
        ? unknownAgain(batch, delivery, 'not_shown_yet')
        : judged(batch, context, delivery, shownIn(delivery), changed),
    );
  }
  await settleBatch(batch, settlements);
  if (changed.length > 0) await deps.inbound({ spoke: batch.open.name, object: mapping.object, records: changed });
  return { ...idle, claimed: claimed.length };
}

/** What became of the unanswered write of this delivery, by what the spoke shows; what is for inbound to look at joins `changed`. */
export function judged(
  batch: Batch,
  context: ClaimContext,
  delivery: Claimed,
  records: readonly RemoteRecord[],
  changed: RemoteRecord[],
): Settlement {
  const { intent } = delivery;
  if (intent === null) return later(batch, delivery, 0, 'no_intent', false);
  const [record = null, second] = records;
  if (second !== undefined) {
    const evidence = { hubId: delivery.hubId, externalIds: records.map((one) => one.externalId) };
    return { delivery, kind: 'review', review: { ...batch.feed, kind: 'duplicate', key: delivery.hubId, evidence } };
  }
  const link = context.links.get(delivery.hubId);
  const stood = agreedPaths(batch.mapping, link);
  const { tried, verdict } = judgeTries(batch.mapping, intent, record, link?.version ?? ('' as never), stood);
  const outgoing: Outgoing = { hubId: delivery.hubId, intent: tried, expect: null };
  const doubts = countsInDoubt(batch.mapping, { hubId: delivery.hubId, intent: tried, link, stood }, record);
  switch (verdict.kind) {
    case 'applied': {
      const externalId = (verdict.record?.externalId ?? tried.externalId ?? '') as ExternalId;
      const version = verdict.record?.version ?? ('' as never);
      const settlement = applied(batch, { delivery, outgoing, again: true }, context, {
        kind: 'applied',
        externalId,
        version,
        record: verdict.record,
      });
      // Not all of what it shows is ours.
      if (settlement.kind === 'applied' && settlement.recheck && verdict.record !== null) changed.push(verdict.record);
      return settlement.kind === 'applied' ? { ...settlement, doubts } : settlement;
    }
    case 'not_applied': {
      // It may come yet (F65), and take along what somebody has made of the record since: that is kept before (F118).
      if (tried.op === 'delete' && record !== null) changed.push(record);
      const unsafe = intent.op === 'create' && !batch.open.spoke.capabilities.idempotentCreate;
      const wait = unsafe && delivery.attempt < batch.deps.limits.unknownReadBacks;
      return wait ? unknownAgain(batch, delivery, 'not_found_yet') : later(batch, delivery, 0, 'not_applied', false);
    }
    case 'changed': {
      const [found, nowMs] = [verdict.record, batch.deps.clock.now()];
      changed.push(found);
      const children = childLinks(
        batch.deps.mapping,
        batch.mapping,
        delivery.hubId,
        tried,
        { record: found, readBack: true },
        nowMs,
      );
      const partly = partlyShown(batch.mapping, delivery, tried, found, link, children, nowMs);
      return partly?.kind === 'applied' ? { ...partly, doubts } : later(batch, delivery, 0, 'changed_meanwhile', false);
    }
    case 'not_shown':
      // Inbound sees that it is hidden, and nothing more is written to it unseen; what was sent stays known, should it show one day.
      changed.push(verdict.record);
      return later(batch, delivery, 0, 'not_shown', false);
    case 'gone':
      // What is still shown of it tells where it went, if it was merged into another (F104).
      if (intent.externalId !== null)
        changed.push(record ?? missingRecord(batch.mapping.object, intent.externalId as ExternalId));
      return later(batch, delivery, 0, 'gone', false);
    default:
      return verdict satisfies never;
  }
}
