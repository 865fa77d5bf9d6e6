// Owns the records of the memory remote and the rules that a change must pass. Every change is all or nothing, at once.
// Knows nothing of calls, faults or the connector contract.
import type { HubId } from '../../model/ids.js';
import type { RemoteFields, RemoteValue } from '../../model/record.js';
import type { FieldSpec, MemoryConfig, ObjectSpec } from './config.js';
import { Table, type ChildRow, type Row } from './table.js';
import { normalise, refuseValue } from './values.js';

export interface ChildChange {
  /** null for a new child; a hub id that is already there makes it the same child. */
  readonly id: string | null;
  readonly hubKey: HubId | null;
  readonly fields: RemoteFields;
  readonly remove?: boolean;
}

export type ChildChanges = Readonly<Record<string, readonly ChildChange[]>>;

export type Change =
  | {
      readonly op: 'create';
      readonly object: string;
      readonly hubKey: HubId | null;
      readonly fields: RemoteFields;
      readonly children: ChildChanges;
    }
  | {
      readonly op: 'update';
      readonly object: string;
      readonly id: string;
      readonly fields: RemoteFields;
      readonly children: ChildChanges;
      /** The lists are complete: a child that is not in them is removed. */
      readonly wholeLists?: boolean;
      readonly expect: number | null;
    }
  | { readonly op: 'delete' | 'undelete'; readonly object: string; readonly id: string }
  | { readonly op: 'merge'; readonly object: string; readonly id: string; readonly loser: string }
  /** Values change, version and history do not: damage that no feed reports. */
  | { readonly op: 'damage'; readonly object: string; readonly id: string; readonly fields: RemoteFields };

export interface Refused {
  readonly outcome: 'refused';
  readonly code: string;
  readonly message: string;
  readonly recovery: 'park' | 'gone' | 'duplicate';
  readonly paths: readonly string[];
  readonly existing: readonly string[];
}

export type Effect =
  /** `changed` is false where the record was already so (delete of a deleted one). `row` is null where nothing is left. */
  | { readonly outcome: 'applied'; readonly row: Row | null; readonly before: Row | null; readonly changed: boolean }
  | { readonly outcome: 'stale'; readonly row: Row }
  | Refused;

/** When and by whom: the same for every change of one transaction. */
export interface Stamp {
  readonly stamp: number;
  readonly visibleAtMs: number;
  readonly horizonMs: number;
  readonly bySelf: boolean;
}

/** null = fine; runs after normalising and triggers. */
export type Validation = (
  fields: RemoteFields,
) => { readonly code: string; readonly message: string; readonly paths: readonly string[] } | null;
/** Returns the values as the remote rewrites them. */
export type Trigger = (fields: RemoteFields, before: RemoteFields | null) => RemoteFields;

const refused = (
  recovery: Refused['recovery'],
  code: string,
  message: string,
  more: Partial<Refused> = {},
): Refused => ({
  outcome: 'refused',
  recovery,
  code,
  message,
  paths: [],
  existing: [],
  ...more,
});
const isEmpty = (value: RemoteValue | undefined): boolean => value === undefined || value === null || value === '';

export class MemoryStore {
  private readonly tables = new Map<string, Table>();
  private readonly unique = new Map<string, Set<string>>();
  private readonly validations = new Map<string, Validation[]>();
  private readonly triggers = new Map<string, Trigger[]>();
  private idCounter = 0;

  constructor(private readonly config: MemoryConfig) {
    for (const name of Object.keys(config.objects)) this.tables.set(name, new Table());
  }

  spec(object: string): ObjectSpec | undefined {
    return this.config.objects[object];
  }

  table(object: string): Table {
    const table = this.tables.get(object);
    if (table === undefined) throw new RangeError(`the memory remote has no object ${object}`);
    return table;
  }

  addValidation(object: string, rule: Validation): void {
    this.validations.set(object, [...(this.validations.get(object) ?? []), rule]);
  }

  addTrigger(object: string, rule: Trigger): void {
    this.triggers.set(object, [...(this.triggers.get(object) ?? []), rule]);
  }

  apply(change: Change, when: Stamp): Effect {
    const spec = this.spec(change.object);
    if (spec === undefined) return refused('park', 'INVALID_TYPE', `there is no object ${change.object}`);
    switch (change.op) {
      case 'create':
        return this.create(change, spec, when);
      case 'update':
        return this.update(change, spec, when);
      case 'delete':
        return this.remove(change, spec, when);
      case 'undelete':
        return this.undelete(change, spec, when);
      case 'merge':
        return this.merge(change, spec, when);
      case 'damage': {
        const before = this.table(change.object).current(change.id);
        if (before === undefined) return refused('gone', 'NOT_FOUND', `no ${change.object} ${change.id}`);
        return this.store(
          change.object,
          spec,
          before,
          { ...before, fields: { ...before.fields, ...change.fields } },
          when,
        );
      }
    }
  }

  private create(change: Change & { op: 'create' }, spec: ObjectSpec, when: Stamp): Effect {
    const { object, hubKey } = change;
    const holder =
      hubKey !== null && spec.hubKey && this.config.capabilities.idempotentCreate
        ? this.table(object).withHubKey(hubKey)
        : undefined;
    // F65, F83: nothing is written: the record may have been edited since, and a late one may be older than what stands there.
    if (holder !== undefined)
      return refused('duplicate', 'DUPLICATE_VALUE', 'duplicate value found: the hub id', { existing: [holder.id] });
    const id = this.nextId(spec.idPrefix ?? object.slice(0, 3).toLowerCase());
    const all = Object.fromEntries(Object.keys(spec.fields).map((path) => [path, null]));
    const fields = this.checkFields(object, spec.fields, { before: null, start: all, given: change.fields });
    if ('outcome' in fields) return fields;
    const children = this.checkChildren(spec, id, {}, change.children);
    if ('outcome' in children) return children;
    const row: Row = {
      ...marks(when),
      id,
      deleted: false,
      hubKey: spec.hubKey ? hubKey : null,
      mergedInto: null,
      fields: fields.fields,
      children: children.children,
    };
    return this.store(object, spec, null, row, when);
  }

  private update(change: Change & { op: 'update' }, spec: ObjectSpec, when: Stamp): Effect {
    const before = this.table(change.object).current(change.id);
    if (before === undefined || before.deleted)
      return refused('gone', 'ENTITY_IS_DELETED', `${change.object} ${change.id} is gone`);
    if (change.expect !== null && before.stamp !== change.expect) return { outcome: 'stale', row: before };
    const fields = this.checkFields(change.object, spec.fields, {
      before: before.fields,
      start: before.fields,
      given: change.fields,
    });
    if ('outcome' in fields) return fields;
    const merged = this.checkChildren(spec, before.id, before.children, change.children);
    const children = change.wholeLists === true && !('outcome' in merged) ? onlyNamed(merged, change.children) : merged;
    if ('outcome' in children) return children;
    return this.store(
      change.object,
      spec,
      before,
      { ...before, ...marks(when, before), fields: fields.fields, children: children.children },
      when,
    );
  }

  private remove({ object, id }: { object: string; id: string }, spec: ObjectSpec, when: Stamp): Effect {
    const before = this.table(object).current(id);
    if (before === undefined || before.deleted)
      return { outcome: 'applied', row: before ?? null, before: null, changed: false };
    const effect = this.store(object, spec, before, { ...before, ...marks(when, before), deleted: true }, when);
    if (!spec.recycleBin) this.table(object).erase(id);
    return effect;
  }

  private undelete({ object, id }: { object: string; id: string }, spec: ObjectSpec, when: Stamp): Effect {
    const before = this.table(object).current(id);
    if (before === undefined) return refused('gone', 'UNDELETE_FAILED', `${object} ${id} is not in the recycle bin`);
    if (!before.deleted) return { outcome: 'applied', row: before, before: null, changed: false };
    return this.store(
      object,
      spec,
      before,
      { ...before, ...marks(when, before), deleted: false, mergedInto: null },
      when,
    );
  }

  /** The survivor takes what it lacks; the loser goes to the bin with the survivor's id. */
  private merge({ object, id, loser: loserId }: Change & { op: 'merge' }, spec: ObjectSpec, when: Stamp): Effect {
    const winner = this.table(object).current(id);
    const loser = this.table(object).current(loserId);
    if (winner === undefined || loser === undefined || winner.deleted || loser.deleted || id === loserId) {
      return refused('gone', 'MERGE_FAILED', `${object} ${id} and ${loserId} cannot be merged`);
    }
    this.store(object, spec, loser, { ...loser, ...marks(when, loser), deleted: true, mergedInto: id }, when);
    const filled = Object.entries(loser.fields).filter(([path]) => isEmpty(winner.fields[path as keyof RemoteFields]));
    return this.store(
      object,
      spec,
      winner,
      { ...winner, ...marks(when, winner), fields: { ...winner.fields, ...Object.fromEntries(filled) } },
      when,
    );
  }

  private checkFields(
    object: string | null,
    specs: Readonly<Record<string, FieldSpec>>,
    input: { readonly before: RemoteFields | null; readonly start: RemoteFields; readonly given: RemoteFields },
  ): { readonly fields: RemoteFields } | Refused {
    const next: Record<string, RemoteValue> = { ...input.start };
    for (const [path, value] of Object.entries(input.given)) {
      const spec = specs[path];
      if (spec === undefined) return refused('park', 'INVALID_FIELD', `No such column ${path}`, { paths: [path] });
      if (!(input.before === null ? spec.createable : spec.updateable)) {
        return refused('park', 'INVALID_FIELD_FOR_INSERT_UPDATE', `Unable to write ${path}`, { paths: [path] });
      }
      next[path] = normalise(spec, value);
    }
    let fields: RemoteFields = next;
    for (const trigger of object === null ? [] : (this.triggers.get(object) ?? []))
      fields = trigger(fields, input.before);
    for (const [path, spec] of Object.entries(specs)) {
      const value = fields[path as keyof RemoteFields] ?? null;
      const refusal = refuseValue(path, spec, value);
      if (refusal !== null) return refused('park', refusal.code, refusal.message, { paths: [path] });
      if (
        spec.references !== undefined &&
        typeof value === 'string' &&
        value !== input.before?.[path as keyof RemoteFields]
      ) {
        const target = this.table(spec.references).current(value);
        if (target === undefined || target.deleted)
          return refused('park', 'INVALID_CROSS_REFERENCE_KEY', `${path}: no ${spec.references} ${value}`, {
            paths: [path],
          });
      }
    }
    for (const rule of object === null ? [] : (this.validations.get(object) ?? [])) {
      const found = rule(fields);
      if (found !== null) return refused('park', found.code, found.message, { paths: found.paths });
    }
    return { fields };
  }

  private checkChildren(
    spec: ObjectSpec,
    parent: string,
    before: Row['children'],
    given: ChildChanges,
  ): { readonly children: Row['children'] } | Refused {
    const next: Record<string, readonly ChildRow[]> = Object.fromEntries(
      Object.keys(spec.children).map((name) => [name, before[name] ?? []]),
    );
    for (const [name, changes] of Object.entries(given)) {
      const specs = spec.children[name];
      if (specs === undefined) return refused('park', 'INVALID_FIELD', `No such children ${name}`);
      const list = [...(next[name] ?? [])];
      for (const change of changes) {
        const index = list.findIndex((child) =>
          change.id === null ? child.hubKey !== null && child.hubKey === change.hubKey : child.id === change.id,
        );
        if (change.id !== null && index < 0)
          return refused('gone', 'ENTITY_IS_DELETED', `${name} ${change.id} is gone`);
        const old = list[index];
        if (change.remove === true) {
          list.splice(index, 1);
          continue;
        }
        const start = old?.fields ?? Object.fromEntries(Object.keys(specs).map((path) => [path, null]));
        const checked = this.checkFields(null, specs, { before: old?.fields ?? null, start, given: change.fields });
        if ('outcome' in checked) return checked;
        const child = {
          id: old?.id ?? this.nextId(`${parent}.${name}`),
          hubKey: change.hubKey ?? old?.hubKey ?? null,
          fields: checked.fields,
        };
        if (index < 0) list.push(child);
        else list[index] = child;
      }
      next[name] = list;
    }
    return { children: next };
  }

  private store(object: string, spec: ObjectSpec, before: Row | null, row: Row, when: Stamp): Effect {
    const wanted = this.keysOf(object, spec, row);
    for (const key of wanted) {
      const holders = [...(this.unique.get(key) ?? [])].filter((id) => id !== row.id);
      if (holders.length > 0) {
        const paths = spec.unique[Number(key.split('/')[1])] ?? []; // none for the hub id
        return refused('duplicate', 'DUPLICATE_VALUE', `duplicate value found: ${paths.join(', ')}`, {
          paths,
          existing: holders,
        });
      }
    }
    for (const key of before === null ? [] : this.keysOf(object, spec, before)) this.release(key, row.id);
    for (const key of wanted) this.unique.set(key, (this.unique.get(key) ?? new Set()).add(row.id));
    this.table(object).put(row, when.horizonMs);
    return { outcome: 'applied', row, before, changed: true };
  }

  /** What no other live record may share. */
  private keysOf(object: string, spec: ObjectSpec, row: Row): string[] {
    if (row.deleted) return [];
    const keys =
      row.hubKey !== null && this.config.capabilities.idempotentCreate ? [`${object}/hub/${row.hubKey}`] : [];
    spec.unique.forEach((paths, index) => {
      const values = paths.map((path) => row.fields[path as keyof RemoteFields] ?? null);
      if (!values.some(isEmpty)) keys.push(`${object}/${index}/${JSON.stringify(values).toLowerCase()}`);
    });
    return keys;
  }

  private release(key: string, id: string): void {
    const holders = this.unique.get(key);
    holders?.delete(id);
    if (holders?.size === 0) this.unique.delete(key);
  }

  private nextId(prefix: string): string {
    this.idCounter += 1;
    return `${prefix}-${String(this.idCounter).padStart(8, '0')}`;
  }
}

/** A record's own stamps never go back, whatever the clock does. */
function marks(when: Stamp, before?: Row): Pick<Row, 'stamp' | 'visibleAtMs' | 'bySelf'> {
  return {
    stamp: Math.max(when.stamp, before?.stamp ?? when.stamp),
    visibleAtMs: Math.max(when.visibleAtMs, before?.visibleAtMs ?? when.visibleAtMs),
    bySelf: when.bySelf,
  };
}

/** Children by the ids and keys of the change; those of lists that it does not name stay. */
function onlyNamed(
  { children }: { readonly children: Row['children'] },
  given: ChildChanges,
): { readonly children: Row['children'] } {
  const kept = Object.entries(children).map(([name, list]) => {
    const named = given[name];
    const isNamed = (child: ChildRow): boolean =>
      named === undefined ||
      named.some(({ id, hubKey }) => id === child.id || (hubKey !== null && hubKey === child.hubKey));
    return [name, list.filter(isNamed)] as const;
  });
  return { children: Object.fromEntries(kept) };
}
