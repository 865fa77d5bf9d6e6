// Keeps one spoke coming in: backfill, then polling; hints (webhooks, streams, re-reads) beside it. One process at a time per
// spoke; what it has done is in the cursors.
import type { CallOptions } from '../connectors/connector.js';
import { ConfigError, RateLimited, SpokePaused } from '../base/errors.js';
import { lookAgain } from '../inbound/lagging.js';
import { mappingsOf } from '../inbound/pipeline.js';
import { selectionOf } from '../mapping/selection.js';
import { cursor, type ExternalId, type ObjectName } from '../model/ids.js';
import { pollEveryMs } from '../model/quota.js';
import { missingRecord, type RemoteRecord } from '../model/record.js';
import { loadFeeds } from '../store/cursors.js';
import { knownSince, settledMarks } from '../store/link-images.js';
import { dueHints, finishHints, storeEvents, type DueHint, type InboxEvent } from '../store/inbox.js';
import { markReplayed, readyWaiting, type Parked } from '../store/parked.js';
import { transaction } from '../store/pool.js';
import { backfill } from './backfill.js';
import type { EngineContext, LiveSpoke } from './context.js';
import { countPage, crashOn, savePage } from './pages.js';

export interface InboundSchedule {
  readonly pollMs: number;
  /** Share of the call budget that is left to other applications, 0–1. */
  readonly quotaReserve: number;
  /** How often fields are asked for that the spoke did not show. */
  readonly unseenMs: number;
}

/** Waits until this process is the one that reads the spoke. */
export async function elected(
  context: EngineContext,
  live: LiveSpoke,
  role: string,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted && !(await context.session.tryLock(`${role}/${live.name}`))) {
    await context.clock.sleep(1_000, signal);
  }
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
    await eachAlone(live.objects, signal, (object) => pollObject(context, live, object, signal));
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
      live.log.info({ everyMs: Math.round(waitMs) }, 'polls are spread over what is left of the call budget');
    }
    spread = waitMs > 2 * schedule.pollMs;
    await live.pollBell.wait(context.clock, waitMs, signal);
  }
}

/** An object that cannot be read holds up no other (law 9): the failure is reported once all had their turn. */
async function eachAlone<T>(all: Iterable<T>, signal: AbortSignal, body: (one: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = [];
  for (const one of all) {
    if (signal.aborted) return;
    try {
      await body(one);
    } catch (error) {
      // These are about the whole spoke.
      if (error instanceof RateLimited || error instanceof SpokePaused || error instanceof ConfigError) throw error;
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

async function pollObject(
  context: EngineContext,
  live: LiveSpoke,
  object: ObjectName,
  signal: AbortSignal,
): Promise<void> {
  const feeds = await loadFeeds(context.pool, live.name);
  const known = feeds.find((feed) => feed.kind === 'changes' && feed.object === object);
  const after = known?.cursor ?? (await live.spoke.now(object));
  const options: CallOptions = { lane: 'interactive', signal };
  for await (const page of live.spoke.changes(
    object,
    selectionOf(context.mapping, live.name, object),
    cursor(after),
    options,
  )) {
    crashOn(context, live, 'page_fetched', page);
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

/** Children whose parent has arrived by now. */
async function replayWaiting(context: EngineContext, live: LiveSpoke): Promise<void> {
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

function groupBy<T, K>(all: readonly T[], key: (one: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const one of all) {
    const list = groups.get(key(one));
    if (list === undefined) groups.set(key(one), [one]);
    else list.push(one);
  }
  return groups;
}

/** Works the inbox off: each hint is fetched by id, so that an old or forged event can only show the present state (F86, F90). */
export async function workInbox(context: EngineContext, live: LiveSpoke, signal: AbortSignal): Promise<void> {
  await elected(context, live, 'inbox', signal);
  while (!signal.aborted) {
    await live.whenOpen(signal);
    const hints = await dueHints(context.pool, live.name, 500, context.clock.now());
    const groups = groupBy(hints, (hint) => hint.object);
    await eachAlone(groups, signal, ([object, group]) => takeHints(context, live, object, group, signal));
    if (hints.length > 0) await replayWaiting(context, live);
    else await live.hintBell.wait(context.clock, 500, signal);
  }
}

/** Asked again once: a single failed look is not enough to believe that a record is gone (F102). */
const absentTopic = 'absent';
const absentDelayMs = 2_000;
/** Reads by id may lag so far behind what was seen or written that a record which has just come to be is not there yet in either look. */
const youngMs = 5_000;

async function takeHints(
  context: EngineContext,
  live: LiveSpoke,
  object: ObjectName,
  hints: readonly DueHint[],
  signal: AbortSignal,
): Promise<void> {
  if (!live.objects.includes(object)) {
    // The mapping has changed since: nobody asks for it any more.
    await transaction(context.pool, (tx) =>
      finishHints(
        tx,
        hints.map((hint) => hint.id),
        context.clock.now(),
      ),
    );
    return;
  }
  const byId = groupBy(hints, (hint) => hint.externalId);
  const ids = [...byId.keys()];
  const { fetchBatch } = live.spoke.capabilities;
  for (let from = 0; from < ids.length; from += fetchBatch) {
    await takeSlice(
      context,
      live,
      object,
      new Map(ids.slice(from, from + fetchBatch).map((id) => [id, byId.get(id) ?? []])),
      signal,
    );
  }
}

async function takeSlice(
  context: EngineContext,
  live: LiveSpoke,
  object: ObjectName,
  hints: ReadonlyMap<ExternalId, readonly DueHint[]>,
  signal: AbortSignal,
): Promise<void> {
  const fields = selectionOf(context.mapping, live.name, object);
  const ids = [...hints.keys()];
  const entities = mappingsOf(context.mapping, live.name, object).map(({ entity }) => entity);
  const settled = await settledMarks(context.pool, live.name, entities, ids);
  const records = await live.spoke.fetch(object, ids, fields, { lane: 'interactive', signal });
  const seen = new Set(records.map((record) => record.externalId));
  const absent = [...hints].filter(([id]) => !seen.has(id));
  const nowMs = context.clock.now();
  const toldOf = absent.filter(([, all]) => all.some((hint) => hint.deleted));
  const twice = absent.filter((one) => !toldOf.includes(one) && one[1].some((hint) => hint.topic === absentTopic));
  const twiceIds = twice.map(([id]) => id);
  const young = await knownSince(context.pool, live.name, entities, twiceIds, nowMs - youngMs);
  const believed = [...toldOf, ...twice.filter(([id]) => !young.has(id))];
  const doubted = absent.filter((one) => !believed.includes(one));
  const tally = await context.inbound.accept({
    spoke: live.name,
    object,
    records: [...records, ...believed.map(([id]) => missingRecord(object, id))],
    evidence: 'fetched',
    settled,
    lane: 'interactive',
    // Before the effects: a record that must be fetched once more leaves a new hint behind.
    before: async (tx) => {
      await finishHints(
        tx,
        [...hints.values()].flat().map((hint) => hint.id),
        nowMs,
      );
      await storeEvents(
        tx,
        live.name,
        [
          ...doubted.map(([id, all]) => askAgain(object, id, all[0]?.id ?? '', nowMs)),
          ...lagging(object, records, hints, nowMs),
        ],
        nowMs,
      );
    },
  });
  countPage(context, live, object, records.length, tally);
}

function askAgain(object: ObjectName, externalId: ExternalId, after: string, nowMs: number): InboxEvent {
  return {
    eventId: `${absentTopic}:${object}:${externalId}:${after}`,
    topic: absentTopic,
    object,
    externalId,
    deleted: false,
    compliance: false,
    body: null,
    notBeforeMs: nowMs + absentDelayMs,
  };
}

/** Reads that show less than the listing that asked for them are made again (F98). */
function lagging(
  object: ObjectName,
  records: readonly RemoteRecord[],
  hints: ReadonlyMap<ExternalId, readonly DueHint[]>,
  nowMs: number,
): readonly InboxEvent[] {
  const read = new Map(records.map((record) => [record.externalId, record]));
  return [...hints].flatMap(([externalId, all]) =>
    all.flatMap(({ id, body }) => {
      const again = lookAgain(body, read.get(externalId));
      if (again === null) return [];
      const event = { topic: 'refetch', object, externalId, deleted: false, compliance: false };
      return [{ ...event, eventId: `lagging:${id}`, body: again.shown, notBeforeMs: nowMs + again.delayMs }];
    }),
  );
}

/** Stream events become hints; a gap becomes a poll. Polling stands behind it in any case. */
export async function listenSpoke(context: EngineContext, live: LiveSpoke, signal: AbortSignal): Promise<void> {
  if (live.spoke.listen === undefined) return;
  await elected(context, live, 'listen', signal);
  await live.whenOpen(signal);
  for await (const event of live.spoke.listen(live.objects, signal)) {
    if (event.kind === 'gap') {
      live.log.warn({ reason: event.reason }, 'stream gap');
      live.pollBell.ring();
      continue;
    }
    const { object, externalId, deleted } = event.hint;
    const eventId = `stream:${object}:${externalId}:${context.ids.uuid()}`;
    const hint = {
      eventId,
      topic: 'stream',
      object,
      externalId,
      deleted,
      compliance: false,
      body: null,
      notBeforeMs: null,
    };
    await storeEvents(context.pool, live.name, [hint], context.clock.now());
    live.hintBell.ring();
  }
}
