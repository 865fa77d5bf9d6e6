// Owns what people do at the spokes of a simulated run. Each act is over at once, and the model knows of it.
import type { Random } from '../../src/base/random.js';
import type { ChildChanges } from '../../src/connectors/memory/store.js';
import type { MemoryRemote } from '../../src/connectors/memory/remote.js';
import type { Row } from '../../src/connectors/memory/table.js';
import type { RemoteValue } from '../../src/model/record.js';
import { remotePath } from '../../src/model/ids.js';
import { keyOf, remoteValue, tokensOf, type Model } from './model.js';
import { followedEntities, spokeNames, type EntityId, type FollowedField, type SpokeId } from './world.js';

export interface PeoplePorts {
  readonly random: Random;
  readonly model: Model;
  readonly remotes: Readonly<Record<SpokeId, MemoryRemote>>;
  /** Scheduler's count. */
  readonly at: () => { readonly at: number; readonly atMs: number };
  readonly note: (line: string) => void;
  readonly deletes: boolean;
  readonly together: boolean;
}

export class People {
  constructor(private readonly ports: PeoplePorts) {}

  act(): void {
    const { random } = this.ports;
    const spoke = this.one(spokeNames);
    const draw = random.next();
    if (draw < 0.2) this.create(spoke, 'person');
    else if (draw < 0.28) this.create(spoke, 'parcel');
    else if (draw < 0.36) this.createLine(spoke);
    else if (draw < 0.42 && this.ports.deletes) this.remove(spoke);
    else if (draw < 0.45 && this.ports.deletes) this.undelete();
    else if (draw < 0.5 && this.ports.together && spoke !== 'gamma') this.together(spoke);
    else this.edit(spoke, draw < 0.85 ? 'person' : draw < 0.93 ? 'parcel' : 'line');
  }

  create(spoke: SpokeId, entity: 'person' | 'parcel', more: Readonly<Record<string, RemoteValue>> = {}): void {
    const { model, remotes, random } = this.ports;
    const place = followedEntities[entity].keys[spoke];
    if (place === undefined) return;
    const key = model.nextKey(entity);
    const fields: Record<string, RemoteValue> = { [place.path]: key, ...more };
    for (const field of followedEntities[entity].fields) {
      const path = field.paths[spoke];
      if (path !== undefined && random.next() < 0.6) fields[path] = this.write(spoke, entity, key, field, []);
    }
    if (entity === 'parcel' && spoke !== 'gamma') {
      const owner = this.someone(spoke, 'person', (one) => !removable(one));
      if (owner !== null) fields[spoke === 'alpha' ? 'Owner' : 'client'] = owner.id;
    }
    remotes[spoke].create(place.object, fields);
    this.ports.note(`${spoke}: a person makes ${key} ${JSON.stringify(fields)}`);
  }

  private createLine(spoke: SpokeId): void {
    if (spoke === 'gamma') return;
    const { model, remotes } = this.ports;
    const parcel = this.someone(spoke, 'parcel');
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
    const { remotes } = this.ports;
    const place = followedEntities[entity].keys[spoke];
    const row = this.someone(spoke, entity);
    if (place === undefined || row === null) return;
    const fields: Record<string, RemoteValue> = {};
    const key = keyOf(row.fields[remotePath(place.path)]) ?? '';
    for (const field of this.some(followedEntities[entity].fields.filter((one) => one.paths[spoke] !== undefined))) {
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

  /** Only records that nothing refers to: the hub's own foreign keys would refuse the rest. */
  private remove(spoke: SpokeId): void {
    const { model, remotes } = this.ports;
    const row = this.someone(spoke, 'person', (key) => removable(key));
    const place = followedEntities.person.keys[spoke];
    if (row === null || place === undefined) return;
    const key = keyOf(row.fields[remotePath(place.path)]) ?? '';
    model.remove(key, spoke);
    remotes[spoke].remove(place.object, row.id);
    this.ports.note(`${spoke}: a person deletes ${key} ${row.id}`);
  }

  private undelete(): void {
    const { remotes, random, model } = this.ports;
    const gone = [...remotes.alpha.ledger]
      .reverse()
      .find((entry) => entry.op === 'delete' && entry.object === 'Contact' && random.next() < 0.5);
    if (gone === undefined || remotes.alpha.get('Contact', gone.id)?.deleted !== true) return;
    const key = keyOf(gone.before?.[remotePath('Key')]) ?? '';
    // Brought back while another copy lives (a row made anew under the same key): people would not.
    if (remotes.alpha.list('Contact').some((row) => keyOf(row.fields[remotePath('Key')]) === key)) return;
    model.remove(key, 'alpha');
    remotes.alpha.undelete('Contact', gone.id);
    this.ports.note(`alpha: a person brings ${key} ${gone.id} back`);
  }

  /** Several edits in one transaction: one stamp, visible later (F94, F96). */
  private together(spoke: SpokeId): void {
    const { remotes, random } = this.ports;
    remotes[spoke].together(
      () => {
        for (let i = 0; i < 3; i += 1) this.edit(spoke, 'person');
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
    const { model, at } = this.ports;
    const token = model.nextToken();
    model.record({
      token,
      entity,
      key,
      field: field.field,
      site: spoke,
      over: field.shape === 'list' ? [] : over,
      ...at(),
    });
    return remoteValue(field.shape, token, over);
  }

  private someone(spoke: SpokeId, entity: EntityId, wanted: (key: string) => boolean = () => true): Row | null {
    const place = followedEntities[entity].keys[spoke];
    if (place === undefined) return null;
    const rows = this.ports.remotes[spoke]
      .list(place.object)
      .filter((row) => wanted(keyOf(row.fields[remotePath(place.path)]) ?? ''));
    return rows.length === 0 ? null : this.one(rows);
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
export const removable = (key: string): boolean => /^person-k\d*[048]$/.test(key);
