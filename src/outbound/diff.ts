// What must a spoke get so that it shows what the hub holds? Pure. No difference = no call (law 1).
// A field differs when the hub's value is not the one both agreed on, or, for a repair, when the spoke no longer shows its half.
import { AssertionFailed } from '../base/assert.js';
import { BadValue, type FieldMapping, type SpokeMapping } from '../mapping/mapping.js';
import { sameHub, sameRemote } from '../mapping/values.js';
import type { EntityName, ExternalId, FieldName, HubId, RemotePath } from '../model/ids.js';
import { hubId } from '../model/ids.js';
import type { ChildIntent } from '../model/intent.js';
import { imageOf, type Base, type BasePair, type Link } from '../model/link.js';
import type { HubFields, HubRow, HubValue, RemoteFields, RemoteValue } from '../model/record.js';

export interface DiffInput {
  readonly mapping: SpokeMapping;
  /** null: the row is gone. */
  readonly row: HubRow | null;
  readonly link: Link | null;
  /** Fields that wait for a person's decision. */
  readonly held: ReadonlySet<string>;
  /** Repair: what a fresh read showed, by field. */
  readonly observed: Readonly<Record<string, RemoteValue>> | null;
  /** References that are written in a second step. */
  readonly deferred: ReadonlySet<FieldName>;
  /** External id of a hub record at this spoke; undefined = not linked there. */
  readonly resolve: (entity: EntityName, id: HubId) => ExternalId | undefined;
  /** Can records of this entity come to exist at the spoke at all? Else a reference to them is left out. */
  readonly mapped: (entity: EntityName) => boolean;
  readonly undelete: boolean;
}

export interface Sending {
  readonly fields: RemoteFields;
  /** Hub values behind `fields`, which become the base once confirmed. */
  readonly hub: HubFields;
  /** Embedded children by child name, added after the parent's own diff. */
  readonly children?: Readonly<Record<string, readonly ChildIntent[]>>;
}

export type Difference =
  | {
      readonly kind: 'none';
      readonly why: 'same' | 'not_wanted' | 'not_created_here' | 'gone';
      /** Pairs that are agreed on without a call: another hub value that looks the same at the spoke. */
      readonly agreed?: Base;
    }
  | (Sending & { readonly kind: 'create'; /** References left for a second step. */ readonly again: boolean })
  | (Sending & { readonly kind: 'update'; readonly again: boolean; readonly agreed: Base })
  | { readonly kind: 'delete' }
  | { readonly kind: 'undelete' }
  /** The pair ends without a call. */
  | { readonly kind: 'unlink' }
  | { readonly kind: 'wait'; readonly entity: EntityName; readonly hubId: HubId }
  /** All that differs stands in fields that the spoke does not show. */
  | { readonly kind: 'unseen' }
  | { readonly kind: 'refuse'; readonly field: FieldName | null; readonly code: string; readonly message: string };

export function diff(input: DiffInput): Difference {
  try {
    return difference(input);
  } catch (error) {
    // One record that a condition or a lens cannot take must not hold its batch (law 9).
    if (error instanceof AssertionFailed) throw error;
    const message = error instanceof Error ? error.message : String(error);
    return { kind: 'refuse', field: null, code: error instanceof BadValue ? error.code : 'unreadable', message };
  }
}

function difference(input: DiffInput): Difference {
  const { row, link, mapping } = input;
  if (mapping.direction === 'in') return { kind: 'none', why: 'not_wanted' };
  if (row === null || row.deletedAt !== null) return removal(mapping, link);
  if (link?.state === 'live') return change(input, row, link);
  if (link !== null && mapping.delete === 'unlink') return { kind: 'none', why: 'gone' };
  if (!mapping.wants(row.fields)) return { kind: 'none', why: 'not_wanted' };
  if (link !== null && input.undelete && mapping.delete !== 'ignore') return { kind: 'undelete' };
  if (!mapping.create) return { kind: 'none', why: 'not_created_here' };
  return creation(input, row);
}

function removal(mapping: SpokeMapping, link: Link | null): Difference {
  if (link?.state !== 'live') return { kind: 'none', why: 'gone' };
  switch (mapping.delete) {
    case 'propagate':
    case 'archive':
      return { kind: 'delete' };
    case 'unlink':
      return { kind: 'unlink' };
    case 'ignore':
      return { kind: 'none', why: 'gone' };
    default:
      return mapping.delete satisfies never;
  }
}

function creation(input: DiffInput, row: HubRow): Difference {
  const fields: Record<RemotePath, RemoteValue> = {};
  const hub: Record<FieldName, HubValue> = {};
  let again = false;
  for (const mapping of input.mapping.fields) {
    if (mapping.direction === 'in' || input.held.has(mapping.field.name)) continue;
    const value = row.fields[mapping.field.name] ?? null;
    const put = putField(input, mapping, value);
    if (put.kind === 'refuse') return put;
    if (put.kind === 'wait') {
      if (!input.deferred.has(mapping.field.name)) return put;
      again = true;
      continue;
    }
    if (put.kind === 'skip') continue;
    hub[mapping.field.name] = value;
    // A create leaves out what is empty: the remote's own default applies, and the read-back tells what became of it.
    for (const [i, path] of mapping.writes.entries())
      if ((put.values[i] ?? null) !== null) fields[path] = put.values[i] ?? null;
  }
  return { kind: 'create', fields, hub, again };
}

function change(input: DiffInput, row: HubRow, link: Link): Difference {
  const fields: Record<RemotePath, RemoteValue> = {};
  const hub: Record<FieldName, HubValue> = {};
  const agreed: Record<FieldName, BasePair> = {};
  let waits: Extract<Difference, { kind: 'wait' | 'unseen' }> | null = null;
  for (const mapping of input.mapping.fields) {
    const { name, type } = mapping.field;
    if (mapping.direction === 'in' || input.held.has(name)) continue;
    const value = row.fields[name] ?? null;
    const base = link.base[name];
    // What the spoke showed last: where it was overruled, its own; else what both agreed on. Null was seen; only absent was not.
    const last = link.overruled[name] === undefined ? base?.remote : link.overruled[name];
    const seen = input.observed?.[name] === undefined ? last : input.observed[name];
    const damaged = base !== undefined && isDamaged(seen, base.remote);
    if (base !== undefined && sameHub(type, value, base.hub) && !damaged) continue;
    if (last === undefined && value === null) continue;
    if (link.unseen?.[name] !== undefined) {
      waits ??= { kind: 'unseen' };
      continue;
    }
    const put = putField(input, mapping, value);
    if (put.kind === 'refuse') return put;
    if (put.kind === 'wait') {
      // A reference that closes a circle holds nothing else up.
      if (!input.deferred.has(name)) return put;
      waits = put;
      continue;
    }
    if (put.kind === 'skip') continue;
    // Two hub values can look the same at the spoke ('1.50' and '1.5'), and the hub may have come round to what the spoke has: then there is
    // nothing to send, only the base moves.
    if (last !== undefined && sameRemote(last, seen ?? null) && showsAlready(mapping, put.values, last)) {
      agreed[name] = { hub: value, remote: last };
      continue;
    }
    hub[name] = value;
    for (const [i, path] of mapping.writes.entries()) fields[path] = put.values[i] ?? null;
  }
  if (Object.keys(fields).length > 0) return { kind: 'update', fields, hub, agreed, again: waits !== null };
  return waits ?? { kind: 'none', why: 'same', agreed };
}

/** The spoke shows something else than agreed: damage, or an edit that lost. */
function isDamaged(shown: RemoteValue | undefined, agreed: RemoteValue): boolean {
  return shown !== undefined && !sameRemote(shown, agreed);
}

function showsAlready(mapping: FieldMapping, values: readonly RemoteValue[], shown: RemoteValue): boolean {
  return samePaths(mapping) && sameRemote(imageOf(values), shown);
}

/** The field is read from exactly the paths that it is written to. */
export function samePaths(mapping: FieldMapping): boolean {
  return mapping.reads.length === mapping.writes.length && mapping.reads.every((path, i) => path === mapping.writes[i]);
}

type Put =
  | { readonly kind: 'values'; readonly values: readonly RemoteValue[] }
  | { readonly kind: 'skip' }
  | Extract<Difference, { readonly kind: 'wait' | 'refuse' }>;

function putField(input: DiffInput, mapping: FieldMapping, value: HubValue): Put {
  const { field } = mapping;
  if (mapping.writes.length === 0) return { kind: 'skip' };
  if (field.ref !== null && value !== null) {
    const target = input.resolve(field.ref, hubId(value));
    if (target !== undefined) return { kind: 'values', values: [target] };
    return input.mapped(field.ref) ? { kind: 'wait', entity: field.ref, hubId: hubId(value) } : { kind: 'skip' };
  }
  if (field.ref !== null) return { kind: 'values', values: mapping.writes.map(() => null) };
  try {
    return { kind: 'values', values: mapping.put(value) };
  } catch (error) {
    if (error instanceof BadValue)
      return { kind: 'refuse', field: field.name, code: error.code, message: error.message };
    throw error;
  }
}
