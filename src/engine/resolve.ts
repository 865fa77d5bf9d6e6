// A person decides an open conflict. The decision goes through the ordinary doors: the hub row is changed like an application would, or
// the record is marked for delivery; capture journals it, every spoke hears of it.
import type { Clock } from '../base/clock.js';
import { ConfigError } from '../base/errors.js';
import { must } from '../base/assert.js';
import type { EntityName, FieldName, HubId, SpokeName } from '../model/ids.js';
import { formatLsn, zeroLsn } from '../model/lsn.js';
import type { HubValue, RemoteValue } from '../model/record.js';
import { audit } from '../store/audit.js';
import { closeConflict, lockConflict, type OpenConflict } from '../store/conflicts.js';
import { lane, markDirty } from '../store/deliveries.js';
import { markOrigin, readRows, updateRows, type HubTable } from '../store/hub.js';
import { linksByHub, saveLinks } from '../store/links.js';
import { transaction, type Pool, type Tx } from '../store/pool.js';

export type Choice =
  | { readonly kind: 'hub' }
  | { readonly kind: 'spoke' }
  /** Neither: this value, as Postgres text. */
  | { readonly kind: 'value'; readonly value: HubValue };

export interface ResolveDeps {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly tables: ReadonlyMap<EntityName, HubTable>;
}

export async function resolveConflict(
  deps: ResolveDeps,
  id: string,
  choice: Choice,
  by: string,
): Promise<OpenConflict> {
  return transaction(deps.pool, async (tx) => {
    const conflict = await lockConflict(tx, id);
    if (conflict === null) {
      throw new ConfigError({
        code: 'no_open_conflict',
        message: `there is no open conflict ${id}`,
        hint: '`truespoke conflicts --open` lists them',
      });
    }
    const table = must(deps.tables.get(conflict.entity), conflict.entity);
    const value = choice.kind === 'hub' ? undefined : choice.kind === 'spoke' ? conflict.spokeValue : choice.value;
    await markOrigin(tx, { origin: 'person', trace: `conflict ${id} decided by ${by}`, lane: 'interactive' });
    if (value !== undefined) await setField(tx, table, conflict.hubId, conflict.field, value);
    if (choice.kind === 'spoke') await agree(tx, deps.clock, conflict);
    // The spoke still shows its own value: the delivery compares with that, whatever the base says.
    else {
      await overrule(tx, deps.clock, conflict);
      await push(tx, deps.clock, conflict);
    }
    const atMs = deps.clock.now();
    await closeConflict(tx, id, choice.kind === 'spoke' ? 'spoke' : 'hub', by, atMs);
    const { entity, hubId, field, spoke } = conflict;
    // The choice, not the value: the audit holds no record's values.
    const detail = { id, entity, hubId, field, spoke, choice: choice.kind };
    await audit(tx, { actor: by, action: 'conflict.resolve', detail }, atMs);
    return conflict;
  });
}

async function setField(tx: Tx, table: HubTable, id: HubId, field: FieldName, value: HubValue): Promise<void> {
  const rows = await readRows(tx, table, [id], { lock: true });
  if (rows.size > 0) await updateRows(tx, table, [{ id, fields: { [field]: value } }], rows);
}

async function agree(tx: Tx, clock: Clock, conflict: OpenConflict): Promise<void> {
  const feed = { spoke: conflict.spoke, entity: conflict.entity };
  const link = (await linksByHub(tx, feed, [conflict.hubId])).get(conflict.hubId);
  if (link?.state !== 'live') return;
  const base = { [conflict.field]: { hub: conflict.spokeValue, remote: conflict.remote } };
  const { hubId, externalId, version } = link;
  await saveLinks(tx, feed, [{ hubId, externalId, state: 'live', base, version, settledAtMs: null }], clock.now());
}

/** What the spoke still shows lost: reading it again before the delivery is no news. */
async function overrule(tx: Tx, clock: Clock, conflict: OpenConflict): Promise<void> {
  const feed = { spoke: conflict.spoke, entity: conflict.entity };
  const link = (await linksByHub(tx, feed, [conflict.hubId])).get(conflict.hubId);
  if (link?.state !== 'live') return;
  const { hubId, externalId, version } = link;
  const overruled = { [conflict.field]: conflict.remote };
  const lost = { hubId, externalId, state: 'live' as const, base: {}, version, settledAtMs: null, overruled };
  await saveLinks(tx, feed, [lost], clock.now());
}

async function push(tx: Tx, clock: Clock, conflict: OpenConflict): Promise<void> {
  const observed: Record<string, RemoteValue> = { [conflict.field]: conflict.remote };
  const { spoke, entity, hubId } = conflict as { spoke: SpokeName; entity: EntityName; hubId: HubId };
  const dirty = {
    spoke,
    entity,
    hubId,
    lane: lane.interactive,
    atMs: clock.now(),
    lsn: formatLsn(zeroLsn),
    trace: 'person',
    observed,
  };
  await markDirty(tx, [dirty]);
}
