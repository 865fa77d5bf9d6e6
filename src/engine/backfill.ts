// Reads the existing records of every object of a spoke: once, and again where the mapping has come to want more of them than was read.
// Resumes where an earlier process stopped (F20, F25). Until an object is read, nothing is written to its entities there: what the spoke
// holds in a newly mapped field must be merged with the hub's value, not written over.
import { isDeepStrictEqual } from 'node:util';
import type { CallOptions, Page } from '../connectors/connector.js';
import { coverageOf, describeUncovered, uncovered, type Coverage, type Uncovered } from '../mapping/coverage.js';
import type { SpokeMapping } from '../mapping/mapping.js';
import { selectionOf } from '../mapping/selection.js';
import type { Cursor, EntityName, ObjectName } from '../model/ids.js';
import { beginScan, finishScan, loadFeeds, type FeedState } from '../store/cursors.js';
import type { HubTable } from '../store/hub.js';
import { forgetBases, markUncovered } from '../store/newly-mapped.js';
import { transaction, type Tx } from '../store/pool.js';
import type { EngineContext, LiveSpoke } from './context.js';
import { feedStart } from './feed-start.js';
import { countPage, crashOn, savePage } from './pages.js';

/** Most of the time nothing has to be read. `between`: called after each page of an object that was read before, so that changes go on coming. */
export async function backfill(
  context: EngineContext,
  live: LiveSpoke,
  signal: AbortSignal,
  between: () => Promise<void>,
): Promise<void> {
  for (const object of live.objects) {
    if (signal.aborted) return;
    const scan = await scanOf(context, live, object);
    const wanted = coverageOf(context.mapping, live.name, object);
    const gaps = scan === undefined ? firstTime(wanted) : uncovered(scan.scanned, wanted);
    const work: Scan = { object, wanted, gaps, after: null };
    const isComplete = scan !== undefined && scan.finishedAtMs !== null;
    if (!isComplete || gaps.some(({ rescan }) => rescan)) {
      const again = scan !== undefined && scan.scanned !== null;
      const after = await start(context, live, work, scan);
      await scanObject(context, live, { ...work, after }, signal, again ? between : () => Promise.resolve());
    } else if (!isDeepStrictEqual(scan.scanned, wanted)) {
      await transaction(context.pool, (tx) => finish(context, tx, live, work));
    }
    if (!signal.aborted) markReady(context, live, object);
  }
  live.outboundBell.ring();
}

/** Creates are safe once existing records were read, whichever process read them. True when every entity is ready. */
export async function readReadiness(context: EngineContext, live: LiveSpoke): Promise<boolean> {
  const scans = (await loadFeeds(context.pool, live.name)).filter(({ kind }) => kind === 'scan');
  let all = true;
  for (const object of live.objects) {
    const scan = scans.find((feed) => feed.object === object);
    const done = scan !== undefined && scan.finishedAtMs !== null;
    const gaps = uncovered(scan?.scanned ?? null, coverageOf(context.mapping, live.name, object));
    if (done && !gaps.some(({ rescan }) => rescan)) markReady(context, live, object);
    else all = false;
  }
  return all;
}

function markReady(context: EngineContext, live: LiveSpoke, object: ObjectName): void {
  for (const entity of context.mapping.entities.values()) {
    const mapped = entity.spokes.get(live.name);
    if (mapped !== undefined && (mapped.embedded?.parentObject ?? mapped.object) === object)
      live.ready.add(entity.name);
  }
}

interface Scan {
  readonly object: ObjectName;
  readonly wanted: Coverage;
  /** What was not covered before. */
  readonly gaps: readonly Uncovered[];
  readonly after: Cursor | null;
}

/** No link is older than the first scan: no base has to be compared after it. */
const firstTime = (wanted: Coverage): readonly Uncovered[] =>
  uncovered(null, wanted).map((gap) => ({ ...gap, fields: [] }));

async function scanOf(context: EngineContext, live: LiveSpoke, object: ObjectName): Promise<FeedState | undefined> {
  const feeds = await loadFeeds(context.pool, live.name);
  return feeds.find((feed) => feed.kind === 'scan' && feed.object === object);
}

/** Where to go on: at the beginning, unless a scan for just this is under way. */
async function start(
  context: EngineContext,
  live: LiveSpoke,
  { object, wanted, gaps }: Scan,
  scan: FeedState | undefined,
): Promise<Cursor | null> {
  if (scan !== undefined && scan.finishedAtMs === null && isDeepStrictEqual(scan.scanning, wanted)) return scan.cursor;
  // The position from which changes are read is taken before the first page, so that nothing falls between.
  await feedStart(context, live, object);
  const nowMs = context.clock.now();
  await transaction(context.pool, async (tx) => {
    for (const { mapping, gap } of mappedGaps(context, live, gaps)) await forgetBases(tx, mapping, gap.moved);
    await beginScan(tx, { spoke: live.name, object }, wanted, nowMs);
  });
  if (scan !== undefined)
    live.log.info({ object, mapped: describeUncovered(gaps) }, 'newly mapped: existing records are read again');
  return null;
}

async function scanObject(
  context: EngineContext,
  live: LiveSpoke,
  scan: Scan,
  signal: AbortSignal,
  between: () => Promise<void>,
): Promise<void> {
  const { object } = scan;
  const options: CallOptions = { lane: 'backfill', signal };
  let records = 0;
  let finished = false;
  const selection = selectionOf(context.mapping, live.name, object);
  for await (const page of live.spoke.scan(object, selection, scan.after, options)) {
    crashOn(context, live, 'page_fetched', page);
    const tally = await context.inbound.accept({
      spoke: live.name,
      object,
      records: page.records,
      evidence: 'listing',
      lane: 'backfill',
      commit: (tx) => saveScanned(context, tx, live, scan, page),
    });
    crashOn(context, live, 'page_merged', page);
    records += page.records.length;
    finished ||= page.last;
    countPage(context, live, object, page.records.length, tally);
    if (signal.aborted) return;
    if (!finished) await between();
  }
  // A scan that ended without a last page has nothing more to give.
  if (!finished && !signal.aborted) await transaction(context.pool, (tx) => finish(context, tx, live, scan));
  live.log.info({ object, records }, 'backfilled');
}

async function saveScanned(context: EngineContext, tx: Tx, live: LiveSpoke, scan: Scan, page: Page): Promise<void> {
  await savePage(context, tx, live, 'scan', scan.object, page);
  if (page.last) await finish(context, tx, live, scan);
}

/** Everything is read: now it is known what the hub has and the spoke lacks. */
async function finish(context: EngineContext, tx: Tx, live: LiveSpoke, { object, wanted, gaps }: Scan): Promise<void> {
  const nowMs = context.clock.now();
  for (const { mapping, table, gap } of mappedGaps(context, live, gaps)) {
    const marked = await markUncovered(tx, table, mapping, gap, nowMs);
    if (marked > 0) live.log.info({ entity: gap.entity, marked }, 'records of the hub are compared with the spoke');
  }
  await finishScan(tx, { spoke: live.name, object }, wanted, nowMs);
}

function mappedGaps(
  context: EngineContext,
  live: LiveSpoke,
  gaps: readonly Uncovered[],
): readonly { readonly mapping: SpokeMapping; readonly table: HubTable; readonly gap: Uncovered }[] {
  return gaps.flatMap((gap) => {
    const mapping = context.mapping.entities.get(gap.entity)?.spokes.get(live.name);
    const table = context.tables.get(gap.entity satisfies EntityName);
    return mapping === undefined || table === undefined ? [] : [{ mapping, table, gap }];
  });
}
