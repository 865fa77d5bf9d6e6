// Finds the hub record of each unlinked remote record, or makes one: by what outbound told, by the key that we left there, else by the match
// rules. Serialised per entity while the transaction runs; what outbound links meanwhile is read again.
import { must } from '../base/assert.js';
import { hubId, type ExternalId, type HubId } from '../model/ids.js';
import type { Link } from '../model/link.js';
import { findCandidates, lockMatching, nextIds, readRows } from '../store/hub.js';
import { linksByExternal, linksByHub } from '../store/links.js';
import { inFlight } from '../store/deliveries.js';
import type { Tx } from '../store/pool.js';
import type { BatchContext } from './batch.js';
import { orPark, upsert, type Evidence, type Stages, type Unlinked } from './decide.js';
import type { Decision } from './decision.js';
import { deletionsTold } from './gone.js';
import { keyText, match, matchKey, type Candidate } from './match.js';
import { feedOf, type InboundDeps } from './page.js';

interface MatchRules extends Stages {
  readonly evidence: Evidence;
  readonly nowMs: number;
}

export async function matchAll(
  deps: Pick<InboundDeps, 'ids'>,
  tx: Tx,
  context: BatchContext,
  rules: MatchRules,
  unlinked: readonly Unlinked[],
): Promise<readonly Decision[]> {
  if (unlinked.length === 0) return [];
  const { entity, table, mapping } = context;
  await lockMatching(tx, entity.name);
  const feed = feedOf(mapping);
  const candidates = await candidatesOf(tx, context, unlinked);
  // A create of ours may be under way: until its outcome is known the record cannot be judged, any more than a linked one. That its
  // hub row is gone by now makes it no stranger: it would come back to the hub from which it was deleted.
  const named = candidates.flatMap((list) => list.map(({ hubId }) => hubId));
  const keys = unlinked.map(({ incoming }) => incoming.record.hubKey).filter((id) => id !== null);
  const busy = await inFlight(tx, feed, [...new Set([...named, ...keys])]);
  // Another transaction may have linked some of them while we waited for the lock, and a create that is under way no more has been
  // settled with its link: asked in this order, one of the answers tells.
  const joined = await linksByHub(tx, feed, [...new Set(named)]);
  const externalIds = unlinked.map(({ incoming }) => incoming.record.externalId);
  const raced = await linksByExternal(tx, feed, externalIds);
  const gone = await deletionsTold(tx, context, rules.evidence, externalIds);
  const ids = await nextIds(tx, table, unlinked.length);
  const decisions: Decision[] = [];
  const matched: Match[] = [];
  const taken = new Map<string, Candidate & { linkedTo: ExternalId }>();
  for (const [i, one] of unlinked.entries()) {
    const { incoming, fields } = one;
    const { externalId, version } = incoming.record;
    if (version !== '' && version < (gone.get(externalId) ?? '')) {
      decisions.push({ incoming, kind: 'ignore', why: 'older' });
      continue;
    }
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
      else decisions.push(orPark(incoming, () => create(context, rules, one, id)));
    }
  }
  return [...decisions, ...(await linkAll(tx, context, rules, matched))];
}

interface Match {
  readonly one: Unlinked;
  readonly hubId: HubId;
}

async function linkAll(
  tx: Tx,
  context: BatchContext,
  rules: MatchRules,
  matched: readonly Match[],
): Promise<readonly Decision[]> {
  const unread = matched.map(({ hubId: id }) => id).filter((id) => !context.rows.has(id));
  for (const [id, row] of await readRows(tx, context.table, unread, { lock: true })) context.rows.set(id, row);
  return matched.map(({ one: { incoming, fields, later }, hubId: id }) => {
    const row = must(context.rows.get(id), `hub row ${id}`);
    const input = { row, link: null, fields, later, nowMs: rules.nowMs };
    return orPark(incoming, () => upsert(context, rules, incoming, input));
  });
}

/** By what outbound told, by the key that we left in the record, else by the match rules. */
async function candidatesOf(
  tx: Tx,
  context: BatchContext,
  unlinked: readonly Unlinked[],
): Promise<readonly Candidate[][]> {
  const { entity, table, mapping } = context;
  const found: Candidate[][] = unlinked.map(() => []);
  const feed = feedOf(mapping);
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
