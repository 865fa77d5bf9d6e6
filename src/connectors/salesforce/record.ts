// Owns the way from what Salesforce sends (JSON of the REST API, rows of a CSV) to a RemoteRecord. Both ways give equal values,
// or a backfill and a poll of the same record would look like a change. Pure.
import { externalId, hubId, objectName, version, type RemotePath, type Version } from '../../model/ids.js';
import type { RemoteRecord, RemoteValue } from '../../model/record.js';
import type { CatalogueField, CatalogueObject, Column } from './catalogue.js';
import type { Companion } from './companions.js';
import { id18 } from './errors.js';
import { stamp } from './soql.js';

export type Raw = Readonly<Record<string, unknown>>;

/** What to read of an object, resolved against the catalogue. */
export interface ReadPlan {
  readonly object: CatalogueObject;
  /** Id, SystemModstamp and what else of its kind the object has. */
  readonly system: readonly string[];
  readonly columns: readonly Column[];
  readonly hubKeyField: string | null;
  readonly companion: CompanionPlan | null;
}

export interface CompanionPlan {
  readonly definition: Companion;
  readonly object: CatalogueObject;
  readonly scopeId: string;
  /** Columns of the companion object; their contract path has the prefix. */
  readonly columns: readonly Column[];
}

export const companionSystem = ['Id', 'SystemModstamp', 'LastModifiedById', 'IsDeleted'] as const;

/** A cell of JSON or CSV. CSV has texts only, and an empty text is null there; Salesforce keeps no empty text either. */
export function valueOf(field: Pick<CatalogueField, 'type'>, raw: unknown): RemoteValue {
  if (raw === null || raw === undefined || raw === '') return null;
  switch (field.type) {
    case 'number': {
      const number = Number(raw);
      return Number.isFinite(number) ? number : String(raw);
    }
    case 'boolean':
      return raw === true || raw === 'true';
    case 'timestamp': {
      const ms = Date.parse(String(raw));
      return Number.isFinite(ms) ? stamp(ms) : String(raw);
    }
    case 'id':
      return id18(String(raw));
    case 'list':
      return String(raw).split(';');
    case 'text':
    case 'date':
      return String(raw);
    case 'json':
      return raw as RemoteValue;
    default:
      return field.type satisfies never;
  }
}

export function versionOf(raw: Raw): Version {
  const ms = Date.parse(String(raw['SystemModstamp']));
  return version(Number.isFinite(ms) ? stamp(ms) : '');
}

/** JSON nests parents, CSV flattens them under the header `Account.Name`. */
function cell(raw: Raw, column: Column): unknown {
  if (Object.hasOwn(raw, column.select)) return raw[column.select];
  let value: unknown = raw;
  for (const segment of column.segments) {
    if (typeof value !== 'object' || value === null) return null;
    value = (value as Raw)[segment];
  }
  return value;
}

const yes = (value: unknown): boolean => value === true || value === 'true';

export function toRecord(plan: ReadPlan, raw: Raw, companionRows: readonly Raw[], self: string | null): RemoteRecord {
  const fields: Record<RemotePath, RemoteValue> = {};
  for (const column of plan.columns) fields[column.path] = valueOf(column.field, cell(raw, column));
  const live = newest(companionRows.filter((row) => !yes(row['IsDeleted'])));
  for (const column of plan.companion?.columns ?? []) {
    fields[column.path] = live === null ? null : valueOf(column.field, cell(live, column));
  }
  const latest = newest([raw, ...companionRows]) ?? raw;
  const master = raw['MasterRecordId'];
  const hub = plan.hubKeyField === null ? null : raw[plan.hubKeyField];
  const authors = [raw, ...companionRows]
    .filter((row) => versionOf(row) === versionOf(latest))
    .map((row) => row['LastModifiedById']);
  return {
    object: objectName(plan.object.name),
    externalId: externalId(id18(String(raw['Id']))),
    version: versionOf(latest),
    deleted: yes(raw['IsDeleted']),
    hubKey: typeof hub === 'string' && hub !== '' ? hubId(hub) : null,
    modifiedBySelf: bySelf(authors, self),
    mergedInto: typeof master === 'string' && master !== '' ? externalId(id18(master)) : null,
    fields,
    children: {},
  };
}

/** Stamps have whole seconds: where two rows share the newest one, both must be ours. */
function bySelf(authors: readonly unknown[], self: string | null): boolean | null {
  if (self === null || !authors.every((author) => typeof author === 'string')) return null;
  return authors.every((author) => id18(author) === self);
}

function newest(rows: readonly Raw[]): Raw | null {
  let best: Raw | null = null;
  for (const row of rows) if (best === null || versionOf(row) > versionOf(best)) best = row;
  return best;
}

/** Rows of the child relationship inside a JSON record. */
export function childRows(plan: ReadPlan, raw: Raw): readonly Raw[] {
  const name = plan.companion?.definition.relationship;
  const child = name === undefined ? null : (raw[name] as { records?: unknown } | null | undefined);
  return Array.isArray(child?.records) ? (child.records as Raw[]) : [];
}

/** A value on its way out. Lists are one text in Salesforce; everything that is not JSON is a defect of ours, not bad input. */
export function outgoing(field: CatalogueField, value: RemoteValue): null | string | number | boolean {
  if (value === null) return null;
  if (Array.isArray(value)) {
    if (field.type !== 'list') throw new TypeError(`${field.name} takes one value, not a list`);
    return value.length === 0 ? null : value.join(';');
  }
  if (typeof value === 'object') throw new TypeError(`${field.name} cannot hold an object`);
  return value as string | number | boolean;
}
