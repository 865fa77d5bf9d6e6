// Owns reading present records: by id, by key, and the cheap inventory. Bounded queries, no state.
import { SpokePaused } from '../../base/errors.js';
import { externalId, type ExternalId } from '../../model/ids.js';
import type { RemoteFields, RemoteRecord, RemoteValue } from '../../model/record.js';
import type { CallOptions, FindKey, InventoryPage } from '../connector.js';
import type { Catalogue, Column } from './catalogue.js';
import { id18, isId } from './errors.js';
import { selectFrom } from './plan.js';
import type { Query } from './query.js';
import { childRows, toRecord, valueOf, type Raw, type ReadPlan } from './record.js';
import { encodedLength, groups, literal, quoted, soqlUrlMax, Unspeakable } from './soql.js';

export const idsPerQuery = 400;
const keysPerQuery = 200;
const inventoryRows = 2_000;

export interface ReadParts {
  readonly spoke: string;
  readonly query: Query;
  readonly catalogue: Catalogue;
  /** Our own user id; null where the login does not tell. */
  readonly self: (options: CallOptions) => Promise<string | null>;
}

/** Records by id, deleted ones included. Ids that are none are left out: no such record exists. */
export async function fetchByIds(
  parts: ReadParts,
  plan: ReadPlan,
  ids: readonly string[],
  options: CallOptions,
): Promise<RemoteRecord[]> {
  const self = await parts.self(options);
  const select = selectFrom(plan, true);
  const wanted = [...new Set(ids.filter(isId).map(id18))];
  const records: RemoteRecord[] = [];
  for (const group of groups(wanted, () => 27, room(select), idsPerQuery)) {
    const soql = `${select} WHERE Id IN (${group.map(quoted).join(',')})`;
    const rows = await parts.query.all(soql, { ...options, deleted: true });
    records.push(...rows.map((raw) => toRecord(plan, raw, childRows(plan, raw), self)));
  }
  return records;
}

const room = (select: string): number => Math.max(100, soqlUrlMax - encodedLength(select));

/** One list a key, same order. Text is compared as Salesforce compares: without case unless the field says otherwise. */
export async function findByKeys(
  parts: ReadParts,
  plan: ReadPlan,
  keys: readonly FindKey[],
  options: CallOptions,
): Promise<RemoteRecord[][]> {
  const conditions: {
    readonly at: number;
    readonly columns: readonly Column[];
    readonly values: readonly RemoteValue[];
    readonly text: string;
  }[] = [];
  for (const [at, key] of keys.entries()) {
    const columns = await keyColumns(parts, plan, key, options);
    const values = key.by === 'hubId' ? [key.hubId] : Object.values(key.values);
    // Nothing in the remote can equal a value that its field cannot hold.
    const text = columns.length === 0 ? null : spoken(columns, values);
    if (text !== null) conditions.push({ at, columns, values, text });
  }
  const self = await parts.self(options);
  const found: RemoteRecord[][] = keys.map(() => []);
  const wide: ReadPlan = { ...plan, columns: dedupe([...plan.columns, ...conditions.flatMap((one) => one.columns)]) };
  const select = selectFrom(wide, true);
  for (const group of groups(conditions, (one) => encodedLength(one.text) + 20, room(select), keysPerQuery)) {
    const rows = await parts.query.all(`${select} WHERE ${anyOf(group)}`, options);
    for (const raw of rows) {
      const shown = toRecord(wide, raw, childRows(wide, raw), self);
      const record = { ...shown, fields: only(shown.fields, plan) };
      for (const { at, columns, values } of group) {
        if (columns.every((column, n) => equal(column, shown.fields[column.path] ?? null, values[n] ?? null)))
          found[at]?.push(record);
      }
    }
  }
  return found;
}

async function keyColumns(parts: ReadParts, plan: ReadPlan, key: FindKey, options: CallOptions): Promise<Column[]> {
  const paths = key.by === 'hubId' ? (plan.hubKeyField === null ? [] : [plan.hubKeyField]) : Object.keys(key.values);
  const columns: Column[] = [];
  for (const path of paths) {
    const column = await parts.catalogue.column(plan.object, path, options);
    if (column === null || !column.field.filterable || column.field.type === 'list') {
      throw new SpokePaused({
        spoke: parts.spoke,
        code: 'not_in_catalogue',
        message: `${parts.spoke}: ${plan.object.name}.${path} cannot be searched for; no call was made`,
        hint: 'match by another field, or give the integration user access',
      });
    }
    columns.push(column);
  }
  return columns;
}

function spoken(columns: readonly Column[], values: readonly RemoteValue[]): string | null {
  try {
    return columns.map((column, n) => `${column.select} = ${literal(column.field, values[n] ?? null)}`).join(' AND ');
  } catch (error) {
    if (error instanceof Unspeakable) return null;
    throw error;
  }
}

/** One IN list where every key asks for the same single path, else a disjunction. */
function anyOf(group: readonly { columns: readonly Column[]; values: readonly RemoteValue[]; text: string }[]): string {
  const path = group[0]?.columns[0];
  const same =
    path !== undefined &&
    group.every((one) => one.columns.length === 1 && one.columns[0]?.select === path.select && one.values[0] !== null);
  if (same)
    return `${path.select} IN (${[...new Set(group.map((one) => literal(path.field, one.values[0] ?? null)))].join(',')})`;
  return group.map((one) => `(${one.text})`).join(' OR ');
}

function dedupe(columns: readonly Column[]): Column[] {
  return [...new Map(columns.map((column) => [column.path, column])).values()];
}

function only(fields: RemoteFields, plan: ReadPlan): RemoteFields {
  const paths = new Set([...plan.columns, ...(plan.companion?.columns ?? [])].map((column) => column.path as string));
  return Object.fromEntries(Object.entries(fields).filter(([path]) => paths.has(path)));
}

function equal(column: Column, shown: RemoteValue, asked: RemoteValue): boolean {
  const a = valueOf(column.field, shown);
  const b = valueOf(column.field, asked);
  if (typeof a !== 'string' || typeof b !== 'string' || column.field.caseSensitive) return a === b;
  const plain = (text: string): string => text.trim().normalize('NFC').toLowerCase();
  return plain(a) === plain(b);
}

/** Live records, keyset-paged by id; `last` comes only after the listing is complete. */
export async function* inventoryOf(
  parts: ReadParts,
  plan: ReadPlan,
  options: CallOptions,
): AsyncGenerator<InventoryPage> {
  const bare: ReadPlan = {
    ...plan,
    columns: [],
    companion: plan.companion === null ? null : { ...plan.companion, columns: [] },
  };
  const select = selectFrom(bare, true);
  let after: ExternalId | null = null;
  for (;;) {
    const where: string = after === null ? '' : ` WHERE Id > ${quoted(after)}`;
    const rows: readonly Raw[] = await parts.query.all(`${select}${where} ORDER BY Id LIMIT ${inventoryRows}`, options);
    const records = rows.map((raw) => toRecord(bare, raw, childRows(bare, raw), null));
    const last = rows.length < inventoryRows;
    yield { entries: records.map((record) => ({ externalId: record.externalId, version: record.version })), last };
    if (last) return;
    after = externalId(String(rows.at(-1)?.['Id']));
  }
}
