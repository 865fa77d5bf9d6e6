// Owns the state of one simulated org: records, rules, users, the ledger and whoever listens to commits. The door through which
// people (not the API) change it: load and edit.
import { must } from '../../base/assert.js';
import type { Clock } from '../../base/clock.js';
import { ControlError, type Edit } from '../control.js';
import { Ledger } from '../ledger.js';
import { Catalogue } from './catalogue.js';
import { IdMint, normaliseId } from './ids.js';
import { Rules } from './rules.js';
import { blankRow, Store } from './store.js';
import { stampOf, wholeSecond } from './stamps.js';
import { Transaction, type Change } from './transaction.js';
import type { Actor, FieldSpec, ObjectDef, Row, Value } from './words.js';

export interface OrgOptions {
  readonly name?: string | undefined;
  readonly sandbox?: boolean | undefined;
  /** 18 characters; default made from the name, so two orgs with different names have different ids. */
  readonly id?: string | undefined;
  readonly customFields?: Readonly<Record<string, readonly FieldSpec[]>> | undefined;
  readonly customObjects?: readonly { name: string; keyPrefix: string; fields: readonly FieldSpec[] }[] | undefined;
  /** The real platform keeps whole seconds (default). `ms` shows sub-second stamps. */
  readonly stampPrecision?: 'second' | 'ms' | undefined;
}

export type CommitListener = (tx: Transaction, changes: readonly Change[]) => void;

export class Org {
  readonly catalogue: Catalogue;
  readonly store: Store;
  readonly rules = new Rules();
  readonly ids = new IdMint();
  readonly ledger: Ledger;
  /** Records held by a transaction that has not committed yet. */
  readonly locked = new Map<string, Transaction>();
  readonly orgId: string;
  readonly standardPricebookId: string;
  readonly engineUserId: string;
  readonly personUserId: string;
  private readonly listeners: CommitListener[] = [];
  readonly bin = new Map<string, string>();
  readonly autoNumbers = new Map<string, number>();

  constructor(
    readonly clock: Clock,
    readonly closing: AbortSignal,
    private readonly options: OrgOptions,
  ) {
    this.catalogue = new Catalogue(options.customFields, options.customObjects);
    this.store = new Store(this.catalogue);
    this.ledger = new Ledger(clock);
    this.orgId = options.id ?? must(normaliseId(`00DHs${orgDigits(options.name ?? 'Simulated Org')}`), 'org id');
    this.engineUserId = this.addUser('integration@truespoke.example', null, 'Integration');
    this.personUserId = this.addUser('ada@truespoke.example', 'Ada', 'Person');
    const facts = { IsSandbox: options.sandbox ?? false, OrganizationType: 'Developer Edition', InstanceName: 'HS1' };
    this.seed('Organization', { Id: this.orgId, Name: options.name ?? 'Simulated Org', ...facts });
    this.standardPricebookId = this.seed('Pricebook2', {
      Name: 'Standard Price Book',
      IsActive: true,
      IsStandard: true,
    });
  }

  /** Now, at the precision of stored stamps. */
  stampMs(): number {
    const now = this.clock.now();
    return this.options.stampPrecision === 'ms' ? Math.floor(now) : wholeSecond(now);
  }

  onCommit(listener: CommitListener): void {
    this.listeners.push(listener);
  }

  committed(tx: Transaction, changes: readonly Change[]): void {
    const at = this.clock.now();
    for (const { object, id, op, before, after } of changes) {
      const staleMs = this.rules.staleMs(object);
      if (staleMs > 0) this.store.table(object).remember(id, at, before, staleMs * 2);
      const { name: actor, requestId, route } = tx.actor;
      this.ledger.append({ actor, object, id, op, before, after, requestId, route });
    }
    for (const listener of this.listeners) listener(tx, changes);
  }

  /** What readers see: lagging where a stale read rule is in force. */
  rows(object: string): Iterable<Row> {
    const staleMs = this.rules.staleMs(object);
    const table = this.store.table(object);
    return staleMs === 0 ? table.all() : table.allAsOf(this.clock.now() - staleMs);
  }

  row(object: string, id: string): Row | undefined {
    const staleMs = this.rules.staleMs(object);
    const table = this.store.table(object);
    return staleMs === 0 ? table.get(id) : table.getAsOf(id, this.clock.now() - staleMs);
  }

  object(name: string): ObjectDef {
    const found = this.catalogue.object(name);
    if (found === undefined) throw new ControlError(`no object ${name}`);
    return found;
  }

  /** Values the platform gives a new record. */
  defaultsOf(object: ObjectDef, actor: Pick<Actor, 'userId'>): Record<string, Value> {
    const values: Record<string, Value> = {};
    for (const field of object.fields) {
      if (field.name === 'OwnerId') values['OwnerId'] = actor.userId;
      else if (field.autoNumber) values[field.name] = this.autoNumber(object.name);
    }
    return values;
  }

  /** The record whose deletion put `id` into the bin. */
  binRoot(id: string): string | undefined {
    return this.bin.get(id);
  }

  noteBin(id: string, root: string): void {
    this.bin.set(id, root);
  }

  person(name: string, route: string): Actor {
    return {
      userId: this.userNamed(name) ?? this.personUserId,
      name,
      route,
      requestId: null,
      client: null,
      apiVersion: null,
      allowDuplicates: true,
    };
  }

  /**
   * Seeds records: checked like any save, but without ledger entries and change events. Rows may carry CreatedDate and
   * LastModifiedDate (ISO); SystemModstamp follows the latter. Throws on the first bad row.
   */
  load(objectName: string, rows: readonly Readonly<Record<string, unknown>>[]): readonly string[] {
    const object = this.object(objectName);
    const tx = new Transaction(this, this.person('loader', 'load'));
    const table = this.store.table(object.name);
    return rows.map((raw, i) => {
      const { CreatedDate: created, LastModifiedDate: modified, IsStandard: _, ...fields } = raw;
      try {
        const id = tx.insert(object, fields, 'json');
        if (created !== undefined || modified !== undefined) {
          table.put(id, { ...must(table.get(id), 'loaded row'), ...seedStamps(created, modified) });
        }
        return id;
      } catch (error) {
        throw new ControlError(
          `${objectName} row ${String(i)}: ${error instanceof Error ? error.message : String(error)}`,
          { cause: error },
        );
      }
    });
  }

  /** A person edits a record in the org's own pages. Resolves once it is committed. */
  async edit(edit: Edit): Promise<{ id: string }> {
    const object = this.object(edit.object);
    const tx = new Transaction(this, this.person(edit.actor ?? 'person', `edit ${edit.op}`));
    const id = tx.attempt(() => this.applyEdit(tx, object, edit));
    await tx.commit();
    return { id };
  }

  async merge(objectName: string, master: string, losers: readonly string[], actor = 'person'): Promise<void> {
    const tx = new Transaction(this, this.person(actor, 'merge'));
    tx.attempt(() => tx.merge(this.object(objectName), checkedId(master), losers.map(checkedId)));
    await tx.commit();
  }

  async purge(objectName: string, id: string, actor = 'person'): Promise<void> {
    const tx = new Transaction(this, this.person(actor, 'purge'));
    tx.attempt(() => tx.purge(this.object(objectName), checkedId(id)));
    await tx.commit();
  }

  /**
   * Changes stored values without stamps, change events or checks: what a faulty restore or a hidden process does. Nothing but
   * a comparison of values can find it. Still in the ledger, as actor `damage`.
   */
  damage(objectName: string, id: string, fields: Readonly<Record<string, unknown>>): void {
    const object = this.object(objectName);
    const table = this.store.table(object.name);
    const before = table.get(checkedId(id));
    if (before === undefined) throw new ControlError(`no ${objectName} ${id}`);
    const after: Row = { ...before, ...(fields as Record<string, Value>) };
    table.put(String(before['Id']), after);
    const entry = {
      actor: 'damage',
      object: object.name,
      id: String(before['Id']),
      op: 'update',
      before,
      after,
    } as const;
    this.ledger.append({ ...entry, requestId: null, route: 'damage' });
  }

  transaction(actor: Actor): Transaction {
    return new Transaction(this, actor);
  }

  userNamed(name: string): string | undefined {
    return this.store.table('User').holder(must(this.catalogue.field('User', 'Username'), 'Username'), name);
  }

  addUser(username: string, firstName: string | null, lastName: string): string {
    const name = [firstName, lastName].filter((part) => part !== null).join(' ');
    const fields = { Username: username, Email: username, FirstName: firstName, LastName: lastName, Name: name };
    return this.seed('User', { ...fields, Alias: lastName.slice(0, 8).toLowerCase(), IsActive: true });
  }

  private applyEdit(tx: Transaction, object: ObjectDef, edit: Edit): string {
    if (edit.op === 'create') return tx.insert(object, edit.fields ?? {}, 'json');
    const id = normaliseId(edit.id ?? '');
    if (id === null) throw new ControlError(`${edit.op} wants the id of a record`);
    if (edit.op === 'update') tx.update(object, id, edit.fields ?? {}, 'json');
    else if (edit.op === 'delete') tx.remove(object, id);
    else tx.undelete(object, id);
    return id;
  }

  private seed(objectName: string, fields: Readonly<Record<string, Value>>): string {
    const object = this.object(objectName);
    const id = String(fields['Id'] ?? this.ids.next(object.keyPrefix));
    const stamp = stampOf(this.stampMs());
    const user = this.engineUserId ?? id;
    const system = {
      CreatedDate: stamp,
      LastModifiedDate: stamp,
      SystemModstamp: stamp,
      CreatedById: user,
      LastModifiedById: user,
    };
    this.store.table(object.name).put(id, { ...blankRow(object), ...system, ...fields, Id: id });
    return id;
  }

  private autoNumber(object: string): string {
    const n = (this.autoNumbers.get(object) ?? 99) + 1;
    this.autoNumbers.set(object, n);
    return String(n).padStart(object === 'OrderItem' ? 10 : 8, '0');
  }
}

function checkedId(text: string): string {
  const id = normaliseId(text);
  if (id === null) throw new ControlError(`not a record id: ${text}`);
  return id;
}

function orgDigits(name: string): string {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 1e10;
  return String(hash).padStart(10, '0');
}

function seedStamps(created: unknown, modified: unknown): Record<string, Value> {
  const at = (value: unknown): string => stampOf(wholeSecond(Date.parse(String(value))));
  const first = at(created ?? modified);
  const last = at(modified ?? created);
  return { CreatedDate: first, LastModifiedDate: last, SystemModstamp: last };
}
