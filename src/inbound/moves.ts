// Follows a merge that was done inside a spoke (F104): the loser's link goes to the surviving record; where that one is another hub record's,
// the two hub records are one as well and are joined by policy. Only what no rule can tell is left to a person. Writes in the batch's
// transaction.
import type { EntityName, SpokeName } from '../model/ids.js';
import { audit } from '../store/audit.js';
import { closeReviews, openReviews, type Review } from '../store/conflicts.js';
import { createUnderWay } from '../store/deliveries.js';
import { markOrigin } from '../store/hub.js';
import { storeEvents } from '../store/inbox.js';
import { buryLinks, linksByExternal, relink, wakeMerged } from '../store/links.js';
import { survivorOf } from '../store/merges.js';
import type { Tx } from '../store/pool.js';
import type { ApplyOptions } from './apply.js';
import type { DecisionOf, Tally } from './decision.js';
import { freeToMove, join, type JoinDeps, type Joined } from './join.js';

interface Feed {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
}

type Move = DecisionOf<'moved'>;

export async function writeMoves(
  tx: Tx,
  feed: Feed,
  moves: readonly Move[],
  deps: Omit<JoinDeps, 'actor' | 'nowMs'>,
  options: ApplyOptions,
): Promise<Pick<Tally, 'linked' | 'reviews' | 'refetched'>> {
  const tally = { linked: 0, reviews: 0, refetched: 0 };
  if (moves.length === 0) return tally;
  const { nowMs } = options;
  await markOrigin(tx, { origin: feed.spoke, trace: options.trace, lane: options.lane });
  const followed: Move[] = [];
  const postponed: Move[] = [];
  for (const move of moves) {
    const reviews = await follow(tx, feed, move, { ...deps, nowMs, actor: `spoke ${feed.spoke}` });
    if (reviews === 'write_under_way') {
      postponed.push(move);
      continue;
    }
    followed.push(move);
    await openReviews(tx, reviews, nowMs);
    tally.reviews += reviews.length;
    tally.linked += reviews.some(({ kind }) => kind === 'merged') ? 0 : 1;
  }
  const keys = followed.flatMap(({ incoming, to }) => [incoming.record.externalId, to]);
  await closeReviews(tx, { ...feed, kinds: ['ambiguous', 'duplicate'], keys }, nowMs);
  // What the surviving record shows by now is merged against what was agreed on about the two.
  const hints = [...followed.map((move) => hintOf(move, nowMs)), ...postponed.map((move) => againOf(move, nowMs))];
  await storeEvents(tx, feed.spoke, hints, nowMs);
  return { ...tally, refetched: postponed.length };
}

/** Returns what a person is asked. */
async function follow(tx: Tx, feed: Feed, move: Move, deps: JoinDeps): Promise<readonly Review[] | 'write_under_way'> {
  const { to, hubId, survivor } = move;
  const { externalId, version } = move.incoming.record;
  // Another merge of this batch may have taken the survivor's hub record already.
  const into =
    survivor.kind === 'linked' ? ((await survivorOf(tx, feed.entity, survivor.hubId)) ?? survivor.hubId) : hubId;
  if (!(await freeToMove(tx, deps, feed.entity, [hubId, into]))) return 'write_under_way';
  if (survivor.kind === 'free') {
    // Of our own making, it has a hub record of its own: in this order one of the answers tells.
    const maybeOurs = (await createUnderWay(tx, feed)) || (await linksByExternal(tx, feed, [to])).has(to);
    if (maybeOurs) return 'write_under_way';
    await relink(tx, feed, [{ from: externalId, to }], deps.nowMs);
    return [];
  }
  await buryLinks(tx, feed, [externalId], deps.nowMs, [version]);
  if (survivor.kind === 'aside') {
    await wakeMerged(tx, feed, to, deps.nowMs);
    return [];
  }
  const evidence = { hubId, survivor: to };
  const question: Review = { ...feed, kind: 'merged', key: externalId, evidence };
  if (survivor.kind === 'past') return [question];
  const joined = await join(tx, deps, { entity: feed.entity, survivor: into, loser: hubId });
  if (joined === null) return [question];
  const detail = { id: joined.id, entity: feed.entity, survivor: into, loser: hubId, merged: [externalId, to] };
  await audit(tx, { actor: deps.actor, action: 'record.merge', detail }, deps.nowMs);
  return leftOf(feed.entity, joined, into);
}

/** Elsewhere the two still stand beside each other: a person merges or deletes one there. */
function leftOf(entity: EntityName, { leftAtSpokes, id }: Joined, hubId: string): readonly Review[] {
  return leftAtSpokes.map(([spoke, externalId]) => ({
    kind: 'duplicate',
    spoke,
    entity,
    key: externalId,
    evidence: { hubId, merge: id },
  }));
}

/** A write of ours to one of the two is under way somewhere, or may have made one; it is known in a moment what became of it. */
const underWayMs = 2_000;

const againOf = (move: Move, nowMs: number): Parameters<typeof storeEvents>[2][number] => ({
  ...hintOf(move, nowMs),
  eventId: `refetch:in_flight:${move.incoming.record.object}:${move.incoming.record.externalId}:${nowMs}`,
  topic: 'refetch',
  externalId: move.incoming.record.externalId,
  notBeforeMs: nowMs + underWayMs,
});

const hintOf = ({ incoming, to }: Move, nowMs: number): Parameters<typeof storeEvents>[2][number] => ({
  eventId: `merged:${incoming.record.object}:${incoming.record.externalId}:${to}:${nowMs}`,
  topic: 'merged',
  object: incoming.record.object,
  externalId: to,
  deleted: false,
  compliance: false,
  body: null,
  notBeforeMs: null,
});
