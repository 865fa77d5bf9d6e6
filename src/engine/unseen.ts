// Keeps asking for what a spoke did not show (F78). When our user may read a field again no record changes, so no feed tells: what was
// edited there meanwhile would be found by the reconciler only. One read an entity and interval while nothing is shown; all of them once
// something is. Judges nothing: what is shown goes to the inbound door.
import { must } from '../base/assert.js';
import { ownMappings, selectionOf, unseenOf } from '../mapping/selection.js';
import type { SpokeMapping } from '../mapping/mapping.js';
import type { EntityName, ExternalId } from '../model/ids.js';
import { readRows } from '../store/hub.js';
import { pageUnseen, type Unseen } from '../store/link-images.js';
import type { EngineContext, LiveSpoke } from './context.js';
import { countPage } from './pages.js';
import { elected } from './turns.js';

/** Runs until the signal aborts; rejects when the spoke cannot be read. */
export async function watchUnseen(
  context: EngineContext,
  live: LiveSpoke,
  everyMs: number,
  signal: AbortSignal,
): Promise<void> {
  await elected(context, live, 'unseen', signal);
  // A record that never shows a field must not keep the others from being asked for: each look goes on behind the one before.
  const behind = new Map<EntityName, ExternalId | null>();
  while (!signal.aborted) {
    await context.clock.sleep(everyMs, signal);
    await live.whenOpen(signal);
    for (const mapping of ownMappings(context.mapping, live.name)) {
      if (signal.aborted) return;
      const after = behind.get(mapping.entity) ?? null;
      behind.set(mapping.entity, await look(context, live, mapping, after, signal));
    }
  }
}

/** Returns behind which record to go on the next time; null = from the first. */
async function look(
  context: EngineContext,
  live: LiveSpoke,
  mapping: SpokeMapping,
  from: ExternalId | null,
  signal: AbortSignal,
): Promise<ExternalId | null> {
  const sample = await takePage(context, live, mapping, from, signal);
  if (sample.shown === 0) return sample.next;
  for (let after: ExternalId | null = null; !signal.aborted;) {
    const { next } = await takePage(context, live, mapping, after, signal);
    if (next === null) break;
    after = next;
  }
  return null;
}

/** Reads one page of such records by id; those that show more than before come in. */
async function takePage(
  context: EngineContext,
  live: LiveSpoke,
  mapping: SpokeMapping,
  after: ExternalId | null,
  signal: AbortSignal,
): Promise<{ readonly shown: number; readonly next: ExternalId | null }> {
  const { object, spoke: name, entity } = mapping;
  const rows = Math.max(1, live.spoke.capabilities.fetchBatch);
  const page = await pageUnseen(context.pool, { spoke: name, entity }, after, rows);
  const next = page.length < rows ? null : (page.at(-1)?.externalId ?? null);
  const waiting = await withRow(context, mapping, page);
  if (waiting.length === 0) return { shown: 0, next };
  const ids = waiting.map(({ externalId }) => externalId);
  const fields = selectionOf(context.mapping, name, object);
  const records = await live.spoke.fetch(object, ids, fields, { lane: 'repair', signal });
  const before = new Map(waiting.map((one) => [one.externalId, one.fields]));
  const shown = records.filter((record) => {
    const still = unseenOf(mapping, record);
    return !record.deleted && before.get(record.externalId)?.some((field) => !still.includes(field)) === true;
  });
  if (shown.length > 0) {
    const read = { spoke: name, object, records: shown, evidence: 'fetched', lane: 'interactive' } as const;
    const tally = await context.inbound.accept(read);
    countPage(context, live, object, shown.length, tally);
    if (tally.refetched > 0) live.hintBell.ring();
  }
  return { shown: shown.length, next };
}

/**
 * Those whose row is there. Where a deletion is not carried on, the record and its link outlive the row: nothing is merged with it and
 * nothing is written to it until the row is back, so there is nothing to ask for, and asking would never end.
 */
async function withRow(
  { pool, tables }: EngineContext,
  { entity }: SpokeMapping,
  page: readonly Unseen[],
): Promise<readonly Unseen[]> {
  const ids = page.map(({ hubId }) => hubId);
  const rows = await readRows(pool, must(tables.get(entity), entity), ids, { lock: false });
  return page.filter(({ hubId }) => rows.get(hubId)?.deletedAt === null);
}
