// Owns the checked mapping: what the rest of the engine works with once the YAML has been loaded and compiled.
// Immutable and complete: no stage looks at YAML, no stage finds a problem in a mapping.
import type { EntityName, FieldName, ObjectName, RemotePath, SpokeName } from '../model/ids.js';
import type { HubFields, HubValue, RemoteFields, RemoteValue } from '../model/record.js';

export type FieldType = 'text' | 'integer' | 'decimal' | 'boolean' | 'date' | 'timestamp' | 'json' | 'list' | 'ref';

/** Who wins when both sides changed the same field to different values. */
export type Policy =
  | { readonly kind: 'authority'; readonly of: SpokeName | 'hub' }
  | { readonly kind: 'latest' | 'max' | 'min' | 'union' | 'delta' | 'review' };

export type Direction = 'in' | 'out' | 'both';
export type DeletePolicy = 'propagate' | 'archive' | 'unlink' | 'ignore';
export type MatchKind = 'exact' | 'case-insensitive';

export interface HubField {
  readonly name: FieldName;
  readonly type: FieldType;
  /** decimal: digits after the point. */
  readonly scale: number | null;
  readonly maxLength: number | null;
  readonly values: readonly string[] | null;
  readonly required: boolean;
  /** ref: the entity pointed to. The value is that entity's hub id. */
  readonly ref: EntityName | null;
  readonly policy: Policy;
}

/** Fields that together identify a record; tried in order, the first rule whose fields are all non-empty decides. */
export interface MatchRule {
  readonly keys: readonly { readonly field: FieldName; readonly kind: MatchKind }[];
}

/** One hub field joined to one or more remote paths of one spoke. `get` and `put` are a lens: pure, throwing BadValue. */
export interface FieldMapping {
  readonly field: HubField;
  readonly direction: Direction;
  /** What the hub value is made of; also what is compared with the base. Empty for direction `out` without reads. */
  readonly reads: readonly RemotePath[];
  /** What `put` returns values for, same order. */
  readonly writes: readonly RemotePath[];
  /** Values of `reads`, same order → hub value in Postgres text form. Not used for ref fields with an id. */
  get(remote: readonly RemoteValue[]): HubValue;
  put(hub: HubValue): readonly RemoteValue[];
  /** '@parent' child fields: filled from the record that embeds this one. */
  readonly fromParent: boolean;
}

/** A value sent along with a create: a literal, or the id of the one record that a lookup finds at connect time. */
export type CreateDefault =
  | { readonly kind: 'literal'; readonly value: RemoteValue }
  | { readonly kind: 'find'; readonly object: ObjectName; readonly key: Readonly<Record<RemotePath, RemoteValue>> };

export interface SpokeMapping {
  readonly entity: EntityName;
  readonly spoke: SpokeName;
  /** `Contact`; for an embedded child `Order.lineItems`. */
  readonly object: ObjectName;
  /** For an embedded child: the parent's object and the child's name in it. */
  readonly embedded: {
    readonly parentEntity: EntityName;
    readonly parentObject: ObjectName;
    readonly child: string;
  } | null;
  /** Embedded child entities that travel with this object's records. */
  readonly embeds: readonly { readonly child: string; readonly entity: EntityName }[];
  readonly direction: Direction;
  /** May the engine create records in this spoke? */
  readonly create: boolean;
  readonly fields: readonly FieldMapping[];
  readonly defaults: Readonly<Record<RemotePath, CreateDefault>>;
  readonly delete: DeletePolicy;
  /** Every remote path that get or where needs, children included by name. */
  readonly paths: readonly RemotePath[];
  /** The texts behind `accepts` and `wants`; null without one. */
  readonly conditions: { readonly where: string | null; readonly when: string | null };
  /** Which remote records belong to the entity; true without a `where`. */
  accepts(remote: RemoteFields): boolean;
  /** Which hub records belong in this spoke; true without a `when`. */
  wants(hub: HubFields): boolean;
}

export interface Entity {
  readonly name: EntityName;
  /** `hub.<name>`, or an adopted table of the user's. */
  readonly table: { readonly schema: string; readonly name: string; readonly adopted: boolean; readonly id: string };
  readonly fields: readonly HubField[];
  readonly match: readonly MatchRule[];
  /** Some spoke archives: the table has `deleted_at`. */
  readonly archives: boolean;
  readonly spokes: ReadonlyMap<SpokeName, SpokeMapping>;
}

export interface Mapping {
  /** Parents before children; a circular reference is broken where it costs least and listed in `deferred`. */
  readonly entities: ReadonlyMap<EntityName, Entity>;
  /** Reference fields that are written in a second step because they close a circle. */
  readonly deferred: readonly { readonly entity: EntityName; readonly field: FieldName }[];
  /** SHA-256 of the canonical YAML, for mapping_version. */
  readonly digest: string;
}

/** Thrown by a lens for a value it cannot carry (unknown picklist value, NUL, not a number): the record is parked. */
export class BadValue extends Error {
  override readonly name = 'BadValue';
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** `sameHub('decimal', '1.50', '1.5')` is true: equality of the meaning, not of the text. NFC, precision and order of keys aside. */
export type SameHub = (type: FieldType, a: HubValue, b: HubValue) => boolean;
