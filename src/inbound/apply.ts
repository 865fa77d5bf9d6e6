// Stage 5 of inbound: writes what was decided about a batch. Rows, links, bases, provenance, conflicts and parked items in the
// caller's transaction, which also holds the cursor: a crash repeats the batch, never half of it (F13–F15).
import { formatLsn, zeroLsn } from '../model/lsn.js';
import type { EntityName, FieldName, HubId, SpokeName } from '../model/ids.js';
import { worth, type Base, type BasePair, type Unseen } from '../model/link.js';
import type { HubRow, RemoteValue } from '../model/record.js';
import type { DeletePolicy } from '../mapping/mapping.js';
import { shownBy } from '../model/shown.js';
import { unseenOf } from '../mapping/selection.js';
import { closeReviews, insertConflicts, openReviews, type ConflictRow, type Review } from '../store/conflicts.js';
import { lane, markDirty, releaseWaiting } from '../store/deliveries.js';
import { archiveRows, deleteRows, insertRows, markOrigin, updateRows } from '../store/hub.js';
import { storeEvents } from '../store/inbox.js';
import { saveLinks, type LinkWrite } from '../store/links.js';
import { copyNewcomers, copyWay, type Newcomer } from '../store/newcomers.js';
import { closeParked, park, type Park } from '../store/parked.js';
import type { Tx } from '../store/pool.js';
import type { BatchContext } from './batch.js';
import { versionMs } from './decide.js';
import { emptyTally, type Decision, type DecisionOf, type Incoming, type Tally } from './decision.js';
import type { MergeConflict } from './merge.js';
import type { Missing } from './normalise.js';

export interface ApplyOptions {
  readonly trace: string;
  readonly nowMs: number;
  readonly lane: 'interactive' | 'backfill';
  /** How long a child waits for its parent before a person is asked. */
  readonly waitMs: number;
  /** So many new records at once are copied in; fewer are not worth it. */
  readonly copyFrom: number;
}

export async function apply(
  tx: Tx,
  context: BatchContext,
  decisions: readonly Decision[],
  options: ApplyOptions,
): Promise<Tally> {
  const feed = { spoke: context.mapping.spoke, entity: context.mapping.entity };
  const of = <K extends Decision['kind']>(kind: K): DecisionOf<K>[] =>
    decisions.filter((decision): decision is DecisionOf<K> => decision.kind === kind);
  const upserts = of('upsert');
  const deletes = of('delete');
  const touchesHub = upserts.some((upsert) => upsert.row !== 'update' || !isEmpty(upsert.set));
  if (touchesHub || deletes.length > 0)
    await markOrigin(tx, { origin: feed.spoke, trace: options.trace, lane: options.lane });

  const tally = emptyTally();
  await writeUpserts(tx, context, upserts, options, tally);
  await writeDeletes(tx, context, deletes, options, tally);
  await writeParked(tx, context, decisions, options, tally);
  await writeReviews(tx, feed, decisions, options, tally);

  const refetches = of('refetch');
  tally.refetched = refetches.length;
  await storeEvents(
    tx,
    feed.spoke,
    refetches.map(({ incoming, delayMs, why }) => ({
      eventId: `refetch:${why}:${incoming.record.object}:${incoming.record.externalId}:${options.nowMs}`,
      topic: 'refetch',
      object: parentObject(context, incoming.parent) ?? incoming.record.object,
      externalId: incoming.parent ?? incoming.record.externalId,
      deleted: false,
      compliance: false,
      // A child's version says nothing of its parent's.
      body: incoming.parent === null ? shownBy(incoming.record) : null,
      notBeforeMs: delayMs === 0 ? null : options.nowMs + delayMs,
    })),
    options.nowMs,
  );
  // The hub's deletion is on its way out; make sure that it is, whatever became of the delivery.
  const overruled = of('ignore').flatMap((decision) => {
    const hubId = context.links.get(decision.incoming.record.externalId)?.hubId;
    return decision.why !== 'deleted_in_hub' || hubId === undefined ? [] : [{ ...decision, hubId }];
  });
  await writeConflicts(
    tx,
    feed,
    overruled.map((one) => keptOf(one, one.conflicts ?? [])),
    options,
  );
  await pushBack(tx, context, overruled, options);
  tally.conflicts += overruled.reduce((sum, { conflicts = [] }) => sum + conflicts.length, 0);
  tally.unchanged += of('ignore').length;
  return tally;
}

/** Embedded children cannot be fetched alone: their parent is. */
function parentObject(context: BatchContext, parent: string | null): BatchContext['mapping']['object'] | null {
  return parent === null ? null : (context.mapping.embedded?.parentObject ?? null);
}

async function writeUpserts(
  tx: Tx,
  context: BatchContext,
  upserts: readonly DecisionOf<'upsert'>[],
  options: ApplyOptions,
  tally: Tally,
): Promise<void> {
  const { table, mapping } = context;
  const feed = { spoke: mapping.spoke, entity: mapping.entity };
  const changing = (upsert: DecisionOf<'upsert'>): boolean => !isEmpty(upsert.set);
  const newcomers = await copied(tx, context, upserts, options);
  const inserts = upserts.filter((upsert) => upsert.row === 'insert' && !newcomers.has(upsert));
  const updates = upserts.filter((upsert) => upsert.row !== 'insert' && changing(upsert));
  const change = ({ hubId, set }: DecisionOf<'upsert'>): { id: HubId; fields: typeof set } => ({
    id: hubId,
    fields: set,
  });

  const inserted = await insertRows(tx, table, inserts.map(change));
  const updated = await updateRows(tx, table, updates.map(change), context.rows);
  await archiveRows(
    tx,
    table,
    upserts.filter((upsert) => upsert.row === 'unarchive').map(({ hubId }) => hubId),
    null,
  );

  const held = (upsert: DecisionOf<'upsert'>): HubRow | undefined =>
    inserted.get(upsert.hubId) ?? updated.get(upsert.hubId);
  const linking = upserts.filter(
    (upsert) =>
      !newcomers.has(upsert) &&
      (upsert.link !== 'keep' ||
        !isEmpty(upsert.base) ||
        upsert.conflicts.length > 0 ||
        !isEmpty(upsert.blank) ||
        unseenBy(context, upsert) !== undefined ||
        upsert.version > versionOf(context, upsert)),
  );
  await saveLinks(
    tx,
    feed,
    linking.map((upsert) => ({
      hubId: upsert.hubId,
      externalId: upsert.incoming.record.externalId,
      state: 'live',
      base: asHeld(upsert.base, upsert.set, held(upsert)),
      version: upsert.version,
      settledAtMs: null,
      parent: parentOf(context, upsert.incoming),
      unseen: unseenBy(context, upsert),
      ...overruledOf(upsert),
    })),
    options.nowMs,
  );
  await writeConflicts(tx, feed, upserts, options);
  await pushBack(
    tx,
    context,
    upserts.filter((upsert) => upsert.push),
    options,
  );
  const fresh = upserts.filter((upsert) => upsert.link !== 'keep').map(({ hubId }) => hubId);
  await releaseWaiting(tx, feed.spoke, feed.entity, fresh);

  const created = newcomers.size + inserts.length;
  tally.created += created;
  tally.updated += updates.length;
  tally.linked += fresh.length;
  tally.unchanged += upserts.length - created - updates.length;
  tally.conflicts += upserts.reduce((sum, upsert) => sum + upsert.conflicts.length, 0);
}

/** New records without anything special about them, where there are many, go in by COPY. Returns which. */
async function copied(
  tx: Tx,
  context: BatchContext,
  upserts: readonly DecisionOf<'upsert'>[],
  options: ApplyOptions,
): Promise<ReadonlySet<DecisionOf<'upsert'>>> {
  const { table, mapping } = context;
  const plain = upserts.filter((upsert) => isNewcomer(context, upsert));
  if (plain.length < options.copyFrom) return new Set();
  const way = await copyWay(tx, table);
  if (way === null) return new Set();
  const newcomers = plain.map(({ hubId, incoming, set, base, version }): Newcomer => {
    const { externalId } = incoming.record;
    return { hubId, externalId, set, base, version, parent: parentOf(context, incoming) };
  });
  const feed = { spoke: mapping.spoke, entity: mapping.entity };
  await copyNewcomers(tx, table, feed, newcomers, { way, atMs: options.nowMs });
  return new Set(plain);
}

/** A new row with a new link, whose base is what the row gets. */
function isNewcomer(context: BatchContext, upsert: DecisionOf<'upsert'>): boolean {
  const { row, link, set, base, conflicts, blank } = upsert;
  if (row !== 'insert' || link !== 'new' || conflicts.length > 0 || !isEmpty(blank)) return false;
  for (const name in base) if (base[name as FieldName]?.hub !== set[name as FieldName]) return false;
  return unseenBy(context, upsert) === undefined;
}

function parentOf({ mapping, resolve }: BatchContext, { parent }: Incoming): HubId | null {
  if (mapping.embedded === null || parent === null) return null;
  return resolve(mapping.embedded.parentEntity, parent) ?? null;
}

/** What the record did not show, where that is not what its link says. */
function unseenBy(
  { mapping, links }: BatchContext,
  { incoming: { record }, base }: DecisionOf<'upsert'>,
): LinkWrite['unseen'] {
  const link = links.get(record.externalId);
  const now = unseenOf(mapping, record);
  const before: Unseen = link?.unseen ?? {};
  // A pair that is made here of what is not shown is what a write of ours left.
  const marks = now.map((field) => [field, base[field] === undefined ? worth(link, field) : 'assumed'] as const);
  const isSame = marks.length === Object.keys(before).length && marks.every(([field, mark]) => before[field] === mark);
  return isSame ? undefined : Object.fromEntries(marks);
}

function versionOf(context: BatchContext, upsert: DecisionOf<'upsert'>): string {
  return context.links.get(upsert.incoming.record.externalId)?.version ?? '';
}

/** Base pairs with what the hub really holds now: a numeric(10,2) may have rounded what we set. */
function asHeld(base: Base, set: DecisionOf<'upsert'>['set'], row: HubRow | undefined): Base {
  if (row === undefined) return base;
  const pairs: Record<FieldName, BasePair> = {};
  for (const [name, pair] of Object.entries(base) as [FieldName, BasePair][]) {
    const stored = row.fields[name];
    // A combined value (union, delta) must still differ from its base, so that it is pushed.
    const isPlainTake = name in set && set[name] === pair.hub;
    pairs[name] = isPlainTake && stored !== undefined ? { hub: stored, remote: pair.remote } : pair;
  }
  return pairs;
}

type Kept = Pick<DecisionOf<'upsert'>, 'hubId' | 'conflicts' | 'hubChangedAtMs' | 'version'>;

const keptOf = (one: { hubId: HubId; incoming: Incoming }, conflicts: Kept['conflicts']): Kept => ({
  hubId: one.hubId,
  conflicts,
  hubChangedAtMs: null,
  version: one.incoming.record.version,
});

async function writeConflicts(
  tx: Tx,
  feed: { spoke: SpokeName; entity: EntityName },
  kept: readonly Kept[],
  options: ApplyOptions,
): Promise<void> {
  const rows = kept.flatMap((one) =>
    one.conflicts.map((conflict): ConflictRow => ({
      ...feed,
      hubId: one.hubId,
      field: conflict.field,
      base: conflict.base,
      hub: conflict.hub,
      spokeValue: conflict.spoke,
      remote: conflict.remote,
      policy: conflict.policy,
      winner: conflict.winner,
      hubAtMs: one.hubChangedAtMs,
      spokeAtMs: versionMs(one.version),
      trace: options.trace,
    })),
  );
  await insertConflicts(tx, rows, options.nowMs);
}

/** The spoke gets something back. An embedded child travels with its parent: the parent is what is delivered. */
async function pushBack(
  tx: Tx,
  context: BatchContext,
  records: readonly {
    readonly hubId: HubId;
    readonly incoming: Incoming;
    readonly conflicts?: readonly MergeConflict[];
  }[],
  options: ApplyOptions,
): Promise<void> {
  const { spoke, entity, embedded, direction } = context.mapping;
  if (direction === 'in') return;
  const ids = records.map(({ hubId, incoming }) => {
    if (embedded === null) return hubId;
    return incoming.parent === null ? undefined : context.resolve(embedded.parentEntity, incoming.parent);
  });
  const distinct = [...new Set(ids.filter((id) => id !== undefined))];
  await markDirty(
    tx,
    distinct.map((hubId) => ({
      spoke,
      entity: embedded?.parentEntity ?? entity,
      hubId,
      lane: lane[options.lane],
      atMs: options.nowMs,
      lsn: formatLsn(zeroLsn),
      trace: options.trace,
    })),
  );
}

const isEmpty = (fields: object): boolean => {
  for (const _ in fields) return false;
  return true;
};

/** Remembered with the link: reading it again is no news, and the hub's value goes out even if it returns to the base. */
function overruledOf({ conflicts, blank, base }: Pick<DecisionOf<'upsert'>, 'conflicts' | 'blank' | 'base'>): {
  readonly overruled?: Record<string, RemoteValue>;
} {
  if (conflicts.length === 0 && isEmpty(blank)) return {};
  // What is agreed on from now did not lose, whatever is in doubt about it.
  const overwritten = conflicts.filter(({ winner, field }) => winner === 'hub' && base[field] === undefined);
  const lost = overwritten.map(({ field, remote }) => [field, remote] as const);
  const overruled = { ...blank, ...Object.fromEntries(lost) };
  return Object.keys(overruled).length === 0 ? {} : { overruled };
}

async function writeDeletes(
  tx: Tx,
  context: BatchContext,
  decisions: readonly DecisionOf<'delete'>[],
  options: ApplyOptions,
  tally: Tally,
): Promise<void> {
  const deletes = decisions.filter((decision) => !decision.hold);
  if (deletes.length === 0) return;
  const { mapping, table } = context;
  const feed = { spoke: mapping.spoke, entity: mapping.entity };
  const policy: DeletePolicy = mapping.delete;
  const kept = deletes.filter(({ conflicts }) => conflicts.length > 0).map((one) => keptOf(one, one.conflicts));
  await writeConflicts(tx, feed, kept, options);
  tally.conflicts += kept.reduce((sum, { conflicts }) => sum + conflicts.length, 0);
  await saveLinks(
    tx,
    feed,
    deletes.map((decision) => ({
      hubId: decision.hubId,
      externalId: decision.incoming.record.externalId,
      state: 'tombstone',
      base: {},
      version: decision.incoming.record.version,
      settledAtMs: null,
    })),
    options.nowMs,
  );
  const ids = deletes.map((decision) => decision.hubId);
  switch (policy) {
    case 'propagate':
      await deleteRows(tx, table, ids);
      break;
    case 'archive':
      await archiveRows(tx, table, ids, new Date(options.nowMs).toISOString());
      break;
    case 'unlink':
    case 'ignore':
      break;
    default:
      return policy satisfies never;
  }
  tally.deleted += deletes.length;
}

/** What was parked about the record before is past: it was taken in, or there is nothing left to take in. */
function isOver(decision: Decision): boolean {
  if (decision.kind === 'ignore') return decision.why === 'unknown_deleted' || decision.why === 'out_of_scope';
  return decision.kind === 'upsert' || decision.kind === 'delete' || decision.kind === 'moved';
}

function waiting(
  missing: readonly Missing[],
  options: ApplyOptions,
): Pick<Park, 'state' | 'code' | 'message' | 'field' | 'waitsFor' | 'deadlineMs'> {
  const [first] = missing;
  const target = first === undefined ? '' : `${first.entity}/${first.externalId}`;
  return {
    state: 'waiting',
    code: 'waits_for_reference',
    message: `refers to ${target}, which is not linked yet`,
    field: null,
    waitsFor: target,
    deadlineMs: options.nowMs + options.waitMs,
  };
}

async function writeParked(
  tx: Tx,
  context: BatchContext,
  decisions: readonly Decision[],
  options: ApplyOptions,
  tally: Tally,
): Promise<void> {
  const feed = { spoke: context.mapping.spoke, entity: context.mapping.entity };
  const parks: Park[] = [];
  const handled: string[] = [];
  // Made for the few that need it, not for each record.
  const common = ({
    incoming: { record, parent },
  }: Decision): Pick<Park, 'direction' | 'key' | 'payload'> & typeof feed => ({
    ...feed,
    direction: 'in',
    key: record.externalId,
    payload: { record, parent },
  });
  for (const decision of decisions) {
    if (decision.kind === 'park') {
      const { code, message, field } = decision;
      parks.push({ ...common(decision), state: 'open', code, message, field, waitsFor: null, deadlineMs: null });
    } else if (decision.kind === 'wait') {
      parks.push({ ...common(decision), ...waiting(decision.missing, options) });
    } else if (decision.kind === 'upsert' && decision.later.length > 0) {
      // The record is in; only the reference that closes a circle is still to come.
      parks.push({ ...common(decision), ...waiting(decision.later, options) });
    } else if (decision.kind === 'delete' && decision.hold) {
      parks.push({
        ...common(decision),
        state: 'open',
        code: 'mass_delete_held',
        message: 'deleted at the spoke together with unusually many others; waits for a person to approve',
        field: null,
        waitsFor: null,
        deadlineMs: null,
      });
    } else if (isOver(decision)) handled.push(decision.incoming.record.externalId);
  }
  await park(tx, parks, options.nowMs);
  await closeParked(tx, { ...feed, direction: 'in', keys: handled }, options.nowMs);
  // Linked or gone: which record it is, is no question any more.
  const answered = decisions.filter((one) => one.kind === 'delete' || (one.kind === 'upsert' && one.link !== 'keep'));
  const keys = answered.map(({ incoming }) => incoming.record.externalId);
  await closeReviews(tx, { ...feed, kinds: ['ambiguous', 'duplicate'], keys }, options.nowMs);
  tally.waiting += parks.filter(({ state }) => state === 'waiting').length;
  tally.parked += parks.filter(({ state }) => state === 'open').length;
}

async function writeReviews(
  tx: Tx,
  feed: { spoke: SpokeName; entity: EntityName },
  decisions: readonly Decision[],
  options: ApplyOptions,
  tally: Tally,
): Promise<void> {
  const reviews: Review[] = [];
  for (const decision of decisions) {
    const key = decision.incoming.record.externalId;
    const { record, parent } = decision.incoming;
    if (decision.kind === 'ambiguous') {
      reviews.push({ ...feed, kind: 'ambiguous', key, evidence: { record, parent, candidates: decision.candidates } });
    } else if (decision.kind === 'duplicate') {
      reviews.push({ ...feed, kind: 'duplicate', key, evidence: { record, parent, of: decision.of } });
    }
  }
  const held = decisions.filter((decision) => decision.kind === 'delete' && decision.hold).length;
  if (held > 0) reviews.push({ ...feed, kind: 'mass_delete', key: feed.entity, evidence: { records: held } });
  await openReviews(tx, reviews, options.nowMs);
  tally.reviews += reviews.length;
}
