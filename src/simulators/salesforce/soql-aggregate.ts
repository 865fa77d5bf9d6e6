// Owns GROUP BY, HAVING and the aggregate functions: rows to AggregateResult records.
import type {
  FieldType as SelectItem,
  FieldFunctionExpression,
  GroupByClause,
  QueryBase,
} from '@jetstreamapp/soql-parser-js';
import { ApiError } from './errors.js';
import { sortRows } from './soql-sort.js';
import { compileWhere, type Operand, type Scope } from './soql-where.js';
import type { Json, Row, Value } from './words.js';

const functions = new Set(['COUNT', 'COUNT_DISTINCT', 'SUM', 'AVG', 'MIN', 'MAX']);

export function isAggregate(item: SelectItem): item is FieldFunctionExpression {
  return item.type === 'FieldFunctionExpression' && functions.has(item.functionName.toUpperCase());
}

/** One record a group; without GROUP BY there is one group, also when no row matches. */
export function aggregateRows(
  query: QueryBase,
  fields: readonly SelectItem[],
  rows: readonly Row[],
  scope: Scope,
  unknown: (path: string) => ApiError,
): readonly Json[] {
  const groupBy = groupPaths(query.groupBy);
  const operands = groupBy.map((path) => scope.operand(path));
  const groups = groupRows(rows, operands, groupBy.length === 0);
  const outputs = fields.map((item, i) => output(item, i, groupBy, scope, unknown));
  const groupScope = scopeOfGroups(scope, outputs, groups);
  let kept = [...groups.keys()];
  if (query.having !== undefined) kept = kept.filter(compileWhere(query.having, groupScope).test);
  if (query.orderBy !== undefined) {
    const order = Array.isArray(query.orderBy) ? query.orderBy : [query.orderBy];
    kept = [...sortRows(kept, order, groupScope)];
  }
  const offset = query.offset ?? 0;
  return kept.slice(offset, offset + (query.limit ?? 2000)).map((first) => {
    const members = groups.get(first) ?? [];
    const record: Record<string, Json> = { attributes: { type: 'AggregateResult' } };
    for (const { key, compute } of outputs) record[key] = compute(members);
    return record;
  });
}

function groupPaths(groupBy: GroupByClause | GroupByClause[] | undefined): readonly string[] {
  const list = groupBy === undefined ? [] : Array.isArray(groupBy) ? groupBy : [groupBy];
  return list.map((clause) => {
    if ('field' in clause) return clause.field;
    throw new ApiError('MALFORMED_QUERY', 'functions in GROUP BY are not supported');
  });
}

/** Keyed by the first row of each group, which stands for the group in HAVING and ORDER BY. */
function groupRows(rows: readonly Row[], operands: readonly Operand[], whole: boolean): Map<Row, readonly Row[]> {
  if (whole) return new Map([[rows[0] ?? {}, rows]]);
  const byKey = new Map<string, Row[]>();
  for (const row of rows) {
    const key = JSON.stringify(
      operands.map((operand) => {
        const value = operand.get(row);
        return typeof value === 'string' && operand.type !== 'reference' ? value.toLowerCase() : value;
      }),
    );
    const list = byKey.get(key);
    if (list === undefined) byKey.set(key, [row]);
    else list.push(row);
  }
  return new Map([...byKey.values()].map((list) => [list[0] ?? {}, list]));
}

interface Output {
  readonly key: string;
  readonly source: string;
  readonly compute: (rows: readonly Row[]) => Value;
}

function output(
  item: SelectItem,
  position: number,
  groupBy: readonly string[],
  scope: Scope,
  unknown: (path: string) => ApiError,
): Output {
  if (isAggregate(item)) {
    const source = item.rawValue ?? item.functionName;
    return {
      key: item.alias ?? `expr${String(position - countFields(position, groupBy))}`,
      source,
      compute: computeOf(item.functionName, String(item.parameters[0] ?? 'Id'), scope),
    };
  }
  if (item.type !== 'Field' && item.type !== 'FieldRelationship')
    throw new ApiError('MALFORMED_QUERY', 'unsupported column in a grouped query');
  const path = item.type === 'Field' ? item.field : [...item.relationships, item.field].join('.');
  if (!groupBy.some((grouped) => grouped.toLowerCase() === path.toLowerCase())) {
    throw new ApiError('MALFORMED_QUERY', `Field must be grouped or aggregated: ${path}`);
  }
  const operand = scope.operand(path);
  if (operand.type === 'address') throw unknown(path);
  const alias = item.type === 'Field' ? item.alias : undefined;
  return {
    key: alias ?? operand.label,
    source: path,
    compute: (rows) => (rows[0] === undefined ? null : operand.get(rows[0])),
  };
}

/** expr0, expr1 … count the unnamed functions; grouped fields are written before them. */
function countFields(position: number, groupBy: readonly string[]): number {
  return Math.min(position, groupBy.length);
}

function computeOf(name: string, path: string, scope: Scope): (rows: readonly Row[]) => Value {
  const operand = scope.operand(path);
  const present = (rows: readonly Row[]): Exclude<Value, null>[] =>
    rows.map(operand.get).filter((value) => value !== null);
  const numbers = (rows: readonly Row[]): number[] => present(rows).map(Number);
  const sum = (rows: readonly Row[]): number => Math.round(numbers(rows).reduce((a, b) => a + b, 0) * 1e6) / 1e6;
  switch (name.toUpperCase()) {
    case 'COUNT':
      return (rows) => present(rows).length;
    case 'COUNT_DISTINCT':
      return (rows) => new Set(present(rows)).size;
    case 'SUM':
      return (rows) => (present(rows).length === 0 ? null : sum(rows));
    case 'AVG':
      return (rows) => (present(rows).length === 0 ? null : sum(rows) / present(rows).length);
    case 'MIN':
      return (rows) =>
        present(rows).reduce<Value>((least, value) => (least === null || value < least ? value : least), null);
    default:
      return (rows) =>
        present(rows).reduce<Value>((most, value) => (most === null || value > most ? value : most), null);
  }
}

function scopeOfGroups(scope: Scope, outputs: readonly Output[], groups: ReadonlyMap<Row, readonly Row[]>): Scope {
  const aggregate = (raw: string): Operand => {
    const match = /^(\w+)\((.*)\)$/.exec(raw.trim());
    if (match === null) throw new ApiError('MALFORMED_QUERY', `unexpected token: ${raw}`);
    const compute = computeOf(match[1] ?? '', match[2]?.trim() === '' ? 'Id' : (match[2] ?? 'Id'), scope);
    return { get: (row) => compute(groups.get(row) ?? []), type: 'double', own: null, label: raw };
  };
  const operand = (path: string): Operand => {
    const named = outputs.find((one) => one.key.toLowerCase() === path.toLowerCase() && one.source.includes('('));
    return named === undefined ? scope.operand(path) : aggregate(named.source);
  };
  return { ...scope, operand, aggregate };
}
