// Records that were parked because what they refer to was not there come in again once it is. Judges nothing: the inbound door does.
import type { RemoteRecord } from '../model/record.js';
import { groupBy } from '../base/group-by.js';
import { storeEvents } from '../store/inbox.js';
import { markReplayed, readyWaiting, type Parked } from '../store/parked.js';
import type { EngineContext, LiveSpoke } from './context.js';
import { countPage } from './pages.js';

/** Children whose parent has arrived by now. */
export async function replayWaiting(context: EngineContext, live: LiveSpoke): Promise<void> {
  for (let round = 0; round < 100; round += 1) {
    const waiting = await readyWaiting(context.pool, live.name, 500);
    if (waiting.length === 0) return;
    const embedded = waiting.filter(({ payload }) => parentOf(payload) !== null);
    await fetchParents(context, live, embedded);
    const own = waiting.filter(({ payload }) => parentOf(payload) === null);
    if (own.length === 0) return;
    for (const [object, parked] of groupBy(own, ({ payload }) => recordOf(payload).object)) {
      const tally = await context.inbound.accept({
        spoke: live.name,
        object,
        records: parked.map(({ payload }) => recordOf(payload)),
        evidence: 'listing',
        lane: 'interactive',
        before: (tx) =>
          markReplayed(
            tx,
            parked.map(({ id }) => id),
            context.clock.now(),
          ),
      });
      countPage(context, live, object, parked.length, tally);
    }
  }
}

/** An embedded child cannot be judged alone: its parent is read again, and brings it along. */
async function fetchParents(context: EngineContext, live: LiveSpoke, parked: readonly Parked[]): Promise<void> {
  const events = parked.flatMap(({ id, entity, attempts, payload }) => {
    const parent = parentOf(payload);
    const object = context.mapping.entities.get(entity)?.spokes.get(live.name)?.embedded?.parentObject;
    if (parent === null || object === undefined) return [];
    return [
      {
        eventId: `waiting:${id}:${attempts}`,
        topic: 'waiting',
        object,
        externalId: parent,
        deleted: false,
        compliance: false,
        body: null,
        notBeforeMs: null,
      },
    ];
  });
  if ((await storeEvents(context.pool, live.name, events, context.clock.now())) > 0) live.hintBell.ring();
}

const recordOf = (payload: unknown): RemoteRecord => (payload as { record: RemoteRecord }).record;
const parentOf = (payload: unknown): RemoteRecord['externalId'] | null =>
  (payload as { parent?: RemoteRecord['externalId'] | null } | null)?.parent ?? null;
