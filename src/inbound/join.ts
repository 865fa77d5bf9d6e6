// Joins two hub records that are one thing: references are re-pointed, links moved, what the survivor lacks is taken from the loser, values of
// both are combined where the field's policy says so. All of it is kept, so that it can be undone. The hub is changed like an application
// would, so that capture journals it and every spoke hears of it. No two live links of one spoke ever point to one hub record.
import { must } from '../base/assert.js';
import type { Mapping } from '../mapping/mapping.js';
import type { EntityName, FieldName, HubId, SpokeName } from '../model/ids.js';
import type { HubFields, HubValue } from '../model/record.js';
import { closeConflictsOf, closeReviewsOf } from '../store/conflicts.js';
import { lane, markDirty, takeBackClaims } from '../store/deliveries.js';
import { deleteRows, readRows, updateRows, type HubTable } from '../store/hub.js';
import { insertMerge, lockLinksOf, moveLinks, readWhole, repoint, type Reference } from '../store/merges.js';
import type { Tx } from '../store/pool.js';
import { combine, compareHub } from './merge.js';

export interface JoinDeps {
  readonly mapping: Mapping;
  readonly tables: ReadonlyMap<EntityName, HubTable>;
  readonly nowMs: number;
  readonly actor: string;
}

export interface JoinRequest {
  readonly entity: EntityName;
  readonly survivor: HubId;
  readonly loser: HubId;
}

export interface Joined {
  readonly id: string;
  readonly links: number;
  readonly references: number;
  /** Records at spokes that stay beside the survivor's: merge or delete them there. */
  readonly leftAtSpokes: readonly (readonly [SpokeName, string])[];
}

/** May the links of these records be moved now? Claims that were made on the old pairs are taken back. */
export async function freeToMove(
  tx: Tx,
  { mapping }: Pick<JoinDeps, 'mapping'>,
  entity: EntityName,
  ids: readonly HubId[],
): Promise<boolean> {
  const distinct = [...new Set(ids)].sort();
  await lockLinksOf(tx, entity, distinct);
  return takeBackClaims(tx, entity, [...must(mapping.entities.get(entity), entity).spokes.keys()], distinct);
}

/** In a transaction whose origin is marked, once the records are `freeToMove`. null: these are not two live rows. */
export async function join(tx: Tx, deps: JoinDeps, request: JoinRequest): Promise<Joined | null> {
  const { entity: name, survivor, loser } = request;
  if (survivor === loser) return null;
  const table = must(deps.tables.get(name), name);
  const rows = await readRows(tx, table, [survivor, loser], { lock: true });
  const [kept, gone] = [rows.get(survivor), rows.get(loser)];
  if (kept === undefined || gone === undefined || kept.deletedAt !== null) return null;
  const whole = await readWhole(tx, table, loser);
  const { filled, replaced } = survivors(table, kept.fields, gone.fields);
  const { moved, merged } = await moveLinks(tx, name, loser, survivor);
  const repointed = await repointAll(tx, deps, name, { from: loser, to: survivor });
  await closeConflictsOf(tx, { entity: name, hubId: loser }, deps.actor, deps.nowMs);
  await closeReviewsOf(tx, { entity: name, hubId: loser }, deps.nowMs);
  // First: a unique value may pass from one to the other.
  await deleteRows(tx, table, [loser]);
  if (Object.keys(filled).length > 0) await updateRows(tx, table, [{ id: survivor, fields: filled }], rows);
  await compareAgain(tx, deps, name, [survivor]);
  const kinds = { loserRow: gone.fields, whole, filled, replaced, moved, merged, repointed };
  const id = await insertMerge(tx, { entity: name, survivor, loser, ...kinds }, deps.actor, deps.nowMs);
  return { id, links: moved.length, references: repointed.length, leftAtSpokes: merged };
}

/** What the survivor gets: what it lacks, and what the policies of both values make. `replaced`: what it held before. */
function survivors(table: HubTable, kept: HubFields, gone: HubFields): { filled: HubFields; replaced: HubFields } {
  const filled: Record<FieldName, HubValue> = {};
  const replaced: Record<FieldName, HubValue> = {};
  for (const { field } of table.columns) {
    const [mine, theirs] = [kept[field.name] ?? null, gone[field.name] ?? null];
    if (theirs === null || mine === theirs) continue;
    const value = mine === null ? theirs : combined(field, mine, theirs);
    if (value === mine) continue;
    filled[field.name] = value;
    if (mine !== null) replaced[field.name] = mine;
  }
  return { filled, replaced };
}

function combined(field: HubTable['columns'][number]['field'], mine: string, theirs: string): HubValue {
  const order = compareHub(field.type, theirs, mine);
  if (field.policy.kind === 'max') return order > 0 ? theirs : mine;
  if (field.policy.kind === 'min') return order < 0 ? theirs : mine;
  return combine(field, mine, theirs, undefined) ?? mine;
}

async function repointAll(
  tx: Tx,
  deps: JoinDeps,
  target: EntityName,
  refs: { readonly from: HubId; readonly to: HubId },
): Promise<readonly Reference[]> {
  const repointed: Reference[] = [];
  for (const entity of deps.mapping.entities.values()) {
    for (const field of entity.fields.filter((candidate) => candidate.ref === target)) {
      const ids = await repoint(tx, must(deps.tables.get(entity.name), entity.name), field.name, refs);
      repointed.push(...ids.map((id): Reference => [entity.name, field.name, id]));
    }
  }
  return repointed;
}

/** Moved links have the other record's base: every spoke is compared once. */
export async function compareAgain(tx: Tx, deps: JoinDeps, name: EntityName, ids: readonly HubId[]): Promise<void> {
  const spokes = must(deps.mapping.entities.get(name), name).spokes;
  const own = [...spokes.values()].filter((mapped) => mapped.embedded === null && mapped.direction !== 'in');
  await markDirty(
    tx,
    own.flatMap(({ spoke }) =>
      ids.map((hubId) => ({
        spoke,
        entity: name,
        hubId,
        lane: lane.interactive,
        atMs: deps.nowMs,
        lsn: null,
        trace: 'merge',
      })),
    ),
  );
}
