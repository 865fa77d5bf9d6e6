// Parks the one record of a batch that Postgres refuses (law 9), with the reason in words; its page goes on. A deleted record whose row others
// still refer to is asked for again.
import type { SpokeMapping } from '../mapping/mapping.js';
import type { RemoteRecord } from '../model/record.js';
import { storeEvents } from '../store/inbox.js';
import { park, parkedAttempts } from '../store/parked.js';
import { stillReferredTo, transaction, type Tx } from '../store/pool.js';
import { emptyTally, type Incoming, type Tally } from './decision.js';
import { feedOf, type Hooks, type InboundDeps } from './page.js';

export async function parkRefused(
  deps: InboundDeps,
  mapping: SpokeMapping,
  { record, parent }: Incoming,
  state: string,
  error: unknown,
  hooks: Hooks,
): Promise<Tally> {
  const { constraint, column } = error as { constraint?: string; column?: string };
  const place = constraint ?? column;
  await transaction(deps.pool, async (tx) => {
    await hooks.before?.(tx);
    await park(
      tx,
      [
        {
          direction: 'in',
          spoke: mapping.spoke,
          entity: mapping.entity,
          key: record.externalId,
          state: 'open',
          code: `hub_refused_${state}`,
          message: `the hub refused the record: ${refusal(state)}${place === undefined ? '' : ` (${place})`}`,
          field: column ?? null,
          payload: { record, parent },
          waitsFor: null,
          deadlineMs: null,
        },
      ],
      deps.clock.now(),
    );
    if (record.deleted && stillReferredTo(state)) await askAgain(deps, tx, mapping, record);
    await hooks.commit?.(tx);
  });
  return { ...emptyTally(), parked: 1 };
}

/** Rows still refer to the deleted one. Their own deletions are on the way as a rule: it is tried again, ever more rarely. */
async function askAgain(deps: InboundDeps, tx: Tx, mapping: SpokeMapping, record: RemoteRecord): Promise<void> {
  if (mapping.embedded !== null) return;
  const nowMs = deps.clock.now();
  const attempts = await parkedAttempts(tx, { ...feedOf(mapping), direction: 'in', key: record.externalId });
  const event = {
    eventId: `referred:${record.object}:${record.externalId}:${deps.ids.uuid()}`,
    topic: 'referred',
    object: record.object,
    externalId: record.externalId,
    // A second look at an absence that was believed already.
    deleted: true,
    compliance: false,
    body: null,
    notBeforeMs: nowMs + Math.min(1_000 * 2 ** attempts, 3_600_000),
  };
  await storeEvents(tx, mapping.spoke, [event], nowMs);
}

function refusal(state: string): string {
  const reasons: Readonly<Record<string, string>> = {
    '22003': 'a number is out of the range of its column',
    '22021': 'a text contains a character that Postgres cannot store',
    '22001': 'a text is longer than its column',
    '23502': 'a required column would be empty',
    '23001': 'another row still refers to it',
    '23503': 'another row still refers to it, or it refers to a missing one',
    '23505': 'a unique value exists already, or the hub record has a live link already',
    '23514': 'a check constraint does not hold',
    '54000': 'a text is too long for an index on its column',
    P0001: 'a trigger of the table refused it',
  };
  return reasons[state] ?? `SQLSTATE ${state}`;
}
