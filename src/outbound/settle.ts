// Settles what came back: base, link, parked items and the delivery itself in one transaction (F10). Only rows whose lease is still
// ours are touched: a worker that slept through its lease cannot overwrite what its successor did (F24).
import type { EntityName, FieldName, HubId, Version } from '../model/ids.js';
import { version } from '../model/ids.js';
import { imageOf, type Base, type BasePair, type Link } from '../model/link.js';
import type { HubFields, RemoteFields, RemoteRecord, RemoteValue } from '../model/record.js';
import { shownBy } from '../model/shown.js';
import type { SpokeMapping } from '../mapping/mapping.js';
import { unseenOf } from '../mapping/selection.js';
import { sameRemote } from '../mapping/values.js';
import { insertConflicts, openReviews, type ConflictRow, type Review } from '../store/conflicts.js';
import { lockClaimed, release, releaseWaiting, settle, type Claimed, type Release } from '../store/deliveries.js';
import { storeEvents, type InboxEvent } from '../store/inbox.js';
import {
  agreeLinks,
  buryChildren,
  buryLinks,
  lockLinksByHub,
  saveLinks,
  type Agreement,
  type LinkWrite,
} from '../store/links.js';
import { closeParked, park, type Park } from '../store/parked.js';
import { transaction, type Tx } from '../store/pool.js';
import type { Intent } from '../model/intent.js';
import type { Batch } from './batch.js';
import { samePaths } from './diff.js';
import { agreedPaths } from './images.js';
import { listsReadBack, othersEdits, unseenAfter } from './others.js';
import { stillShown } from './outcome.js';

/** What becomes of one claimed delivery. */
export type Settlement = { readonly delivery: Claimed } & (
  | { readonly kind: 'done' }
  /** Nothing to send; other hub values look the same at the spoke. */
  | { readonly kind: 'agreed'; readonly agreement: Agreement }
  | {
      readonly kind: 'applied';
      readonly link: LinkWrite;
      readonly children: readonly ChildLinks[];
      readonly fresh: boolean;
      /** A second step follows. */ readonly again: boolean;
      readonly recheck: boolean;
      /** Counts that may be somebody else's. */
      readonly doubts?: readonly ConflictRow[];
    }
  | { readonly kind: 'removed'; readonly externalId: LinkWrite['externalId']; readonly version: Version }
  | {
      readonly kind: 'park';
      readonly code: string;
      readonly message: string;
      readonly field: string | null;
      /** `entity/hub id`: tried again by itself once that is linked. */
      readonly waitsFor?: string;
    }
  | { readonly kind: 'review'; readonly review: Review }
  | { readonly kind: 'release'; readonly release: Omit<Release, 'hubId'> }
);

/** Links of embedded children that went along. */
export interface ChildLinks {
  readonly entity: EntityName;
  readonly parent: HubId;
  readonly links: readonly LinkWrite[];
  /** All that the parent's list now holds; its other children are gone. */
  readonly keep: readonly Pick<LinkWrite, 'hubId' | 'externalId'>[];
}

type Of<K extends Settlement['kind']> = Extract<Settlement, { readonly kind: K }>;

interface Settled {
  /** Rows whose lease was lost. */
  readonly lost: number;
  /** Something may go at once that could not before. */
  readonly freed: boolean;
}

export async function settleAll(
  tx: Tx,
  mapping: SpokeMapping,
  settlements: readonly Settlement[],
  nowMs: number,
): Promise<Settled> {
  const feed = { spoke: mapping.spoke, entity: mapping.entity };
  const live = await lockLinksByHub(
    tx,
    feed,
    settlements.map(({ delivery }) => delivery.hubId),
  );
  const ours = await lockClaimed(
    tx,
    feed,
    settlements.map(({ delivery }) => delivery),
  );
  const mine = settlements.filter(({ delivery }) => ours.has(delivery.hubId));
  const of = <K extends Settlement['kind']>(kind: K): Of<K>[] =>
    mine.filter((settlement): settlement is Of<K> => settlement.kind === kind);

  // Its hub record has another record there by now, linked while ours was being made: two live links are never made of it (law 9), a person
  // is asked about the one that is left.
  const isSecond = ({ link }: Of<'applied'>): boolean => (live.get(link.hubId) ?? link.externalId) !== link.externalId;
  const seconds = of('applied').filter(isSecond);
  const applied = of('applied').filter((one) => !isSecond(one));
  const saved = await saveLinksOf(tx, feed, { applied, removed: of('removed'), agreed: of('agreed') }, nowMs);
  const stolen = [...applied.filter(({ link }) => !saved.has(link.externalId)), ...seconds];
  const woken = await releaseWaiting(
    tx,
    feed.spoke,
    feed.entity,
    applied.filter(({ fresh }) => fresh).map(({ link }) => link.hubId),
  );
  await openReviews(
    tx,
    [...of('review').map(({ review }) => review), ...stolen.map(({ link }) => duplicateReview(feed, link))],
    nowMs,
  );
  const doubts = applied.flatMap((one) => one.doubts ?? []);
  await insertConflicts(tx, doubts, nowMs);
  await storeEvents(
    tx,
    feed.spoke,
    applied.filter(({ recheck }) => recheck).map(({ link }) => recheckHint(mapping, link, nowMs)),
    nowMs,
  );

  const parks = [...of('park').map((one) => parkRow(feed, one)), ...of('review').map((one) => reviewPark(feed, one))];
  await park(tx, parks, nowMs);
  const good = [...of('done'), ...of('agreed'), ...applied, ...of('removed')];
  await closeParked(tx, { ...feed, direction: 'out', keys: good.map(({ delivery }) => delivery.hubId) }, nowMs);
  const edited = await settle(
    tx,
    feed,
    [...good.filter((one) => one.kind !== 'applied' || !one.again), ...of('park'), ...of('review')].map(
      ({ delivery }) => delivery,
    ),
  );
  const releases = [
    ...of('release').map((one): Release => ({ ...one.release, hubId: one.delivery.hubId })),
    ...[...applied.filter((one) => one.again), ...seconds].map(({ delivery }): Release => again(delivery.hubId)),
  ];
  await release(tx, feed, releases);
  const isDue = ({ state, notBeforeMs }: Release): boolean => state !== 'held' && (notBeforeMs ?? 0) <= nowMs;
  const freed = woken || edited || releases.some(isDue);
  return { lost: settlements.length - mine.length, freed };
}

/** Links, children's links, tombstones, agreements. Returns the external ids that are linked as meant. */
async function saveLinksOf(
  tx: Tx,
  feed: { readonly spoke: SpokeMapping['spoke']; readonly entity: EntityName },
  settled: {
    readonly applied: readonly Of<'applied'>[];
    readonly removed: readonly Of<'removed'>[];
    readonly agreed: readonly Of<'agreed'>[];
  },
  nowMs: number,
): Promise<ReadonlySet<string>> {
  const { applied, removed, agreed } = settled;
  const links = applied.map(({ link }) => link);
  const saved = await saveLinks(tx, feed, links, nowMs);
  await saveChildren(tx, feed.spoke, applied, nowMs);
  const ids = removed.map(({ externalId }) => externalId);
  const versions = removed.map((one) => one.version);
  await buryLinks(tx, feed, ids, nowMs, versions);
  const agreements = agreed.map(({ agreement }) => agreement);
  await agreeLinks(tx, feed, agreements, nowMs);
  return saved;
}

/** The record that we meant to link belongs to another hub record already: a person must say which it is. */
function duplicateReview(feed: Pick<Review, 'spoke' | 'entity'>, link: LinkWrite): Review {
  return { ...feed, kind: 'duplicate', key: link.externalId, evidence: { hubId: link.hubId } };
}

async function saveChildren(
  tx: Tx,
  spoke: SpokeMapping['spoke'],
  applied: readonly Of<'applied'>[],
  nowMs: number,
): Promise<void> {
  const byEntity = new Map<EntityName, LinkWrite[]>();
  for (const { entity, links, ...list } of applied.flatMap(({ children }) => children)) {
    // First: a child that moved here from another parent has one live link, not two.
    await buryChildren(tx, { spoke, entity }, list, nowMs);
    byEntity.set(entity, [...(byEntity.get(entity) ?? []), ...links]);
  }
  for (const [entity, links] of byEntity) await saveLinks(tx, { spoke, entity }, links, nowMs);
}

function again(id: HubId): Release {
  return { hubId: id, state: 'pending', notBeforeMs: null, reason: 'second_step', waitsFor: null, counts: false };
}

/** The answer did not tell what the record looks like now: someone may have edited it right after us. */
function recheckHint(mapping: SpokeMapping, link: LinkWrite, nowMs: number): InboxEvent {
  return {
    eventId: `recheck:${mapping.object}:${link.externalId}:${nowMs}`,
    topic: 'recheck',
    object: mapping.object,
    externalId: link.externalId,
    deleted: false,
    compliance: false,
    // A read that lags behind what was seen already is made again.
    body: shownBy({ version: link.version, deleted: false }),
    notBeforeMs: null,
  };
}

function parkRow(feed: Pick<Park, 'spoke' | 'entity'>, one: Of<'park'>): Park {
  const { code, message, field, delivery } = one;
  return {
    ...feed,
    direction: 'out',
    key: delivery.hubId,
    state: 'open',
    code,
    message,
    field,
    payload: delivery.intent,
    waitsFor: one.waitsFor ?? null,
    deadlineMs: null,
  };
}

function reviewPark(feed: Pick<Park, 'spoke' | 'entity'>, { delivery, review }: Of<'review'>): Park {
  return {
    ...feed,
    direction: 'out',
    key: delivery.hubId,
    state: 'open',
    code: `review_${review.kind}`,
    message: 'the spoke already holds records like this one; a person must say which',
    field: null,
    payload: review.evidence,
    waitsFor: null,
    deadlineMs: null,
  };
}

/**
 * The base after a confirmed write: what the hub held when it was sent, and what the spoke shows now. Without an image of the record,
 * or of the field (F78), the values sent stand for it, where the field is read from the paths it is written to; else the field gets its
 * pair at the next observation.
 */
export function confirmedBase(
  mapping: SpokeMapping,
  hub: HubFields,
  sent: RemoteFields,
  record: RemoteRecord | null,
): Base {
  const base: Record<FieldName, BasePair> = {};
  const hidden = record === null ? [] : unseenOf(mapping, record);
  for (const field of mapping.fields) {
    const { name } = field.field;
    const value = hub[name];
    if (value === undefined) continue;
    const isShown = record !== null && !hidden.includes(name);
    if (!isShown && !samePaths(field)) continue;
    // A create leaves out what is empty: a path that was not sent stands for null.
    const image = isShown ? imageFrom(record.fields, field.reads, undefined) : imageFrom(sent, field.reads, null);
    if (image !== undefined) base[name] = { hub: value, remote: image };
  }
  return base;
}

/** `otherwise`: what a path means that is not there; undefined = the image is not known. */
function imageFrom(
  fields: RemoteFields,
  reads: SpokeMapping['paths'],
  otherwise: null | undefined,
): RemoteValue | undefined {
  if (reads.length === 0) return undefined;
  const values: RemoteValue[] = [];
  for (const path of reads) {
    const value = fields[path] ?? (path in fields ? null : otherwise);
    if (value === undefined) return undefined;
    values.push(value);
  }
  return imageOf(values);
}

/** With no image, the version may belong to a later edit of someone else: it must not hide that edit. */
export function confirmedVersion(stamp: Version, record: RemoteRecord | null): Version {
  return record === null ? version('') : stamp;
}

/** Where nothing is known of what stood there before, what is shown proves nothing. */
const isNew = (before: BasePair | undefined, now: BasePair): boolean =>
  before !== undefined && !sameRemote(before.remote, now.remote);

/**
 * Someone changed the record after a write of ours that was never answered: what it still shows of ours is agreed on, the rest is for
 * inbound, then it is diffed again. Null where nothing of ours is left and nothing has to be linked.
 */
export function partlyShown(
  mapping: SpokeMapping,
  delivery: Claimed,
  intent: Intent,
  record: RemoteRecord,
  before: Link | undefined,
  children: readonly ChildLinks[],
  nowMs: number,
): Settlement | null {
  const shown = stillShown(mapping, intent, record, agreedPaths(mapping, before));
  const created = intent.op === 'create';
  if (Object.keys(shown).length === 0 && !created) return null;
  const still = confirmedBase(mapping, shown, intent.fields, record);
  // A write is done whole or not at all: where a part of it shows that was not there before, all of it was there once, and against that
  // the other one's edit shows as one.
  const landed = created || Object.entries(still).some(([name, pair]) => isNew(before?.base[name as FieldName], pair));
  const base = { ...(landed ? confirmedBase(mapping, intent.hub, intent.fields, null) : {}), ...still };
  const edits = othersEdits(mapping, { ...before?.base, ...base }, before?.overruled ?? {}, record);
  const others = [...edits, ...listsReadBack(mapping)];
  const link: LinkWrite = {
    hubId: delivery.hubId,
    externalId: record.externalId,
    state: 'live',
    base,
    version: record.version,
    unseen: unseenAfter(mapping, before, record, { others, wrote: landed ? intent.hub : {}, base, alone: false }),
    settledAtMs: nowMs,
  };
  return { delivery, kind: 'applied', link, children, fresh: created, again: true, recheck: false };
}

/** All of a batch, in one transaction. */
export async function settleBatch(batch: Batch, settlements: readonly Settlement[]): Promise<void> {
  if (settlements.length === 0) return;
  const { lost, freed } = await transaction(batch.deps.pool, async (tx) => {
    const settled = await settleAll(tx, batch.mapping, settlements, batch.deps.clock.now());
    batch.deps.crashpoint('delivery_settling');
    return settled;
  });
  if (lost > 0) batch.deps.log.warn({ ...batch.feed, deliveries: lost }, 'lease lost before settling');
  batch.deps.crashpoint('delivery_settled');
  if (freed) batch.deps.onFreed?.();
}
