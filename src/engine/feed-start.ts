// Owns where the changes of an object begin to be told. Nothing of it is read before, neither in a listing nor by id: of a record that a hint
// brought in and that is deleted before that, no feed would ever tell, and the reconciler alone would find it. Polling stands behind hints.
import type { ObjectName } from '../model/ids.js';
import { youngMs } from '../model/young.js';
import { loadFeeds, startFeed } from '../store/cursors.js';
import type { EngineContext, LiveSpoke } from './context.js';

interface FeedStart {
  readonly startedAtMs: number;
  /** All that was there has been listed once. */
  readonly isRead: boolean;
}

/** Whoever comes first takes the position, and it stays. */
export async function feedStart(context: EngineContext, live: LiveSpoke, object: ObjectName): Promise<FeedStart> {
  const feeds = (await loadFeeds(context.pool, live.name)).filter((feed) => feed.object === object);
  const known = feeds.find(({ kind }) => kind === 'changes');
  const isRead = feeds.some(({ kind, finishedAtMs }) => kind === 'scan' && finishedAtMs !== null);
  if (known !== undefined) return { startedAtMs: known.startedAtMs ?? 0, isRead };
  const now = await live.spoke.now(object);
  const startedAtMs = context.clock.now();
  await startFeed(context.pool, { spoke: live.name, object, cursor: now }, startedAtMs);
  return { startedAtMs, isRead };
}

/**
 * May a read by id that is made now lag behind the beginning of the feed? Then it must be made once more. Not asked any more once everything
 * was listed: a first reading that takes less time than reads lag is thought short enough. `begun`: objects of which that is known.
 */
export async function mayLagBehindStart(
  context: EngineContext,
  live: LiveSpoke,
  object: ObjectName,
  begun: Set<ObjectName>,
): Promise<boolean> {
  if (begun.has(object)) return false;
  const { startedAtMs, isRead } = await feedStart(context, live, object);
  if (!isRead && context.clock.now() < startedAtMs + youngMs) return true;
  begun.add(object);
  return false;
}
