// Decides about one remote record, given what was loaded for its batch. Pure: versions, scope, deletion and merge in one place.
// Law 4: what is older than the base's own observation is ignored; equal stamps are fetched again by id.
import type { Link } from '../model/link.js';
import type { Version } from '../model/ids.js';
import { AssertionFailed } from '../base/assert.js';
import { BadValue, type SpokeMapping } from '../mapping/mapping.js';
import { resembles } from '../mapping/resemble.js';
import { sameHub, sameRemote } from '../mapping/values.js';
import { settledKey } from '../model/link.js';
import type { HubRow } from '../model/record.js';
import type { BatchContext } from './batch.js';
import type { Decision, DecisionOf, Incoming, Survivor, Upsert } from './decision.js';
import type { MergeConflict, Merged, MergeInput } from './merge.js';
import type { Missing, Normalised, ObservedFields } from './normalise.js';

export type Evidence = 'listing' | 'fetched';

/** The pure stages, handed in by the pipeline. */
export interface Stages {
  normalise(incoming: Incoming): Normalised;
  merge(input: MergeInput): Merged;
}

export interface DecideRules {
  readonly evidence: Evidence;
  /** When our last write to each record was confirmed, as it stood before they were read; left out = nothing of ours was under way then. */
  readonly settled?: ReadonlyMap<string, string | null> | undefined;
  readonly nowMs: number;
}

/** Still to be matched: no link, in scope, readable. */
export interface Unlinked {
  readonly kind: 'unlinked';
  readonly incoming: Incoming;
  readonly fields: ObservedFields;
  readonly later: readonly Missing[];
}

export function decide(
  context: BatchContext,
  stages: Stages,
  rules: DecideRules,
  incoming: Incoming,
): Decision | Unlinked {
  return orPark(incoming, () => judge(context, stages, rules, incoming));
}

/** A record that an expression or a lens cannot take parks itself; its batch goes on (law 9). */
export function orPark<D>(incoming: Incoming, body: () => D): D | DecisionOf<'park'> {
  try {
    return body();
  } catch (error) {
    if (error instanceof AssertionFailed) throw error;
    const message = error instanceof Error ? error.message : String(error);
    const code = error instanceof BadValue ? error.code : 'unreadable';
    return { incoming, kind: 'park', code, message, field: null };
  }
}

function judge(context: BatchContext, stages: Stages, rules: DecideRules, incoming: Incoming): Decision | Unlinked {
  const { record } = incoming;
  const link = context.links.get(record.externalId);
  if (link?.state === 'merged') return { incoming, kind: 'ignore', why: 'merged' };
  if (link !== undefined && context.busy.has(link.hubId)) {
    return { incoming, kind: 'refetch', delayMs: 500, why: 'in_flight' };
  }
  if (record.deleted) return decideDeleted(context, rules, incoming, link);
  // A read that lags behind the deletion must not bring the record back (law 4); only a remote without versions is taken at its word.
  const dated = rules.evidence === 'listing' || record.version !== '';
  if (link?.state === 'tombstone' && dated && !(record.version > link.version)) {
    return { incoming, kind: 'ignore', why: 'older' };
  }
  if (link?.state === 'live' && record.version !== '' && record.version < link.version) {
    return { incoming, kind: 'ignore', why: 'older' };
  }
  if (!context.mapping.accepts(record.fields)) return { incoming, kind: 'ignore', why: 'out_of_scope' };
  const normalised = stages.normalise(incoming);
  switch (normalised.kind) {
    case 'bad':
      return { incoming, kind: 'park', code: normalised.code, message: normalised.message, field: normalised.field };
    case 'waits':
      return { incoming, kind: 'wait', missing: normalised.missing };
    case 'observed':
      break;
    default:
      return normalised satisfies never;
  }
  const { fields, later } = normalised;
  if (link === undefined) return { kind: 'unlinked', incoming, fields, later };
  if (link.state === 'tombstone') return revive(context, stages, incoming, link, normalised);
  if (record.version !== '' && record.version === link.version && rules.evidence === 'listing') {
    const shown = compareWithBase(normalised.fields, link);
    if (shown === 'same') return { incoming, kind: 'ignore', why: 'same' };
    // Fields without a base were mapped since: nothing there could be older than what we know.
    if (shown === 'differs') return { incoming, kind: 'refetch', delayMs: 0, why: 'equal_stamp' };
  }
  if (mayPredateOurs(context.mapping, rules, link, incoming) && compareWithBase(fields, link) !== 'same') {
    return { incoming, kind: 'refetch', delayMs: 0, why: 'equal_stamp' };
  }
  const row = context.rows.get(link.hubId);
  if (row === undefined || row.deletedAt !== null) {
    return { incoming, kind: 'ignore', why: 'deleted_in_hub', conflicts: overruled(context, link, fields) };
  }
  return upsert(context, stages, incoming, { row, link, fields, later, nowMs: rules.nowMs });
}

/**
 * A write of ours was confirmed since this record was asked for, and the stamp does not tell which of the two was first: a coarse one covers
 * both. The read is made again.
 */
function mayPredateOurs(
  { entity }: SpokeMapping,
  { evidence, settled }: DecideRules,
  link: Link,
  { record }: Incoming,
): boolean {
  if (evidence === 'listing' || record.version !== link.version) return false;
  // Embedded children are not asked for by themselves.
  const asked = settled?.get(settledKey(entity, record.externalId));
  return asked !== undefined && asked !== (link.settledAt ?? null);
}

/** Nobody knew of the record when it was asked for: whoever has linked it since has seen it, and a read by id may lag behind that (F102). */
function linkedSince(
  { entity, embedded }: SpokeMapping,
  { evidence, settled }: DecideRules,
  incoming: Incoming,
): boolean {
  // Embedded children are not asked for by themselves.
  if (evidence === 'listing' || settled === undefined || embedded !== null) return false;
  return !settled.has(settledKey(entity, incoming.record.externalId));
}

/** The hub deleted what the spoke has edited since: the deletion goes on, the edits are kept in the conflict log (F118). */
function overruled({ mapping }: BatchContext, link: Link, observed: ObservedFields): readonly MergeConflict[] {
  if (!deletes(mapping)) return [];
  return mapping.fields.flatMap(({ field, direction }): MergeConflict[] => {
    const base = link.base[field.name];
    const shown = observed[field.name];
    if (direction === 'out' || shown === undefined) return [];
    // Where nothing was agreed on yet, whatever is filled in has never been in the hub.
    if (base === undefined ? resembles(null, shown.remote) : sameRemote(base.remote, shown.remote)) return [];
    const { hub: spoke, remote } = shown;
    const agreed = base?.hub ?? null;
    return [{ field: field.name, policy: 'delete', winner: 'hub', base: agreed, hub: null, spoke, remote }];
  });
}

/** The other order: the spoke deleted what the hub has edited since. Same result (F118). */
function unseen({ mapping }: BatchContext, link: Link, row: HubRow | undefined): readonly MergeConflict[] {
  if (row === undefined || row.deletedAt !== null || !deletes(mapping)) return [];
  return mapping.fields.flatMap(({ field, direction }): MergeConflict[] => {
    const base = link.base[field.name];
    const hub = row.fields[field.name] ?? null;
    // Where nothing was agreed on yet, what the hub holds has never been there.
    const agreed = base?.hub ?? null;
    if (direction === 'in' || sameHub(field.type, agreed, hub)) return [];
    return [{ field: field.name, policy: 'delete', winner: 'spoke', base: agreed, hub, spoke: null, remote: null }];
  });
}

const deletes = (mapping: SpokeMapping): boolean => mapping.delete === 'propagate' || mapping.delete === 'archive';

/** Does the record show, in every observed field, what the link agreed on? `new`: where it agreed on anything. */
function compareWithBase(fields: ObservedFields, link: Link): 'same' | 'new' | 'differs' {
  let verdict: 'same' | 'new' = 'same';
  for (const [name, { remote }] of Object.entries(fields)) {
    const base = link.base[name as keyof typeof link.base];
    const lost = link.overruled[name as keyof typeof link.overruled];
    if (lost !== undefined && sameRemote(lost, remote)) continue;
    if (base === undefined || link.unseen?.[name as keyof typeof link.base] !== undefined) verdict = 'new';
    else if (!sameRemote(base.remote, remote)) return 'differs';
  }
  return verdict;
}

function decideDeleted(
  context: BatchContext,
  rules: DecideRules,
  incoming: Incoming,
  link: Link | undefined,
): Decision {
  const { record } = incoming;
  if (link?.state !== 'live') return { incoming, kind: 'ignore', why: 'unknown_deleted' };
  // Word of a deletion that is older than what we saw since: it may have been undone.
  if (rules.evidence === 'listing' && record.version !== '' && record.version < link.version) {
    return { incoming, kind: 'refetch', delayMs: 0, why: 'equal_stamp' };
  }
  if (linkedSince(context.mapping, rules, incoming)) {
    return { incoming, kind: 'refetch', delayMs: 0, why: 'raced' };
  }
  if (record.mergedInto !== null) {
    const survivor = survivorOf(link, context.links.get(record.mergedInto));
    return { incoming, kind: 'moved', hubId: link.hubId, to: record.mergedInto, survivor };
  }
  return {
    incoming,
    kind: 'delete',
    hubId: link.hubId,
    hold: false,
    conflicts: unseen(context, link, context.rows.get(link.hubId)),
  };
}

function survivorOf(loser: Link, link: Link | undefined): Survivor {
  if (link === undefined) return { kind: 'free' };
  switch (link.state) {
    case 'live':
      return { kind: 'linked', hubId: link.hubId };
    case 'merged':
      return link.hubId === loser.hubId ? { kind: 'aside' } : { kind: 'past' };
    case 'tombstone':
      return { kind: 'past' };
    default:
      return link.state satisfies never;
  }
}

/** The record is back: the same link lives again (F103), with the row it had. */
function revive(
  context: BatchContext,
  stages: Stages,
  incoming: Incoming,
  link: Link,
  { fields, later }: { readonly fields: ObservedFields; readonly later: readonly Missing[] },
): Decision {
  const row = context.rows.get(link.hubId);
  // The pair was ended when the hub deleted its row; the spoke's record lives on as its own, and its edits bring nothing back.
  if (context.mapping.delete === 'unlink' && (row === undefined || row.deletedAt !== null))
    return { incoming, kind: 'ignore', why: 'unknown_deleted' };
  const merged = stages.merge({
    spoke: context.mapping.spoke,
    fields: context.mapping.fields,
    hub: row?.fields ?? null,
    base: row === undefined ? {} : link.base,
    overruled: {},
    observed: fields,
    hubChangedAtMs: null,
    spokeChangedAtMs: versionMs(incoming.record.version),
  });
  return {
    ...merged,
    incoming,
    kind: 'upsert',
    hubId: link.hubId,
    row: row === undefined ? 'insert' : row.deletedAt === null ? 'update' : 'unarchive',
    link: 'revive',
    version: incoming.record.version,
    later,
    hubChangedAtMs: null,
  };
}

export interface UpsertInput {
  readonly row: HubRow;
  /** null: this observation makes the link. */
  readonly link: Link | null;
  readonly fields: ObservedFields;
  readonly later: readonly Missing[];
  readonly nowMs: number;
}

export function upsert(
  context: BatchContext,
  stages: Stages,
  incoming: Incoming,
  input: UpsertInput,
): Upsert & { readonly incoming: Incoming } {
  const { row, link } = input;
  // An edit that is not captured yet is younger than anything the spoke can tell of.
  const hubChangedAtMs = link === null ? null : (context.open.get(row.id)?.atMs ?? input.nowMs);
  const merged = stages.merge({
    spoke: context.mapping.spoke,
    fields: context.mapping.fields,
    hub: row.fields,
    base: link?.base ?? {},
    assumed: link?.version === '' && incoming.record.version !== '',
    unseen: link?.unseen,
    tried: context.open.get(row.id)?.tried,
    madeByUs: link === null && incoming.record.hubKey === row.id,
    lastByUs: incoming.record.modifiedBySelf === true,
    overruled: link?.overruled ?? {},
    observed: input.fields,
    hubChangedAtMs,
    spokeChangedAtMs: versionMs(incoming.record.version),
  });
  return {
    ...merged,
    incoming,
    kind: 'upsert',
    hubId: row.id,
    row: row.deletedAt === null ? 'update' : 'unarchive',
    link: link === null ? 'new' : 'keep',
    version: incoming.record.version,
    later: input.later,
    hubChangedAtMs,
  };
}

/** A version that is a time, in ms; null for a counter or none. */
export function versionMs(version: Version): number | null {
  if (!/^\d{4}-\d{2}-\d{2}T/.test(version)) return null;
  const ms = Date.parse(version);
  return Number.isNaN(ms) ? null : ms;
}
