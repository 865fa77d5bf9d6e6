// Runs the inbound stages over a page of remote records: normalise → match → merge → apply, in one transaction with the
// cursor. A batch that Postgres refuses for one bad record is halved until that record is alone, and only it is parked (law 9).
import { must } from '../base/assert.js';
import type { Mapping, SpokeMapping } from '../mapping/mapping.js';
import { DeletionWindow } from '../model/deletion-window.js';
import type { ObjectName, SpokeName } from '../model/ids.js';
import { sqlState, transaction, type Tx } from '../store/pool.js';
import { apply, type ApplyOptions } from './apply.js';
import { childrenOf, childrenOfGone } from './children.js';
import { dedupe, loadBatch } from './batch.js';
import { decide, type Stages, type Unlinked } from './decide.js';
import { addTally, emptyTally, type Decision, type Incoming, type Tally } from './decision.js';
import { rememberDeletions } from './gone.js';
import { holdMassDelete } from './mass-deletion.js';
import { merge } from './merge.js';
import { writeMoves } from './moves.js';
import { normalise } from './normalise.js';
import { feedOf, type Hooks, type InboundDeps, type InboundRun, type Page } from './page.js';
import { parkRefused } from './refused.js';
import { matchAll } from './unlinked.js';
import { withoutUnchanged } from './unchanged.js';
import { quarantine } from './quarantine.js';

/** One transaction's work on a page. */
interface Round {
  readonly page: Page;
  readonly trace: string;
  /** Nobody needs to be asked about deletions. */
  readonly approved: boolean;
  /** Filled while the transaction runs: how the deletions that it lets through are taken back if it comes to nothing. */
  readonly counted: (() => void)[];
}

/** Below this the statements that COPY takes besides cost more than it saves. */
const copyFrom = 50;

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
    const rules = { evidence: page.evidence, settled: page.settled, nowMs };
    const decision = decide(context, stages, rules, incoming);
    if (decision.kind === 'unlinked') unlinked.push(decision);
    else decided.push(decision);
  }
  decided.push(...(await matchAll(deps, tx, context, { ...stages, nowMs, evidence: page.evidence }, unlinked)));
  const known = await rememberDeletions(tx, context, decided, nowMs);
  const calm = await quarantine(tx, context, known, nowMs);
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
