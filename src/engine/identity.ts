// Two hub records turn out to be one thing: joins them, and takes them apart again. References are re-pointed, links moved, what the
// survivor lacks is taken from the loser; all of it is kept, so that it can be undone. The hub is changed like an application would,
// so that capture journals it and every spoke hears of it. No two live links of one spoke ever point to one hub record.
import type { Clock } from '../base/clock.js';
import { ConfigError } from '../base/errors.js';
import { must } from '../base/assert.js';
import type { Mapping } from '../mapping/mapping.js';
import type { EntityName, FieldName, HubId, SpokeName } from '../model/ids.js';
import type { HubFields, HubRow, HubValue } from '../model/record.js';
import { audit } from '../store/audit.js';
import { lane, markDirty } from '../store/deliveries.js';
import { deleteRows, insertRows, markOrigin, openHubTable, readRows, updateRows, type HubTable } from '../store/hub.js';
import { insertMerge, lockMerge, markUndone, moveLinks, repoint, setLinks, type Reference } from '../store/merges.js';
import { transaction, type Pool, type Tx } from '../store/pool.js';

export interface IdentityDeps {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly mapping: Mapping;
  /** Who orders, for the audit. */
  readonly actor: string;
}

export interface MergeRequest {
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

export async function mergeRecords(deps: IdentityDeps, request: MergeRequest): Promise<Joined> {
  return transaction(deps.pool, async (tx) => {
    const { entity: name, survivor, loser } = request;
    const table = await tableOf(tx, deps, name);
    const rows =
      survivor === loser ? new Map<HubId, HubRow>() : await readRows(tx, table, [survivor, loser], { lock: true });
    const [kept, gone] = [rows.get(survivor), rows.get(loser)];
    if (kept === undefined || gone === undefined) throw notTwo(request);
    await markOrigin(tx, { origin: 'person', trace: `merge by ${deps.actor}`, lane: 'interactive' });
    const filled = lacking(kept.fields, gone.fields);
    const { moved, merged } = await moveLinks(tx, name, loser, survivor);
    const repointed = await repointAll(tx, deps, name, { from: loser, to: survivor });
    if (Object.keys(filled).length > 0) await updateRows(tx, table, [{ id: survivor, fields: filled }], rows);
    await deleteRows(tx, table, [loser]);
    await compareAgain(tx, deps, name, [survivor]);
    const row = { entity: name, survivor, loser, loserRow: gone.fields, filled, moved, merged, repointed };
    const id = await insertMerge(tx, row, deps.actor, deps.clock.now());
    const detail = { id, entity: name, survivor, loser };
    await audit(tx, { actor: deps.actor, action: 'record.merge', detail }, deps.clock.now());
    return { id, links: moved.length, references: repointed.length, leftAtSpokes: merged };
  });
}

/** Everything goes back where it was, but for what was changed since: later edits stay. */
export async function undoMerge(deps: IdentityDeps, id: string): Promise<MergeRequest> {
  return transaction(deps.pool, async (tx) => {
    const merge = await lockMerge(tx, id);
    if (merge === null) {
      throw new ConfigError({
        code: 'no_merge',
        message: `there is no merge ${id} that could be undone`,
        hint: '`truespoke audit` shows each merge with its id',
      });
    }
    const { entity: name, survivor, loser } = merge;
    const table = await tableOf(tx, deps, name);
    await markOrigin(tx, { origin: 'person', trace: `merge ${id} undone by ${deps.actor}`, lane: 'interactive' });
    await insertRows(tx, table, [{ id: loser, fields: merge.loserRow }]);
    await setLinks(tx, name, [...merge.moved, ...merge.merged], loser, 'live');
    for (const [child, field, hubId] of merge.repointed) {
      await repoint(tx, await tableOf(tx, deps, child), field, { from: survivor, to: loser, only: [hubId] });
    }
    const present = await readRows(tx, table, [survivor], { lock: true });
    const emptied = stillFilled(merge.filled, present.get(survivor)?.fields ?? {});
    if (Object.keys(emptied).length > 0) await updateRows(tx, table, [{ id: survivor, fields: emptied }], present);
    await compareAgain(tx, deps, name, [survivor, loser]);
    await markUndone(tx, id, deps.clock.now());
    const detail = { id, entity: name, survivor, loser };
    await audit(tx, { actor: deps.actor, action: 'record.unmerge', detail }, deps.clock.now());
    return { entity: name, survivor, loser };
  });
}

async function tableOf(tx: Tx, deps: IdentityDeps, name: EntityName): Promise<HubTable> {
  const entity = deps.mapping.entities.get(name);
  if (entity !== undefined) return openHubTable(tx, entity);
  const known = [...deps.mapping.entities.keys()].join(', ');
  throw new ConfigError({
    code: 'unknown_entity',
    message: `there is no entity '${name}'`,
    hint: `mapped are: ${known}`,
  });
}

function notTwo({ entity, survivor, loser }: MergeRequest): ConfigError {
  return new ConfigError({
    code: 'not_two_records',
    message: `${entity} ${survivor} and ${loser} are not two records of the hub`,
    hint: 'give the ids of two different rows that exist',
  });
}

function lacking(kept: HubFields, gone: HubFields): HubFields {
  const entries = Object.entries(gone) as [FieldName, HubValue][];
  return Object.fromEntries(entries.filter(([field, value]) => value !== null && (kept[field] ?? null) === null));
}

/** What the survivor took and nobody has changed since is empty again. */
function stillFilled(filled: HubFields, present: HubFields): HubFields {
  const entries = Object.entries(filled) as [FieldName, HubValue][];
  return Object.fromEntries(
    entries.filter(([field, value]) => present[field] === value).map(([field]) => [field, null]),
  );
}

async function repointAll(
  tx: Tx,
  deps: IdentityDeps,
  target: EntityName,
  refs: { readonly from: HubId; readonly to: HubId },
): Promise<readonly Reference[]> {
  const repointed: Reference[] = [];
  for (const entity of deps.mapping.entities.values()) {
    for (const field of entity.fields.filter((candidate) => candidate.ref === target)) {
      const ids = await repoint(tx, await openHubTable(tx, entity), field.name, refs);
      repointed.push(...ids.map((id): Reference => [entity.name, field.name, id]));
    }
  }
  return repointed;
}

/** Moved links have the other record's base: every spoke is compared once. */
async function compareAgain(tx: Tx, deps: IdentityDeps, name: EntityName, ids: readonly HubId[]): Promise<void> {
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
        atMs: deps.clock.now(),
        lsn: null,
        trace: 'merge',
      })),
    ),
  );
}
