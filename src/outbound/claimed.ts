// Loads what diffing a claim needs: links, then hub rows, references, fields held for a person. Set-based, no locks: what changes
// after this bumps the delivery's generation and is diffed again. Never gives a link that is newer than the row beside it.
import { must } from '../base/assert.js';
import type { Entity, Mapping, SpokeMapping } from '../mapping/mapping.js';
import { hubId, type EntityName, type ExternalId, type FieldName, type HubId } from '../model/ids.js';
import type { Link } from '../model/link.js';
import type { HubRow } from '../model/record.js';
import { openConflictFields } from '../store/conflicts.js';
import type { Claimed } from '../store/deliveries.js';
import { readRows, type HubTable } from '../store/hub.js';
import { linksByHub, refKey, resolveHub } from '../store/links.js';
import type { Queryable } from '../store/pool.js';
import type { Difference, DiffInput } from './diff.js';

export interface ClaimContext {
  readonly mapping: SpokeMapping;
  readonly entity: Entity;
  readonly rows: ReadonlyMap<HubId, HubRow>;
  readonly links: ReadonlyMap<HubId, Link>;
  readonly held: ReadonlyMap<HubId, ReadonlySet<string>>;
  readonly resolve: (entity: EntityName, id: HubId) => ExternalId | undefined;
  readonly mapped: (entity: EntityName) => boolean;
  readonly deferred: ReadonlySet<FieldName>;
}

export async function loadClaim(
  db: Queryable,
  whole: Mapping,
  mapping: SpokeMapping,
  table: HubTable,
  claimed: readonly { readonly hubId: HubId }[],
): Promise<ClaimContext> {
  const ids = claimed.map((delivery) => delivery.hubId);
  const feed = { spoke: mapping.spoke, entity: mapping.entity };
  // First: what inbound commits after this has the condition of the write refused. The other way round the old value of the row would go
  // out under the new version.
  const links = await linksByHub(db, feed, ids);
  const [rows, held] = await Promise.all([
    readRows(db, table, ids, { lock: false }),
    openConflictFields(db, feed, ids),
  ]);
  const resolved = await resolveHub(db, mapping.spoke, refsOf(mapping, [...rows.values()]));
  const { deferred } = whole;
  return {
    mapping,
    entity: must(whole.entities.get(mapping.entity), mapping.entity),
    rows,
    links,
    held,
    resolve: (entity, id) => resolved.get(refKey(entity, id)),
    mapped: (entity) => canExist(whole, mapping, entity),
    deferred: new Set(deferred.filter((one) => one.entity === mapping.entity).map((one) => one.field)),
  };
}

export function refsOf(
  mapping: SpokeMapping,
  rows: readonly HubRow[],
): readonly { readonly entity: EntityName; readonly hubId: HubId }[] {
  const refs = mapping.fields.filter((field) => field.field.ref !== null && field.direction !== 'in');
  const found: { entity: EntityName; hubId: HubId }[] = [];
  for (const row of rows) {
    for (const { field } of refs) {
      const value = row.fields[field.name];
      if (field.ref !== null && value !== null && value !== undefined) {
        found.push({ entity: field.ref, hubId: hubId(value) });
      }
    }
  }
  return found;
}

function canExist(whole: Mapping, mapping: SpokeMapping, entity: EntityName): boolean {
  return whole.entities.get(entity)?.spokes.has(mapping.spoke) ?? false;
}

/** The input of one record's diff. */
export function diffInput(
  context: ClaimContext,
  delivery: Pick<Claimed, 'hubId' | 'observed'>,
  undelete: boolean,
): DiffInput {
  return {
    mapping: context.mapping,
    row: context.rows.get(delivery.hubId) ?? null,
    link: context.links.get(delivery.hubId) ?? null,
    held: context.held.get(delivery.hubId) ?? new Set(),
    observed: delivery.observed,
    deferred: context.deferred,
    resolve: context.resolve,
    mapped: context.mapped,
    undelete,
  };
}

export type DifferenceOf<K extends Difference['kind']> = Extract<Difference, { readonly kind: K }>;

/** One claimed delivery with what must be sent for it. */
export interface Planned {
  readonly delivery: Claimed;
  readonly difference: Difference;
}

/** The row is gone, and so must be what the spoke keeps of it. */
export function isRemovalOfRow(context: ClaimContext, { delivery, difference }: Planned): boolean {
  return (difference.kind === 'delete' || difference.kind === 'unlink') && !context.rows.has(delivery.hubId);
}
