// Owns what people do at the spokes of a simulated run. Each act is over at once, and the model knows of it.
import type { Random } from '../../src/base/random.js';
import type { ChildChanges } from '../../src/connectors/memory/store.js';
import type { MemoryRemote } from '../../src/connectors/memory/remote.js';
import type { Row } from '../../src/connectors/memory/table.js';
import type { RemoteValue } from '../../src/model/record.js';
import { remotePath } from '../../src/model/ids.js';
import { keyOf, remoteValue, shownAt, tokensOf, type Model } from './model.js';
import type { FaultPlan } from './faults.js';
import type { Habits } from './habits.js';
import {
  counterPaths,
  followedEntities,
  forbidden,
  spokeNames,
  writable,
  type EntityId,
  type FollowedField,
  type SpokeId,
} from './world.js';

export interface PeoplePorts {
  readonly random: Random;
  readonly model: Model;
  readonly remotes: Readonly<Record<SpokeId, MemoryRemote>>;
  /** Scheduler's count. */
  readonly at: () => { readonly at: number; readonly atMs: number; readonly watchMs: number };
  readonly note: (line: string) => void;
  readonly plan: Habits &
    Pick<FaultPlan, 'deletes' | 'burials' | 'crowd' | 'forbidden' | 'together' | 'clears' | 'merges' | 'twins'>;
  /** One operation is done. */
  readonly did: () => void;
}

/** Between an edit and the deletion that follows it. */
const hasteMs = 2_000;

/** Where a parcel names its owner. */
const ownerPaths = { alpha: 'Owner', beta: 'client' } as const;

export class People {
  /** Edited, and about to be deleted. */
  private doomed: {
    readonly spoke: SpokeId;
    readonly entity: EntityId;
    readonly id: string;
    readonly dueMs: number;
  } | null = null;

  constructor(private readonly ports: PeoplePorts) {}

  act(): void {
    const { random } = this.ports;
    this.ports.did();
    const spoke = this.one(spokeNames);
    if (this.habit(spoke)) return;
    const isFull = this.ports.model.living >= this.ports.plan.crowd;
    const draw = isFull ? 0.36 + 0.64 * random.next() : random.next();
    if (draw < 0.04 && this.ports.plan.twins) this.twin(spoke);
    else if (draw < 0.2) this.create(spoke, 'person');
    else if (draw < 0.28) this.create(spoke, 'parcel');
    else if (draw < 0.36) this.createLine(spoke);
    else if (draw < 0.42 && this.ports.plan.deletes) this.remove(spoke);
    else if (draw < 0.45 && this.ports.plan.deletes) this.undelete(spoke === 'gamma' ? 'beta' : spoke);
    else if (draw < 0.455 && this.ports.plan.merges && spoke !== 'gamma') this.merge(spoke);
    else if (draw < 0.48 && spoke !== 'gamma') this.count(spoke);
    else if (draw < 0.5 && this.ports.plan.together && spoke !== 'gamma') this.together(spoke);
    else if (draw < 0.55 && this.ports.plan.burials) this.remove(spoke);
    else this.edit(spoke, draw < 0.85 ? 'person' : draw < 0.93 ? 'parcel' : 'line');
  }

  /** What only some plans ask for. Nothing is drawn where a plan does not. */
  private habit(spoke: SpokeId): boolean {
    const { plan, random } = this.ports;
    const draws = (share: number): boolean => share > 0 && random.next() < share;
    const able = spoke === 'gamma' ? 'beta' : spoke;
    if (this.doomed !== null && this.ports.at().watchMs >= this.doomed.dueMs) this.removeDoomed();
    else if (draws(plan.families)) this.family(able);
    else if (plan.twins && draws(plan.twinShare)) this.twin(spoke);
    else if (plan.deletes && draws(plan.removals)) this.remove(spoke);
    else if (plan.deletes && draws(plan.revives)) this.undelete(able);
    // Where no overlap shows a skipped record once more.
    else if (plan.together && draws(plan.bundleShare)) this.together('alpha');
    else return false;
    return true;
  }

  private removeDoomed(): void {
    const { doomed } = this;
    if (doomed === null) return;
    const { spoke, entity, id } = doomed;
    const path = followedEntities[entity].keys[spoke]?.path ?? '';
    const row = this.someone(spoke, entity, undefined, id);
    const key = keyOf(row?.fields[remotePath(path)]);
    // Still set: it is edited no more.
    if (key !== null) this.removeRecord(spoke, entity, (one) => one === key);
    this.doomed = null;
  }

  /** A parent, a child of it and a child of that, all in one moment (F122). */
  private family(spoke: 'alpha' | 'beta'): void {
    const { remotes, did } = this.ports;
    const place = followedEntities.person.keys[spoke];
    const person = this.create(spoke, 'person');
    if (place === undefined || person === null) return;
    const key = keyOf(remotes[spoke].get(place.object, person)?.fields[remotePath(place.path)]) ?? '';
    did();
    // Nothing refers to one that may be deleted.
    const owner: Record<string, RemoteValue> = removable(key) ? {} : { [ownerPaths[spoke]]: person };
    const parcel = this.create(spoke, 'parcel', owner);
    did();
    if (parcel !== null) this.createLine(spoke, parcel);
  }

  /** The same person, made once more by somebody who does not know. */
  private twin(spoke: SpokeId): void {
    const { model, remotes, at } = this.ports;
    const place = followedEntities.person.keys[spoke];
    if (place === undefined) return;
    const here = new Set(remotes[spoke].list(place.object).map((row) => keyOf(row.fields[remotePath(place.path)])));
    const known = [...model.keys].flatMap(([key, entity]) =>
      entity === 'person' && !here.has(key) && !model.deleted.has(key) ? [key] : [],
    );
    if (known.length === 0) return;
    const hot = known.filter((key) => model.recent.includes(key));
    const isHot = this.ports.plan.focus > 0 && hot.length > 0 && this.ports.random.next() < this.ports.plan.focus;
    const id = this.create(spoke, 'person', {}, this.one(isHot ? hot : known));
    if (id === null) return;
    model.twins.set(`${spoke}/${id}`, at());
    model.doubled.add(keyOf(remotes[spoke].get(place.object, id)?.fields[remotePath(place.path)]) ?? '');
  }

  create(
    spoke: SpokeId,
    entity: 'person' | 'parcel',
    more: Readonly<Record<string, RemoteValue>> = {},
    known: string | null = null,
  ): string | null {
    const { model, remotes, random } = this.ports;
    const place = followedEntities[entity].keys[spoke];
    if (place === undefined) return null;
    const key = known ?? model.nextKey(entity);
    const fields: Record<string, RemoteValue> = { [place.path]: key, ...more };
    for (const field of writable(entity, spoke)) {
      const path = field.paths[spoke];
      if (path !== undefined && random.next() < 0.6) fields[path] = this.write(spoke, entity, key, field, []);
    }
    if (entity === 'parcel' && spoke !== 'gamma' && more[ownerPaths[spoke]] === undefined) {
      const owner = this.someone(spoke, 'person', (one) => !removable(one));
      if (owner !== null) fields[ownerPaths[spoke]] = owner.id;
    }
    if (this.ports.plan.forbidden && entity === 'person' && known === null && removable(key))
      this.forbid(spoke, fields);
    const id = remotes[spoke].create(place.object, fields);
    this.ports.note(`${spoke}: a person makes ${key} ${id} ${JSON.stringify(fields)}`);
    return id;
  }

  /** Nothing ever refers to it, so nothing but it itself has to wait. */
  private forbid(spoke: SpokeId, fields: Record<string, RemoteValue>): void {
    const path = followedEntities.person.fields.find((one) => one.field === 'name')?.paths[spoke] ?? '';
    if (typeof fields[path] === 'string') fields[path] = `${forbidden} ${fields[path]}`;
  }

  /** In any parcel, or in this one. */
  private createLine(spoke: SpokeId, within: string | null = null): void {
    if (spoke === 'gamma') return;
    const { model, remotes } = this.ports;
    const lasts = (one: string): boolean => !this.ports.plan.burials || !disposable(one);
    const parcel = this.someone(spoke, 'parcel', lasts, within);
    if (parcel === null) return;
    const key = model.nextKey('line');
    const [field] = followedEntities.line.fields;
    if (field === undefined) return;
    const path = field.paths[spoke] ?? '';
    const value = this.write(spoke, 'line', key, field, []);
    if (spoke === 'alpha') {
      const children = {
        lines: [{ id: null, hubKey: null, fields: { Key: key, [path]: value } }],
      } as unknown as ChildChanges;
      remotes.alpha.edit('Parcel', parcel.id, {}, children);
    } else remotes.beta.create('Row', { shipment: parcel.id, code: key, [path]: value });
    this.ports.note(`${spoke}: a person adds ${key} to ${parcel.id}`);
  }

  private edit(spoke: SpokeId, entity: EntityId): void {
    if (entity === 'line' && spoke !== 'beta') return this.editChild(spoke);
    const row = this.someone(spoke, entity);
    if (row !== null) this.editRow(spoke, entity, row);
  }

  private editRow(spoke: SpokeId, entity: EntityId, row: Row): void {
    const { remotes } = this.ports;
    const place = followedEntities[entity].keys[spoke];
    if (place === undefined) return;
    const fields: Record<string, RemoteValue> = {};
    const key = keyOf(row.fields[remotePath(place.path)]) ?? '';
    for (const field of this.some(writable(entity, spoke))) {
      const path = field.paths[spoke] ?? '';
      fields[path] = this.write(spoke, entity, key, field, tokensOf(field.shape, row.fields[remotePath(path)]));
    }
    remotes[spoke].edit(place.object, row.id, fields);
    this.ports.note(`${spoke}: a person edits ${key} ${row.id} ${JSON.stringify(fields)}`);
  }

  private editChild(spoke: SpokeId): void {
    if (spoke !== 'alpha') return;
    const parcel = this.someone('alpha', 'parcel');
    const children = parcel?.children['lines'] ?? [];
    const [field] = followedEntities.line.fields;
    if (parcel === null || children.length === 0 || field === undefined) return;
    const child = this.one(children);
    const path = field.paths.alpha ?? '';
    const key = keyOf(child.fields[remotePath('Key')]) ?? '';
    const value = this.write('alpha', 'line', key, field, tokensOf(field.shape, child.fields[remotePath(path)]));
    const changes = {
      lines: [{ id: child.id, hubKey: child.hubKey, fields: { [path]: value } }],
    } as unknown as ChildChanges;
    this.ports.remotes.alpha.edit('Parcel', parcel.id, {}, changes);
    this.ports.note(`alpha: a person edits ${key} in ${parcel.id}`);
  }

  private remove(spoke: SpokeId): void {
    const { random, plan } = this.ports;
    if (!plan.burials || random.next() < 0.4) this.removeRecord(spoke, 'person', removable);
    else if (random.next() < 0.6 || spoke === 'gamma') this.removeRecord(spoke, 'parcel', disposable);
    else if (spoke === 'beta') this.removeRecord(spoke, 'line', () => true);
    else this.removeChild();
  }

  /** Only records that nothing refers to: the hub's own foreign keys would refuse the rest. */
  private removeRecord(spoke: SpokeId, entity: EntityId, wanted: (key: string) => boolean): void {
    const { model, remotes, plan } = this.ports;
    const found = this.someone(spoke, entity, wanted);
    const place = followedEntities[entity].keys[spoke];
    if (found === null || place === undefined) return;
    if (plan.hasty && spoke !== 'gamma' && this.doomed === null) {
      this.editRow(spoke, entity, found);
      this.doomed = { spoke, entity, id: found.id, dueMs: this.ports.at().watchMs + hasteMs };
      return;
    }
    const row = remotes[spoke].get(place.object, found.id) ?? found;
    const key = keyOf(row.fields[remotePath(place.path)]) ?? '';
    model.remove(key, spoke, shownAt(spoke, entity, row.fields));
    remotes[spoke].remove(place.object, row.id);
    this.ports.note(`${spoke}: a person deletes ${key} ${row.id}`);
  }

  private removeChild(): void {
    const { model, remotes } = this.ports;
    const parcel = this.someone('alpha', 'parcel');
    const children = parcel?.children['lines'] ?? [];
    if (parcel === null || children.length === 0) return;
    const child = this.one(children);
    const key = keyOf(child.fields[remotePath('Key')]) ?? '';
    model.remove(key, 'alpha', shownAt('alpha', 'line', child.fields));
    const changes = { lines: [{ id: child.id, hubKey: child.hubKey, fields: {}, remove: true }] };
    remotes.alpha.edit('Parcel', parcel.id, {}, changes as unknown as ChildChanges);
    this.ports.note(`alpha: a person takes ${key} out of ${parcel.id}`);
  }

  private undelete(spoke: 'alpha' | 'beta'): void {
    const { remotes, random, model, plan } = this.ports;
    const isParcel = plan.burials && spoke === 'alpha' && random.next() < 0.6;
    const place = followedEntities[isParcel ? 'parcel' : 'person'].keys[spoke];
    if (place === undefined) return;
    const { object, path } = place;
    const gone = [...remotes[spoke].ledger]
      .reverse()
      .find((entry) => entry.op === 'delete' && entry.object === object && random.next() < 0.5);
    if (gone === undefined || remotes[spoke].get(object, gone.id)?.deleted !== true) return;
    const key = keyOf(gone.before?.[remotePath(path)]) ?? '';
    // Brought back while another copy lives (a row made anew under the same key): people would not.
    if (remotes[spoke].list(object).some((row) => keyOf(row.fields[remotePath(path)]) === key)) return;
    model.touch(key, spoke);
    remotes[spoke].undelete(object, gone.id);
    this.ports.note(`${spoke}: a person brings ${key} ${gone.id} back`);
  }

  /** F104: the loser is one that nothing refers to. */
  private merge(spoke: 'alpha' | 'beta'): void {
    const { remotes, model, note } = this.ports;
    const place = followedEntities.person.keys[spoke];
    const winner = this.someone(spoke, 'person');
    const loser = this.someone(spoke, 'person', (key) => removable(key));
    if (place === undefined || winner === null || loser === null || winner.id === loser.id) return;
    const [kept, gone] = [winner, loser].map((row) => keyOf(row.fields[remotePath(place.path)]) ?? '');
    model.merge(kept ?? '', gone ?? '', spoke, shownAt(spoke, 'person', loser.fields));
    remotes[spoke].merge(place.object, { winner: winner.id, loser: loser.id });
    note(`${spoke}: a person merges ${gone} ${loser.id} into ${kept} ${winner.id}`);
  }

  /** One more on a counter, as its page shows it. */
  private count(spoke: 'alpha' | 'beta'): void {
    const { remotes, model, note, random } = this.ports;
    const place = followedEntities.person.keys[spoke];
    const row = this.someone(spoke, 'person');
    if (place === undefined || row === null) return;
    const key = keyOf(row.fields[remotePath(place.path)]) ?? '';
    const by = 1 + Math.floor(random.next() * 9);
    model.count(key, by, spoke);
    const path = counterPaths[spoke];
    remotes[spoke].edit(place.object, row.id, { [path]: Number(row.fields[remotePath(path)] ?? 0) + by });
    note(`${spoke}: a person counts ${by} on ${key}`);
  }

  /** Several edits in one transaction: one stamp, visible later (F94, F96). */
  private together(spoke: SpokeId): void {
    const { remotes, random } = this.ports;
    remotes[spoke].together(
      () => {
        for (let i = 0; i < this.ports.plan.bundle; i += 1) {
          this.ports.did();
          this.edit(spoke, 'person');
        }
      },
      spoke === 'beta' ? Math.floor(random.next() * 2_000) : 0,
    );
  }

  private write(
    spoke: SpokeId,
    entity: EntityId,
    key: string,
    field: FollowedField,
    over: readonly number[],
  ): RemoteValue {
    const { model, at, plan, random } = this.ports;
    const token = model.nextToken();
    const cleared = plan.clears && over.length > 0 && field.shape !== 'list' && random.next() < 0.1;
    model.record({
      token,
      entity,
      key,
      field: field.field,
      site: spoke,
      over: field.shape === 'list' ? [] : over,
      ...at(),
      cleared,
    });
    if (cleared) return field.shape === 'text' && random.next() < 0.5 ? '' : null;
    return remoteValue(field.shape, token, over);
  }

  /** `id`: this one and no other. */
  private someone(
    spoke: SpokeId,
    entity: EntityId,
    wanted: (key: string) => boolean = () => true,
    id: string | null = null,
  ): Row | null {
    const place = followedEntities[entity].keys[spoke];
    if (place === undefined) return null;
    const keyed = (row: Row): string => keyOf(row.fields[remotePath(place.path)]) ?? '';
    const rows = this.ports.remotes[spoke]
      .list(place.object)
      .filter((row) => wanted(keyed(row)) && (id === null || row.id === id));
    if (rows.length === 0) return null;
    return this.one(this.hot(rows, keyed));
  }

  /** Those that somebody has just touched, where the plan draws them together. */
  private hot<T>(rows: readonly T[], keyed: (row: T) => string): readonly T[] {
    const { model, plan, random } = this.ports;
    if (plan.focus <= 0 || random.next() >= plan.focus) return rows;
    const hot = rows.filter((row) => model.recent.includes(keyed(row)));
    return hot.length === 0 ? rows : hot;
  }

  private one<T>(list: readonly T[]): T {
    return list[Math.floor(this.ports.random.next() * list.length)] as T;
  }

  private some<T>(list: readonly T[]): readonly T[] {
    const chosen = list.filter(() => this.ports.random.next() < 0.3);
    return chosen.length > 0 ? chosen : [this.one(list)];
  }
}

/** Every fourth person is never referred to by anything, so that a deletion of it can be carried through. */
export const removable = (key: string): boolean => /^person-k\d*[048]$/i.test(key);

/** So is every fourth parcel, where parcels are deleted. */
export const disposable = (key: string): boolean => /^parcel-k\d*[048]$/i.test(key);
