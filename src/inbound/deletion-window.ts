// Remembers how many deletions each feed brought lately, so that a mass deletion is one however many pages, hints or webhooks it comes in
// (law 8, F106). Kept in memory: a restart forgets at most one window.
import type { Clock } from '../base/clock.js';
import type { EntityName, SpokeName } from '../model/ids.js';

interface Feed {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
}

const windowMs = 15 * 60_000;

export class DeletionWindow {
  private readonly counts = new Map<string, { readonly atMs: number; readonly count: number }[]>();

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {}

  /** Deletions of the feed in the last quarter of an hour that nobody had to approve. */
  recent(feed: Feed): number {
    const key = keyOf(feed);
    const since = this.clock.monotonic() - windowMs;
    const kept = (this.counts.get(key) ?? []).filter(({ atMs }) => atMs > since);
    if (kept.length > 0) this.counts.set(key, kept);
    else this.counts.delete(key);
    return kept.reduce((sum, { count }) => sum + count, 0);
  }

  /** Call once their transaction is committed. */
  add(feed: Feed, count: number): void {
    if (count === 0) return;
    const list = this.counts.get(keyOf(feed)) ?? [];
    list.push({ atMs: this.clock.monotonic(), count });
    this.counts.set(keyOf(feed), list);
  }
}

const keyOf = ({ spoke, entity }: Feed): string => `${spoke}/${entity}`;
