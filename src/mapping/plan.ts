// Owns the difference between the tables that a mapping wants and those that the hub has, as SQL text to show and to run.
// Pure: the catalogue comes in. Only ever adds (tables, columns, keys, indexes); a column of another type, a missing adopted
// table or a field that left the mapping is reported, never dropped or retyped.
import { createHash } from 'node:crypto';
import type { Problem } from '../base/errors.js';
import type { Entity, HubField, Mapping, MatchRule } from './mapping.js';
import { quoteName, quoteQualified } from './names.js';
import { sqlType } from './values.js';

export interface CatalogueColumn {
  readonly name: string;
  /** `format_type(atttypid, atttypmod)`: `numeric(38,2)`, `timestamp with time zone`. */
  readonly type: string;
  readonly notNull: boolean;
}

export interface CatalogueTable {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly CatalogueColumn[];
  /** Column names, in order. Empty = no primary key. */
  readonly primaryKey: readonly string[];
  /** Index names, with the schema left out. */
  readonly indexes: readonly string[];
  /** Constraint names of foreign keys. */
  readonly foreignKeys: readonly string[];
  /** Names of check constraints. */
  readonly checks: readonly string[];
}

export interface PlanStep {
  readonly kind: 'create schema' | 'create table' | 'add column' | 'replace check' | 'add key' | 'add index';
  /** What the step is for, for people. */
  readonly reason: string;
  readonly sql: string;
}

export interface HubPlan {
  /** In the order in which they must run; empty = the hub is as the mapping wants it. */
  readonly steps: readonly PlanStep[];
  /** The mapping cannot be applied. */
  readonly problems: readonly Problem[];
  /** True and harmless: a column that no field uses any more. */
  readonly notes: readonly string[];
}

export function planHub(mapping: Mapping, catalogue: readonly CatalogueTable[]): HubPlan {
  const entities = [...mapping.entities.values()];
  const steps: PlanStep[] = [];
  const problems: Problem[] = [];
  const notes: string[] = [];
  const find = (entity: Entity): CatalogueTable | undefined =>
    catalogue.find(({ schema, name }) => schema === entity.table.schema && name === entity.table.name);
  if (entities.some((entity) => !entity.table.adopted && find(entity) === undefined)) {
    steps.push({
      kind: 'create schema',
      reason: 'the tables that applications see',
      sql: 'create schema if not exists hub',
    });
  }
  const idType = (name: string): string => {
    const entity = mapping.entities.get(name as Entity['name']);
    return entity === undefined ? 'uuid' : idTypeOf(entity, find(entity));
  };
  for (const entity of entities) {
    const table = find(entity);
    if (table === undefined && entity.table.adopted) problems.push(missing(entity));
    else if (table === undefined) steps.push(createTable(entity, idType));
    else compareTable(entity, table, idType, { steps, problems, notes });
  }
  // Keys and indexes after all tables: a circle of references needs both ends first.
  for (const entity of entities) {
    const table = find(entity);
    if (entity.table.adopted && table === undefined) continue;
    steps.push(...keysOf(entity, mapping, table), ...indexesOf(entity, table));
  }
  return { steps, problems, notes };
}

/**
 * SQL that yields a column's HubValue text, for every reader of the hub. `qualifier`: a table alias.
 * The session must be in UTC with ISO dates; `column` may be any name: it is quoted.
 */
export function canonicalExpression(column: string, qualifier?: string): string {
  return `${qualifier === undefined ? '' : `${quoteName(qualifier)}.`}${quoteName(column)}::text`;
}

/** `hub.x`, quoted where an adopted table needs it. */
export function tableName(entity: Entity): string {
  return quoteQualified(entity.table.schema, entity.table.name);
}

/** A match key as SQL compares it; the index is on the same expression. */
export function matchExpression(key: MatchRule['keys'][number], qualifier?: string): string {
  const column = `${qualifier === undefined ? '' : `${quoteName(qualifier)}.`}${quoteName(key.field)}`;
  return key.kind === 'case-insensitive' ? `lower(${column})` : column;
}

function idTypeOf(entity: Entity, table: CatalogueTable | undefined): string {
  return table?.columns.find(({ name }) => name === entity.table.id)?.type ?? 'uuid';
}

function createTable(entity: Entity, idType: (name: string) => string): PlanStep {
  const columns = entity.fields.map((field) => `  ${columnDefinition(field, idType)}`);
  const lines = ['  id uuid primary key default truespoke.uuid_v7()', ...columns];
  if (entity.archives) lines.push('  deleted_at timestamptz');
  const checks = entity.fields.flatMap((field) => checksOf(entity, field));
  lines.push(...checks.map(({ name, condition }) => `  constraint ${quoteName(name)} check (${condition})`));
  return {
    kind: 'create table',
    reason: `entity ${entity.name}`,
    sql: `create table ${tableName(entity)} (\n${lines.join(',\n')}\n)`,
  };
}

function columnDefinition(field: HubField, idType: (name: string) => string): string {
  const notNull = field.required ? ' not null' : '';
  return `${quoteName(field.name)} ${typeOf(field, idType)}${notNull}`;
}

interface Check {
  readonly name: string;
  readonly condition: string;
}

/** The name carries a digest of the rule: an edit of the mapping is seen by the name alone. */
function checksOf(entity: Entity, field: HubField): readonly Check[] {
  const column = quoteName(field.name);
  const rules: (readonly [string, string])[] = [];
  if (field.maxLength !== null) rules.push(['max', `char_length(${column}) <= ${field.maxLength}`]);
  if (field.values !== null) rules.push(['values', `${column} in (${field.values.map(quoteText).join(', ')})`]);
  return rules.map(([kind, condition]) => {
    const digest = createHash('sha256').update(condition).digest('hex').slice(0, 8);
    return { name: `${checkPrefix(entity, field, kind)}${digest}`, condition };
  });
}

function checkPrefix(entity: Entity, field: HubField, kind: string): string {
  return `${shortened(`${entity.table.name}_${field.name}`, 63 - kind.length - 10)}_${kind}_`;
}

function typeOf(field: HubField, idType: (name: string) => string): string {
  return sqlType(field, field.ref === null ? undefined : idType(field.ref));
}

function quoteText(text: string): string {
  const quoted = `'${text.replace(/'/g, "''")}'`;
  return text.includes('\\') ? ` E${quoted.replace(/\\/g, '\\\\')}` : quoted;
}

interface Findings {
  readonly steps: PlanStep[];
  readonly problems: Problem[];
  readonly notes: string[];
}

function compareTable(
  entity: Entity,
  table: CatalogueTable,
  idType: (name: string) => string,
  findings: Findings,
): void {
  const name = tableName(entity);
  const report = (message: string, hint: string): void =>
    void findings.problems.push({ message: `${name}: ${message}`, hint });
  if (table.primaryKey.length !== 1 || table.primaryKey[0] !== entity.table.id) {
    const found = table.primaryKey.length === 0 ? 'it has none' : `it is (${table.primaryKey.join(', ')})`;
    report(
      `the primary key must be the single column '${entity.table.id}'; ${found}`,
      'without it, changes cannot be captured: add one, or name another table',
    );
  }
  for (const field of entity.fields) {
    const column = table.columns.find((candidate) => candidate.name === field.name);
    if (column === undefined) {
      if (entity.table.adopted)
        report(
          `the column '${field.name}' does not exist`,
          'add it, or take the field out of the mapping: an adopted table is never altered',
        );
      else findings.steps.push(addColumn(entity, field, idType, findings.notes));
      continue;
    }
    const wanted = typeOf(field, idType);
    if (!accepts(field, wanted, column.type, entity.table.adopted)) {
      report(
        `the column '${field.name}' is ${column.type}, the mapping wants ${wanted}`,
        'change the mapping, or convert the column yourself: types are never changed silently',
      );
    }
  }
  const archive = table.columns.find((column) => column.name === 'deleted_at');
  if (entity.archives && archive === undefined) {
    if (entity.table.adopted)
      report("a spoke archives, so the table needs 'deleted_at timestamptz'", 'add it, or choose another `delete`');
    else
      findings.steps.push({
        kind: 'add column',
        reason: `${entity.name} archives`,
        sql: `alter table ${name} add column deleted_at timestamptz`,
      });
  }
  if (entity.table.adopted) return;
  findings.steps.push(...entity.fields.flatMap((field) => checkSteps(entity, field, table)));
  const known = new Set<string>([entity.table.id, 'deleted_at', ...entity.fields.map((field) => field.name)]);
  for (const column of table.columns) {
    if (!known.has(column.name))
      findings.notes.push(`${name}.${quoteName(column.name)} is in no mapping; it is left as it is`);
  }
}

function addColumn(entity: Entity, field: HubField, idType: (name: string) => string, notes: string[]): PlanStep {
  // Rows that are there already have no value: NOT NULL is the owner's to add once they have.
  if (field.required)
    notes.push(`${tableName(entity)}.${field.name} is added without NOT NULL; add it when every row has a value`);
  const sql = `alter table ${tableName(entity)} add column ${columnDefinition({ ...field, required: false }, idType)}`;
  return { kind: 'add column', reason: `${entity.name}.${field.name}`, sql };
}

/** Rules of the mapping that the table does not have yet; an older form of the same rule goes in the same statement. */
function checkSteps(entity: Entity, field: HubField, table: CatalogueTable): PlanStep[] {
  const wanted = checksOf(entity, field);
  const ours = ['max', 'values'].map((kind) => checkPrefix(entity, field, kind));
  const stale = table.checks.filter((name) => {
    const prefix = ours.find((candidate) => name.startsWith(candidate));
    return (
      prefix !== undefined &&
      /^[0-9a-f]{8}$/.test(name.slice(prefix.length)) &&
      !wanted.some((check) => check.name === name)
    );
  });
  const added = wanted.filter((check) => !table.checks.includes(check.name));
  const parts = [
    ...stale.map((name) => `drop constraint ${quoteName(name)}`),
    // Not valid: rows that are there already stay as they are, new values are checked.
    ...added.map(({ name, condition }) => `add constraint ${quoteName(name)} check (${condition}) not valid`),
  ];
  if (parts.length === 0) return [];
  return [
    {
      kind: 'replace check',
      reason: `values of ${entity.name}.${field.name}`,
      sql: `alter table ${tableName(entity)} ${parts.join(', ')}`,
    },
  ];
}

const aliases: Readonly<Record<string, string>> = { timestamptz: 'timestamp with time zone' };
/** Types of adopted tables whose text form is the one of the field type. */
const adoptable: Readonly<Record<HubField['type'], RegExp>> = {
  text: /^(?!(smallint|integer|bigint|numeric|real|double|boolean|date|time|json|bytea|money)).*(?<!\[\])$/,
  integer: /^(smallint|integer|bigint|numeric(\(\d+,0\))?)$/,
  decimal: /^(numeric(\(\d+,\d+\))?|smallint|integer|bigint|real|double precision)$/,
  boolean: /^boolean$/,
  date: /^date$/,
  timestamp: /^timestamp(\(\d\))? with time zone$/,
  json: /^jsonb?$/,
  list: /^(text|character varying)(\(\d+\))?\[\]$/,
  ref: /.+/,
};

function accepts(field: HubField, wanted: string, present: string, adopted: boolean): boolean {
  if (present === (aliases[wanted] ?? wanted)) return true;
  return adopted && field.type !== 'ref' && adoptable[field.type].test(present);
}

function keysOf(entity: Entity, mapping: Mapping, table: CatalogueTable | undefined): PlanStep[] {
  if (entity.table.adopted) return [];
  return entity.fields.flatMap((field) => {
    const target = field.ref === null ? undefined : mapping.entities.get(field.ref);
    if (target === undefined) return [];
    const key = constraintName(entity.table.name, field.name, 'fkey');
    if (table?.foreignKeys.includes(key) === true) return [];
    // Deferrable: one transaction may bring child and parent in either order.
    const sql =
      `alter table ${tableName(entity)} add constraint ${quoteName(key)} foreign key (${quoteName(field.name)}) ` +
      `references ${tableName(target)} (${quoteName(target.table.id)}) on delete restrict deferrable initially deferred`;
    return [{ kind: 'add key', reason: `${entity.name}.${field.name} → ${target.name}`, sql }];
  });
}

function indexesOf(entity: Entity, table: CatalogueTable | undefined): PlanStep[] {
  if (entity.table.adopted) return [];
  const wanted = [
    ...entity.match.map((rule) => ({
      parts: rule.keys.map((key) => matchExpression(key)),
      names: rule.keys.map((key) => `${key.field}${key.kind === 'exact' ? '' : '_lower'}`),
    })),
    // A foreign key without an index makes every delete of a parent read the whole child table.
    ...entity.fields
      .filter((field) => field.ref !== null)
      .map((field) => ({ parts: [quoteName(field.name)], names: [field.name as string] })),
  ];
  const seen = new Set<string>();
  return wanted.flatMap(({ parts, names }) => {
    const name = constraintName(entity.table.name, names.join('_'), 'idx');
    if (seen.has(name) || table?.indexes.includes(name) === true) return [];
    seen.add(name);
    return [
      {
        kind: 'add index',
        reason: `${entity.name} by ${parts.join(', ')}`,
        sql: `create index ${quoteName(name)} on ${tableName(entity)} (${parts.join(', ')})`,
      },
    ];
  });
}

function constraintName(table: string, column: string, kind: string): string {
  return `${shortened(`${table}_${column}`, 62 - kind.length)}_${kind}`;
}

/** Postgres cuts names at 63 bytes without a word; ours stay apart. */
function shortened(name: string, length: number): string {
  if (name.length <= length) return name;
  return `${name.slice(0, length - 9)}_${createHash('sha256').update(name).digest('hex').slice(0, 8)}`;
}

function missing(entity: Entity): Problem {
  return {
    message: `the adopted table ${tableName(entity)} does not exist, or this role may not see it`,
    hint: `create it, correct \`table:\` in the mapping of ${entity.name}, or leave \`table:\` out`,
  };
}
