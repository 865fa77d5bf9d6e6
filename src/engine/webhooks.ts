// Takes webhooks in: verified on raw bytes, stored, then answered. What a webhook says is a hint; its record is fetched by id.
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import type { SpokeName } from '../model/ids.js';
import type { Counters } from '../model/status.js';
import { openReviews } from '../store/conflicts.js';
import { storeEvents } from '../store/inbox.js';
import { transaction, type Pool } from '../store/pool.js';
import type { LiveSpoke } from './context.js';

export interface WebhookDeps {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  /** The spokes that are connected now; the others of `configured` will be. */
  readonly live: ReadonlyMap<SpokeName, LiveSpoke>;
  readonly configured: readonly { readonly name: SpokeName }[];
  readonly crashpoint: (name: string) => void;
}

/**
 * 200 stored, 401 not from the shop bound to this path, 404 no such spoke or one that takes none, 503 its spoke is not connected yet.
 * After a 503 and after a failure to store, which rejects, the sender tries again (F16).
 */
export async function receiveWebhook(
  deps: WebhookDeps,
  spoke: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Promise<{ readonly status: number }> {
  const live = deps.live.get(spoke as SpokeName);
  if (live === undefined) return { status: deps.configured.some(({ name }) => name === spoke) ? 503 : 404 };
  const door = live.spoke.webhooks;
  if (door === undefined) return { status: 404 };
  const verdict = door.verify({ headers, body });
  if (!verdict.ok) {
    deps.counters.webhooks(spoke, 'refused', 1);
    deps.log.warn({ spoke, reason: verdict.reason }, 'webhook refused');
    return { status: 401 };
  }
  deps.crashpoint('webhook_verified');
  const { eventId, topic, hints, compliance } = verdict;
  const nowMs = deps.clock.now();
  // A record of an object that nothing maps is no work of ours.
  const ours = hints.filter((hint) => live.objects.includes(hint.object));
  const events = ours.map((hint, i) => ({
    eventId: i === 0 ? eventId : `${eventId}#${i}`,
    topic,
    object: hint.object,
    externalId: hint.externalId,
    deleted: hint.deleted,
    compliance,
    body: null,
    notBeforeMs: null,
  }));
  // A legal request names no record of ours to fetch: it is kept whole until a person has answered it.
  const kept = compliance
    ? [
        {
          eventId,
          topic,
          object: null,
          externalId: null,
          deleted: false,
          compliance,
          body: Buffer.from(body).toString('utf8'),
          notBeforeMs: null,
        },
      ]
    : events;
  const stored = compliance
    ? await transaction(deps.pool, async (tx) => {
        const count = await storeEvents(tx, live.name, kept, nowMs);
        const evidence = { topic };
        const review = {
          kind: 'compliance',
          spoke: live.name,
          entity: topic as never,
          key: eventId,
          evidence,
        } as const;
        if (count > 0) await openReviews(tx, [review], nowMs);
        return count;
      })
    : // One statement is a transaction of its own, at one round trip instead of three: the sender waits for it.
      await storeEvents(deps.pool, live.name, kept, nowMs);
  deps.crashpoint('webhook_stored');
  deps.counters.webhooks(spoke, stored > 0 || kept.length === 0 ? 'stored' : 'duplicate', 1);
  live.hintBell.ring();
  return { status: 200 };
}
