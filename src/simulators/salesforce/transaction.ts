// Owns one transaction of the org: writes are applied at once, can be rolled back to a savepoint, and reach the ledger and the
// change stream only on commit. A late commit takes its rows back, keeps them locked, and shows them later with the stamps
// of the start, as a long transaction of the real system does.
import { must } from '../../base/assert.js';
import { deleted, badReference, ApiError } from './errors.js';
import type { Org } from './org.js';
import { checkDeletion, beforeSave, afterSave } from './platform.js';
import { readInput, type Input } from './input.js';
import { checkSave } from './checks.js';
import { blankRow } from './store.js';
import { stampOf } from './stamps.js';
import { storedValue, type Source } from './values.js';
import type { Actor, FieldDef, ObjectDef, Row, Value } from './words.js';
import type { LedgerOperation } from '../ledger.js';

export interface Change {
  readonly object: string;
  readonly id: string;
  readonly op: LedgerOperation;
  readonly before: Row | null;
  readonly after: Row | null;
}

export class Transaction {
  /** Stamp of everything written here: when the transaction began. */
  readonly stamp: string;
  private changes: Change[] = [];
  private state: 'open' | 'done' = 'open';

  constructor(
    readonly org: Org,
    readonly actor: Actor,
  ) {
    this.stamp = stampOf(org.stampMs());
  }

  insert(object: ObjectDef, raw: Readonly<Record<string, unknown>>, source: Source): string {
    const input = readInput(this.org, object, raw, source);
    this.requireWritable(object, input, 'createable');
    const id = this.org.ids.next(object.keyPrefix);
    const draft: Record<string, Value> = {
      ...blankRow(object),
      ...this.org.defaultsOf(object, this.actor),
      ...input.values,
      Id: id,
    };
    draft['CreatedDate'] = this.stamp;
    draft['CreatedById'] = this.actor.userId;
    this.save(object, draft, null, input);
    return id;
  }

  update(object: ObjectDef, id: string, raw: Readonly<Record<string, unknown>>, source: Source): void {
    const before = this.liveRow(object, id);
    const input = readInput(this.org, object, raw, source);
    this.requireWritable(object, input, 'updateable', before);
    this.lock(object, id);
    this.save(object, { ...before, ...input.values }, before, input);
  }

  remove(object: ObjectDef, id: string): void {
    const before = this.liveRow(object, id);
    this.lock(object, id);
    checkDeletion(this, object, before);
    this.removeWithChildren(object, before, id);
  }

  undelete(object: ObjectDef, id: string): void {
    const before = this.org.store.table(object.name).get(id);
    if (before === undefined) throw badReference();
    if (before['IsDeleted'] !== true) {
      throw new ApiError('UNDELETE_FAILED', 'Entity is not in the recycle bin');
    }
    const draft: Record<string, Value> = { ...before, IsDeleted: false };
    if ('MasterRecordId' in draft) draft['MasterRecordId'] = null;
    checkSave(this, object, draft, null, new Set());
    this.record(object, id, 'undelete', before, this.stamped(draft));
    const root = this.org.binRoot(id);
    for (const relation of this.org.catalogue.children(object.name)) {
      for (const row of this.org.store.table(relation.child).children(relation.field, id)) {
        const child = String(row['Id']);
        const def = must(this.org.catalogue.object(relation.child), relation.child);
        if (row['IsDeleted'] === true && this.org.binRoot(child) === root) this.undelete(def, child);
      }
    }
  }

  /** Losers go to the bin with MasterRecordId; what pointed at them points at the master. */
  merge(object: ObjectDef, master: string, losers: readonly string[]): void {
    if (!object.mergeable) throw new ApiError('INVALID_TYPE', `merge is not supported for ${object.name}`);
    const survivor = this.liveRow(object, master);
    for (const loser of losers) {
      const row = this.liveRow(object, loser);
      for (const relation of this.org.catalogue.children(object.name))
        this.reparent(relation.child, relation.field, loser, master);
      const gone = this.stamped({ ...row, IsDeleted: true, MasterRecordId: master });
      this.record(object, loser, 'merge', row, gone);
      this.org.noteBin(loser, loser);
    }
    this.record(object, master, 'update', survivor, this.stamped({ ...survivor }));
  }

  /** Removes a record for good, from the recycle bin too. */
  purge(object: ObjectDef, id: string): void {
    const before = this.org.store.table(object.name).get(id);
    if (before === undefined) throw badReference();
    if (before['IsDeleted'] !== true) this.remove(object, id);
    this.record(object, id, 'purge', before, null);
  }

  /** Changes calculated fields of a parent: only SystemModstamp moves, as for roll-up summaries. */
  recalculate(object: ObjectDef, id: string, fields: Readonly<Record<string, Value>>): void {
    const before = this.org.store.table(object.name).get(id);
    if (before === undefined || Object.entries(fields).every(([name, value]) => before[name] === value)) return;
    this.record(object, id, 'update', before, { ...before, ...fields, SystemModstamp: this.stamp });
  }

  liveRow(object: ObjectDef, id: string): Row {
    const row = this.org.store.table(object.name).get(id);
    if (row === undefined) throw badReference();
    if (row['IsDeleted'] === true) throw deleted();
    return row;
  }

  savepoint(): number {
    return this.changes.length;
  }

  /** Takes back everything after the savepoint. */
  rollback(savepoint = 0): void {
    for (const change of this.changes.splice(savepoint).reverse()) {
      this.org.store.table(change.object).put(change.id, change.before);
    }
  }

  /** Runs one record's work; on failure everything it did is taken back and the error thrown on. */
  attempt<T>(work: () => T): T {
    const savepoint = this.savepoint();
    try {
      return work();
    } catch (error) {
      this.rollback(savepoint);
      throw error;
    }
  }

  /** Makes the writes visible and known. Resolves when they are; at once unless a late commit rule strikes. */
  async commit(): Promise<void> {
    const delayMs = this.org.rules.commitDelayMs(new Set(this.changes.map((change) => change.object)));
    if (delayMs > 0) await this.linger(delayMs);
    this.finish();
  }

  /** Commits now whatever the rules say: for loading and for in-process edits. */
  finish(): void {
    if (this.state === 'done') return;
    this.state = 'done';
    const net = netChanges(this.changes);
    this.org.committed(this, net);
  }

  private async linger(delayMs: number): Promise<void> {
    const redo = [...this.changes];
    this.rollback();
    for (const change of redo) this.org.locked.set(change.id, this);
    await this.org.clock.sleep(delayMs, this.org.closing);
    for (const change of redo) {
      this.org.store.table(change.object).put(change.id, change.after);
      this.org.locked.delete(change.id);
    }
    this.changes = redo;
  }

  private save(object: ObjectDef, draft: Record<string, Value>, before: Row | null, input: Input): void {
    beforeSave(this, object, draft, before);
    for (const { rule } of this.org.rules.triggers.of(object.name)) {
      for (const [name, value] of Object.entries(rule.rewrite(draft, before))) {
        const field = this.org.catalogue.field(object.name, name);
        if (field !== undefined) draft[field.name] = storedValue(field, value, 'json');
      }
    }
    const given = new Set([...input.given, ...Object.keys(draft).filter((name) => draft[name] !== before?.[name])]);
    checkSave(this, object, draft, before, given);
    if (before === null && this.org.rules.lockStrikes(object.name)) throw lockRow();
    this.record(object, String(draft['Id']), before === null ? 'create' : 'update', before, this.stamped(draft));
    afterSave(this, object, draft, before);
  }

  private stamped(draft: Record<string, Value>): Row {
    const by = { LastModifiedDate: this.stamp, LastModifiedById: this.actor.userId, SystemModstamp: this.stamp };
    return { ...draft, ...by };
  }

  private removeWithChildren(object: ObjectDef, before: Row, root: string): void {
    const id = String(before['Id']);
    for (const relation of this.org.catalogue.children(object.name)) {
      const def = must(this.org.catalogue.object(relation.child), relation.child);
      for (const row of this.org.store.table(relation.child).children(relation.field, id)) {
        if (row['IsDeleted'] === true) continue;
        if (relation.field.onParentDelete === 'cascade') this.removeWithChildren(def, row, root);
        else if (relation.field.onParentDelete === 'clear') {
          this.record(def, String(row['Id']), 'update', row, this.stamped({ ...row, [relation.field.name]: null }));
        }
      }
    }
    this.record(object, id, 'delete', before, this.stamped({ ...before, IsDeleted: true }));
    this.org.noteBin(id, root);
    afterSave(this, object, null, before);
  }

  private reparent(child: string, field: FieldDef, from: string, to: string): void {
    const def = must(this.org.catalogue.object(child), child);
    for (const row of this.org.store.table(child).children(field, from)) {
      if (row['IsDeleted'] !== true) {
        this.record(def, String(row['Id']), 'update', row, this.stamped({ ...row, [field.name]: to }));
      }
    }
  }

  private lock(object: ObjectDef, id: string): void {
    const holder = this.org.locked.get(id);
    if ((holder !== undefined && holder !== this) || this.org.rules.lockStrikes(object.name)) throw lockRow(id);
  }

  private requireWritable(object: ObjectDef, input: Input, flag: 'createable' | 'updateable', before?: Row): void {
    if (flag === 'createable' && !object.createable) {
      throw new ApiError('CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY', `entity type cannot be inserted: ${object.label}`);
    }
    const refused = input.fields.filter((field) => !field[flag] && (field.name !== 'Id' || before === undefined));
    if (refused.length === 0) return;
    const names = refused.map((field) => field.name);
    throw new ApiError(
      'INVALID_FIELD_FOR_INSERT_UPDATE',
      `Unable to create/update fields: ${names.join(', ')}. Please check the security settings of this field and verify that it is read/write for your profile or permission set.`,
      names,
    );
  }

  private record(object: ObjectDef, id: string, op: LedgerOperation, before: Row | null, after: Row | null): void {
    this.changes.push({ object: object.name, id, op, before, after });
    this.org.store.table(object.name).put(id, after);
  }
}

export const lockRow = (id?: string): ApiError =>
  new ApiError(
    'UNABLE_TO_LOCK_ROW',
    `unable to obtain exclusive access to this record or 1 records${id === undefined ? '' : `: ${id}`}`,
  );

/** One change a record: what it was before the transaction and what it is after. */
function netChanges(changes: readonly Change[]): readonly Change[] {
  const net = new Map<string, Change>();
  for (const change of changes) {
    const first = net.get(change.id);
    if (first === undefined) net.set(change.id, change);
    else {
      const op = first.op === 'create' && change.op === 'update' ? 'create' : change.op;
      net.set(change.id, { ...change, op, before: first.before });
    }
  }
  return [...net.values()];
}
