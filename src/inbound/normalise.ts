// Stage 2 of inbound: a remote record in the spoke's words → hub fields in ours. Pure.
// Absent stays absent: a path that was not observed makes its field not observed, never null.
import { BadValue, type FieldMapping, type SpokeMapping } from '../mapping/mapping.js';
import type { EntityName, ExternalId, FieldName, HubId } from '../model/ids.js';
import { externalId } from '../model/ids.js';
import { imageOf } from '../model/link.js';
import type { HubValue, RemoteRecord, RemoteValue } from '../model/record.js';

export interface ObservedField {
  readonly hub: HubValue;
  /** What is kept as the base's remote half. */
  readonly remote: RemoteValue;
}

export type ObservedFields = Readonly<Record<FieldName, ObservedField>>;

export interface Missing {
  readonly entity: EntityName;
  readonly externalId: ExternalId;
}

export type Normalised =
  /** `later`: references of a circle whose target has no link yet; the record goes on without them (F121). */
  | { readonly kind: 'observed'; readonly fields: ObservedFields; readonly later: readonly Missing[] }
  /** A reference points to a record that has no link yet: the child waits. */
  | { readonly kind: 'waits'; readonly missing: readonly Missing[] }
  | { readonly kind: 'bad'; readonly field: FieldName; readonly code: string; readonly message: string };

/** Hub id of a linked record of the same spoke, or undefined. */
export type ResolveRef = (entity: EntityName, externalId: ExternalId) => HubId | undefined;

/** The values of the mapping's paths, or null when one of them was not observed. */
export function readsOf(field: FieldMapping, record: RemoteRecord): readonly RemoteValue[] | null {
  const values: RemoteValue[] = [];
  for (const path of field.reads) {
    const value = record.fields[path];
    if (value === undefined) return null;
    values.push(value);
  }
  return values;
}

export function normalise(
  mapping: SpokeMapping,
  record: RemoteRecord,
  parent: ExternalId | null,
  resolve: ResolveRef,
  deferred: ReadonlySet<FieldName>,
): Normalised {
  // A literal: `Object.create(null)` makes a dictionary, slow to fill and to read.
  const fields = { __proto__: null } as unknown as Record<FieldName, ObservedField>;
  const missing: Missing[] = [];
  const later: Missing[] = [];
  for (const field of mapping.fields) {
    if (field.direction === 'out' && field.reads.length === 0) continue;
    const values: readonly RemoteValue[] | null = field.fromParent
      ? parent === null
        ? null
        : [parent]
      : readsOf(field, record);
    if (values === null || values.length === 0) continue;
    const remote = imageOf(values);
    const { ref } = field.field;
    if (ref !== null) {
      const target = values[0];
      if (target === null || target === undefined || target === '') {
        fields[field.field.name] = { hub: null, remote };
        continue;
      }
      const id = externalId(String(target));
      const found = resolve(ref, id);
      if (found === undefined) (deferred.has(field.field.name) ? later : missing).push({ entity: ref, externalId: id });
      else fields[field.field.name] = { hub: found, remote };
      continue;
    }
    try {
      fields[field.field.name] = { hub: field.get(values), remote };
    } catch (error) {
      if (error instanceof BadValue)
        return { kind: 'bad', field: field.field.name, code: error.code, message: error.message };
      throw error;
    }
  }
  return missing.length > 0 ? { kind: 'waits', missing } : { kind: 'observed', fields, later };
}

/** External ids that `normalise` will ask for, so that they can be resolved for a whole batch in one query. */
export function refsOf(mapping: SpokeMapping, record: RemoteRecord, parent: ExternalId | null): readonly Missing[] {
  const refs: Missing[] = [];
  for (const field of mapping.fields) {
    const { ref } = field.field;
    if (ref === null) continue;
    const target = field.fromParent ? parent : readsOf(field, record)?.[0];
    if (target !== null && target !== undefined && target !== '')
      refs.push({ entity: ref, externalId: externalId(String(target)) });
  }
  return refs;
}
