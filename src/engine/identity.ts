// Owns what people order about identity: two hub records are one, or are not after all. inbound/join.ts does the joining, also where a spoke
// has merged its records itself; here it is undone: everything goes back where it was, but for what was changed since.
import type { Clock } from '../base/clock.js';
import { ConfigError } from '../base/errors.js';
import { must } from '../base/assert.js';
import { compareAgain, freeToMove, join, type Joined, type JoinDeps, type JoinRequest } from '../inbound/join.js';
import type { Mapping } from '../mapping/mapping.js';
import type { EntityName, FieldName } from '../model/ids.js';
import type { HubFields, HubValue } from '../model/record.js';
import { audit } from '../store/audit.js';
import { insertRows, markOrigin, openHubTable, readRows, updateRows, type HubTable } from '../store/hub.js';
import {
  laterMerge,
  lockMerge,
  markUndone,
  repoint,
  restoreLinks,
  restoreWhole,
  type MergeRow,
} from '../store/merges.js';
import { sqlState, stillReferredTo, transaction, type Pool, type Queryable, type Tx } from '../store/pool.js';

export interface IdentityDeps {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly mapping: Mapping;
  /** Who orders, for the audit. */
  readonly actor: string;
}

/** Not of the type of the key; beyond its range. */
const unreadable = ['22P02', '22003'];

export async function mergeRecords(deps: IdentityDeps, request: JoinRequest): Promise<Joined> {
  return transaction(deps.pool, async (tx) => {
    const within = await joinDeps(tx, deps, request.entity);
    await markOrigin(tx, { origin: 'person', trace: `merge by ${deps.actor}`, lane: 'interactive' });
    if (!(await freeToMove(tx, within, request.entity, [request.survivor, request.loser])))
      throw writeUnderWay(request);
    const joined = await join(tx, within, request).catch((error: unknown) => {
      // What is no id of this table at all is not the id of a row.
      if (unreadable.includes(sqlState(error) ?? '')) throw notTwo(request);
      return referred(error);
    });
    if (joined === null) throw notTwo(request);
    const { entity, survivor, loser } = request;
    const detail = { id: joined.id, entity, survivor, loser };
    await audit(tx, { actor: deps.actor, action: 'record.merge', detail }, deps.clock.now());
    return joined;
  });
}

/** Later edits stay: of references, of what the survivor took, of links that went elsewhere since. */
export async function undoMerge(deps: IdentityDeps, id: string): Promise<JoinRequest> {
  return transaction(deps.pool, async (tx) => {
    const merge = await lockMerge(tx, id);
    if (merge === null) {
      throw new ConfigError({
        code: 'no_merge',
        message: `there is no merge ${id} that could be undone`,
        hint: '`truespoke audit` shows each merge with its id',
      });
    }
    await refuseBuried(tx, merge);
    const { entity: name, survivor, loser } = merge;
    const within = await joinDeps(tx, deps, name);
    if (!(await freeToMove(tx, within, name, [survivor, loser]))) throw writeUnderWay(merge);
    const table = must(within.tables.get(name), name);
    await markOrigin(tx, { origin: 'person', trace: `merge ${id} undone by ${deps.actor}`, lane: 'interactive' });
    // First: a unique value goes back to the one that had it.
    const present = await readRows(tx, table, [survivor], { lock: true });
    const returned = stillFilled(merge, present.get(survivor)?.fields ?? {});
    if (Object.keys(returned).length > 0) await updateRows(tx, table, [{ id: survivor, fields: returned }], present);
    await restore(tx, table, merge);
    await restoreLinks(tx, merge);
    for (const [child, field, hubId] of merge.repointed) {
      const children = within.tables.get(child);
      if (children !== undefined) await repoint(tx, children, field, { from: survivor, to: loser, only: [hubId] });
    }
    await compareAgain(tx, within, name, [survivor, loser]);
    await markUndone(tx, id, deps.clock.now());
    const detail = { id, entity: name, survivor, loser };
    await audit(tx, { actor: deps.actor, action: 'record.unmerge', detail }, deps.clock.now());
    return { entity: name, survivor, loser };
  });
}

async function restore(tx: Tx, table: HubTable, merge: MergeRow): Promise<void> {
  try {
    if (merge.whole === null) await insertRows(tx, table, [{ id: merge.loser, fields: merge.loserRow }]);
    else await restoreWhole(tx, table, merge.whole);
  } catch (error) {
    if (!/^23/.test(sqlState(error) ?? '')) throw error;
    const { constraint } = error as { constraint?: string };
    throw new ConfigError({
      code: 'not_undone',
      message: `merge ${merge.id} cannot be undone: the row that would come back breaks ${constraint ?? 'a constraint'}`,
      hint: 'another row has its unique value by now, or what it refers to is gone: mend that first',
      cause: error,
    });
  }
}

/** What became of the survivor since must be undone first. */
async function refuseBuried(db: Queryable, merge: MergeRow): Promise<void> {
  const later = await laterMerge(db, merge);
  if (later === null) return;
  throw new ConfigError({
    code: 'merged_again',
    message: `merge ${merge.id} cannot be undone: its survivor was merged into another record since`,
    hint: `\`truespoke unmerge ${later}\` first`,
  });
}

async function joinDeps(db: Queryable, deps: IdentityDeps, name: EntityName): Promise<JoinDeps> {
  if (!deps.mapping.entities.has(name)) {
    const known = [...deps.mapping.entities.keys()].join(', ');
    throw new ConfigError({
      code: 'unknown_entity',
      message: `there is no entity '${name}'`,
      hint: `mapped are: ${known}`,
    });
  }
  const tables = new Map<EntityName, HubTable>();
  for (const [each, entity] of deps.mapping.entities) tables.set(each, await openHubTable(db, entity));
  return { mapping: deps.mapping, tables, nowMs: deps.clock.now(), actor: deps.actor };
}

/** What it does belongs to the record for which it was made. */
function writeUnderWay({ entity, survivor, loser }: JoinRequest): ConfigError {
  return new ConfigError({
    code: 'write_under_way',
    message: `a write to ${entity} ${survivor} or ${loser} is under way at a spoke, or nobody knows yet what became of it`,
    hint: 'try again in a moment; `truespoke status` shows whether a spoke does not answer',
  });
}

function notTwo({ entity, survivor, loser }: JoinRequest): ConfigError {
  return new ConfigError({
    code: 'not_two_records',
    message: `${entity} ${survivor} and ${loser} are not two records of the hub`,
    hint: 'give the ids of two different rows that exist',
  });
}

/** A table that no mapping names may refer to the one that goes. */
function referred(error: unknown): never {
  if (!stillReferredTo(sqlState(error) ?? '')) throw error;
  const { constraint, table } = error as { constraint?: string; table?: string };
  throw new ConfigError({
    code: 'still_referred_to',
    message: `the record cannot go: table ${table ?? '?'} still refers to it (${constraint ?? 'foreign key'})`,
    hint: 'no mapping names that reference; point it to the surviving record yourself, then merge again',
    cause: error,
  });
}

/** What the survivor took and nobody has changed since is as it was before. */
function stillFilled({ filled, replaced }: MergeRow, present: HubFields): HubFields {
  const entries = Object.entries(filled) as [FieldName, HubValue][];
  return Object.fromEntries(
    entries.filter(([field, value]) => present[field] === value).map(([field]) => [field, replaced[field] ?? null]),
  );
}
