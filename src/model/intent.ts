// Owns the record of what was put on the wire for a delivery, kept until its outcome is known.
import type { EntityName, ExternalId, HubId } from './ids.js';
import type { HubFields, RemoteFields } from './record.js';

/** One write, as it was sent. */
export interface Try {
  readonly op: 'create' | 'update' | 'delete' | 'undelete';
  readonly externalId: string | null;
  readonly fields: RemoteFields;
  /** Embedded children by child name: the complete list that was sent. */
  readonly children?: Readonly<Record<string, readonly ChildIntent[]>>;
  /** The hub values behind it: they become the base once the effect is confirmed. */
  readonly hub: HubFields;
  readonly sentAtMs: number;
}

export interface Intent extends Try {
  /** Earlier writes that were not answered either and may still arrive (F65), oldest first. */
  readonly late?: readonly Try[];
}

export interface ChildIntent {
  readonly entity: EntityName;
  readonly hubId: HubId;
  readonly externalId: ExternalId | null;
  readonly fields: RemoteFields;
  readonly hub: HubFields;
}
