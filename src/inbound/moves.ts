// Follows a merge that was done inside a spoke (F104): the loser's link goes to the surviving record; where that one is another hub record's,
// the two hub records are one as well and are joined by policy. Only what no rule can tell is left to a person. Writes in the batch's
// transaction.
import type { EntityName, SpokeName } from '../model/ids.js';
import { audit } from '../store/audit.js';
import { closeReviews, openReviews, type Review } from '../store/conflicts.js';
import { markOrigin } from '../store/hub.js';
import { storeEvents } from '../store/inbox.js';
import { buryLinks, relink, wakeMerged } from '../store/links.js';
import { survivorOf } from '../store/merges.js';
import type { Tx } from '../store/pool.js';
import type { ApplyOptions } from './apply.js';
import type { DecisionOf, Tally } from './decision.js';
import { join, type JoinDeps, type Joined } from './join.js';

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
): Promise<Pick<Tally, 'linked' | 'reviews'>> {
  const tally = { linked: 0, reviews: 0 };
  if (moves.length === 0) return tally;
  const { nowMs } = options;
  await markOrigin(tx, { origin: feed.spoke, trace: options.trace, lane: options.lane });
  for (const move of moves) {
    const reviews = await follow(tx, feed, move, { ...deps, nowMs, actor: `spoke ${feed.spoke}` });
    await openReviews(tx, reviews, nowMs);
    tally.reviews += reviews.length;
    tally.linked += reviews.some(({ kind }) => kind === 'merged') ? 0 : 1;
  }
  const keys = moves.flatMap(({ incoming, to }) => [incoming.record.externalId, to]);
  await closeReviews(tx, { ...feed, kinds: ['ambiguous', 'duplicate'], keys }, nowMs);
  // What the surviving record shows by now is merged against what was agreed on about the two.
  await storeEvents(
    tx,
    feed.spoke,
    moves.map((move) => hintOf(move, nowMs)),
    nowMs,
  );
  return tally;
}

/** Returns what a person is asked. */
async function follow(tx: Tx, feed: Feed, move: Move, deps: JoinDeps): Promise<readonly Review[]> {
  const { to, hubId, survivor } = move;
  const { externalId, version } = move.incoming.record;
  if (survivor.kind === 'free') {
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
  // Another merge of this batch may have taken the survivor's hub record already.
  const into = (await survivorOf(tx, feed.entity, survivor.hubId)) ?? survivor.hubId;
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
