// Holds mass deletions of the hub on their way out (law 8, F106): more than a spoke's limits within a quarter of an hour, in one transaction
// or in many. What is held waits for a person, as one question a spoke and entity; what else was changed goes its way.
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import { deletionWindowMs, DeletionWindow, type DeletionLimits } from '../model/deletion-window.js';
import type { EntityName, SpokeName } from '../model/ids.js';
import { openReviews, outboundDeletions } from '../store/conflicts.js';
import { countHeld, holdDeletes } from '../store/deliveries.js';
import { countLiveSince } from '../store/links.js';
import { approvedAtMs } from '../store/reviews.js';
import type { Tx } from '../store/pool.js';
import type { TableMap } from './change-reader.js';

export interface BreakerDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly tables: TableMap;
  /** Of spokes that have none of their own. */
  readonly limits: DeletionLimits;
  readonly deletions: ReadonlyMap<SpokeName, DeletionLimits>;
}

/** What one source transaction deleted of an entity. */
export interface Deletions {
  readonly entity: EntityName;
  readonly lsn: string;
  readonly at: string;
  readonly count: number;
}

interface Feed {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
}

/** Deletions that may go; counted once their transaction is durable. */
export type Passed = readonly { readonly feed: Feed; readonly count: number }[];

export class DeletionBreaker {
  private readonly window: DeletionWindow;
  private readonly feeds = new Map<EntityName, readonly SpokeName[]>();

  constructor(private readonly deps: BreakerDeps) {
    this.window = new DeletionWindow(deps.clock);
    for (const { entity, routes } of deps.tables.values()) {
      const own = routes.filter(({ parentField, spoke }) => parentField === null && isTold(entity.spokes.get(spoke)));
      this.feeds.set(
        entity.name,
        own.map(({ spoke }) => spoke),
      );
    }
  }

  /** In the transaction that has marked the deliveries. */
  async hold(tx: Tx, all: readonly Deletions[]): Promise<Passed> {
    const passed: { feed: Feed; count: number }[] = [];
    for (const deletions of all) {
      for (const spoke of this.feeds.get(deletions.entity) ?? []) {
        const feed = { spoke, entity: deletions.entity };
        const earlier = passed.filter((one) => one.feed.spoke === spoke && one.feed.entity === feed.entity);
        const before = earlier.reduce((sum, { count }) => sum + count, 0);
        if (await this.isMass(tx, feed, before, deletions.count)) await this.holdOne(tx, feed, deletions);
        else passed.push({ feed, count: deletions.count });
      }
    }
    return passed;
  }

  passed(all: Passed): void {
    for (const { feed, count } of all) this.window.add(feed, count);
  }

  private async isMass(tx: Tx, feed: Feed, pending: number, count: number): Promise<boolean> {
    const { absolute, relative } = this.deps.deletions.get(feed.spoke) ?? this.deps.limits;
    if (this.window.recent(feed) + pending + count <= absolute) return false;
    // A person who has just approved a mass deletion is not asked about it again.
    const atMs = await approvedAtMs(tx, feed);
    const ageMs = atMs === null ? deletionWindowMs : this.deps.clock.now() - atMs;
    const before = this.window.recent(feed, ageMs) + pending;
    if (before + count <= absolute) return false;
    return before + count > (await countLiveSince(tx, feed, this.deps.clock.now() - ageMs)) * relative;
  }

  private async holdOne(tx: Tx, feed: Feed, { lsn, at }: Deletions): Promise<void> {
    if ((await holdDeletes(tx, feed, lsn)) === 0) return;
    const records = await countHeld(tx, feed);
    this.deps.log.warn({ ...feed, records, lsn }, 'mass deletion held');
    const evidence = { records, lsn, at };
    await openReviews(tx, [{ ...feed, kind: 'mass_delete', key: outboundDeletions, evidence }], this.deps.clock.now());
  }
}

/** Does a deletion in the hub come to anything there? */
function isTold(mapping: { readonly delete: string } | undefined): boolean {
  return mapping !== undefined && mapping.delete !== 'ignore';
}
