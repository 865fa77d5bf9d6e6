// Owns the branded names of the domain. A brand costs nothing at run time and stops one id being passed for another.

type Brand<T, B extends string> = T & { readonly __brand: B };

/** Name of a configured remote system, e.g. `salesforce`. */
export type SpokeName = Brand<string, 'SpokeName'>;
/** Name of a hub entity, e.g. the one mapped to Contact. */
export type EntityName = Brand<string, 'EntityName'>;
/** Name of a field of a hub entity; also its column name. */
export type FieldName = Brand<string, 'FieldName'>;
/** Primary key of a hub row, as text whatever its column type. */
export type HubId = Brand<string, 'HubId'>;
/** Name of an object at a spoke, e.g. `Contact`; an embedded child is `Order.lineItems`. */
export type ObjectName = Brand<string, 'ObjectName'>;
/** Identity of a record at a spoke. */
export type ExternalId = Brand<string, 'ExternalId'>;
/** Name of a field of a remote object as its connector understands it, e.g. `Email`, `variant.price`. */
export type RemotePath = Brand<string, 'RemotePath'>;
/** Opaque inbound position; only the connector that made it reads it. */
export type Cursor = Brand<string, 'Cursor'>;
/**
 * When the remote says the record last changed, as text that compares with `<` within one object of one spoke
 * (fixed-width ISO 8601 in UTC, or a zero-padded counter). '' where the remote tells none.
 */
export type Version = Brand<string, 'Version'>;

export const spokeName = (text: string): SpokeName => text as SpokeName;
export const entityName = (text: string): EntityName => text as EntityName;
export const fieldName = (text: string): FieldName => text as FieldName;
export const hubId = (text: string): HubId => text as HubId;
export const objectName = (text: string): ObjectName => text as ObjectName;
export const externalId = (text: string): ExternalId => text as ExternalId;
export const remotePath = (text: string): RemotePath => text as RemotePath;
export const cursor = (text: string): Cursor => text as Cursor;
export const version = (text: string): Version => text as Version;
