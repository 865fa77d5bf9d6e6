// Owns what a person orders, from whichever door: pause, resume, try parked records again, decide a review. Each order and its audit row
// are one transaction. Orders only re-enqueue through the ordinary doors; a running engine follows within moments.
import type { Clock } from '../base/clock.js';
import { BadRecord } from '../base/errors.js';
import type { Mapping } from '../mapping/mapping.js';
import type { EntityName, SpokeName } from '../model/ids.js';
import { routesOf } from '../outbound/route.js';
import { audit } from '../store/audit.js';
import { outboundDeletions } from '../store/conflicts.js';
import { openHubTable } from '../store/hub.js';
import { transaction, type Pool, type Tx } from '../store/pool.js';
import { holdMissingRows, markTableDirty } from '../store/resync.js';
import { decideReview, heldAtSpoke, listReviews, releaseHeld, type OpenReview } from '../store/reviews.js';
import { pauseSpoke, resumeSpoke } from '../store/spokes.js';
import { replayBatch, type Replayed, type ReplayRequest } from './replay.js';

export interface OrderDeps {
  readonly pool: Pool;
  readonly clock: Clock;
  /** Who orders, for the audit: `cli alice`, `api ops`. */
  readonly actor: string;
}

/** False: there is no such spoke. */
export function orderPause(
  deps: OrderDeps,
  spoke: string,
  pause: { readonly reason: string; readonly hint: string | null },
): Promise<boolean> {
  return transaction(deps.pool, async (tx) => {
    const atMs = deps.clock.now();
    const found = await pauseSpoke(tx, spoke, { atMs, by: 'person', ...pause });
    const detail = { spoke, reason: pause.reason };
    if (found) await audit(tx, { actor: deps.actor, action: 'spoke.pause', detail }, atMs);
    return found;
  });
}

/** False: there is no such spoke. */
export function orderResume(deps: OrderDeps, spoke: string): Promise<boolean> {
  return transaction(deps.pool, async (tx) => {
    const found = await resumeSpoke(tx, spoke);
    if (found) await audit(tx, { actor: deps.actor, action: 'spoke.resume', detail: { spoke } }, deps.clock.now());
    return found;
  });
}

/** Tries parked records again: those that are named, or all of a spoke, or all; however many there are. */
export async function orderReplay(
  deps: OrderDeps & { readonly mapping: Mapping },
  request: ReplayRequest,
): Promise<Replayed> {
  const replayed: Replayed['replayed'][number][] = [];
  const left: Replayed['left'][number][] = [];
  let afterId: string | null = null;
  do {
    const batch: Replayed & { readonly lastId: string | null } = await transaction(deps.pool, async (tx) => {
      const done = await replayBatch(tx, deps, { ...request, afterId });
      const detail = { spoke: request.spoke ?? null, ids: done.replayed.map(({ id }) => id) };
      if (done.replayed.length > 0)
        await audit(tx, { actor: deps.actor, action: 'parked.replay', detail }, deps.clock.now());
      return done;
    });
    replayed.push(...batch.replayed);
    left.push(...batch.left);
    afterId = batch.lastId;
  } while (afterId !== null);
  return { replayed, left };
}

export interface Approved {
  readonly review: OpenReview;
  /** Deletions that go on their way now. */
  readonly released: number;
}

/** What `approve` can carry out; the other kinds are questions that a person answers in the systems and then closes. */
export const approvable: readonly OpenReview['kind'][] = ['mass_delete', 'truncate'];

/**
 * Lets the deletions of open reviews go (F51, F106). Reviews that are not open (any more) are not in the result.
 * Throws BadRecord for one whose kind holds nothing back; then nothing is approved.
 */
export function orderApprove(
  deps: OrderDeps & { readonly mapping: Mapping },
  ids: readonly string[],
): Promise<readonly Approved[]> {
  return transaction(deps.pool, async (tx) => {
    const approved: Approved[] = [];
    for (const review of await listReviews(tx, { ids, limit: ids.length })) {
      if (!approvable.includes(review.kind)) {
        throw new BadRecord({
          code: 'nothing_held',
          message: `review ${review.id} (${review.kind}) holds nothing back that could be approved`,
          hint: `settle it in the systems, then \`truespoke review close ${review.id}\``,
        });
      }
      const atMs = deps.clock.now();
      if (!(await decideReview(tx, review.id, { approved: true, by: deps.actor }, atMs))) continue;
      const released = await release(tx, deps, review, atMs);
      const { id, kind, entity, spoke } = review;
      const detail = { id, kind, entity, spoke, released };
      await audit(tx, { actor: deps.actor, action: 'review.approve', detail }, atMs);
      approved.push({ review, released });
    }
    return approved;
  });
}

async function release(
  tx: Tx,
  deps: OrderDeps & { readonly mapping: Mapping },
  review: OpenReview,
  atMs: number,
): Promise<number> {
  const { entity, spoke } = review;
  if (review.kind === 'truncate') {
    await holdTruncated(tx, deps, review, atMs);
    return releaseHeld(tx, { entity, spoke, reason: null });
  }
  if (spoke === null || review.key === outboundDeletions)
    return releaseHeld(tx, { entity, spoke, reason: 'mass_delete' });
  if (review.key !== entity) return releaseHeld(tx, { entity, spoke, reason: 'deleted_unseen' });
  const fromSpoke = await heldAtSpoke(tx, { spoke, entity });
  return fromSpoke.length === 0 ? 0 : (await replayBatch(tx, deps, { ids: fromSpoke })).replayed.length;
}

/** TRUNCATE names no rows: what is gone is every live link without a hub row, as of now. */
async function holdTruncated(
  tx: Tx,
  deps: OrderDeps & { readonly mapping: Mapping },
  { entity: name }: OpenReview,
  atMs: number,
): Promise<void> {
  const entity = deps.mapping.entities.get(name);
  if (entity === undefined) return;
  const table = await openHubTable(tx, entity);
  for (const route of routesOf(deps.mapping, entity)) {
    // A child that its parent embeds has no delivery of its own: the parents are compared.
    if (route.parentField === null) await holdMissingRows(tx, table, { spoke: route.spoke, entity: name }, atMs);
    else await markParents(tx, deps, { spoke: route.spoke, entity: route.target }, atMs);
  }
}

async function markParents(
  tx: Tx,
  deps: { readonly mapping: Mapping },
  feed: { readonly spoke: SpokeName; readonly entity: EntityName },
  atMs: number,
): Promise<void> {
  const parent = deps.mapping.entities.get(feed.entity);
  if (parent !== undefined) await markTableDirty(tx, await openHubTable(tx, parent), feed, atMs);
}

/** Closes a question that was answered elsewhere. Returns the ones that were open. Held deletions must be approved instead. */
export function orderClose(
  deps: OrderDeps,
  ids: readonly string[],
  note: string | null,
): Promise<readonly OpenReview[]> {
  return transaction(deps.pool, async (tx) => {
    const closed: OpenReview[] = [];
    for (const review of await listReviews(tx, { ids, limit: ids.length })) {
      const atMs = deps.clock.now();
      if (!(await decideReview(tx, review.id, { closed: true, by: deps.actor, note }, atMs))) continue;
      const detail = { id: review.id, kind: review.kind, entity: review.entity, spoke: review.spoke, note };
      await audit(tx, { actor: deps.actor, action: 'review.close', detail }, atMs);
      closed.push(review);
    }
    return closed;
  });
}
