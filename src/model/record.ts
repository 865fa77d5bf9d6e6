// Owns what a record is on each side.
import type { ExternalId, FieldName, HubId, ObjectName, RemotePath, Version } from './ids.js';

/** A value as a spoke shows it: JSON. Numbers a double cannot hold arrive as strings. */
export type RemoteValue =
  null | boolean | number | string | readonly RemoteValue[] | { readonly [key: string]: RemoteValue };

/**
 * A value as the hub holds it: Postgres' text output of the column (ISO dates, UTC, booleans as `true`/`false`), or null.
 * Text end to end: a 30-digit numeric stays exact. Absent is a missing key, never null and never ''.
 */
export type HubValue = string | null;

export type HubFields = Readonly<Record<FieldName, HubValue>>;
export type RemoteFields = Readonly<Record<RemotePath, RemoteValue>>;

export interface HubRow {
  readonly id: HubId;
  readonly fields: HubFields;
  /** Set where the entity archives and this row is archived. */
  readonly deletedAt: string | null;
}

export interface RemoteRecord {
  readonly object: ObjectName;
  readonly externalId: ExternalId;
  readonly version: Version;
  /** The remote says that this record is gone (a delete event, a recycle bin, IsDeleted). `fields` may then be empty. */
  readonly deleted: boolean;
  /** The hub id that an earlier create of ours left in the record (idempotency key), where the remote keeps one. */
  readonly hubKey: HubId | null;
  /** Present only where the remote knows: did our own credential make the last change? */
  readonly modifiedBySelf: boolean | null;
  /** Set on the loser of a merge inside the spoke: the survivor's id. */
  readonly mergedInto: ExternalId | null;
  /** Absent path = not observed (no permission, not asked for). */
  readonly fields: RemoteFields;
  /** Embedded children by child name (`lineItems`); a present list is complete. */
  readonly children: Readonly<Record<string, readonly RemoteRecord[]>>;
}

/** What a read by id that found nothing says: gone (law 8, second grade of evidence). */
export function missingRecord(object: ObjectName, externalId: ExternalId): RemoteRecord {
  return {
    object,
    externalId,
    version: '' as Version,
    deleted: true,
    hubKey: null,
    modifiedBySelf: null,
    mergedInto: null,
    fields: {},
    children: {},
  };
}
