// Reads one captured row: which hub record, what changed, who caused it, which spokes may care. Pure, and lean: it runs for every
// row of the WAL. An unchanged TOAST value is unchanged, never null (F49).
import { fromWal } from '../mapping/values.js';
import type { Entity } from '../mapping/mapping.js';
import { fieldName, hubId, type EntityName, type FieldName, type HubId, type SpokeName } from '../model/ids.js';
import type { Relation, SourceMessage, Tuple } from '../model/change.js';
import type { HubFields, HubValue } from '../model/record.js';
import { concerns, type Route } from './route.js';

export interface CapturedTable {
  readonly entity: Entity;
  readonly routes: readonly Route[];
}

/** `schema.table` → what is known of it. */
export type TableMap = ReadonlyMap<string, CapturedTable>;

export interface Target {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
  readonly hubId: HubId;
  /** The changed fields that concern the spoke, as they are now; null where that is not the whole story. */
  readonly after: HubFields | null;
}

export interface CapturedChange {
  readonly entity: EntityName;
  readonly hubId: HubId;
  readonly op: 'insert' | 'update' | 'delete';
  readonly origin: string;
  readonly trace: string | null;
  readonly lane: 0 | 2;
  readonly before: Record<FieldName, HubValue> | null;
  readonly after: Record<FieldName, HubValue> | null;
  readonly rekeyedFrom: HubId | null;
  readonly targets: readonly Target[];
  /** Parents that embed the row, and that the WAL does not name: their links do. */
  readonly unnamed: readonly Route[];
}

export interface ChangeReader {
  begin(): void;
  /** The transaction says who caused it. Provenance only: forging it hides nothing (law 1, F136). */
  mark(content: string): void;
  origin(): string;
  /** null: not a table of the mapping. */
  read(message: Extract<SourceMessage, { kind: 'insert' | 'update' | 'delete' }>): CapturedChange | null;
}

interface ReadPlan {
  readonly table: CapturedTable;
  readonly id: number;
  readonly columns: readonly { readonly index: number; readonly field: FieldName; readonly typeOid: number }[];
}

export const applicationOrigin = 'application';

export function createChangeReader(tables: TableMap): ChangeReader {
  const plans = new WeakMap<Relation, ReadPlan | 'foreign'>();
  let origin = applicationOrigin;
  let trace: string | null = null;
  let lane: 0 | 2 = 0;
  const planOf = (relation: Relation): ReadPlan | 'foreign' => {
    const known = plans.get(relation);
    if (known !== undefined) return known;
    const made = plan(tables, relation);
    plans.set(relation, made);
    return made;
  };
  return {
    begin() {
      [origin, trace, lane] = [applicationOrigin, null, 0];
    },
    mark(content) {
      const marker = parseMarker(content);
      if (marker !== null) ({ origin, trace, lane } = marker);
    },
    origin: () => origin,
    read(message) {
      const found = planOf(message.relation);
      return found === 'foreign' ? null : change(found, message, { origin, trace, lane });
    },
  };
}

function plan(tables: TableMap, relation: Relation): ReadPlan | 'foreign' {
  const table = tables.get(`${relation.schema}.${relation.table}`);
  if (table === undefined) return 'foreign';
  const fields = new Set<string>(table.entity.fields.map((field) => field.name));
  if (table.entity.archives) fields.add('deleted_at');
  return {
    table,
    id: relation.columns.findIndex((column) => column.name === table.entity.table.id),
    columns: relation.columns
      .map((column, index) => ({ index, field: fieldName(column.name), typeOid: column.typeOid }))
      .filter((column) => fields.has(column.field)),
  };
}

type Marker = { readonly origin: string; readonly trace: string | null; readonly lane: 0 | 2 };

function parseMarker(content: string): Marker | null {
  try {
    const value: unknown = JSON.parse(content);
    if (typeof value !== 'object' || value === null) return null;
    const { origin, trace, lane } = value as Record<string, unknown>;
    if (typeof origin !== 'string' || origin.length > 100) return null;
    return {
      origin,
      trace: typeof trace === 'string' && trace.length <= 200 ? trace : null,
      lane: lane === 'backfill' ? 2 : 0,
    };
  } catch {
    // Anyone may emit a message with our prefix; one that is not ours marks nothing.
    return null;
  }
}

function change(
  { table, id, columns }: ReadPlan,
  message: Extract<SourceMessage, { kind: 'insert' | 'update' | 'delete' }>,
  marker: Marker,
): CapturedChange {
  const now: Tuple | null = message.kind === 'delete' ? null : message.new;
  const old: Tuple | null = message.kind === 'insert' ? null : message.old;
  const key = hubId(now?.[id] ?? old?.[id] ?? '');
  const oldKey = old?.[id];
  // Without the whole old row (no REPLICA IDENTITY FULL) it is not known what changed: everything may have.
  const full = message.kind === 'update' && message.relation.replicaIdentity === 'full' && old !== null;
  const before: Record<FieldName, HubValue> = {};
  const after: Record<FieldName, HubValue> = {};
  const changed = full ? new Set<FieldName>() : null;
  for (const { index, field, typeOid } of columns) {
    const value = now?.[index];
    const prior = old?.[index];
    if (full && value !== undefined && value === prior) continue;
    if (value !== undefined) {
      after[field] = fromWal(typeOid, value);
      changed?.add(field);
    }
    if (prior !== undefined && (message.kind === 'delete' || value !== undefined))
      before[field] = fromWal(typeOid, prior);
  }
  if (changed?.has(fieldName('deleted_at')) === true) for (const field of table.entity.fields) changed.add(field.name);
  return {
    entity: table.entity.name,
    hubId: key,
    op: message.kind,
    ...marker,
    before: old === null ? null : before,
    after: now === null ? null : after,
    rekeyedFrom: now !== null && oldKey !== undefined && oldKey !== null && oldKey !== key ? hubId(oldKey) : null,
    targets: targets(table, key, message.kind === 'delete' ? null : after, changed, (field) => {
      const index = columns.find((column) => column.field === field)?.index ?? -1;
      return [now?.[index], old?.[index]];
    }),
    unnamed:
      message.kind === 'insert' || message.relation.replicaIdentity === 'full'
        ? none
        : table.routes.filter(({ parentField }) => parentField !== null),
  };
}

const none: readonly Route[] = [];

function targets(
  table: CapturedTable,
  key: HubId,
  after: Record<FieldName, HubValue> | null,
  changed: ReadonlySet<FieldName> | null,
  valuesOf: (field: FieldName) => readonly (HubValue | undefined)[],
): readonly Target[] {
  const found: Target[] = [];
  for (const route of table.routes) {
    if (!concerns(route, changed)) continue;
    if (route.parentField === null) {
      found.push({ spoke: route.spoke, entity: route.target, hubId: key, after: concerning(route, after) });
      continue;
    }
    // A child moved from one parent to another concerns both.
    for (const parent of new Set(valuesOf(route.parentField))) {
      if (typeof parent === 'string')
        found.push({ spoke: route.spoke, entity: route.target, hubId: hubId(parent), after: null });
    }
  }
  return found;
}

/** An archived or revived row concerns more than its fields: null makes a delivery in any case. `after` itself where all of it concerns. */
function concerning(route: Route, after: Record<FieldName, HubValue> | null): HubFields | null {
  if (after === null || fieldName('deleted_at') in after) return null;
  let all = true;
  for (const field in after) all &&= route.fields.has(field as FieldName);
  if (all) return after;
  const fields: Record<FieldName, HubValue> = {};
  for (const field of route.fields) {
    const value = after[field];
    if (value !== undefined) fields[field] = value;
  }
  return fields;
}
