// Works off the inbox of one spoke: what webhooks, streams and the engine itself ask to be read again. Each hint is read by id, so that an
// old or forged event can only show the present state (F86, F90). Owns when an absence is believed and when a read that lags is made again.
import { groupBy } from '../base/group-by.js';
import type { Hint } from '../connectors/connector.js';
import { lookAgain } from '../inbound/lagging.js';
import { mappingsOf } from '../inbound/pipeline.js';
import { selectionOf } from '../mapping/selection.js';
import type { ExternalId, ObjectName } from '../model/ids.js';
import { missingRecord, type RemoteRecord } from '../model/record.js';
import { youngMs } from '../model/young.js';
import { dueHints, finishHints, storeEvents, type DueHint, type InboxEvent } from '../store/inbox.js';
import { knownSince, settledMarks } from '../store/link-images.js';
import { transaction } from '../store/pool.js';
import type { EngineContext, LiveSpoke } from './context.js';
import { mayLagBehindStart } from './feed-start.js';
import { countPage } from './pages.js';
import { eachAlone, elected } from './turns.js';
import { replayWaiting } from './waiting.js';

/** Runs until the signal aborts; rejects when the spoke cannot be read. */
export async function workInbox(context: EngineContext, live: LiveSpoke, signal: AbortSignal): Promise<void> {
  await elected(context, live, 'inbox', signal);
  const begun = new Set<ObjectName>();
  while (!signal.aborted) {
    await live.whenOpen(signal);
    const hints = await dueHints(context.pool, live.name, 500, context.clock.now());
    const groups = groupBy(hints, (hint) => hint.object);
    await eachAlone(groups, signal, ([object, group]) =>
      takeHints(context, live, { object, hints: group, begun }, signal),
    );
    if (hints.length > 0) await replayWaiting(context, live);
    else await live.hintBell.wait(context.clock, 500, signal);
  }
}

/** Asked again once: a single failed look is not enough to believe that a record is gone (F102). */
const absentTopic = 'absent';
const absentDelayMs = 2_000;

/** Asked again once no read can lag behind the beginning of the feed any more. */
const earlyTopic = 'early';

interface Hinted {
  readonly object: ObjectName;
  readonly hints: readonly DueHint[];
  /** See `mayLagBehindStart`. */
  readonly begun: Set<ObjectName>;
}

async function takeHints(
  context: EngineContext,
  live: LiveSpoke,
  { object, hints, begun }: Hinted,
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
    const slice = new Map(ids.slice(from, from + fetchBatch).map((id) => [id, byId.get(id) ?? []]));
    const isEarly = await mayLagBehindStart(context, live, object, begun);
    await takeSlice(context, live, { object, hints: slice, isEarly }, signal);
  }
}

interface Slice {
  readonly object: ObjectName;
  readonly hints: ReadonlyMap<ExternalId, readonly DueHint[]>;
  /** What these reads show may be older than the beginning of the feed. */
  readonly isEarly: boolean;
}

async function takeSlice(
  context: EngineContext,
  live: LiveSpoke,
  { object, hints, isEarly }: Slice,
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
          ...(isEarly ? lookedAtEarly(object, records, hints, nowMs) : []),
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

/** What is alive here may have been deleted before the feed of its changes began, which then never tells of it (law 8). */
function lookedAtEarly(
  object: ObjectName,
  records: readonly RemoteRecord[],
  hints: ReadonlyMap<ExternalId, readonly DueHint[]>,
  nowMs: number,
): readonly InboxEvent[] {
  return records.flatMap(({ externalId, deleted }) => {
    if (deleted || hints.get(externalId)?.some(({ topic }) => topic === earlyTopic) === true) return [];
    const eventId = `${earlyTopic}:${object}:${externalId}:${nowMs}`;
    const event = { eventId, topic: earlyTopic, object, externalId, deleted: false, compliance: false, body: null };
    return [{ ...event, notBeforeMs: nowMs + youngMs }];
  });
}

/** More than these wait for the hub to store them: then the stream waits as well. */
const hintsMax = 1_000;

/**
 * Stream events become hints; a gap becomes a poll. Polling stands behind it in any case. What arrives while some are being stored is
 * stored together: a burst costs two statements, not one an event.
 */
export async function listenSpoke(context: EngineContext, live: LiveSpoke, signal: AbortSignal): Promise<void> {
  if (live.spoke.listen === undefined) return;
  await elected(context, live, 'listen', signal);
  await live.whenOpen(signal);
  const failed = new AbortController();
  let waiting: InboxEvent[] = [];
  let storing: Promise<void> | null = null;
  const store = async (): Promise<void> => {
    while (waiting.length > 0) {
      const hints = waiting;
      waiting = [];
      await storeEvents(context.pool, live.name, hints, context.clock.now());
      live.hintBell.ring();
    }
    storing = null;
  };
  for await (const event of live.spoke.listen(live.objects, AbortSignal.any([signal, failed.signal]))) {
    if (event.kind === 'gap') {
      live.log.warn({ reason: event.reason }, 'stream gap');
      live.pollBell.ring();
      continue;
    }
    waiting.push(streamHint(context, event.hint));
    if (storing === null) {
      storing = store();
      // Nobody looks at it before the stream has ended.
      storing.catch(() => failed.abort());
    } else if (waiting.length >= hintsMax) await storing;
  }
  await storing;
}

function streamHint(context: EngineContext, { object, externalId, deleted }: Hint): InboxEvent {
  return {
    eventId: `stream:${object}:${externalId}:${context.ids.uuid()}`,
    topic: 'stream',
    object,
    externalId,
    deleted,
    compliance: false,
    body: null,
    notBeforeMs: null,
  };
}
