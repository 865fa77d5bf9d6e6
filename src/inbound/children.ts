// Embedded children travel inside their parent's record: which of them came, which are gone, and which go with a deleted parent.
import type { Mapping, SpokeMapping } from '../mapping/mapping.js';
import type { EntityName, ExternalId, HubId } from '../model/ids.js';
import type { RemoteRecord } from '../model/record.js';
import { readChildren, type HubTable } from '../store/hub.js';
import { linkedChildren, linksByHub } from '../store/links.js';
import type { Tx } from '../store/pool.js';
import { must } from '../base/assert.js';
import { parentField } from './batch.js';
import type { Decision, Incoming } from './decision.js';

export interface ChildrenDeps {
  readonly mapping: Mapping;
  readonly tables: ReadonlyMap<EntityName, HubTable>;
}

/** Children travel with parents that were judged; those of a parked or ignored parent travel with its next reading. */
export async function childrenOf(
  tx: Tx,
  mapping: SpokeMapping,
  child: string,
  decisions: readonly Decision[],
): Promise<readonly Incoming[]> {
  const parents = decisions.filter((decision) => decision.kind === 'upsert');
  const incoming: Incoming[] = [];
  const present = new Set<string>();
  const complete = new Map<HubId, RemoteRecord>();
  for (const parent of parents) {
    const { record } = parent.incoming;
    const children = record.children[child];
    if (children === undefined) continue;
    complete.set(parent.hubId, record);
    for (const one of children) {
      present.add(one.externalId);
      // An embedded child changes when its parent does.
      incoming.push({
        record: one.version === '' ? { ...one, version: record.version } : one,
        parent: record.externalId,
      });
    }
  }
  // A present list is complete: a child that was in it and is not any more is gone. One that the hub has moved here since never was in it.
  const feed = { spoke: mapping.spoke, entity: mapping.entity };
  for (const [parentId, known] of await linkedChildren(tx, feed, [...complete.keys()])) {
    const parent = must(complete.get(parentId), 'parent');
    for (const { externalId } of known)
      if (!present.has(externalId)) incoming.push(goneChild(mapping, parent, externalId));
  }
  return incoming;
}

function goneChild(mapping: SpokeMapping, parent: RemoteRecord, externalId: ExternalId): Incoming {
  const record: RemoteRecord = {
    object: mapping.object,
    externalId,
    version: parent.version,
    deleted: true,
    hubKey: null,
    modifiedBySelf: parent.modifiedBySelf,
    mergedInto: null,
    fields: {},
    children: {},
  };
  return { record, parent: parent.externalId };
}

/** The linked children of records that the spoke has deleted, by the mapping of their entity. */
export async function childrenOfGone(
  deps: ChildrenDeps,
  tx: Tx,
  mapping: SpokeMapping,
  decisions: readonly Decision[],
): Promise<readonly (readonly [SpokeMapping, readonly Incoming[]])[]> {
  const parents = new Map<HubId, RemoteRecord>();
  for (const decision of decisions)
    if (decision.kind === 'delete' && !decision.hold) parents.set(decision.hubId, decision.incoming.record);
  if (parents.size === 0 || mapping.delete !== 'propagate') return [];
  const found: [SpokeMapping, readonly Incoming[]][] = [];
  for (const { entity } of mapping.embeds) {
    const child = deps.mapping.entities.get(entity)?.spokes.get(mapping.spoke);
    const field = child === undefined ? null : parentField(child);
    const table = deps.tables.get(entity);
    if (child === undefined || field === null || table === undefined || child.direction === 'out') continue;
    const rows = await readChildren(tx, table, field, [...parents.keys()]);
    const ids = [...rows.values()].flat().map((row) => row.id);
    const links = await linksByHub(tx, { spoke: mapping.spoke, entity }, ids);
    const gone = [...rows].flatMap(([parentId, children]) =>
      children.flatMap(({ id }) => {
        const link = links.get(id);
        return link?.state === 'live' ? [goneChild(child, must(parents.get(parentId), 'parent'), link.externalId)] : [];
      }),
    );
    if (gone.length > 0) found.push([child, gone]);
  }
  return found;
}
