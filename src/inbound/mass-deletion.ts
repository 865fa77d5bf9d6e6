// Law 8: unusually many deletions at once wait for a person. Owns when they are too many.
import { countLive } from '../store/links.js';
import type { Tx } from '../store/pool.js';
import { takeApprovals } from '../store/reviews.js';
import type { BatchContext } from './batch.js';
import type { Decision } from './decision.js';
import { feedOf, type InboundRun } from './page.js';

/** The decisions, with the deletions held that nobody has approved; `counted`: how those that go are taken back if it comes to nothing. */
export async function holdMassDelete(
  deps: InboundRun,
  tx: Tx,
  { mapping }: BatchContext,
  decisions: readonly Decision[],
  counted: (() => void)[],
): Promise<readonly Decision[]> {
  const { absolute, relative } = deps.deletions?.get(mapping.spoke) ?? deps.limits.massDelete;
  const feed = feedOf(mapping);
  const deleted = decisions.filter((decision) => decision.kind === 'delete');
  if (deleted.length === 0) return decisions;
  const pass = (count: number): readonly Decision[] => {
    counted.push(deps.window.add(feed, count));
    return decisions;
  };
  // Asked anew after each question to the hub: another page may have used up what was left.
  const before = (): number => deps.window.recent(feed);
  if (before() + deleted.length <= absolute) return pass(deleted.length);
  const keys = deleted.map(({ incoming }) => incoming.record.externalId);
  const approved = await takeApprovals(tx, feed, keys);
  const deletes = deleted.length - approved.size;
  if (deletes === 0 || before() + deletes <= absolute) return pass(deletes);
  const live = await countLive(tx, feed);
  if (before() + deletes <= (live + before()) * relative) return pass(deletes);
  deps.log.warn({ ...feed, deletes, live }, 'mass deletion held');
  return decisions.map((decision) =>
    decision.kind === 'delete' && !approved.has(decision.incoming.record.externalId)
      ? { ...decision, hold: true }
      : decision,
  );
}
