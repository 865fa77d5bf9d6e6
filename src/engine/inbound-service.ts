// Keeps one spoke coming in: backfill, then polling. One process at a time per spoke; what it has done is in the cursors. Hints (webhooks,
// streams, re-reads) come in beside it: inbox-service.ts.
import type { CallOptions } from '../connectors/connector.js';
import { selectionOf } from '../mapping/selection.js';
import { cursor, type Cursor, type ObjectName } from '../model/ids.js';
import { pollEveryMs } from '../model/quota.js';
import { loadFeeds } from '../store/cursors.js';
import { backfill } from './backfill.js';
import type { EngineContext, LiveSpoke } from './context.js';
import { countPage, crashOn, savePage } from './pages.js';
import { eachAlone, elected } from './turns.js';
import { replayWaiting } from './waiting.js';

export interface InboundSchedule {
  readonly pollMs: number;
  /** Share of the call budget that is left to other applications, 0–1. */
  readonly quotaReserve: number;
  /** How often fields are asked for that the spoke did not show. */
  readonly unseenMs: number;
}

export async function pollSpoke(
  context: EngineContext,
  live: LiveSpoke,
  schedule: Pick<InboundSchedule, 'pollMs' | 'quotaReserve'>,
  signal: AbortSignal,
): Promise<void> {
  await elected(context, live, 'inbound', signal);
  await live.whenOpen(signal);
  let polledAtMs = context.clock.monotonic();
  const poll = async (): Promise<void> => {
    await live.whenOpen(signal);
    const known = await changesCursors(context, live);
    await eachAlone(live.objects, signal, (object) => pollObject(context, live, object, known.get(object), signal));
    polledAtMs = context.clock.monotonic();
  };
  const every = (): number => {
    const { budget } = live.limiter.status();
    return pollEveryMs(schedule.pollMs, { calls: live.objects.length, budget, reserve: schedule.quotaReserve });
  };
  await backfill(context, live, signal, async () => {
    if (context.clock.monotonic() - polledAtMs >= every()) await poll();
  });
  let spread = false;
  while (!signal.aborted) {
    await poll();
    if (signal.aborted) return;
    await replayWaiting(context, live);
    const waitMs = every();
    if (waitMs > 2 * schedule.pollMs && !spread) {
      live.log.info(
        { everyMs: Math.round(waitMs), budget: live.limiter.status().budget },
        'polls are spread over what is left of the call budget; a longer `schedule.poll` or a larger allowance ends that',
      );
    }
    spread = waitMs > 2 * schedule.pollMs;
    await live.pollBell.wait(context.clock, waitMs, signal);
  }
}

async function changesCursors(context: EngineContext, live: LiveSpoke): Promise<ReadonlyMap<ObjectName, Cursor>> {
  const feeds = await loadFeeds(context.pool, live.name);
  return new Map(
    feeds.flatMap(({ kind, object, cursor: at }) => (kind === 'changes' && at !== null ? [[object, at] as const] : [])),
  );
}

async function pollObject(
  context: EngineContext,
  live: LiveSpoke,
  object: ObjectName,
  known: Cursor | undefined,
  signal: AbortSignal,
): Promise<void> {
  // A feed that nobody had begun when this poll did: the inbox may have, meanwhile, and what it began with stays.
  const after = known ?? (await changesCursors(context, live)).get(object) ?? (await live.spoke.now(object));
  const options: CallOptions = { lane: 'interactive', signal };
  for await (const page of live.spoke.changes(
    object,
    selectionOf(context.mapping, live.name, object),
    cursor(after),
    options,
  )) {
    crashOn(context, live, 'page_fetched', page);
    if (page.records.length === 0) {
      // Nothing but its cursor, and most polls end so: one statement instead of a transaction.
      await savePage(context, context.pool, live, 'changes', object, page);
      if (signal.aborted || page.last) return;
      continue;
    }
    const tally = await context.inbound.accept({
      spoke: live.name,
      object,
      records: page.records,
      evidence: 'listing',
      lane: 'interactive',
      commit: (tx) => savePage(context, tx, live, 'changes', object, page),
    });
    crashOn(context, live, 'page_merged', page);
    countPage(context, live, object, page.records.length, tally);
    if (tally.refetched > 0) live.hintBell.ring();
    if (signal.aborted || page.last) return;
  }
}
