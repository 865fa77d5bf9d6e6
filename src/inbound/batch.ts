// Loads everything that deciding about a batch of remote records needs, in a handful of set-based queries. Locks links, then hub
// rows, each in id order: the one order in which the engine takes locks.
import type { Entity, SpokeMapping } from '../mapping/mapping.js';
import type { EntityName, ExternalId, FieldName, HubId, SpokeName } from '../model/ids.js';
import type { Link } from '../model/link.js';
import type { HubRow } from '../model/record.js';
import { inFlight, openDeliveries, type Open } from '../store/deliveries.js';
import { readRows, type HubTable } from '../store/hub.js';
import { lockLinks, refKey, resolveExternal } from '../store/links.js';
import type { Tx } from '../store/pool.js';
import type { Incoming } from './decision.js';
import { refsOf, type ResolveRef } from './normalise.js';

export interface Feed {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
}

export interface BatchContext {
  readonly mapping: SpokeMapping;
  readonly entity: Entity;
  readonly table: HubTable;
  readonly links: Map<ExternalId, Link>;
  readonly rows: Map<HubId, HubRow>;
  readonly resolve: ResolveRef;
  readonly busy: ReadonlySet<string>;
  readonly open: ReadonlyMap<HubId, Open>;
}

/** One entry per external id: the newest version wins, later in the batch wins among equals. */
export function dedupe(batch: readonly Incoming[]): readonly Incoming[] {
  const newest = new Map<ExternalId, Incoming>();
  for (const incoming of batch) {
    const seen = newest.get(incoming.record.externalId);
    if (seen === undefined || incoming.record.version >= seen.record.version)
      newest.set(incoming.record.externalId, incoming);
  }
  return [...newest.values()];
}

export async function loadBatch(
  tx: Tx,
  mapping: SpokeMapping,
  entity: Entity,
  table: HubTable,
  batch: readonly Incoming[],
): Promise<BatchContext> {
  const feed: Feed = { spoke: mapping.spoke, entity: mapping.entity };
  const survivors = batch.map(({ record }) => record.mergedInto).filter((id) => id !== null);
  const links = await lockLinks(tx, feed, [...batch.map(({ record }) => record.externalId), ...survivors]);
  const refs = batch.flatMap(({ record, parent }) => refsOf(mapping, record, parent));
  const resolved = await resolveExternal(tx, mapping.spoke, refs);
  const hubIds = [...new Set([...links.values()].map((link) => link.hubId))];
  const claimed = batch.flatMap(({ record, belongsTo }) =>
    [belongsTo, record.hubKey].filter((id) => id !== undefined && id !== null),
  );
  const rows = await readRows(tx, table, validIds(table, [...new Set([...hubIds, ...claimed])]), { lock: true });
  return {
    mapping,
    entity,
    table,
    links,
    rows,
    resolve: (name, id) => resolved.get(refKey(name, id)),
    busy: await inFlight(tx, feed, hubIds),
    open: await openDeliveries(tx, feed, [...new Set([...hubIds, ...claimed])]),
  };
}

const integerBits: Readonly<Record<string, bigint>> = { smallint: 16n, integer: 32n, bigint: 64n };
const uuidText = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** A remote field that holds our key can hold anything: only what can be an id of this table is looked up. */
function validIds(table: HubTable, ids: readonly HubId[]): readonly HubId[] {
  const { type } = table.id;
  if (type === 'uuid') return ids.filter((id) => uuidText.test(id));
  const bits = integerBits[type];
  if (bits === undefined) return ids;
  const bound = 2n ** (bits - 1n);
  return ids.filter((id) => /^-?\d{1,19}$/.test(id) && BigInt(id) < bound && BigInt(id) >= -bound);
}

/** The child field that points to the embedding record. */
export function parentField(mapping: SpokeMapping): FieldName | null {
  return mapping.fields.find((field) => field.fromParent)?.field.name ?? null;
}
