// Owns the stored records: one table an object, with indexes by id, unique value and reference. Deleted records stay (the
// recycle bin) and are flagged. Rows are replaced, never changed, so whoever holds one holds a snapshot.
import { must } from '../../base/assert.js';
import type { Catalogue } from './catalogue.js';
import type { FieldDef, ObjectDef, Row, Value } from './words.js';

const keyOf = (field: FieldDef, value: string): string => (field.caseSensitive ? value : value.toLowerCase());

export class Table {
  private readonly rows = new Map<string, Row>();
  private readonly unique = new Map<string, Map<string, string>>();
  private readonly references = new Map<string, Map<string, Set<string>>>();
  private readonly past = new Map<string, { readonly at: number; readonly before: Row | null }[]>();
  private readonly uniqueFields: readonly FieldDef[];
  private readonly referenceFields: readonly FieldDef[];

  constructor(readonly object: ObjectDef) {
    this.uniqueFields = object.fields.filter((field) => field.unique);
    this.referenceFields = object.fields.filter(
      (field) => field.type === 'reference' && field.onParentDelete !== 'keep',
    );
    for (const field of this.uniqueFields) this.unique.set(field.name, new Map());
    for (const field of this.referenceFields) this.references.set(field.name, new Map());
  }

  get(id: string): Row | undefined {
    return this.rows.get(id);
  }

  all(): Iterable<Row> {
    return this.rows.values();
  }

  get size(): number {
    return this.rows.size;
  }

  /** Sets or, with null, removes a row and keeps every index right. */
  put(id: string, row: Row | null): void {
    const before = this.rows.get(id);
    if (before !== undefined) this.unindex(id, before);
    if (row === null) this.rows.delete(id);
    else {
      this.rows.set(id, row);
      this.index(id, row);
    }
  }

  /** The live record that holds a unique value. */
  holder(field: FieldDef, value: string): string | undefined {
    return this.unique.get(field.name)?.get(keyOf(field, value));
  }

  /** Live records with a value in a field, unique or not. */
  matching(field: FieldDef, value: string): readonly Row[] {
    if (field.unique) {
      const id = this.holder(field, value);
      return id === undefined ? [] : [must(this.rows.get(id), 'indexed row')];
    }
    const wanted = keyOf(field, value);
    return [...this.rows.values()].filter((row) => {
      const held = row[field.name];
      return row['IsDeleted'] !== true && typeof held === 'string' && keyOf(field, held) === wanted;
    });
  }

  /** Records, deleted ones too, whose reference field points at `parent`. */
  children(field: FieldDef, parent: string): readonly Row[] {
    const ids = this.references.get(field.name)?.get(parent);
    if (ids === undefined) return [];
    return [...ids].map((id) => this.rows.get(id)).filter((row) => row !== undefined);
  }

  /** Keeps what a row was before a commit, for reads that lag. */
  remember(id: string, at: number, before: Row | null, keepMs: number): void {
    const list = (this.past.get(id) ?? []).filter((entry) => entry.at > at - keepMs);
    this.past.set(id, [...list, { at, before }]);
  }

  /** The row as a reader sees it who lags: the state at `asOf` (ms), as far as remembered. */
  getAsOf(id: string, asOf: number): Row | undefined {
    const later = this.past.get(id)?.find((entry) => entry.at > asOf);
    return later === undefined ? this.rows.get(id) : (later.before ?? undefined);
  }

  *allAsOf(asOf: number): Iterable<Row> {
    for (const id of this.rows.keys()) {
      const row = this.getAsOf(id, asOf);
      if (row !== undefined) yield row;
    }
  }

  private index(id: string, row: Row): void {
    for (const field of this.uniqueFields) {
      const value = row[field.name];
      if (typeof value === 'string' && row['IsDeleted'] !== true)
        this.unique.get(field.name)?.set(keyOf(field, value), id);
    }
    for (const field of this.referenceFields) {
      const parent = row[field.name];
      if (typeof parent !== 'string') continue;
      const byParent = must(this.references.get(field.name), 'reference index');
      const ids = byParent.get(parent);
      if (ids === undefined) byParent.set(parent, new Set([id]));
      else ids.add(id);
    }
  }

  private unindex(id: string, row: Row): void {
    for (const field of this.uniqueFields) {
      const value = row[field.name];
      if (typeof value !== 'string') continue;
      const index = must(this.unique.get(field.name), 'unique index');
      if (index.get(keyOf(field, value)) === id) index.delete(keyOf(field, value));
    }
    for (const field of this.referenceFields) {
      const parent = row[field.name];
      if (typeof parent === 'string') this.references.get(field.name)?.get(parent)?.delete(id);
    }
  }
}

export class Store {
  private readonly tables = new Map<string, Table>();

  constructor(catalogue: Catalogue) {
    for (const object of catalogue.objects()) this.tables.set(object.name, new Table(object));
  }

  table(object: string): Table {
    return must(this.tables.get(object), `table ${object}`);
  }
}

/** A row with every stored field present. */
export function blankRow(object: ObjectDef): Record<string, Value> {
  const row: Record<string, Value> = {};
  for (const field of object.fields) if (field.type !== 'address') row[field.name] = field.defaultValue;
  return row;
}
