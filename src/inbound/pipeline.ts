// Runs the inbound stages over a page of remote records: normalise → match → merge → apply, in one transaction with the
// cursor. A batch that Postgres refuses for one bad record is halved until that record is alone, and only it is parked (law 9).
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import type { Ids } from '../base/random.js';
import { must } from '../base/assert.js';
import type { Mapping, SpokeMapping } from '../mapping/mapping.js';
import { DeletionWindow, type DeletionLimits } from '../model/deletion-window.js';
import { hubId, type EntityName, type ExternalId, type HubId, type ObjectName, type SpokeName } from '../model/ids.js';
import type { Link } from '../model/link.js';
import type { RemoteRecord } from '../model/record.js';
import { findCandidates, lockMatching, nextIds, readRows, type HubTable } from '../store/hub.js';
import { countLive, linksByExternal, linksByHub } from '../store/links.js';
import { inFlight } from '../store/deliveries.js';
import { openHints, storeEvents } from '../store/inbox.js';
import { park, parkedAttempts } from '../store/parked.js';
import { sqlState, stillReferredTo, transaction, type Pool, type Tx } from '../store/pool.js';
import { takeApprovals } from '../store/reviews.js';
import { apply, type ApplyOptions } from './apply.js';
import { childrenOf, childrenOfGone } from './children.js';
import { dedupe, loadBatch, type BatchContext } from './batch.js';
import { decide, orPark, upsert, type Evidence, type Stages, type Unlinked } from './decide.js';
import { addTally, emptyTally, type Decision, type Incoming, type Tally } from './decision.js';
import { keyText, match, matchKey, type Candidate } from './match.js';
import { merge } from './merge.js';
import { writeMoves } from './moves.js';
import { normalise } from './normalise.js';
import { withoutUnchanged } from './unchanged.js';
import { quarantine } from './quarantine.js';

export interface InboundDeps {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly mapping: Mapping;
  readonly tables: ReadonlyMap<EntityName, HubTable>;
  readonly limits: InboundLimits;
  /** Spokes whose mass-deletion limit is their own; the others have `limits.massDelete`. */
  readonly deletions?: ReadonlyMap<SpokeName, DeletionLimits> | undefined;
}

interface InboundRun extends InboundDeps {
  readonly window: DeletionWindow;
}

/** One transaction's work on a page. */
interface Round {
  readonly page: Page;
  readonly trace: string;
  /** Nobody needs to be asked about deletions. */
  readonly approved: boolean;
  /** Filled while the transaction runs: how the deletions that it lets through are taken back if it comes to nothing. */
  readonly counted: (() => void)[];
}

export interface InboundLimits {
  readonly batchRecords: number;
  /** Within a quarter of an hour. */
  readonly massDelete: DeletionLimits;
  readonly referenceWaitMs: number;
  /** So many new records in a batch are copied in instead of inserted. */
  readonly copyFrom?: number;
}

/** Below this the statements that COPY takes besides cost more than it saves. */
const copyFrom = 50;

export interface Page {
  readonly spoke: SpokeName;
  readonly object: ObjectName;
  readonly records: readonly RemoteRecord[];
  readonly evidence: Evidence;
  /** For records read by id: when our last write to each was confirmed, as it stood before they were read. */
  readonly settled?: ReadonlyMap<string, string | null> | undefined;
  /** Backfill pages yield to live edits on their way out. */
  readonly lane: 'interactive' | 'backfill';
  /** Deletions in it were approved by a person. */
  readonly approved?: boolean;
  /** Records that outbound found to be a certain hub record. */
  readonly belongsTo?: ReadonlyMap<ExternalId, HubId> | undefined;
  /** Records that a person has said are new ones. */
  readonly standsAlone?: ReadonlySet<ExternalId> | undefined;
  /** Runs first, in the transaction of the page's first batch: what is replayed is no longer parked. */
  readonly before?: (tx: Tx) => Promise<void>;
  /** Runs in the transaction of the page's last batch: the cursor, the finished hints. */
  readonly commit?: (tx: Tx) => Promise<void>;
}

export interface Inbound {
  /** Brings one page in. Resolves when everything of it, and `commit`, is durable. */
  accept(page: Page): Promise<Tally>;
}

export function createInbound(deps: InboundDeps): Inbound {
  const run: InboundRun = { ...deps, window: new DeletionWindow(deps.clock) };
  return { accept: (page) => acceptPage(run, page) };
}

/** Every entity that maps an object of a spoke; several may share one object by `where`. */
export function mappingsOf(mapping: Mapping, spoke: SpokeName, object: ObjectName): readonly SpokeMapping[] {
  return [...mapping.entities.values()]
    .map((entity) => entity.spokes.get(spoke))
    .filter((candidate) => candidate !== undefined)
    .filter((candidate) => candidate.object === object && candidate.embedded === null);
}

async function acceptPage(deps: InboundRun, page: Page): Promise<Tally> {
  const total = emptyTally();
  const mappings = mappingsOf(deps.mapping, page.spoke, page.object).filter(({ direction }) => direction !== 'out');
  const batches: { mapping: SpokeMapping; records: readonly Incoming[] }[] = [];
  for (const mapping of mappings) {
    const incoming = page.records.map((record): Incoming => {
      const belongsTo = page.belongsTo?.get(record.externalId);
      const alone = page.standsAlone?.has(record.externalId) ?? false;
      return { record, parent: null, alone, ...(belongsTo === undefined ? {} : { belongsTo }) };
    });
    for (let from = 0; from < incoming.length; from += deps.limits.batchRecords) {
      batches.push({ mapping, records: dedupe(incoming.slice(from, from + deps.limits.batchRecords)) });
    }
  }
  // A page without records still moves its cursor.
  if (batches.length === 0) {
    const [mapping] = mappings;
    if (mapping === undefined) await transaction(deps.pool, (tx) => takeNothing(page, tx));
    else batches.push({ mapping, records: [] });
  }
  for (const [i, { mapping, records }] of batches.entries()) {
    const hooks: Hooks = {
      before: i === 0 ? page.before : undefined,
      commit: i === batches.length - 1 ? page.commit : undefined,
    };
    addTally(total, await acceptBatch(deps, page, mapping, records, hooks));
  }
  return total;
}

/** Nothing comes in from there; what pointed to it is done all the same. */
async function takeNothing(page: Page, tx: Tx): Promise<void> {
  await page.before?.(tx);
  await page.commit?.(tx);
}

interface Hooks {
  readonly before: Page['before'] | undefined;
  readonly commit: Page['commit'] | undefined;
}

/**
 * 22: a value the column cannot hold; 23: a constraint; 54: too long for an index; 09, 27, 44, P0: a trigger or a view of the user's
 * refused. Anything else is not the record's fault.
 */
const recordsFault = /^(09|22|23|27|44|54|P0)/;

/** One transaction, or, when Postgres refuses a value in it, two halves. */
async function acceptBatch(
  deps: InboundRun,
  page: Page,
  mapping: SpokeMapping,
  records: readonly Incoming[],
  hooks: Hooks,
): Promise<Tally> {
  const trace = `${page.spoke}/${deps.ids.uuid()}`;
  const counted: (() => void)[] = [];
  const takeBack = (): void => {
    for (const undo of counted.splice(0)) undo();
  };
  try {
    return await transaction(deps.pool, async (tx) => {
      takeBack(); // a deadlock repeats all of this
      await hooks.before?.(tx);
      const round: Round = { page, trace, counted, approved: page.approved === true };
      const tally = records.length === 0 ? emptyTally() : await processBatch(deps, tx, round, mapping, records);
      await hooks.commit?.(tx);
      return tally;
    });
  } catch (error) {
    takeBack();
    const state = sqlState(error) ?? '';
    if (!recordsFault.test(state) || records.length === 0) throw error;
    if (records.length === 1) return parkRefused(deps, mapping, must(records[0], 'record'), state, error, hooks);
    const middle = Math.ceil(records.length / 2);
    const tally = await acceptBatch(deps, page, mapping, records.slice(0, middle), { ...hooks, commit: undefined });
    addTally(tally, await acceptBatch(deps, page, mapping, records.slice(middle), { ...hooks, before: undefined }));
    return tally;
  }
}

async function parkRefused(
  deps: InboundRun,
  mapping: SpokeMapping,
  { record, parent }: Incoming,
  state: string,
  error: unknown,
  hooks: Hooks,
): Promise<Tally> {
  const { constraint, column } = error as { constraint?: string; column?: string };
  const place = constraint ?? column;
  await transaction(deps.pool, async (tx) => {
    await hooks.before?.(tx);
    await park(
      tx,
      [
        {
          direction: 'in',
          spoke: mapping.spoke,
          entity: mapping.entity,
          key: record.externalId,
          state: 'open',
          code: `hub_refused_${state}`,
          message: `the hub refused the record: ${refusal(state)}${place === undefined ? '' : ` (${place})`}`,
          field: column ?? null,
          payload: { record, parent },
          waitsFor: null,
          deadlineMs: null,
        },
      ],
      deps.clock.now(),
    );
    if (record.deleted && stillReferredTo(state)) await askAgain(deps, tx, mapping, record);
    await hooks.commit?.(tx);
  });
  return { ...emptyTally(), parked: 1 };
}

/** Rows still refer to the deleted one. Their own deletions are on the way as a rule: it is tried again, ever more rarely. */
async function askAgain(deps: InboundRun, tx: Tx, mapping: SpokeMapping, record: RemoteRecord): Promise<void> {
  if (mapping.embedded !== null) return;
  const nowMs = deps.clock.now();
  const attempts = await parkedAttempts(tx, { ...feedOf(mapping), direction: 'in', key: record.externalId });
  const event = {
    eventId: `referred:${record.object}:${record.externalId}:${deps.ids.uuid()}`,
    topic: 'referred',
    object: record.object,
    externalId: record.externalId,
    // A second look at an absence that was believed already.
    deleted: true,
    compliance: false,
    body: null,
    notBeforeMs: nowMs + Math.min(1_000 * 2 ** attempts, 3_600_000),
  };
  await storeEvents(tx, mapping.spoke, [event], nowMs);
}

const feedOf = ({ spoke, entity }: SpokeMapping): { spoke: SpokeName; entity: EntityName } => ({ spoke, entity });

function refusal(state: string): string {
  const reasons: Readonly<Record<string, string>> = {
    '22003': 'a number is out of the range of its column',
    '22021': 'a text contains a character that Postgres cannot store',
    '22001': 'a text is longer than its column',
    '23502': 'a required column would be empty',
    '23001': 'another row still refers to it',
    '23503': 'another row still refers to it, or it refers to a missing one',
    '23505': 'a unique value exists already, or the hub record has a live link already',
    '23514': 'a check constraint does not hold',
    '54000': 'a text is too long for an index on its column',
    P0001: 'a trigger of the table refused it',
  };
  return reasons[state] ?? `SQLSTATE ${state}`;
}

async function processBatch(
  deps: InboundRun,
  tx: Tx,
  round: Round,
  mapping: SpokeMapping,
  shown: readonly Incoming[],
): Promise<Tally> {
  const { page, trace } = round;
  const losers = shown.filter(({ record }) => record.deleted && record.mergedInto !== null);
  if (losers.length > 0 && losers.length < shown.length) {
    // First: the surviving record, which comes in as well, is then linked to the hub record that it is.
    const others = shown.filter((one) => !losers.includes(one));
    const moved = await processBatch(deps, tx, round, mapping, losers);
    addTally(moved, await processBatch(deps, tx, round, mapping, others));
    return moved;
  }
  const records = page.evidence === 'listing' ? await withoutUnchanged(tx, mapping, shown) : shown;
  const unchanged = shown.length - records.length;
  if (records.length === 0) return { ...emptyTally(), unchanged };
  const entity = must(deps.mapping.entities.get(mapping.entity), mapping.entity);
  const table = must(deps.tables.get(mapping.entity), mapping.entity);
  // Before the links are read: whoever is done with a record by now has linked it.
  const underWay = page.evidence === 'listing' ? await readNow(tx, mapping, records) : undefined;
  const context = await loadBatch(tx, mapping, entity, table, records);
  const nowMs = deps.clock.now();
  const deferred = new Set(deps.mapping.deferred.filter((one) => one.entity === entity.name).map((one) => one.field));
  const stages: Stages = {
    normalise: ({ record, parent }) => normalise(mapping, record, parent, context.resolve, deferred),
    merge,
  };
  const decided: Decision[] = [];
  const unlinked: Unlinked[] = [];
  for (const incoming of records) {
    const rules = { evidence: page.evidence, settled: page.settled, underWay, nowMs };
    const decision = decide(context, stages, rules, incoming);
    if (decision.kind === 'unlinked') unlinked.push(decision);
    else decided.push(decision);
  }
  decided.push(...(await matchAll(deps, tx, context, stages, unlinked, nowMs)));
  const calm = await quarantine(tx, context, decided, nowMs);
  const decisions = round.approved ? calm : await holdMassDelete(deps, tx, context, calm, round.counted);
  const tally = { ...emptyTally(), unchanged };
  // A row that others refer to cannot go: what the deleted record embedded goes first, on the same evidence.
  for (const [childMapping, gone] of await childrenOfGone(deps, tx, mapping, decisions)) {
    addTally(tally, await processBatch(deps, tx, { ...round, approved: true }, childMapping, dedupe(gone)));
  }
  const options: ApplyOptions = {
    trace,
    nowMs,
    lane: page.lane,
    waitMs: deps.limits.referenceWaitMs,
    copyFrom: deps.limits.copyFrom ?? copyFrom,
  };
  addTally(tally, await apply(tx, context, decisions, options));
  const moves = decisions.filter((decision) => decision.kind === 'moved');
  addTally(tally, { ...emptyTally(), ...(await writeMoves(tx, feedOf(mapping), moves, deps, options)) });
  for (const { child, entity: childEntity } of mapping.embeds) {
    const childMapping = deps.mapping.entities.get(childEntity)?.spokes.get(mapping.spoke);
    if (childMapping === undefined || childMapping.direction === 'out') continue;
    const children = await childrenOf(tx, childMapping, child, decisions);
    if (children.length > 0) addTally(tally, await processBatch(deps, tx, round, childMapping, dedupe(children)));
  }
  return tally;
}

/** Deleted records of a listing that a read by id may still bring in. Embedded children are not read by themselves. */
function readNow(
  tx: Tx,
  { spoke, object, embedded }: SpokeMapping,
  records: readonly Incoming[],
): Promise<ReadonlySet<ExternalId>> {
  const gone = embedded === null ? records.filter(({ record }) => record.deleted) : [];
  return openHints(
    tx,
    spoke,
    object,
    gone.map(({ record }) => record.externalId),
  );
}

/** Finds the hub record of each unlinked remote record, or makes one. Serialised per entity while the transaction runs. */
async function matchAll(
  deps: InboundRun,
  tx: Tx,
  context: BatchContext,
  stages: Stages,
  unlinked: readonly Unlinked[],
  nowMs: number,
): Promise<readonly Decision[]> {
  if (unlinked.length === 0) return [];
  const { entity, table, mapping } = context;
  await lockMatching(tx, entity.name);
  const feed = { spoke: mapping.spoke, entity: mapping.entity };
  const candidates = await candidatesOf(tx, context, unlinked);
  // A create of ours may be under way: until its outcome is known the record cannot be judged, any more than a linked one. That its
  // hub row is gone by now makes it no stranger: it would come back to the hub from which it was deleted.
  const named = candidates.flatMap((list) => list.map(({ hubId }) => hubId));
  const keys = unlinked.map(({ incoming }) => incoming.record.hubKey).filter((id) => id !== null);
  const busy = await inFlight(tx, feed, [...new Set([...named, ...keys])]);
  // Another transaction may have linked some of them while we waited for the lock, and a create that is under way no more has been
  // settled with its link: asked in this order, one of the answers tells.
  const joined = await linksByHub(tx, feed, [...new Set(named)]);
  const raced = await linksByExternal(
    tx,
    feed,
    unlinked.map(({ incoming }) => incoming.record.externalId),
  );
  const ids = await nextIds(tx, table, unlinked.length);
  const decisions: Decision[] = [];
  const matched: { readonly one: Unlinked; readonly hubId: HubId }[] = [];
  const taken = new Map<string, Candidate & { linkedTo: ExternalId }>();
  for (const [i, one] of unlinked.entries()) {
    const { incoming, fields } = one;
    const { externalId } = incoming.record;
    const found = match(externalId, candidates[i] ?? []);
    const joinedNow = found.kind === 'one' && joined.get(found.hubId)?.state === 'live';
    if (raced.has(externalId) || joinedNow || found.kind === 'raced') {
      decisions.push({ incoming, kind: 'refetch', delayMs: 0, why: 'raced' });
      continue;
    }
    const ours = [candidates[i]?.[0]?.hubId, incoming.record.hubKey];
    if (incoming.belongsTo === undefined && ours.some((id) => typeof id === 'string' && busy.has(id))) {
      decisions.push({ incoming, kind: 'refetch', delayMs: 500, why: 'in_flight' });
      continue;
    }
    const key = incoming.alone === true ? null : matchKey(entity, fields);
    const text = key === null ? null : keyText(must(entity.match[key.rule], 'rule'), key);
    const twin = text === null ? undefined : taken.get(text);
    const outcome = twin === undefined ? found : ({ kind: 'duplicate', of: twin } as const);
    if (outcome.kind === 'ambiguous') decisions.push({ incoming, kind: 'ambiguous', candidates: outcome.candidates });
    else if (outcome.kind === 'duplicate') decisions.push({ incoming, kind: 'duplicate', of: outcome.of });
    else {
      const id = outcome.kind === 'one' ? outcome.hubId : (ids?.[i] ?? hubId(deps.ids.uuid()));
      if (text !== null) taken.set(text, { hubId: id, linkedTo: externalId });
      if (outcome.kind === 'one') matched.push({ one, hubId: id });
      else decisions.push(orPark(incoming, () => create(context, stages, one, id)));
    }
  }
  const unread = matched.map(({ hubId: id }) => id).filter((id) => !context.rows.has(id));
  for (const [id, row] of await readRows(tx, table, unread, { lock: true })) context.rows.set(id, row);
  for (const { one, hubId: id } of matched) {
    const row = must(context.rows.get(id), `hub row ${id}`);
    const { incoming, fields, later } = one;
    decisions.push(
      orPark(incoming, () => upsert(context, stages, incoming, { row, link: null, fields, later, nowMs })),
    );
  }
  return decisions;
}

/** By what outbound told, by the key that we left in the record, else by the match rules. */
async function candidatesOf(
  tx: Tx,
  context: BatchContext,
  unlinked: readonly Unlinked[],
): Promise<readonly Candidate[][]> {
  const { entity, table, mapping } = context;
  const found: Candidate[][] = unlinked.map(() => []);
  const feed = { spoke: mapping.spoke, entity: mapping.entity };
  const named = unlinked
    .map(({ incoming }) => incoming.belongsTo ?? incoming.record.hubKey)
    .filter((id) => id !== null);
  const linked = named.length === 0 ? new Map<HubId, Link>() : await linksByHub(tx, feed, named);
  const byRule = new Map<number, { readonly index: number; readonly values: readonly string[] }[]>();
  for (const [index, { incoming, fields }] of unlinked.entries()) {
    const id = incoming.belongsTo ?? incoming.record.hubKey;
    const link = id === null ? undefined : linked.get(id);
    if (incoming.alone === true) continue;
    // A copied record carries the key of its original: then the key proves nothing and the rules decide.
    // Settled by outbound since we looked for its link: `match` sees that it is linked already.
    const own = link?.state === 'live' && link.externalId === incoming.record.externalId;
    if (id !== null && context.rows.has(id) && (own || link?.state !== 'live')) {
      found[index] = [{ hubId: id, linkedTo: own ? incoming.record.externalId : null }];
      continue;
    }
    const key = matchKey(entity, fields);
    if (key === null) continue;
    const keys = byRule.get(key.rule) ?? [];
    keys.push({ index, values: key.values });
    byRule.set(key.rule, keys);
  }
  for (const [rule, keys] of byRule) {
    const candidates = await findCandidates(
      tx,
      table,
      mapping.spoke,
      must(entity.match[rule], 'rule'),
      keys.map(({ values }) => values),
    );
    for (const candidate of candidates) {
      const index = must(keys[candidate.ord], 'key').index;
      found[index]?.push({ hubId: candidate.hubId, linkedTo: candidate.linkedTo as ExternalId | null });
    }
  }
  return found;
}

function create(context: BatchContext, stages: Stages, { incoming, fields, later }: Unlinked, id: HubId): Decision {
  const merged = stages.merge({
    spoke: context.mapping.spoke,
    fields: context.mapping.fields,
    hub: null,
    base: {},
    overruled: {},
    observed: fields,
    hubChangedAtMs: null,
    spokeChangedAtMs: null,
  });
  const { set, base, push, conflicts, blank } = merged;
  const { version } = incoming.record;
  // Spelled out: spreading three objects into one was 7 µs a record of a backfill.
  return {
    kind: 'upsert',
    incoming,
    hubId: id,
    row: 'insert',
    link: 'new',
    set,
    base,
    version,
    push,
    conflicts,
    blank,
    later,
    hubChangedAtMs: null,
  };
}

/** Law 8: unusually many deletions at once wait for a person. */
async function holdMassDelete(
  deps: InboundRun,
  tx: Tx,
  { mapping }: BatchContext,
  decisions: readonly Decision[],
  counted: (() => void)[],
): Promise<readonly Decision[]> {
  const { absolute, relative } = deps.deletions?.get(mapping.spoke) ?? deps.limits.massDelete;
  const feed = { spoke: mapping.spoke, entity: mapping.entity };
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
