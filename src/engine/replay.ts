// Owns trying parked records again on command. Only re-enqueues through the ordinary doors, in the transaction that marks them as
// replayed: what fails again is parked again, what a crash interrupts is neither lost nor doubled.
import type { Clock } from '../base/clock.js';
import type { Mapping } from '../mapping/mapping.js';
import { hubId, type ExternalId } from '../model/ids.js';
import { lane, markDirty } from '../store/deliveries.js';
import { storeEvents, type InboxEvent } from '../store/inbox.js';
import { listParked, markReplayed, type Parked } from '../store/parked.js';
import type { Tx } from '../store/pool.js';

export interface ReplayRequest {
  /** Absent: every open one. */
  readonly ids?: readonly string[] | undefined;
  readonly spoke?: string | undefined;
}

export interface Replayed {
  readonly replayed: readonly Parked[];
  /** Their entity is no longer mapped at that spoke: there is no door to try again through. */
  readonly left: readonly Parked[];
}

const batchRows = 1_000;

/** One batch: those that are named, or the next thousand. `lastId` is where to go on; null: there are no more. */
export async function replayBatch(
  tx: Tx,
  deps: { readonly clock: Clock; readonly mapping: Mapping },
  request: ReplayRequest & { readonly afterId?: string | null },
): Promise<Replayed & { readonly lastId: string | null }> {
  const limit = request.ids?.length ?? batchRows;
  const parked = await listParked(tx, { ...request, limit });
  const nowMs = deps.clock.now();
  const replayed = parked.filter((one) => one.direction === 'out' || eventOf(deps.mapping, one) !== null);
  const outward = replayed.filter(({ direction }) => direction === 'out');
  await markReplayed(
    tx,
    replayed.map(({ id }) => id),
    nowMs,
  );
  await markDirty(
    tx,
    outward.map(({ spoke, entity, key }) => ({
      spoke,
      entity,
      hubId: hubId(key),
      lane: lane.interactive,
      atMs: nowMs,
      lsn: null,
      trace: null,
    })),
  );
  await storeHints(tx, deps.mapping, replayed, nowMs);
  const lastId = request.ids === undefined && parked.length === limit ? (parked.at(-1)?.id ?? null) : null;
  return { replayed, left: parked.filter((one) => !replayed.includes(one)), lastId };
}

async function storeHints(tx: Tx, mapping: Mapping, parked: readonly Parked[], nowMs: number): Promise<void> {
  const inward = parked.filter(({ direction }) => direction === 'in');
  for (const spoke of new Set(inward.map((one) => one.spoke))) {
    const events = inward
      .filter((one) => one.spoke === spoke)
      .map((one) => eventOf(mapping, one))
      .filter((event) => event !== null);
    await storeEvents(tx, spoke, events, nowMs);
  }
}

/** The record is fetched again by id; an embedded child comes with its parent. null: nobody maps it any more. */
function eventOf(mapping: Mapping, parked: Parked): InboxEvent | null {
  const mapped = mapping.entities.get(parked.entity)?.spokes.get(parked.spoke);
  if (mapped === undefined) return null;
  const parent = (parked.payload as { readonly parent?: ExternalId | null } | null)?.parent ?? null;
  const externalId = mapped.embedded === null ? (parked.key as ExternalId) : parent;
  if (externalId === null) return null;
  return {
    eventId: `replay:${parked.id}`,
    topic: 'replay',
    object: mapped.embedded?.parentObject ?? mapped.object,
    externalId,
    deleted: false,
    compliance: false,
    body: null,
    notBeforeMs: null,
  };
}
