// Owns the link: the durable pair and the base both sides agreed on.
import type { EntityName, ExternalId, FieldName, HubId, SpokeName, Version } from './ids.js';
import type { HubValue, RemoteValue } from './record.js';

/** What the hub held and what the spoke showed when they last agreed on a field. */
export interface BasePair {
  readonly hub: HubValue;
  /** The values of the field's remote paths, in the mapping's order; a single-path field stores the bare value. */
  readonly remote: RemoteValue;
}

export type Base = Readonly<Record<FieldName, BasePair>>;

/**
 * Why nothing is written to a field before inbound has seen it, and what its pair is worth. `assumed`: the spoke's half is what we sent, it has
 * not shown what it made of that. `known`: it has shown it, and what it shows since is somebody's edit.
 */
export type Unseen = Readonly<Record<FieldName, 'assumed' | 'known'>>;

export interface Link {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
  readonly hubId: HubId;
  readonly externalId: ExternalId;
  /** merged: its hub record was joined with another that has a live link here; the record is left alone. */
  readonly state: 'live' | 'tombstone' | 'merged';
  readonly base: Base;
  /** What the spoke showed where its edit lost against the hub; forgotten when the field's base moves. */
  readonly overruled: Readonly<Record<FieldName, RemoteValue>>;
  /**
   * Asked for and not shown when the spoke was last looked at (F78), or shown with an edit of someone else that inbound has not merged yet.
   * Left out = none.
   */
  readonly unseen?: Unseen | undefined;
  /** The newest version of the remote record that this link has taken account of. */
  readonly version: Version;
  /** When a write of ours was last confirmed; null or left out = never. To be compared for equality only: clocks step. */
  readonly settledAt?: string | null | undefined;
  /** Which state of the stored pair this is, where it was read for a claim. To be compared for equality only. */
  readonly revision?: string | undefined;
}

/** How the values of a field's remote paths are kept in a base: a single one bare, several as a list. */
export function imageOf(values: readonly RemoteValue[]): RemoteValue {
  return values.length === 1 ? (values[0] ?? null) : values;
}

/** Names a link among those of its spoke. */
export const settledKey = (entity: EntityName, id: ExternalId): string => `${entity}/${id}`;

/** What the pair of a field that is not shown, or shows something else, is worth, by what was known of the record until now. */
export function worth(link: Link | undefined, field: FieldName): 'assumed' | 'known' {
  return link?.unseen?.[field] ?? (link?.version === '' ? 'assumed' : 'known');
}
