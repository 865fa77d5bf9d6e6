// Runs the outbound stages for one spoke: claim → diff → (look for twins) → record intent → deliver → settle. One call of
// `deliver` handles one batch of one entity; parents go before children. Never merges: what a spoke shows goes to the inbound door.
import { must } from '../base/assert.js';
import { Retriable, type SpokePaused } from '../base/errors.js';
import { ownMappings } from '../mapping/selection.js';
import type { EntityName, ExternalId, HubId } from '../model/ids.js';
import type { Intent } from '../model/intent.js';
import { missingRecord, type RemoteRecord } from '../model/record.js';
import {
  abandonClaims,
  claim,
  countPending,
  dueEntities,
  markSent,
  type Claimed,
  type Due,
} from '../store/deliveries.js';
import { hasOpenTruncate } from '../store/reviews.js';
import { idle, readOf, type Batch, type Delivered, type OutboundDeps, type Sendable } from './batch.js';
import { withChildren } from './children.js';
import { diffInput, isRemovalOfRow, loadClaim, type ClaimContext, type Planned } from './claimed.js';
import { send, toWrite, type Outgoing } from './deliver.js';
import { diff } from './diff.js';
import { applied, backoff, held, later, settleQuietly, unknownAgain } from './ending.js';
import { readImages, sentBy, shownBefore, type KnownImages } from './images.js';
import { linkedTo, withoutNews, withoutTwins } from './looks.js';
import type { OpenSpoke } from './open-spoke.js';
import { outcomeOf, type Outcome } from './outcome.js';
import { settleBatch, type Settlement } from './settle.js';
import { lookAtUnseen } from './unseen.js';
import { judged, resolveUnknown } from './unknown.js';
import { youngOf } from './young.js';

/** Delivers one batch to one spoke. `ready`: entities whose existing records were read, so that a create cannot double one. */
export async function deliver(
  deps: OutboundDeps,
  open: OpenSpoke,
  ready: ReadonlySet<EntityName>,
  signal: AbortSignal,
): Promise<Delivered> {
  const mappings = ownMappings(deps.mapping, open.name).filter(({ entity }) => ready.has(entity));
  const nowMs = deps.clock.now();
  const due = await dueEntities(
    deps.pool,
    open.name,
    mappings.map(({ entity }) => entity),
    { nowMs, countMax: deps.pace?.countMax ?? 1 },
  );
  const next = due.find(({ unknown }) => unknown) ?? due.find(({ pending }) => pending > 0);
  if (next === undefined || (!next.unknown && deps.pace?.admits(next) === false)) return idle;
  const claimedAtMs = deps.clock.monotonic();
  const rows = await batchRows(deps, open, next.entity, nowMs);
  const claimed = await claim(deps.pool, {
    spoke: open.name,
    entity: next.entity,
    state: next.unknown ? 'unknown' : 'pending',
    rows,
    worker: deps.worker,
    nowMs,
    leaseMs: deps.limits.leaseMs,
    fence: Math.floor(deps.random.next() * Number.MAX_SAFE_INTEGER),
  });
  if (claimed.length === 0) return idle;
  deps.crashpoint('delivery_claimed');
  deps.onClaimed?.(claimed.length >= rows || due.some((one) => isLeft(one, next)));
  const mapping = must(
    mappings.find(({ entity }) => entity === next.entity),
    next.entity,
  );
  const batch: Batch = {
    deps,
    open,
    mapping,
    options: { lane: 'interactive', signal },
    claimedAtMs,
    feed: { spoke: mapping.spoke, entity: mapping.entity },
  };
  try {
    return await (next.unknown ? inLane(batch, () => resolveUnknown(batch, claimed)) : deliverClaimed(batch, claimed));
  } catch (error) {
    // What was not sent may be claimed again at once, what was is unknown. If the hub is gone, the lease says so instead.
    await abandonClaims(deps.pool, { spoke: open.name, entity: next.entity }, claimed).catch(() => undefined);
    throw error;
  }
}

/** Due, and nothing of what was claimed of `next`, which is of one state. */
const isLeft = (one: Due, next: Due): boolean =>
  one === next ? one.unknown && one.pending > 0 : one.unknown || one.pending > 0;

const inLane = <T>({ deps }: Batch, calls: () => Promise<T>): Promise<T> => deps.inLane?.(calls) ?? calls();

/** As many as one call takes; where so many wait that the spoke's bulk route pays, as many as go through it at once. */
async function batchRows(
  deps: OutboundDeps,
  { name, spoke }: OpenSpoke,
  entity: EntityName,
  nowMs: number,
): Promise<number> {
  const { writeBatch, bulkWriteFrom } = spoke.capabilities;
  if (bulkWriteFrom === null) return writeBatch;
  const { bulkRecords } = deps.limits;
  const pending = await countPending(deps.pool, { spoke: name, entity }, bulkRecords, nowMs);
  return pending >= bulkWriteFrom ? bulkRecords : writeBatch;
}

async function deliverClaimed(batch: Batch, claimed: readonly Claimed[]): Promise<Delivered> {
  const { deps, mapping } = batch;
  const table = must(deps.tables.get(mapping.entity), mapping.entity);
  const context = await loadClaim(deps.pool, deps.mapping, mapping, table, claimed);
  const { undelete } = batch.open.spoke.capabilities;
  const diffed = claimed.map((delivery): Planned => ({
    delivery,
    difference: diff(diffInput(context, delivery, undelete)),
  }));
  const planned = await withChildren(deps, batch.open, context, diffed);
  const settlements: Settlement[] = [];
  const sendable: Sendable[] = [];
  const conditional = isConditional(batch, planned);
  const isEmptied = await waitsForTruncate(batch, context, planned);
  for (const one of planned) {
    if (isEmptied && isRemovalOfRow(context, one)) {
      settlements.push(held(one.delivery));
      continue;
    }
    if (one.difference.kind === 'unseen') continue;
    const outgoing = outgoingOf(batch, context, one, conditional);
    if (outgoing === null) settlements.push(settleQuietly(batch, context, one));
    else sendable.push({ ...one, outgoing, again: 'again' in one.difference && one.difference.again });
  }
  // One lane from the look to the write: nothing else of ours comes between the two and widens the lost-update window.
  const called = async (): Promise<{ readonly writes: number; readonly pause: SpokePaused | null }> => {
    settlements.push(...(await lookAtUnseen(batch, context, planned)));
    // Told to stop: nothing of it was sent, and nothing counts as sent.
    if (sendable.length > 0) batch.options.signal?.throwIfAborted();
    const free = await withoutTwins(batch, context, sendable, settlements);
    // Last: a search for twins between the look and the write leaves room for an edit that is then written over (seed 5).
    const current = await withoutNews(batch, context, free, settlements);
    return { writes: current.length, pause: await sendAll(batch, context, current, settlements) };
  };
  const isQuiet = settlements.length === planned.length;
  const { writes, pause } = isQuiet ? { writes: 0, pause: null } : await inLane(batch, called);
  await settleBatch(batch, settlements);
  return {
    claimed: claimed.length,
    writes,
    parked: settlements.filter(({ kind }) => kind === 'park' || kind === 'review').length,
    unknown: settlements.filter((one) => one.kind === 'release' && one.release.state === 'unknown').length,
    pause,
  };
}

function isConditional(batch: Batch, planned: readonly Planned[]): boolean {
  // Nothing comes in from there, so nothing would ever take account of what changed there: there is nothing to lose.
  if (batch.mapping.direction === 'out') return false;
  const updates = planned.filter(({ difference }) => difference.kind === 'update').length;
  return batch.open.spoke.capabilities.conditionalWrite && updates <= batch.deps.limits.conditionalRecords;
}

function outgoingOf(
  batch: Batch,
  context: ClaimContext,
  { delivery, difference }: Planned,
  conditional: boolean,
): Outgoing | null {
  const { hubId } = delivery;
  const link = context.links.get(hubId) ?? null;
  const sentAtMs = batch.deps.clock.now();
  const bare = { externalId: link?.externalId ?? null, fields: {}, hub: {}, sentAtMs };
  switch (difference.kind) {
    case 'create':
    case 'update': {
      const { kind: op, fields, hub, children } = difference;
      const externalId = op === 'create' ? null : bare.externalId;
      const intent: Intent = {
        op,
        externalId,
        fields,
        hub,
        sentAtMs,
        ...(children === undefined ? {} : { children }),
      };
      const expect = op === 'update' && conditional && link !== null && link.version !== '' ? link.version : null;
      return { hubId, intent, expect };
    }
    case 'delete':
    case 'undelete':
      return { hubId, intent: { op: difference.kind, ...bare }, expect: null };
    case 'none':
    case 'unlink':
    case 'wait':
    case 'unseen':
    case 'refuse':
      return null;
    default:
      return difference satisfies never;
  }
}

/** F51: while nobody has decided about a TRUNCATE, a row that is gone is no reason to delete anything. */
async function waitsForTruncate(batch: Batch, context: ClaimContext, planned: readonly Planned[]): Promise<boolean> {
  if (!planned.some((one) => isRemovalOfRow(context, one))) return false;
  return hasOpenTruncate(batch.deps.pool, batch.mapping.entity);
}

/** A machine that slept (F24): another process may have sent this, and newer values since. It counts as sent; the read-back tells. */
function assertLease({ deps, claimedAtMs, feed }: Batch): void {
  if (deps.clock.monotonic() - claimedAtMs <= deps.limits.leaseMs) return;
  throw new Retriable({
    ...feed,
    code: 'lease_passed',
    message: `${feed.spoke}: more time passed before sending than the lease of ${feed.entity} lasts`,
    hint: 'the machine slept or is overloaded; nothing was sent, and whoever holds the lease now goes on',
  });
}

const seenOf = ({ links }: ClaimContext, { hubId }: Claimed): string | null => {
  const link = links.get(hubId);
  return link?.state === 'live' ? (link.revision ?? null) : null;
};

async function sendAll(
  batch: Batch,
  context: ClaimContext,
  sendable: readonly Sendable[],
  settlements: Settlement[],
): Promise<SpokePaused | null> {
  if (sendable.length === 0) return null;
  const rows = sendable.map(({ delivery, outgoing }) => ({
    hubId: delivery.hubId,
    fence: delivery.fence,
    intent: outgoing.intent,
    seen: seenOf(context, delivery),
  }));
  const ours = await markSent(batch.deps.pool, batch.feed, rows);
  const going = sendable.filter(({ delivery }) => ours.has(delivery.hubId));
  // Linked or taken in meanwhile, so it is compared anew; or no longer ours, then settling leaves it alone.
  for (const { delivery } of sendable)
    if (!ours.has(delivery.hubId)) settlements.push(later(batch, delivery, 0, 'changed_meanwhile', false));
  if (going.length === 0) return null;
  batch.deps.crashpoint('delivery_sent');
  assertLease(batch);
  const defaults = batch.open.defaults.get(batch.mapping.entity) ?? {};
  const writes = going.map(({ outgoing }) => toWrite(batch.mapping, outgoing, defaults));
  const called = await send(batch.open.spoke, writes, batch.options);
  batch.deps.crashpoint('delivery_answered');
  if (called.kind === 'results') {
    const again = new Set(going.filter(({ delivery }) => delivery.attempt > 1).map(({ delivery }) => delivery.hubId));
    const known: KnownImages = {
      sent: (write) => sentBy(batch.mapping, write),
      before: ({ hubId }) => shownBefore(batch.mapping, context.links.get(hubId), again.has(hubId)),
    };
    const results = await readImages(batch.open.spoke, writes, called.results, readOf(batch), known, batch.options);
    const outcomes = going.map(({ delivery, outgoing }, i) =>
      outcomeOf(must(results[i], 'result'), outgoing.intent.externalId as ExternalId | null, {
        attempt: delivery.attempt,
        attemptsMax: batch.deps.limits.attemptsMax,
        backoffMs: backoff(batch, delivery),
      }),
    );
    settlements.push(...(await settlementsOf(batch, context, going, outcomes)));
    return null;
  }
  const [reason, counts] = called.kind === 'pause' ? [called.error.code, false] : [called.reason, called.counts];
  for (const { delivery } of going) {
    const delayMs = called.kind === 'pause' ? 1_000 : (called.delayMs ?? backoff(batch, delivery));
    settlements.push(later(batch, delivery, delayMs, reason, counts));
  }
  return called.kind === 'pause' ? called.error : null;
}

async function settlementsOf(
  batch: Batch,
  context: ClaimContext,
  sent: readonly Sendable[],
  outcomes: readonly Outcome[],
): Promise<readonly Settlement[]> {
  const settlements: Settlement[] = [];
  const observe: Observing[] = [];
  for (const [i, one] of sent.entries()) {
    const outcome = must(outcomes[i], 'outcome');
    const { delivery } = one;
    switch (outcome.kind) {
      case 'applied':
        settlements.push(applied(batch, one, context, outcome));
        break;
      case 'park':
        settlements.push({
          delivery,
          kind: 'park',
          code: outcome.code,
          message: outcome.message,
          field: outcome.field,
        });
        break;
      case 'later':
        settlements.push(later(batch, delivery, outcome.delayMs, outcome.reason, outcome.counts));
        break;
      case 'unknown':
        settlements.push(unknownAgain(batch, delivery, outcome.reason));
        break;
      case 'observe':
        observe.push({ one, outcome });
        break;
      default:
        outcome satisfies never;
    }
  }
  settlements.push(...(await observeFirst(batch, context, observe)));
  return settlements;
}

interface Observing {
  readonly one: Sendable;
  readonly outcome: Extract<Outcome, { kind: 'observe' }>;
}

/** The spoke holds something newer, or holds it already: inbound looks at it, then this is diffed again. */
async function observeFirst(
  batch: Batch,
  context: ClaimContext,
  waiting: readonly Observing[],
): Promise<readonly Settlement[]> {
  if (waiting.length === 0) return [];
  const observed = ({ one, outcome }: Observing): Settlement =>
    later(batch, one.delivery, outcome.delayMs, outcome.reason, true);
  // The write is over: rejected or refused. Settling first lets inbound judge the record.
  const over = waiting.filter(({ one, outcome }) => one.delivery.intent === null && !isOutOnly(batch, outcome));
  await settleBatch(batch, over.map(observed));
  const ids = [...new Set(waiting.flatMap(({ outcome }) => outcome.ids))];
  const records = await batch.open.spoke.fetch(batch.mapping.object, ids, readOf(batch), batch.options);
  const seen = new Set(records.map((record) => record.externalId));
  const tried = waiting.filter((one) => !over.includes(one));
  const settlements = tried.map((one): Settlement => {
    const record = earlierTry(one, records);
    if (record !== null) return judged(batch, context, one.one.delivery, [record], []);
    const own = isOutOnly(batch, one.outcome) ? ownOf(one, records) : null;
    return own === null ? observed(one) : linkedTo(one.one.delivery, own);
  });
  await settleBatch(batch, settlements);
  const belongsTo = new Map<ExternalId, HubId>();
  for (const { one, outcome } of waiting) {
    if (outcome.belongsHere) for (const id of outcome.ids) belongsTo.set(id, one.delivery.hubId);
  }
  // Not found by id: gone (law 8, second grade of evidence). What refused our condition was there a moment ago: then the read lags.
  const refused = new Set(
    waiting.filter(({ outcome }) => outcome.reason === 'stale').flatMap(({ outcome }) => outcome.ids),
  );
  const absent = ids.filter((id) => !seen.has(id) && !refused.has(id));
  const young = await youngOf(batch, absent);
  const gone = absent.filter((id) => !young.has(id)).map((id) => missingRecord(batch.mapping.object, id));
  await batch.deps.inbound({
    spoke: batch.open.name,
    object: batch.mapping.object,
    records: [...records, ...gone],
    belongsTo,
  });
  return [];
}

/** Nothing comes in from there: inbound would not link the record that a create of ours met. */
const isOutOnly = ({ mapping }: Batch, { reason }: Observing['outcome']): boolean =>
  mapping.direction === 'out' && reason === 'duplicate';

/** The record that carries our key. */
function ownOf(
  { one: { delivery }, outcome: { ids } }: Observing,
  records: readonly RemoteRecord[],
): RemoteRecord | null {
  const own = records.find((record) => ids.includes(record.externalId) && record.hubKey === delivery.hubId);
  return own === undefined || own.deleted ? null : own;
}

/**
 * A write of this record that was never answered, and that a read did not show, may be what changed it, or made it: then what is shown
 * is judged as it would have been when it was read back (law 5). Null where there was none, or where this is not its record.
 */
function earlierTry(
  { one: { delivery }, outcome: { reason, ids, shown } }: Observing,
  records: readonly RemoteRecord[],
): RemoteRecord | null {
  const { intent } = delivery;
  if (intent === null) return null;
  const record = shown ?? records.find(({ externalId }) => ids.includes(externalId)) ?? null;
  if (record === null || record.deleted) return null;
  if (reason === 'stale') return intent.op === 'update' ? record : null;
  return reason === 'duplicate' && intent.op === 'create' && record.hubKey === delivery.hubId ? record : null;
}
