// Owns what a person decides about a record whose identity no rule could tell: it is this one, or it is a new one. The decision, its audit row
// and what follows from it are one transaction, through the ordinary door of inbound; the record is then fetched afresh.
import type { Clock } from '../base/clock.js';
import { ConfigError } from '../base/errors.js';
import { must } from '../base/assert.js';
import { silentLog } from '../base/log.js';
import type { Ids } from '../base/random.js';
import type { InboundLimits, Page } from '../inbound/page.js';
import { createInbound } from '../inbound/pipeline.js';
import type { Mapping, SpokeMapping } from '../mapping/mapping.js';
import { externalId, hubId, type EntityName, type ExternalId, type HubId, type SpokeName } from '../model/ids.js';
import type { RemoteRecord } from '../model/record.js';
import { audit } from '../store/audit.js';
import { lane, markDirty } from '../store/deliveries.js';
import { openHubTable, readRows, type HubTable } from '../store/hub.js';
import { storeEvents } from '../store/inbox.js';
import { linksByExternal, linksByHub, saveLinks } from '../store/links.js';
import { releaseParked } from '../store/parked.js';
import { transaction, type Queryable, type Tx } from '../store/pool.js';
import { decideReview, readReview, type ReviewEvidence } from '../store/reviews.js';
import type { OrderDeps } from './orders.js';

export interface DecisionDeps extends OrderDeps {
  readonly mapping: Mapping;
  readonly ids: Ids;
  readonly limits: InboundLimits;
}

export interface Decided {
  readonly id: string;
  readonly spoke: SpokeName;
  readonly entity: EntityName;
  readonly hubId: HubId | null;
  readonly externalId: ExternalId | null;
}

interface Question {
  readonly review: ReviewEvidence;
  readonly feed: { readonly spoke: SpokeName; readonly entity: EntityName };
  readonly mapping: SpokeMapping;
  /** A record of the spoke asks where it belongs. */
  readonly record: RemoteRecord | null;
}

/** `candidate`: a hub id where a spoke's record asks, a record of the spoke where a hub row asks. */
export async function decideLink(deps: DecisionDeps, id: string, candidate: string): Promise<Decided> {
  const question = await ask(deps, id);
  const { feed, record } = question;
  if (record === null) return linkHubRow(deps, question, externalId(candidate));
  const target = hubId(candidate);
  await refuseTaken(deps, question, target);
  const order = { decision: { link: target }, action: 'review.link' };
  await takeIn(deps, question, { belongsTo: new Map([[record.externalId, target]]) }, order);
  return { id, ...feed, hubId: target, externalId: record.externalId };
}

/** It is a record of its own, whatever it has in common with others. */
export async function decideNew(deps: DecisionDeps, id: string): Promise<Decided> {
  const question = await ask(deps, id);
  const { feed, record, review } = question;
  const order = { decision: { new: true }, action: 'review.new' };
  if (record !== null) {
    await takeIn(deps, question, { standsAlone: new Set([record.externalId]) }, order);
    const link = (await linksByExternal(deps.pool, feed, [record.externalId])).get(record.externalId);
    return { id, ...feed, hubId: link?.hubId ?? null, externalId: record.externalId };
  }
  const target = hubId(review.key);
  await transaction(deps.pool, async (tx) => {
    await conclude(deps, tx, question, order);
    const atMs = deps.clock.now();
    await releaseParked(tx, { ...feed, direction: 'out', keys: [target] }, atMs);
    await markDirty(tx, [
      {
        ...feed,
        hubId: target,
        lane: lane.interactive,
        atMs,
        lsn: null,
        trace: `review ${id} decided by ${deps.actor}`,
      },
    ]);
  });
  return { id, ...feed, hubId: target, externalId: null };
}

async function ask(deps: DecisionDeps, id: string): Promise<Question> {
  const review = await readReview(deps.pool, id);
  const mapping = review === null ? undefined : mappingOf(deps.mapping, review);
  if (review === null) throw noReview(id);
  if ((review.kind !== 'ambiguous' && review.kind !== 'duplicate') || review.spoke === null || mapping === undefined) {
    throw new ConfigError({
      code: 'not_about_identity',
      message: `review ${id} (${review.kind}) does not ask which record it is`,
      hint: `\`truespoke review show ${id}\` tells what it asks`,
    });
  }
  if (mapping.embedded !== null) {
    throw new ConfigError({
      code: 'embedded',
      message: `review ${id} is about a child that its parent embeds`,
      hint: `decide it in ${review.spoke}, then \`truespoke review close ${id}\``,
    });
  }
  const { record } = review.evidence as { readonly record?: RemoteRecord };
  return { review, feed: { spoke: review.spoke, entity: review.entity }, mapping, record: record ?? null };
}

const mappingOf = (mapping: Mapping, { spoke, entity }: ReviewEvidence): SpokeMapping | undefined =>
  spoke === null ? undefined : mapping.entities.get(entity)?.spokes.get(spoke);

function noReview(id: string): ConfigError {
  return new ConfigError({
    code: 'no_open_review',
    message: `there is no open review ${id}`,
    hint: '`truespoke review list` shows them',
  });
}

async function refuseTaken(deps: DecisionDeps, { review, feed }: Question, target: HubId): Promise<void> {
  const table = await tableOf(deps.pool, deps, feed.entity);
  const rows = await readRows(deps.pool, table, [target], { lock: false }).catch(() => new Map<HubId, never>());
  const link = (await linksByHub(deps.pool, feed, [target])).get(target);
  if (!rows.has(target)) {
    throw new ConfigError({
      code: 'no_hub_record',
      message: `there is no ${feed.entity} ${target} in the hub`,
      hint: `\`truespoke review show ${review.id}\` lists the candidates`,
    });
  }
  if (link?.state !== 'live') return;
  throw new ConfigError({
    code: 'linked_already',
    message: `${feed.entity} ${target} is ${link.externalId} at ${feed.spoke} already; a hub record has one there`,
    hint: `merge the two in ${feed.spoke}: that is followed; or \`truespoke review new ${review.id}\`, then \`truespoke merge\``,
  });
}

interface Order {
  readonly decision: Readonly<Record<string, unknown>>;
  readonly action: string;
}

/** What was shown when the question arose comes in as decided; what it shows by now is fetched after it. */
async function takeIn(
  deps: DecisionDeps,
  question: Question,
  how: Pick<Page, 'belongsTo' | 'standsAlone'>,
  order: Order,
): Promise<void> {
  const { feed, mapping } = question;
  const record = must(question.record, 'record');
  const tables = new Map<EntityName, HubTable>();
  for (const name of deps.mapping.entities.keys()) tables.set(name, await tableOf(deps.pool, deps, name));
  const { pool, clock, ids, limits } = deps;
  const inbound = createInbound({ pool, clock, ids, log: silentLog, mapping: deps.mapping, tables, limits });
  await inbound.accept({
    ...how,
    spoke: feed.spoke,
    object: mapping.object,
    records: [record],
    evidence: 'fetched',
    lane: 'interactive',
    before: (tx) => conclude(deps, tx, question, order),
    commit: async (tx) => {
      const link = (await linksByExternal(tx, feed, [record.externalId])).get(record.externalId);
      if (link?.state === 'live') return fetchAgain(tx, question, record.externalId, deps.clock);
      throw new ConfigError({
        code: 'not_taken_in',
        message: `${feed.spoke} ${record.externalId} cannot be taken in as it was shown then`,
        hint: 'edit it at the spoke, or mend the mapping, and decide again',
      });
    },
  });
}

/** The spoke holds a record that the hub's row may be: they are linked, and what both hold is merged when it is read. */
async function linkHubRow(deps: DecisionDeps, question: Question, id: ExternalId): Promise<Decided> {
  const { feed, review } = question;
  const target = hubId((review.evidence as { readonly hubId?: string }).hubId ?? review.key);
  await refuseTaken(deps, question, target);
  await transaction(deps.pool, async (tx) => {
    await conclude(deps, tx, question, { decision: { link: id }, action: 'review.link' });
    const atMs = deps.clock.now();
    const link = {
      hubId: target,
      externalId: id,
      state: 'live',
      base: {},
      version: '' as never,
      settledAtMs: null,
    } as const;
    const before = (await linksByExternal(tx, feed, [id])).get(id);
    const saved = before?.state === 'live' ? new Set<string>() : await saveLinks(tx, feed, [link], atMs);
    if (!saved.has(id)) {
      throw new ConfigError({
        code: 'linked_already',
        message: `${feed.spoke} ${id} belongs to ${feed.entity} ${before?.hubId ?? '?'} already`,
        hint: `are the two one? \`truespoke merge ${feed.entity} ${before?.hubId ?? '<survivor>'} ${target}\``,
      });
    }
    await releaseParked(tx, { ...feed, direction: 'out', keys: [target] }, atMs);
    await fetchAgain(tx, question, id, deps.clock);
  });
  return { id: review.id, ...feed, hubId: target, externalId: id };
}

async function conclude(deps: DecisionDeps, tx: Tx, { review, feed }: Question, order: Order): Promise<void> {
  const atMs = deps.clock.now();
  if (!(await decideReview(tx, review.id, { ...order.decision, by: deps.actor }, atMs))) throw noReview(review.id);
  const detail = { id: review.id, kind: review.kind, ...feed, key: review.key, ...order.decision };
  await audit(tx, { actor: deps.actor, action: order.action, detail }, atMs);
}

async function fetchAgain(tx: Tx, { review, feed, mapping }: Question, id: ExternalId, clock: Clock): Promise<void> {
  const event = {
    eventId: `decided:${review.id}`,
    topic: 'decided',
    object: mapping.object,
    externalId: id,
    deleted: false,
    compliance: false,
    body: null,
    notBeforeMs: null,
  };
  await storeEvents(tx, feed.spoke, [event], clock.now());
}

const tableOf = (db: Queryable, deps: DecisionDeps, name: EntityName): Promise<HubTable> =>
  openHubTable(db, must(deps.mapping.entities.get(name), name));
