// Stage 4 of inbound: three-way merge per field against the base. Pure: no promise, no logger, no clock.
// One side changed → take it; both, equal → agree; both, different → the field's policy, the loser is reported.
// Absent is not null and null is not ''.
import { addDifference, compareDecimals } from '../mapping/arithmetic.js';
import { hiddenPair, isCountInDoubt, landedOf, lateOf, type Tries } from '../mapping/ours.js';
import { resembles } from '../mapping/resemble.js';
import type { FieldMapping, FieldType, HubField, Policy } from '../mapping/mapping.js';
import type { FieldName, SpokeName } from '../model/ids.js';
import type { Base, BasePair, Link } from '../model/link.js';
import type { HubFields, HubValue, RemoteValue } from '../model/record.js';
import { formatList, parseList, sameHub, sameRemote } from '../mapping/values.js';
import type { ObservedField } from './normalise.js';

export interface MergeInput extends Tries {
  readonly spoke: SpokeName;
  /** null: the hub has no such record yet. */
  readonly hub: HubFields | null;
  /** The base's remote half is what we sent: the spoke's answer did not show what it made of it. */
  readonly assumed?: boolean | undefined;
  /** Fields whose half may be, because the spoke did not show them. */
  readonly unseen?: Link['unseen'];
  /** What this spoke showed where it was overruled already: no news. */
  readonly overruled: Link['overruled'];
  /** Milliseconds; when the hub's side was last edited by someone else than this spoke, null = no edit known. */
  readonly hubChangedAtMs: number | null;
  readonly spokeChangedAtMs: number | null;
}

export interface MergeConflict {
  readonly field: FieldName;
  /** `delete`: one side deleted what the other edited; `direction`: the field comes from the spoke only. */
  readonly policy: Policy['kind'] | 'ping_pong' | 'delete' | 'direction';
  readonly winner: 'hub' | 'spoke' | 'both' | 'open';
  readonly base: HubValue;
  readonly hub: HubValue;
  readonly spoke: HubValue;
  readonly remote: RemoteValue;
}

export interface Merged {
  /** Hub fields to change. */
  readonly set: HubFields;
  /** Base pairs that move. */
  readonly base: Base;
  /** The spoke must get something: the hub won, or both were combined. */
  readonly push: boolean;
  readonly conflicts: readonly MergeConflict[];
  /** Emptiness that the hub's value is about to fill: seen again it is no news. */
  readonly blank: Readonly<Record<FieldName, RemoteValue>>;
}

interface FieldMerge {
  readonly set?: { readonly value: HubValue };
  readonly base?: BasePair;
  readonly push?: boolean;
  readonly conflict?: MergeConflict;
  readonly blank?: RemoteValue;
}

export function merge(input: MergeInput): Merged {
  if (input.hub === null && isEmpty(input.base)) return takeAll(input);
  const set: Record<FieldName, HubValue> = {};
  const base: Record<FieldName, BasePair> = {};
  const conflicts: MergeConflict[] = [];
  const blank: Record<FieldName, RemoteValue> = {};
  let push = false;
  const landed = landedOf(input);
  for (const mapping of input.fields) {
    const { name } = mapping.field;
    const observed = input.observed[name];
    if (observed === undefined) {
      const hidden = hiddenPair(landed, mapping);
      if (hidden !== undefined) base[name] = hidden;
      continue;
    }
    const merged = mergeField(input, landed, mapping, observed);
    if (merged.set !== undefined) set[name] = merged.set.value;
    if (merged.base !== undefined) base[name] = merged.base;
    if (merged.push === true) push = true;
    if (merged.conflict !== undefined) conflicts.push(merged.conflict);
    if (merged.blank !== undefined) blank[name] = merged.blank;
  }
  return { set, base, push, conflicts, blank };
}

const isEmpty = (fields: object): boolean => {
  for (const _ in fields) return false;
  return true;
};

/** Nothing to merge with: what `mergeField` says of each field, without an object for each (5 µs a record of a backfill). */
function takeAll({ fields, observed }: MergeInput): Merged {
  const set: Record<FieldName, HubValue> = {};
  const base: Record<FieldName, BasePair> = {};
  for (const { field, direction } of fields) {
    const pair = observed[field.name];
    if (pair === undefined || direction === 'out') continue;
    set[field.name] = pair.hub;
    base[field.name] = pair;
  }
  return { set, base, push: false, conflicts: [], blank: {} };
}

/** `landed`: what a write of ours carried that has come since both sides agreed. */
function mergeField(
  input: MergeInput,
  landed: HubFields | undefined,
  mapping: FieldMapping,
  observed: ObservedField,
): FieldMerge {
  const { field, direction } = mapping;
  const agreed = input.base[field.name];
  if (direction === 'out') return {};
  if (agreed !== undefined && sameRemote(observed.remote, agreed.remote)) return {};
  // The first sight of our own write: the spoke's spelling of it is nobody's edit (law 2).
  const assumed = input.assumed === true || input.unseen?.[field.name] === 'assumed';
  if (agreed !== undefined && assumed && resembles(agreed.remote, observed.remote))
    return { base: { hub: agreed.hub, remote: observed.remote } };
  const lost = input.overruled[field.name];
  if (lost !== undefined && input.hub !== null && sameRemote(observed.remote, lost))
    // Known already; unless the hub has come round to it, which ends the matter.
    return sameHub(field.type, input.hub[field.name] ?? null, observed.hub) ? { base: observed } : {};
  const taken: FieldMerge = { set: { value: observed.hub }, base: observed };
  if (input.hub === null) return taken;
  const hub = input.hub[field.name] ?? null;
  const late = lateOf(input, mapping, observed);
  if (late !== undefined) {
    const agreement = { base: { hub: late, remote: observed.remote } };
    if (!isCountInDoubt(input, mapping, observed)) return agreement;
    return { ...agreement, conflict: doubt(field, late, observed, agreed) };
  }
  const ours = landed?.[field.name];
  const base = ours === undefined ? agreed : { hub: ours, remote: null };
  if (sameHub(field.type, hub, observed.hub) && !isCountedTwice(mapping, hub, base))
    return { base: { hub, remote: observed.remote } };
  // Such a field is the spoke's: what someone wrote into the hub meanwhile loses, and is kept.
  if (direction === 'in')
    return isEdited(field, hub, base) ? { ...taken, conflict: overridden(field, hub, observed, base) } : taken;
  if (base === undefined) {
    if (hub === null) return taken;
    if (observed.hub === null) return { push: true, blank: observed.remote };
  } else if (sameHub(field.type, hub, base.hub)) return taken;
  return decide(input, mapping, hub, observed, base);
}

function doubt(field: HubField, ours: HubValue, { remote }: ObservedField, base: BasePair | undefined): MergeConflict {
  return { field: field.name, policy: 'delta', winner: 'hub', base: base?.hub ?? null, hub: ours, spoke: ours, remote };
}

/** Two who counted on from the same number came to the same number: that is two counts, not one on which both agree. */
function isCountedTwice({ field, direction }: FieldMapping, hub: HubValue, base: BasePair | undefined): boolean {
  if (base === undefined || direction !== 'both' || sameHub(field.type, hub, base.hub)) return false;
  return combine(field, hub, hub, base) !== undefined && field.policy.kind === 'delta';
}

const isEdited = (field: HubField, hub: HubValue, base: BasePair | undefined): boolean =>
  base === undefined ? hub !== null : !sameHub(field.type, hub, base.hub);

function overridden(
  field: HubField,
  hub: HubValue,
  { hub: spoke, remote }: ObservedField,
  base: BasePair | undefined,
): MergeConflict {
  return { field: field.name, policy: 'direction', winner: 'spoke', base: base?.hub ?? null, hub, spoke, remote };
}

function decide(
  input: MergeInput,
  mapping: FieldMapping,
  hub: HubValue,
  observed: ObservedField,
  base: BasePair | undefined,
): FieldMerge {
  const { field } = mapping;
  const conflict = (winner: MergeConflict['winner']): MergeConflict => ({
    field: field.name,
    policy: field.policy.kind,
    winner,
    base: base?.hub ?? null,
    hub,
    spoke: observed.hub,
    remote: observed.remote,
  });
  const combined = combine(field, hub, observed.hub, base ?? shownLast(input, mapping));
  if (combined !== undefined) {
    // The base moves to what the spoke showed, so that the same observation can never be counted twice.
    return { set: { value: combined }, base: observed, push: true, conflict: conflict('both') };
  }
  const winner = winnerOf(input, field, hub, observed.hub);
  if (winner === 'spoke') return { set: { value: observed.hub }, base: observed, conflict: conflict('spoke') };
  // The base stays: what the spoke shows was not agreed on, it is about to be overwritten or decided by a person.
  return { push: winner === 'hub', conflict: conflict(winner) };
}

/** Where nothing was agreed on yet, a count goes on from what the spoke showed when the hub's was about to be written there. */
function shownLast({ overruled }: MergeInput, { field, get, reads }: FieldMapping): BasePair | undefined {
  const remote = overruled[field.name];
  if (remote === undefined || field.policy.kind !== 'delta' || reads.length > 1) return undefined;
  return { hub: get([remote]), remote };
}

function winnerOf(input: MergeInput, field: HubField, hub: HubValue, spoke: HubValue): 'hub' | 'spoke' | 'open' {
  const { policy } = field;
  switch (policy.kind) {
    case 'authority':
      return policy.of === input.spoke ? 'spoke' : 'hub';
    case 'max':
      return compareHub(field.type, spoke, hub) > 0 ? 'spoke' : 'hub';
    case 'min':
      return compareHub(field.type, spoke, hub) < 0 ? 'spoke' : 'hub';
    case 'review':
      return 'open';
    case 'union': // a type that has no union falls back to the later edit
    case 'delta':
    case 'latest':
      return (input.spokeChangedAtMs ?? 0) > (input.hubChangedAtMs ?? 0) && input.hubChangedAtMs !== null
        ? 'spoke'
        : 'hub';
    default:
      return policy satisfies never;
  }
}

/** The combined value of policies that keep both edits, or undefined where the policy chooses one. */
export function combine(
  field: HubField,
  hub: HubValue,
  spoke: HubValue,
  base: BasePair | undefined,
): HubValue | undefined {
  if (field.policy.kind === 'union' && field.type === 'list') {
    const entries = [...(parseList(hub ?? '{}') ?? []), ...(parseList(spoke ?? '{}') ?? [])];
    return formatList([...new Set(entries)].sort());
  }
  // Without a base two counters are two counts of the same thing: adding them would make a number that nobody wrote.
  if (field.policy.kind === 'delta' && base !== undefined && (field.type === 'integer' || field.type === 'decimal')) {
    return addDifference(hub ?? '0', spoke ?? '0', base.hub ?? '0');
  }
  return undefined;
}

/** Order of two hub values; null is the least. */
export function compareHub(type: FieldType, a: HubValue, b: HubValue): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  if (type === 'integer' || type === 'decimal') return compareDecimals(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}
