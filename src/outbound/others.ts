// Owns what a look of outbound takes account of. Pure. A version stands for the whole record, but such a look compares only what was
// written. What the record shows beside that and nobody has merged yet is someone else's edit: it is named, and not written to until
// inbound has seen it. Else that edit would pass for seen, and the next write, with this very version as its condition, would go over
// it (law 4). The version moves all the same: a read that lags behind what we saw is older.
import type { SpokeMapping } from '../mapping/mapping.js';
import { unseenOf } from '../mapping/selection.js';
import { sameRemote } from '../mapping/values.js';
import type { FieldName } from '../model/ids.js';
import { imageOf, worth, type Base, type Link, type Unseen } from '../model/link.js';
import type { HubFields, RemoteRecord } from '../model/record.js';
import { resembles } from '../mapping/resemble.js';

/** Fields that go both ways and show neither what is agreed on nor what lost against the hub already. */
export function othersEdits(
  mapping: SpokeMapping,
  agreed: Base,
  overruled: Link['overruled'],
  record: Pick<RemoteRecord, 'fields'>,
): readonly FieldName[] {
  if (mapping.embedded !== null || mapping.direction !== 'both') return [];
  return mapping.fields.flatMap(({ direction, fromParent, reads, field: { name } }) => {
    const values = reads.map((path) => record.fields[path]);
    // Not shown is another matter (F78).
    if (direction !== 'both' || fromParent || values.length === 0 || values.includes(undefined)) return [];
    const image = imageOf(values.map((value) => value ?? null));
    const base = agreed[name];
    const known = base === undefined ? resembles(null, image) : sameRemote(base.remote, image);
    const lost = overruled[name];
    return known || (lost !== undefined && sameRemote(lost, image)) ? [] : [name];
  });
}

/**
 * The lists of embedded children of a record that was read back after an answer that was lost. They are not compared: nothing tells what of
 * them is ours. Named like fields, they are not written before inbound has seen them, or the whole list would go over what somebody made of
 * one child, with the version of this very look as its condition.
 */
export const listsReadBack = ({ direction, embeds }: SpokeMapping): readonly FieldName[] =>
  direction === 'both' ? embeds.map(({ child }) => listName(child)) : [];

/** No field of a mapping has such a name. */
export const listName = (child: string): FieldName => `@${child}` as FieldName;

/**
 * Fields of the link that inbound must see before anything is written to them: what others wrote, and what the record does not show (F78).
 * Of the latter only what we wrote ourselves, where nobody else can have been at the record since the link knew it. Only inbound, which
 * merges, takes a field off that list. Undefined = it stays as it is.
 */
export function unseenAfter(
  mapping: SpokeMapping,
  before: Link | undefined,
  record: RemoteRecord | null,
  { others, wrote, base, alone }: Looked,
): Unseen | undefined {
  const hidden = record === null ? [] : unseenOf(mapping, record);
  const fresh = [
    ...hidden
      .filter((field) => !alone || wrote[field] !== undefined)
      .map((field) => [field, wrote[field] === undefined ? worth(before, field) : 'assumed'] as const),
    ...others.map((field) => [field, base[field] === undefined ? worth(before, field) : 'known'] as const),
  ];
  return fresh.length === 0 ? undefined : { ...before?.unseen, ...Object.fromEntries(fresh) };
}

/** What came of a look at a record after a write of ours. */
export interface Looked {
  readonly others: readonly FieldName[];
  /** What of ours has come. */
  readonly wrote: HubFields;
  /** Pairs that are agreed on by that. */
  readonly base: Base;
  /** Nobody else can have been at the record. */
  readonly alone: boolean;
}
