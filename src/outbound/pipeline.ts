// Runs the outbound stages for one spoke: claim → diff → (look for twins) → record intent → deliver → settle. One call of
// `deliver` handles one batch of one entity; parents go before children. Never merges: what a spoke shows goes to the inbound door.
import { must } from '../base/assert.js';
import { backoffMs, type Backoff } from '../base/backoff.js';
import type { Clock } from '../base/clock.js';
import type { SpokePaused } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Random } from '../base/random.js';
import type { CallOptions } from '../connectors/connector.js';
import type { Mapping, SpokeMapping } from '../mapping/mapping.js';
import { ownMappings, selectionOf } from '../mapping/selection.js';
import type { EntityName, ExternalId, HubId, SpokeName } from '../model/ids.js';
import type { RemoteRecord } from '../model/record.js';
import { abandonClaims, claim, countPending, dueEntities, markSent, type Claimed } from '../store/deliveries.js';
import type { Intent } from '../model/intent.js';
import type { HubTable } from '../store/hub.js';
import { linksByExternal } from '../store/links.js';
import { hasOpenTruncate } from '../store/reviews.js';
import { transaction, type Pool } from '../store/pool.js';
import { childLinks, withChildren } from './children.js';
import { diffInput, isRemovalOfRow, loadClaim, type ClaimContext, type Planned } from './claimed.js';
import { findTwins, missingRecord, readBack, readImages, send, toWrite, type Outgoing } from './deliver.js';
import { diff } from './diff.js';
import { findNews, isBlind } from './news.js';
import type { OpenSpoke } from './open-spoke.js';
import { judge, outcomeOf, type Outcome } from './outcome.js';
import { confirmedBase, confirmedVersion, partlyShown, settleAll, type Settlement } from './settle.js';

/** Where outbound hands what a spoke showed: inbound merges it, in its own transaction. */
export type InboundDoor = (observed: {
  readonly spoke: SpokeName;
  readonly object: SpokeMapping['object'];
  readonly records: readonly RemoteRecord[];
  readonly belongsTo?: ReadonlyMap<ExternalId, HubId>;
}) => Promise<void>;

export interface OutboundDeps {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly mapping: Mapping;
  readonly tables: ReadonlyMap<EntityName, HubTable>;
  readonly inbound: InboundDoor;
  readonly worker: string;
  readonly limits: OutboundLimits;
  /** Named instants at which drills kill the process. */
  readonly crashpoint: (name: string) => void;
}

export interface OutboundLimits {
  /** How long a record waits for one that it refers to before a person is asked (F122); a day when left out. */
  readonly referenceWaitMs?: number | undefined;
  readonly leaseMs: number;
  readonly attemptsMax: number;
  readonly backoff: Backoff;
  /** Most records in one piece of bulk work: bounds memory and the time of a lease. */
  readonly bulkRecords: number;
  /** Batches up to this size use conditional writes where the spoke has them: each costs a call of its own. */
  readonly conditionalRecords: number;
  /** How long a record whose fate is unknown is looked for before its create may be repeated at a spoke without idempotency. */
  readonly unknownReadBacks: number;
}

export interface Delivered {
  /** Deliveries claimed; 0 = nothing was due. */
  readonly claimed: number;
  readonly writes: number;
  readonly parked: number;
  readonly unknown: number;
  readonly pause: SpokePaused | null;
}

const referenceWaitMsDefault = 24 * 3_600_000;

const idle: Delivered = { claimed: 0, writes: 0, parked: 0, unknown: 0, pause: null };

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
    nowMs,
  );
  const next = due.find(({ unknown }) => unknown) ?? due.find(({ pending }) => pending);
  if (next === undefined) return idle;
  const claimed = await claim(deps.pool, {
    spoke: open.name,
    entity: next.entity,
    state: next.unknown ? 'unknown' : 'pending',
    rows: await batchRows(deps, open, next.entity, nowMs),
    worker: deps.worker,
    nowMs,
    leaseMs: deps.limits.leaseMs,
  });
  deps.crashpoint('delivery_claimed');
  if (claimed.length === 0) return idle;
  const mapping = must(
    mappings.find(({ entity }) => entity === next.entity),
    next.entity,
  );
  const batch = new DeliveryBatch(deps, open, mapping, signal);
  try {
    return await (next.unknown ? batch.resolveUnknown(claimed) : batch.deliver(claimed));
  } catch (error) {
    // What was not sent may be claimed again at once, what was is unknown. If the hub is gone, the lease says so instead.
    await abandonClaims(deps.pool, { spoke: open.name, entity: next.entity }, claimed).catch(() => undefined);
    throw error;
  }
}

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

interface Sendable extends Planned {
  readonly outgoing: Outgoing;
  readonly again: boolean;
}

class DeliveryBatch {
  private readonly options: CallOptions;
  private readonly feed: { readonly spoke: SpokeName; readonly entity: EntityName };

  constructor(
    private readonly deps: OutboundDeps,
    private readonly open: OpenSpoke,
    private readonly mapping: SpokeMapping,
    signal: AbortSignal,
  ) {
    this.options = { lane: 'interactive', signal };
    this.feed = { spoke: mapping.spoke, entity: mapping.entity };
  }

  async deliver(claimed: readonly Claimed[]): Promise<Delivered> {
    const { deps, mapping } = this;
    const table = must(deps.tables.get(mapping.entity), mapping.entity);
    const context = await loadClaim(deps.pool, deps.mapping, mapping, table, claimed);
    const { undelete } = this.open.spoke.capabilities;
    const diffed = claimed.map((delivery): Planned => ({
      delivery,
      difference: diff(diffInput(context, delivery, undelete)),
    }));
    const planned = await withChildren(deps, this.open, context, diffed);
    const settlements: Settlement[] = [];
    const sendable: Sendable[] = [];
    const conditional = this.isConditional(planned);
    const emptied = await this.emptied(context, planned);
    for (const one of planned) {
      if (emptied && isRemovalOfRow(context, one)) {
        settlements.push(this.held(one.delivery));
        continue;
      }
      const outgoing = this.outgoing(context, one, conditional);
      if (outgoing === null) settlements.push(this.settleQuietly(context, one));
      else sendable.push({ ...one, outgoing, again: 'again' in one.difference && one.difference.again });
    }
    const current = await this.withoutNews(context, sendable, settlements);
    const free = await this.withoutTwins(context, current, settlements);
    const pause = await this.sendAll(context, free, settlements);
    await this.settle(settlements);
    return {
      claimed: claimed.length,
      writes: free.length,
      parked: settlements.filter(({ kind }) => kind === 'park' || kind === 'review').length,
      unknown: settlements.filter((one) => one.kind === 'release' && one.release.state === 'unknown').length,
      pause,
    };
  }

  private isConditional(planned: readonly Planned[]): boolean {
    const updates = planned.filter(({ difference }) => difference.kind === 'update').length;
    return this.open.spoke.capabilities.conditionalWrite && updates <= this.deps.limits.conditionalRecords;
  }

  private outgoing(context: ClaimContext, { delivery, difference }: Planned, conditional: boolean): Outgoing | null {
    const { hubId } = delivery;
    const link = context.links.get(hubId) ?? null;
    const sentAtMs = this.deps.clock.now();
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
      case 'refuse':
        return null;
      default:
        return difference satisfies never;
    }
  }

  /** Settlements that need no call. */
  private settleQuietly(context: ClaimContext, { delivery, difference }: Planned): Settlement {
    switch (difference.kind) {
      case 'unlink': {
        const link = must(context.links.get(delivery.hubId), 'link');
        return { delivery, kind: 'removed', externalId: link.externalId, version: link.version };
      }
      case 'none': {
        const { agreed = {} } = difference;
        const link = context.links.get(delivery.hubId);
        if (link === undefined || Object.keys(agreed).length === 0) return { delivery, kind: 'done' };
        return { delivery, kind: 'agreed', agreement: { externalId: link.externalId, base: agreed } };
      }
      case 'wait': {
        const waitsFor = `${difference.entity}/${difference.hubId}`;
        const { referenceWaitMs = referenceWaitMsDefault } = this.deps.limits;
        if (this.deps.clock.now() - delivery.dirtyAtMs > referenceWaitMs) {
          const message = `refers to ${waitsFor}, which did not come to be at the spoke in time`;
          return { delivery, kind: 'park', code: 'reference_missing', message, field: null, waitsFor };
        }
        // Its link wakes it; the clock is only for a wake-up that raced with this look.
        const delayMs = Math.min(30_000, 500 * 2 ** Math.min(delivery.attempt, 10));
        return this.later(delivery, delayMs, 'waits_for_reference', true, waitsFor);
      }
      case 'refuse':
        return { delivery, kind: 'park', code: difference.code, message: difference.message, field: difference.field };
      default:
        return { delivery, kind: 'done' };
    }
  }

  /** F51: while nobody has decided about a TRUNCATE, a row that is gone is no reason to delete anything. */
  private async emptied(context: ClaimContext, planned: readonly Planned[]): Promise<boolean> {
    if (!planned.some((one) => isRemovalOfRow(context, one))) return false;
    return hasOpenTruncate(this.deps.pool, this.mapping.entity);
  }

  private held(delivery: Claimed): Settlement {
    const release = { state: 'held', notBeforeMs: null, reason: 'truncate', waitsFor: null, counts: false } as const;
    return { delivery, kind: 'release', release };
  }

  private later(
    delivery: Claimed,
    delayMs: number,
    reason: string,
    counts: boolean,
    waitsFor: string | null = null,
  ): Settlement {
    const notBeforeMs = delayMs <= 0 ? null : this.deps.clock.now() + delayMs;
    return { delivery, kind: 'release', release: { state: 'pending', notBeforeMs, reason, waitsFor, counts } };
  }

  private unknownAgain(delivery: Claimed, reason: string): Settlement {
    const notBeforeMs = this.deps.clock.now() + this.backoff(delivery);
    return {
      delivery,
      kind: 'release',
      release: { state: 'unknown', notBeforeMs, reason, waitsFor: null, counts: true },
    };
  }

  private backoff(delivery: Claimed): number {
    return backoffMs(this.deps.limits.backoff, delivery.attempt, this.deps.random);
  }

  /** Before creating: does the spoke hold such a record already (F119)? One free twin is linked, several ask a person. */
  private async withoutTwins(
    context: ClaimContext,
    sendable: readonly Sendable[],
    settlements: Settlement[],
  ): Promise<readonly Sendable[]> {
    const creates = sendable.filter(({ outgoing }) => outgoing.intent.op === 'create');
    if (creates.length === 0 || context.entity.match.length === 0) return sendable;
    const asked = creates.map(({ outgoing }) => ({ hubId: outgoing.hubId, fields: outgoing.intent.fields }));
    const twins = await findTwins(this.open.spoke, this.mapping, context.entity, this.read(), asked, this.options);
    const found = creates.filter(({ delivery }) => (twins.get(delivery.hubId)?.length ?? 0) > 0);
    if (found.length === 0) return sendable;
    const ids = found.flatMap(({ delivery }) => (twins.get(delivery.hubId) ?? []).map((one) => one.externalId));
    const links = await linksByExternal(this.deps.pool, this.feed, ids);
    const belongsTo = new Map<ExternalId, HubId>();
    const records: RemoteRecord[] = [];
    for (const { delivery } of found) {
      const all = twins.get(delivery.hubId) ?? [];
      const free = all.filter((one) => links.get(one.externalId)?.state !== 'live' && this.mapping.accepts(one.fields));
      const [only] = free;
      if (only !== undefined && all.length === 1 && !belongsTo.has(only.externalId)) {
        belongsTo.set(only.externalId, delivery.hubId);
        records.push(only);
        settlements.push(this.afterLooking(delivery, 'linked_to_existing'));
      } else {
        const evidence = { hubId: delivery.hubId, externalIds: all.map((one) => one.externalId) };
        settlements.push({
          delivery,
          kind: 'review',
          review: { ...this.feed, kind: 'duplicate', key: delivery.hubId, evidence },
        });
      }
    }
    if (records.length > 0) {
      await this.deps.inbound({ spoke: this.open.name, object: this.mapping.object, records, belongsTo });
    }
    const taken = new Set(found.map(({ delivery }) => delivery.hubId));
    return sendable.filter(({ delivery }) => !taken.has(delivery.hubId));
  }

  /** Inbound was shown a record; then this is diffed again. If inbound cannot take it, ever more rarely, and in the end a person is asked. */
  private afterLooking(delivery: Claimed, reason: string): Settlement {
    if (delivery.attempt >= this.deps.limits.attemptsMax) {
      const message =
        'the spoke shows a record that must be taken in first, and it cannot be: see what is parked of it';
      return { delivery, kind: 'park', code: reason, message, field: null };
    }
    return this.later(delivery, delivery.attempt <= 2 ? 0 : this.backoff(delivery), reason, true);
  }

  /**
   * Before a write without a condition: has the spoke changed since? Then inbound looks first, and what is lost to the write is at most
   * what happens while one request is under way.
   */
  private async withoutNews(
    context: ClaimContext,
    sendable: readonly Sendable[],
    settlements: Settlement[],
  ): Promise<readonly Sendable[]> {
    const { deps, open, mapping, options } = this;
    const blind = sendable.filter(({ outgoing }) => isBlind(outgoing));
    const changed = await findNews(open.spoke, mapping, this.read(), context, blind, options);
    if (changed.size === 0) return sendable;
    await deps.inbound({ spoke: open.name, object: mapping.object, records: [...changed.values()] });
    return sendable.filter(({ delivery, outgoing }) => {
      // A deletion goes on: what it overrules has been kept.
      if (!changed.has(delivery.hubId) || outgoing.intent.op === 'delete') return true;
      settlements.push(this.afterLooking(delivery, 'changed_meanwhile'));
      return false;
    });
  }

  private read(): ReturnType<typeof selectionOf> {
    return selectionOf(this.deps.mapping, this.open.name, this.mapping.object);
  }

  private async sendAll(
    context: ClaimContext,
    sendable: readonly Sendable[],
    settlements: Settlement[],
  ): Promise<SpokePaused | null> {
    if (sendable.length === 0) return null;
    const rows = sendable.map(({ delivery, outgoing }) => ({
      hubId: delivery.hubId,
      fence: delivery.fence,
      intent: outgoing.intent,
    }));
    const ours = await markSent(this.deps.pool, this.feed, rows);
    const going = sendable.filter(({ delivery }) => ours.has(delivery.hubId));
    if (going.length === 0) return null;
    this.deps.crashpoint('delivery_sent');
    const defaults = this.open.defaults.get(this.mapping.entity) ?? {};
    const writes = going.map(({ outgoing }) => toWrite(this.mapping, outgoing, defaults));
    const called = await send(this.open.spoke, writes, this.options);
    this.deps.crashpoint('delivery_answered');
    if (called.kind === 'results') {
      const results = await readImages(this.open.spoke, writes, called.results, this.read(), this.options);
      const outcomes = going.map(({ delivery, outgoing }, i) =>
        outcomeOf(must(results[i], 'result'), outgoing.intent.externalId as ExternalId | null, {
          attempt: delivery.attempt,
          attemptsMax: this.deps.limits.attemptsMax,
          backoffMs: this.backoff(delivery),
        }),
      );
      settlements.push(...(await this.settlementsOf(context, going, outcomes)));
      return null;
    }
    const [reason, counts] = called.kind === 'pause' ? [called.error.code, false] : [called.reason, called.counts];
    for (const { delivery } of going) {
      const delayMs = called.kind === 'pause' ? 1_000 : (called.delayMs ?? this.backoff(delivery));
      settlements.push(this.later(delivery, delayMs, reason, counts));
    }
    return called.kind === 'pause' ? called.error : null;
  }

  private async settlementsOf(
    context: ClaimContext,
    sent: readonly Sendable[],
    outcomes: readonly Outcome[],
  ): Promise<readonly Settlement[]> {
    const settlements: Settlement[] = [];
    const observe: { readonly one: Sendable; readonly outcome: Extract<Outcome, { kind: 'observe' }> }[] = [];
    for (const [i, one] of sent.entries()) {
      const outcome = must(outcomes[i], 'outcome');
      const { delivery } = one;
      switch (outcome.kind) {
        case 'applied':
          settlements.push(this.applied(one, context, outcome));
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
          settlements.push(this.later(delivery, outcome.delayMs, outcome.reason, outcome.counts));
          break;
        case 'unknown':
          settlements.push(this.unknownAgain(delivery, outcome.reason));
          break;
        case 'observe':
          observe.push({ one, outcome });
          break;
        default:
          outcome satisfies never;
      }
    }
    settlements.push(...(await this.observeFirst(observe)));
    return settlements;
  }

  private applied(
    { delivery, outgoing, again, difference }: Omit<Sendable, 'difference'> & Partial<Pick<Sendable, 'difference'>>,
    context: Pick<ClaimContext, 'links'>,
    outcome: Extract<Outcome, { kind: 'applied' }>,
  ): Settlement {
    const { intent } = outgoing;
    if (intent.op === 'delete')
      return { delivery, kind: 'removed', externalId: outcome.externalId, version: outcome.version };
    const agreed = difference?.kind === 'update' ? difference.agreed : {};
    const base = { ...agreed, ...confirmedBase(this.mapping, intent.hub, intent.fields, outcome.record) };
    const link = {
      hubId: delivery.hubId,
      externalId: outcome.externalId,
      state: 'live' as const,
      base,
      version: confirmedVersion(outcome.version, outcome.record),
      settledAtMs: this.deps.clock.now(),
    };
    const fresh = context.links.get(delivery.hubId)?.state !== 'live';
    // After an undelete the fields are compared once more; a reference that closed a circle is written now.
    const children = childLinks(
      this.deps.mapping,
      this.mapping,
      delivery.hubId,
      intent,
      outcome.record,
      link.settledAtMs,
    );
    return {
      delivery,
      kind: 'applied',
      link,
      children,
      fresh,
      again: again || intent.op === 'undelete',
      recheck: outcome.record === null,
    };
  }

  /** The spoke holds something newer, or holds it already: inbound looks at it, then this is diffed again. */
  private async observeFirst(
    waiting: readonly { readonly one: Sendable; readonly outcome: Extract<Outcome, { kind: 'observe' }> }[],
  ): Promise<readonly Settlement[]> {
    if (waiting.length === 0) return [];
    // The write is over: rejected or refused. Settling first lets inbound judge the record.
    const settlements = waiting.map(({ one, outcome }) =>
      this.later(one.delivery, outcome.delayMs, outcome.reason, true),
    );
    await this.settle(settlements);
    const ids = [...new Set(waiting.flatMap(({ outcome }) => outcome.ids))];
    const records = await this.open.spoke.fetch(this.mapping.object, ids, this.read(), this.options);
    const seen = new Set(records.map((record) => record.externalId));
    const belongsTo = new Map<ExternalId, HubId>();
    for (const { one, outcome } of waiting) {
      if (outcome.belongsHere) for (const id of outcome.ids) belongsTo.set(id, one.delivery.hubId);
    }
    // Not found by id: gone (law 8, second grade of evidence).
    const gone = ids.filter((id) => !seen.has(id)).map((id) => missingRecord(this.mapping, id));
    await this.deps.inbound({
      spoke: this.open.name,
      object: this.mapping.object,
      records: [...records, ...gone],
      belongsTo,
    });
    return [];
  }

  private async settle(settlements: readonly Settlement[]): Promise<void> {
    if (settlements.length === 0) return;
    const { lost } = await transaction(this.deps.pool, async (tx) => {
      const settled = await settleAll(tx, this.mapping, settlements, this.deps.clock.now());
      this.deps.crashpoint('delivery_settling');
      return settled;
    });
    if (lost > 0) this.deps.log.warn({ ...this.feed, deliveries: lost }, 'lease lost before settling');
    this.deps.crashpoint('delivery_settled');
  }

  /** Law 5: reads back what was never answered, then settles it, sends it again or lets inbound look. */
  async resolveUnknown(claimed: readonly Claimed[]): Promise<Delivered> {
    const { deps, mapping } = this;
    const pending = claimed.flatMap((delivery) =>
      delivery.intent === null ? [] : [{ hubId: delivery.hubId, intent: delivery.intent }],
    );
    const table = must(deps.tables.get(mapping.entity), mapping.entity);
    const context = await loadClaim(deps.pool, deps.mapping, mapping, table, claimed);
    let found: Awaited<ReturnType<typeof readBack>>;
    try {
      found = await readBack(this.open.spoke, mapping, this.read(), pending, this.options);
    } catch (error) {
      deps.log.warn({ ...this.feed, err: error }, 'read-back failed');
      await this.settle(claimed.map((delivery) => this.unknownAgain(delivery, 'read_back_failed')));
      return { ...idle, claimed: claimed.length, unknown: claimed.length };
    }
    deps.crashpoint('delivery_read_back');
    const settlements: Settlement[] = [];
    const changed: RemoteRecord[] = [];
    for (const delivery of claimed) {
      const records = found.get(delivery.hubId) ?? [];
      settlements.push(this.judged(context, delivery, records, changed));
    }
    await this.settle(settlements);
    if (changed.length > 0) await deps.inbound({ spoke: this.open.name, object: mapping.object, records: changed });
    return { ...idle, claimed: claimed.length };
  }

  private judged(
    context: ClaimContext,
    delivery: Claimed,
    records: readonly RemoteRecord[],
    changed: RemoteRecord[],
  ): Settlement {
    const { intent } = delivery;
    if (intent === null) return this.later(delivery, 0, 'no_intent', false);
    const [record = null, second] = records;
    if (second !== undefined) {
      const evidence = { hubId: delivery.hubId, externalIds: records.map((one) => one.externalId) };
      return { delivery, kind: 'review', review: { ...this.feed, kind: 'duplicate', key: delivery.hubId, evidence } };
    }
    const verdict = judge(intent, record, context.links.get(delivery.hubId)?.version ?? ('' as never));
    const outgoing: Outgoing = { hubId: delivery.hubId, intent, expect: null };
    switch (verdict.kind) {
      case 'applied': {
        const externalId = (verdict.record?.externalId ?? intent.externalId ?? '') as ExternalId;
        const version = verdict.record?.version ?? ('' as never);
        return this.applied({ delivery, outgoing, again: true }, context, {
          kind: 'applied',
          externalId,
          version,
          record: verdict.record,
        });
      }
      case 'not_applied': {
        const unsafe = intent.op === 'create' && !this.open.spoke.capabilities.idempotentCreate;
        const wait = unsafe && delivery.attempt < this.deps.limits.unknownReadBacks;
        return wait ? this.unknownAgain(delivery, 'not_found_yet') : this.later(delivery, 0, 'not_applied', false);
      }
      case 'changed': {
        const [found, nowMs] = [verdict.record, this.deps.clock.now()];
        changed.push(found);
        const children = childLinks(this.deps.mapping, this.mapping, delivery.hubId, intent, found, nowMs);
        const partly = partlyShown(this.mapping, delivery, intent, found, children, nowMs);
        return partly ?? this.later(delivery, 0, 'changed_meanwhile', false);
      }
      case 'gone':
        if (intent.externalId !== null) changed.push(missingRecord(this.mapping, intent.externalId as ExternalId));
        return this.later(delivery, 0, 'gone', false);
      default:
        return verdict satisfies never;
    }
  }
}
