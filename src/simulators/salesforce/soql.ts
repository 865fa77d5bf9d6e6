// Owns SOQL: text to a plan over the catalogue, the plan to rows and to the JSON the API answers. The grammar is the parser
// package's; meaning, errors and shapes are the platform's.
import {
  parseQuery,
  type FieldType as SelectItem,
  type OrderByClause,
  type Query,
  type QueryBase,
} from '@jetstreamapp/soql-parser-js';
import { must } from '../../base/assert.js';
import { ApiError } from './errors.js';
import type { Org } from './org.js';
import { aggregateRows, isAggregate } from './soql-aggregate.js';
import { sortRows } from './soql-sort.js';
import { compileWhere, type Compiled, type Operand, type Scope } from './soql-where.js';
import type { ChildRelation, FieldDef, Json, ObjectDef, Row, Value } from './words.js';

/** One selected thing: its key in the answer and how it is made. */
export interface Column {
  /** Names from the record to the value: `['Account', 'Name']`. */
  readonly path: readonly string[];
  readonly field: FieldDef | null;
  readonly render: (row: Row) => Json;
}

export interface Result {
  readonly object: ObjectDef;
  readonly columns: readonly Column[];
  /** Matching rows, ordered and limited. */
  readonly rows: readonly Row[];
  readonly count: number;
  /** Set for COUNT() and for grouped queries: records that are made, not stored. */
  readonly made: readonly Json[] | null;
  /** Turns a stored row into its JSON record. */
  readonly record: (row: Row) => Json;
}

export interface QueryOptions {
  /** Also show the recycle bin (queryAll). */
  readonly all: boolean;
  readonly version: string;
  /** Bulk queries know no sub-selects, aggregates or compound fields. */
  readonly flat?: boolean | undefined;
}

export function parseSoql(text: string): Query {
  try {
    // Without options on purpose: with any, the package builds its parser anew, 100 ms a query.
    return parseQuery(text);
  } catch (error) {
    const detail = error instanceof Error ? (error.message.split('\n').at(-1) ?? '') : '';
    const found = /but found: '([^']*)'/.exec(error instanceof Error ? error.message : '')?.[1];
    const at = found === undefined || found === '' ? detail : `unexpected token: '${found}'`;
    throw new ApiError('MALFORMED_QUERY', `\n${text}\n^\nERROR at Row:1:Column:1\n${at}`);
  }
}

export function runQuery(org: Org, text: string, options: QueryOptions): Result {
  const query = parseSoql(text);
  const name = query.sObject ?? '';
  const object = org.catalogue.object(name);
  if (object === undefined) {
    throw new ApiError(
      'INVALID_TYPE',
      `\n${text}\n^\nERROR at Row:1:Column:1\nsObject type '${name}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names.`,
    );
  }
  return new Planner(org, options, text).plan(query, object, org.rows(object.name), false);
}

class Planner {
  constructor(
    private readonly org: Org,
    private readonly options: QueryOptions,
    private readonly text: string,
  ) {}

  plan(query: QueryBase, object: ObjectDef, source: Iterable<Row>, nested: boolean): Result {
    const fields = this.expand(query.fields ?? [], object, query);
    if (fields.some(isAggregate) || query.groupBy !== undefined)
      return this.planAggregate(query, fields, object, source);
    const columns = fields.map((item) => this.column(item, object, nested));
    this.refuseTwice(columns);
    const rows = this.select(query, object, source);
    const record = (row: Row): Json => this.render(object, columns, row);
    return { object, columns, rows, count: rows.length, made: null, record };
  }

  private planAggregate(
    query: QueryBase,
    fields: readonly SelectItem[],
    object: ObjectDef,
    source: Iterable<Row>,
  ): Result {
    if (this.options.flat === true)
      throw new ApiError('FUNCTIONALITY_NOT_ENABLED', 'Aggregate queries are not supported in bulk queries');
    const scope = this.scope(object);
    const plain: QueryBase = { ...query };
    delete plain.limit;
    delete plain.offset;
    delete plain.orderBy;
    const rows = this.select(plain, object, source);
    const bare =
      fields.length === 1 &&
      fields[0]?.type === 'FieldFunctionExpression' &&
      fields[0].functionName === 'COUNT' &&
      fields[0].parameters.length === 0;
    if (bare) return { object, columns: [], rows: [], count: rows.length, made: [], record: () => null };
    const made = aggregateRows(query, fields, rows, scope, (path) => this.unknownField(path, object));
    return { object, columns: [], rows: [], count: made.length, made, record: () => null };
  }

  private select(query: QueryBase, object: ObjectDef, source: Iterable<Row>): readonly Row[] {
    const scope = this.scope(object);
    const where = query.where === undefined ? null : compileWhere(query.where, scope);
    const kept: Row[] = [];
    for (const row of this.candidates(where, object, source)) {
      if ((this.options.all || row['IsDeleted'] !== true) && (where === null || where.test(row))) kept.push(row);
    }
    const ordered = sortRows(kept, orderOf(query.orderBy), scope);
    const offset = query.offset ?? 0;
    if (offset > 2000) throw new ApiError('NUMBER_OUTSIDE_VALID_RANGE', 'Maximum SOQL offset allowed is 2000');
    return query.limit === undefined && offset === 0
      ? ordered
      : ordered.slice(offset, offset + (query.limit ?? ordered.length));
  }

  /** An index on Id answers `Id IN (…)`; everything else scans, which is fast enough for tens of thousands. */
  private candidates(where: Compiled | null, object: ObjectDef, source: Iterable<Row>): Iterable<Row> {
    if (where?.keys?.field !== 'Id' || Array.isArray(source)) return source;
    const ids = [...new Set(where.keys.values)].sort();
    return ids.map((id) => this.org.row(object.name, id)).filter((row) => row !== undefined);
  }

  private scope(object: ObjectDef): Scope {
    return {
      nowMs: this.org.clock.now(),
      operand: (path) => this.operand(path, object),
      aggregate: (raw) => {
        throw new ApiError('MALFORMED_QUERY', `unsupported function in WHERE: ${raw}`);
      },
      semiJoin: (query) => this.semiJoin(query),
    };
  }

  private semiJoin(query: Query): ReadonlySet<string> {
    const object = this.org.catalogue.object(query.sObject ?? '');
    const [item] = query.fields ?? [];
    if (object === undefined)
      throw new ApiError('INVALID_TYPE', `sObject type '${query.sObject ?? ''}' is not supported.`);
    if (item === undefined || (item.type !== 'Field' && item.type !== 'FieldRelationship')) {
      throw new ApiError('MALFORMED_QUERY', 'a semi-join selects exactly one field');
    }
    const operand = this.operand(pathOf(item), object);
    return new Set(this.select(query, object, this.org.rows(object.name)).map((row) => String(operand.get(row) ?? '')));
  }

  /** Follows a dotted path over parents. */
  private operand(path: string, object: ObjectDef): Operand {
    const parts = path.split('.');
    const first = parts[0]?.toLowerCase();
    // `Contact.Name` on Contact itself means the record, as does an alias that the parser left in place.
    if (
      parts.length > 1 &&
      first === object.name.toLowerCase() &&
      this.org.catalogue.parent(object.name, parts[0] ?? '') === undefined
    )
      parts.shift();
    const name = parts.pop() ?? '';
    const hops: { readonly field: string; readonly parent: string }[] = [];
    let at = object;
    for (const relationship of parts) {
      const reference = this.org.catalogue.parent(at.name, relationship);
      const parent = reference?.referenceTo[0];
      if (reference === undefined || parent === undefined) {
        throw new ApiError(
          'INVALID_FIELD',
          this.located(
            `Didn't understand relationship '${relationship}' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.`,
            path,
          ),
        );
      }
      hops.push({ field: reference.name, parent });
      at = must(this.org.catalogue.object(parent), parent);
    }
    const field = this.org.catalogue.field(at.name, name);
    if (field === undefined) throw this.unknownField(name, at);
    const label = field.name;
    if (hops.length === 0) return { get: (row) => row[field.name] ?? null, type: field.type, own: field.name, label };
    return { get: (row) => this.follow(hops, row)?.[field.name] ?? null, type: field.type, own: null, label };
  }

  private follow(hops: readonly { readonly field: string; readonly parent: string }[], start: Row): Row | undefined {
    let row: Row | undefined = start;
    for (const hop of hops) {
      const id: Value | undefined = row[hop.field];
      row = typeof id === 'string' ? this.org.row(hop.parent, id) : undefined;
      if (row === undefined) return undefined;
    }
    return row;
  }

  private unknownField(name: string, object: ObjectDef): ApiError {
    return new ApiError(
      'INVALID_FIELD',
      this.located(
        `No such column '${name}' on entity '${object.name}'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.`,
        name,
      ),
    );
  }

  private located(message: string, near: string): string {
    const column = Math.max(0, this.text.indexOf(near));
    return `\n${this.text}\n${' '.repeat(column)}^\nERROR at Row:1:Column:${String(column + 1)}\n${message}`;
  }

  private column(item: SelectItem, object: ObjectDef, nested: boolean): Column {
    switch (item.type) {
      case 'Field':
        return this.fieldColumn(item.field, object);
      case 'FieldRelationship':
        return this.parentColumn([...item.relationships], item.field, object);
      case 'FieldSubquery': {
        if (nested || this.options.flat === true)
          throw new ApiError('MALFORMED_QUERY', 'sub-selects cannot be used here');
        return this.childColumn(item.subquery, item.subquery.relationshipName, object);
      }
      case 'FieldFunctionExpression': {
        const [inner] = item.parameters;
        const known = ['TOLABEL', 'FORMAT', 'CONVERTCURRENCY'].includes(item.functionName.toUpperCase());
        if (!known || typeof inner !== 'string')
          throw new ApiError('MALFORMED_QUERY', `unsupported function: ${item.functionName}`);
        const operand = this.operand(inner, object);
        return { path: [item.alias ?? operand.label], field: null, render: operand.get };
      }
      case 'FieldTypeof':
        throw new ApiError('MALFORMED_QUERY', 'TYPEOF is not supported for this field');
    }
  }

  private fieldColumn(name: string, object: ObjectDef): Column {
    const field = this.org.catalogue.field(object.name, name);
    if (field === undefined) throw this.unknownField(name, object);
    if (field.type !== 'address') return { path: [field.name], field, render: (row) => row[field.name] ?? null };
    if (this.options.flat === true)
      throw new ApiError(
        'FUNCTIONALITY_NOT_ENABLED',
        `Selecting compound data not supported in Bulk Query: ${field.name}`,
      );
    return { path: [field.name], field, render: (row) => compound(row, field.addressPrefix ?? '') };
  }

  private parentColumn(relationships: string[], name: string, object: ObjectDef): Column {
    const itself = relationships[0]?.toLowerCase() === object.name.toLowerCase();
    if (itself && this.org.catalogue.parent(object.name, relationships[0] ?? '') === undefined) relationships.shift();
    if (relationships.length === 0) return this.fieldColumn(name, object);
    const operand = this.operand([...relationships, name].join('.'), object);
    let at = object;
    const path = relationships.map((relationship) => {
      const reference = must(this.org.catalogue.parent(at.name, relationship), relationship);
      at = must(this.org.catalogue.object(reference.referenceTo[0] ?? ''), 'parent object');
      return reference.relationshipName ?? relationship;
    });
    return {
      path: [...path, operand.label],
      field: must(this.org.catalogue.field(at.name, name), name),
      render: operand.get,
    };
  }

  private childColumn(query: QueryBase, childName: string, object: ObjectDef): Column {
    const relation = this.org.catalogue.child(object.name, childName);
    if (relation === undefined) {
      throw new ApiError(
        'INVALID_TYPE',
        this.located(
          `Didn't understand relationship '${childName}' in FROM part of query call. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.`,
          childName,
        ),
      );
    }
    const child = must(this.org.catalogue.object(relation.child), relation.child);
    // Planned once against nothing, so that a wrong field is refused even when no parent matches.
    this.plan(query, child, [], true);
    return { path: [relation.childName], field: null, render: (row) => this.childRecords(query, child, relation, row) };
  }

  private childRecords(query: QueryBase, child: ObjectDef, relation: ChildRelation, parent: Row): Json {
    const rows = this.org.store.table(child.name).children(relation.field, String(parent['Id']));
    if (rows.length === 0) return null;
    const result = this.plan(query, child, rows, true);
    if (result.rows.length === 0) return null;
    return { totalSize: result.rows.length, done: true, records: result.rows.map(result.record) };
  }

  /** FIELDS(ALL), FIELDS(STANDARD), FIELDS(CUSTOM). */
  private expand(items: readonly SelectItem[], object: ObjectDef, query: QueryBase): readonly SelectItem[] {
    return items.flatMap((item) => {
      if (item.type !== 'FieldFunctionExpression' || item.functionName.toUpperCase() !== 'FIELDS') return [item];
      const which = String(item.parameters[0]).toUpperCase();
      if (which !== 'STANDARD' && (query.limit ?? 201) > 200) {
        throw new ApiError('MALFORMED_QUERY', `The SOQL FIELDS function must have a LIMIT of at most 200`);
      }
      const wanted = object.fields.filter((field) => which === 'ALL' || field.custom === (which === 'CUSTOM'));
      return wanted.map((field): SelectItem => ({ type: 'Field', field: field.name }));
    });
  }

  private refuseTwice(columns: readonly Column[]): void {
    const seen = new Set<string>();
    for (const column of columns) {
      const key = column.path.join('.');
      if (seen.has(key)) throw new ApiError('INVALID_FIELD', `duplicate field selected: ${key}`);
      seen.add(key);
    }
  }

  private render(object: ObjectDef, columns: readonly Column[], row: Row): Json {
    const record: Record<string, Json> = { attributes: this.attributes(object.name, String(row['Id'])) };
    for (const column of columns) {
      if (column.path.length === 1) record[column.path[0] ?? ''] = column.render(row);
      else this.renderParent(object, record, column, row);
    }
    return record;
  }

  private renderParent(object: ObjectDef, record: Record<string, Json>, column: Column, row: Row): void {
    let target = record;
    let at = object;
    let current: Row | undefined = row;
    for (const relationship of column.path.slice(0, -1)) {
      const reference = must(this.org.catalogue.parent(at.name, relationship), relationship);
      const id: Value = current[reference.name] ?? null;
      at = must(this.org.catalogue.object(reference.referenceTo[0] ?? ''), 'parent object');
      current = typeof id === 'string' ? this.org.row(at.name, id) : undefined;
      if (current === undefined) {
        target[relationship] = null;
        return;
      }
      const existing = target[relationship];
      const next =
        typeof existing === 'object' && existing !== null && !Array.isArray(existing)
          ? existing
          : { attributes: this.attributes(at.name, String(id)) };
      target[relationship] = next;
      target = next as Record<string, Json>;
    }
    target[column.path.at(-1) ?? ''] = column.render(row);
  }

  private attributes(type: string, id: string): Json {
    return { type, url: `/services/data/v${this.options.version}/sobjects/${type}/${id}` };
  }
}

function pathOf(
  item: { type: 'Field'; field: string } | { type: 'FieldRelationship'; field: string; relationships: string[] },
): string {
  return item.type === 'Field' ? item.field : [...item.relationships, item.field].join('.');
}

function compound(row: Row, prefix: string): Json {
  const part = (name: string): Value => row[`${prefix}${name}`] ?? null;
  const address = {
    city: part('City'),
    country: part('Country'),
    geocodeAccuracy: null,
    latitude: part('Latitude'),
    longitude: part('Longitude'),
    postalCode: part('PostalCode'),
    state: part('State'),
    street: part('Street'),
  };
  return Object.values(address).every((value) => value === null) ? null : address;
}

function orderOf(orderBy: QueryBase['orderBy']): readonly OrderByClause[] {
  if (orderBy === undefined) return [];
  return Array.isArray(orderBy) ? orderBy : [orderBy];
}
