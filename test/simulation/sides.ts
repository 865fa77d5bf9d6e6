// Owns what the hub and the spokes show of each followed record, as tokens: the two sides that the oracle compares.
import type { MemoryRemote } from '../../src/connectors/memory/remote.js';
import type { RemoteFields, RemoteValue } from '../../src/model/record.js';
import { remotePath } from '../../src/model/ids.js';
import type { Queryable } from '../../src/store/pool.js';
import { keyOf, tokensOf } from './model.js';
import { followedEntities, hubEntities, type EntityId, type Shape, type SpokeId } from './world.js';

/** What one record shows somewhere. */
export interface Shown {
  readonly key: string;
  readonly id: string;
  readonly tokens: Readonly<Record<string, readonly number[]>>;
}

export interface HubShown extends Shown {
  /** The record that embeds it at some spoke. */
  readonly parent: string | null;
}

export class Sides {
  constructor(
    readonly db: Queryable,
    readonly remotes: Readonly<Record<SpokeId, MemoryRemote>>,
  ) {}

  async hubRows(entity: EntityId, where = 'true'): Promise<readonly HubShown[]> {
    const { fields } = followedEntities[entity];
    const parent = entity === 'line' ? 'parcel::text' : 'null';
    const columns = fields.map((one) => `${one.field}::text as ${one.field}`).join(', ');
    const { rows } = await this.db.query({
      name: where === 'true' ? `all_${entity}` : `some_${entity}`,
      text: `select id::text as id, key, ${parent} as parent, ${columns} from hub.${entity} where ${where} order by id`,
    });
    return rows.map((row) => ({
      key: keyOf(row['key'] ?? null) ?? '',
      id: row['id'] ?? '',
      parent: row['parent'] ?? null,
      tokens: Object.fromEntries(fields.map((one) => [one.field, tokensOf(one.shape, row[one.field])])),
    }));
  }

  remoteRows(spoke: SpokeId, entity: EntityId): readonly Shown[] {
    const { fields } = followedEntities[entity];
    return this.remoteKeys(spoke, entity).map(({ id, key, row }) => ({
      key,
      id,
      tokens: Object.fromEntries(
        fields
          .filter((one) => one.paths[spoke] !== undefined)
          .map((one) => [one.field, at(one.shape, row, one.paths[spoke] ?? '')]),
      ),
    }));
  }

  remoteKeys(
    spoke: SpokeId,
    entity: EntityId,
  ): readonly { readonly id: string; readonly key: string; readonly row: RemoteFields }[] {
    const place = followedEntities[entity].keys[spoke];
    if (place === undefined) return [];
    const rows = this.remotes[spoke].list(place.object);
    const all: { readonly id: string; readonly fields: RemoteFields }[] =
      place.child === undefined ? [...rows] : rows.flatMap((row) => [...(row.children[place.child ?? ''] ?? [])]);
    return all.map(({ id, fields }) => ({ id, key: keyOf(fields[remotePath(place.path)]) ?? '', row: fields }));
  }
}

export function entityOf(spoke: SpokeId, object: string): EntityId | null {
  return (
    hubEntities.find(
      (entity) =>
        followedEntities[entity].keys[spoke]?.object === object &&
        followedEntities[entity].keys[spoke]?.child === undefined,
    ) ?? null
  );
}

export const at = (shape: Shape, fields: RemoteFields | null, path: string): readonly number[] =>
  tokensOf(shape, fields?.[remotePath(path)] as RemoteValue | undefined);
