// Owns what every page that comes in is followed by: its cursor in the transaction of its effects, its counts, its crash points.
import type { Page } from '../connectors/connector.js';
import type { Tally } from '../inbound/decision.js';
import type { ObjectName } from '../model/ids.js';
import { saveFeed, type FeedKind } from '../store/cursors.js';
import type { Queryable, Tx } from '../store/pool.js';
import type { EngineContext, LiveSpoke } from './context.js';

/** Law 7: in the transaction that holds what the page came to; alone where it came to nothing. */
export async function savePage(
  context: EngineContext,
  tx: Queryable | Tx,
  live: LiveSpoke,
  kind: FeedKind,
  object: ObjectName,
  page: Page,
): Promise<void> {
  const { records, cursor: covered, total, last } = page;
  crashOn(context, live, 'page_written', page);
  const progress = { spoke: live.name, object, kind, cursor: covered, records: records.length, total, finished: last };
  await saveFeed(tx, progress, context.clock.now());
  crashOn(context, live, 'cursor_written', page);
}

/** A page without records is no instant worth dying at. */
export function crashOn(context: EngineContext, live: LiveSpoke, point: string, page: Page): void {
  if (page.records.length > 0) context.crashpoint(`${point}/${live.name}`);
}

export function countPage(
  context: EngineContext,
  live: LiveSpoke,
  object: ObjectName,
  records: number,
  tally: Tally,
): void {
  if (records === 0) return;
  const { counters } = context;
  counters.recordsIn(live.name, object, records);
  counters.merges(live.name, object, 'taken', tally.created + tally.updated);
  counters.merges(live.name, object, 'agreed', tally.unchanged);
  counters.conflicts(live.name, object, tally.conflicts);
  counters.parked(live.name, 'in', tally.parked);
  live.log.debug({ object, records, ...tally }, 'records in');
}
