// Remembers how many deletions each feed had lately, so that a mass deletion is one however many pages, hints, webhooks or transactions it
// comes in (law 8, F106). Kept in memory: a restart forgets at most one window.
import type { Clock } from '../base/clock.js';
import type { EntityName, SpokeName } from './ids.js';

/** Deletions above which a person is asked: more than `absolute` and more than `relative` of all links. */
export interface DeletionLimits {
  readonly absolute: number;
  /** 0–1. */
  readonly relative: number;
}

interface Feed {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
}

export const deletionWindowMs = 15 * 60_000;

export class DeletionWindow {
  private readonly counts = new Map<string, { readonly atMs: number; readonly count: number }[]>();

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {}

  /** Deletions of the feed in the last quarter of an hour that nobody had to approve; of these, those younger than `ageMs`. */
  recent(feed: Feed, ageMs = deletionWindowMs): number {
    const key = keyOf(feed);
    const nowMs = this.clock.monotonic();
    const kept = (this.counts.get(key) ?? []).filter(({ atMs }) => atMs > nowMs - deletionWindowMs);
    if (kept.length > 0) this.counts.set(key, kept);
    else this.counts.delete(key);
    return kept.filter(({ atMs }) => atMs > nowMs - ageMs).reduce((sum, { count }) => sum + count, 0);
  }

  /**
   * Counts deletions, as soon as they are let through: two transactions at once cannot both use what is left. Returns how to take it back
   * where their transaction comes to nothing.
   */
  add(feed: Feed, count: number): () => void {
    if (count === 0) return () => undefined;
    const key = keyOf(feed);
    const entry = { atMs: this.clock.monotonic(), count };
    this.counts.set(key, [...(this.counts.get(key) ?? []), entry]);
    return () => {
      this.counts.set(
        key,
        (this.counts.get(key) ?? []).filter((one) => one !== entry),
      );
    };
  }
}

const keyOf = ({ spoke, entity }: Feed): string => `${spoke}/${entity}`;
