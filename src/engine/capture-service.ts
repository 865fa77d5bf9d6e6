// Keeps the hub's changes coming: prepares publication and slot, checks that the stream carries everything, captures, and looks again
// at the catalogue at least every minute. A gap is never papered over: a new epoch begins and every record is compared once.
import { backoffMs, type Backoff } from '../base/backoff.js';
import { Retriable, type TruespokeError } from '../base/errors.js';
import { capture, type CaptureLimits } from '../outbound/capture.js';
import type { TableMap } from '../outbound/change-reader.js';
import {
  checkSource,
  extendPublication,
  prepareSource,
  type CaptureTable,
  type SourceCheck,
} from '../outbound/publication.js';
import { routesOf } from '../outbound/route.js';
import { openSlot } from '../outbound/slot.js';
import type { SpokeName } from '../model/ids.js';
import { formatLsn, type Lsn } from '../model/lsn.js';
import { openReviews } from '../store/conflicts.js';
import { ensureJournalDay, loadPosition, noteSource, startEpoch, type Position } from '../store/journals.js';
import { transaction } from '../store/pool.js';
import { holdMissingRows, markTableDirty } from '../store/resync.js';
import type { EngineContext, LiveSpoke } from './context.js';

export interface CaptureSetup {
  readonly url: string;
  readonly slot: string;
  readonly publication: string;
  readonly limits: CaptureLimits;
  readonly catalogueMs: number;
}

/** What status shows of the stream. */
export interface CaptureState {
  state: 'connecting' | 'streaming' | 'standby' | 'broken';
  reason: string | null;
  acknowledged: Lsn | null;
  /** Every commit before this time is journaled. */
  committedAtMs: number | null;
}

/** The other process may die at any moment, and its successor is us: the slot is asked for ever so often, a connection each. */
const standby: Backoff = { firstMs: 250, maxMs: 1_000 };

export async function captureChanges(
  context: EngineContext,
  setup: CaptureSetup,
  spokes: ReadonlyMap<SpokeName, LiveSpoke>,
  state: CaptureState,
  signal: AbortSignal,
): Promise<void> {
  for (let asked = 1; ; asked += 1) {
    try {
      await captureOnce(context, setup, spokes, state, signal);
      return;
    } catch (error) {
      const { code, hint } = error as Partial<TruespokeError>;
      const standsBy = state.state === 'standby';
      state.state = code === 'slot_in_use' ? 'standby' : 'broken';
      state.reason = error instanceof Error ? error.message : String(error);
      // Opening the same stream again cannot help, starting over can: the check at the start tells the gap and begins a new epoch.
      if (code !== undefined && gaps.has(code))
        throw new Retriable({ code, message: state.reason, hint, cause: error });
      if (code !== 'slot_in_use') throw error;
      if (!standsBy) context.log.info({ slot: setup.slot }, 'another process captures, standing by');
      await context.clock.sleep(backoffMs(standby, asked, context.random), signal);
      if (signal.aborted) return;
    }
  }
}

const gaps: ReadonlySet<string> = new Set(['publication_missing', 'slot_missing', 'slot_lost']);

async function captureOnce(
  context: EngineContext,
  setup: CaptureSetup,
  spokes: ReadonlyMap<SpokeName, LiveSpoke>,
  state: CaptureState,
  signal: AbortSignal,
): Promise<void> {
  if (state.state !== 'standby') state.state = 'connecting';
  const tables = captureTables(context);
  const position = await trustedPosition(context, setup, tables, state.acknowledged);
  state.acknowledged = position.durableLsn;
  await ensureJournalDay(context.pool, new Date(context.clock.now()).toISOString().slice(0, 10));
  const source = await openSlot({
    url: setup.url,
    slot: setup.slot,
    publication: setup.publication,
    from: position.durableLsn,
    applicationName: 'truespoke capture',
    clock: context.clock,
    ...(setup.limits.silenceMsMax === undefined ? {} : { silenceMsMax: setup.limits.silenceMsMax }),
  });
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  state.state = 'streaming';
  state.reason = null;
  context.log.info({ slot: setup.slot, epoch: position.epoch, from: formatLsn(position.durableLsn) }, 'capturing');
  // A read that waits for the server ends when its source is closed.
  both.addEventListener('abort', () => void source.close(), { once: true });
  const captured = capture(
    {
      pool: context.journalPool,
      source,
      position,
      tables: tableMap(context),
      clock: context.clock,
      log: context.log,
      limits: setup.limits,
      deletions: context.deletions,
      crashpoint: context.crashpoint,
      wake: (names) => {
        for (const name of names) spokes.get(name)?.outboundBell.ring();
      },
      onProgress: (progress) => {
        state.acknowledged = progress.durableLsn;
        state.committedAtMs = progress.committedAtMs;
        context.counters.journaled(progress.transactions, progress.changes);
      },
      onCurrent: (atMs) => {
        state.committedAtMs = atMs;
      },
    },
    both,
  );
  const watched = watchSource(context, setup, tables, both);
  try {
    await Promise.race([captured, watched]);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    stop.abort();
    await source.close();
    await Promise.allSettled([captured, watched]);
  }
}

/** Looks at the catalogue while the stream runs: a table that left the publication is silent in the stream (F45). */
async function watchSource(
  context: EngineContext,
  setup: CaptureSetup,
  tables: readonly CaptureTable[],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await context.clock.sleep(setup.catalogueMs, signal);
    if (signal.aborted) return;
    const stored = await loadPosition(context.pool, setup.slot);
    if (stored === null) continue;
    const check = await checkSource(context.pool, asStored(stored), tables);
    if (check.kind === 'ok') await noteMemberships(context, stored, check.memberships);
    else if (!(await caughtUp(context, setup, check))) {
      throw new Retriable({
        code: 'source_changed',
        message: `the stream no longer carries every change: ${check.kind}`,
        hint: 'it is set up anew and every record is compared once',
      });
    }
  }
}

/** The stream goes on while we look: what the slot is ahead of may have become durable since the position was read. */
async function caughtUp(context: EngineContext, setup: CaptureSetup, check: SourceCheck): Promise<boolean> {
  if (check.kind !== 'slotAhead') return false;
  const stored = await loadPosition(context.pool, setup.slot);
  return stored !== null && stored.durableLsn >= check.found;
}

async function noteMemberships(context: EngineContext, stored: Position, memberships: string): Promise<void> {
  if (stored.memberships === memberships) return;
  await noteSource(context.pool, stored.slot, { timeline: stored.timeline, memberships });
}

function asStored(position: Position): Parameters<typeof checkSource>[1] {
  const { memberships, ...rest } = position;
  return memberships === null ? rest : { ...rest, memberships };
}

/** The position to read from, after every doubt about it has been cleared. */
async function trustedPosition(
  context: EngineContext,
  setup: CaptureSetup,
  tables: readonly CaptureTable[],
  acknowledged: Lsn | null,
): Promise<Position> {
  const stored = await loadPosition(context.pool, setup.slot);
  if (stored === null) return newEpoch(context, setup, tables, 1, null);
  // What this process acknowledged was durable. A hub that remembers less was put back from an older copy, slot and all, which nothing
  // in it can tell (F33).
  if (acknowledged !== null && stored.durableLsn < acknowledged) {
    const gap = { kind: 'serverBehind', stored: acknowledged, found: stored.durableLsn } as const;
    return newEpoch(context, setup, tables, stored.epoch + 1, gap);
  }
  const check = await checkSource(context.pool, asStored(stored), tables);
  switch (check.kind) {
    case 'ok':
      await noteMemberships(context, stored, check.memberships);
      return stored;
    case 'otherTimeline':
      // A promoted standby that kept the slot: repeats are recognised by position (F31).
      await noteSource(context.pool, stored.slot, { timeline: check.found, memberships: stored.memberships });
      return { ...stored, timeline: check.found };
    case 'tableMissing': {
      const added = await extendPublication(context.pool, setup.publication, tables);
      await resync(
        context,
        added.map((table) => `${table.schema}.${table.table}`),
        'tables joined the publication',
      );
      return trustedAfterExtension(context, setup, tables, stored);
    }
    case 'tableRejoined': {
      const names = check.tables.map((table) => `${table.schema}.${table.table}`);
      await resync(context, names, 'tables left the publication for a while');
      await noteSource(context.pool, stored.slot, { timeline: stored.timeline, memberships: check.memberships });
      return { ...stored, memberships: check.memberships };
    }
    case 'tableFiltered':
    case 'partial':
      throw new Retriable({
        code: 'publication_partial',
        message: `publication ${setup.publication} leaves changes out (${describeGap(check)})`,
        hint: `drop it (DROP PUBLICATION "${setup.publication}"): it is made anew and every record is compared once`,
      });
    case 'otherSystem':
    case 'serverBehind':
    case 'slotMissing':
    case 'slotLost':
    case 'slotAhead':
    case 'slotForeign':
    case 'publicationMissing':
    case 'recreated':
      return newEpoch(context, setup, tables, stored.epoch + 1, check);
    default:
      return check satisfies never;
  }
}

async function trustedAfterExtension(
  context: EngineContext,
  setup: CaptureSetup,
  tables: readonly CaptureTable[],
  stored: Position,
): Promise<Position> {
  const check = await checkSource(context.pool, asStored({ ...stored, memberships: null }), tables);
  if (check.kind !== 'ok') return newEpoch(context, setup, tables, stored.epoch + 1, check);
  await noteSource(context.pool, stored.slot, { timeline: stored.timeline, memberships: check.memberships });
  return { ...stored, memberships: check.memberships };
}

const describeGap = (check: SourceCheck): string =>
  JSON.stringify(check, (_, value: unknown) => (typeof value === 'bigint' ? formatLsn(value as Lsn) : value));

/** A new slot: what the old one missed is not known, so every record is compared once (F32–F35, F44). */
async function newEpoch(
  context: EngineContext,
  setup: CaptureSetup,
  tables: readonly CaptureTable[],
  epoch: number,
  gap: SourceCheck | null,
): Promise<Position> {
  const prepared = await prepareSource(context.pool, setup, tables);
  const position: Position = { ...prepared.position, epoch, memberships: null };
  if (gap !== null) {
    context.log.error(
      { gap: gap.kind, detail: describeGap(gap), epoch },
      'gap in the stream: every record is compared',
    );
  }
  // At the first start too: rows that were there before the slot (an adopted table) are in no stream.
  await resync(context, null, gap?.kind ?? 'first start');
  // Last: a crash before it repeats the comparison.
  await startEpoch(context.pool, position, context.clock.now());
  return position;
}

async function resync(context: EngineContext, only: readonly string[] | null, reason: string): Promise<void> {
  const nowMs = context.clock.now();
  for (const [name, table] of context.tables) {
    const { schema, name: tableName } = table.entity.table;
    if (only !== null && !only.includes(`${schema}.${tableName}`)) continue;
    await transaction(context.pool, async (tx) => {
      for (const route of routesOf(context.mapping, table.entity)) {
        if (route.parentField !== null) continue;
        const feed = { spoke: route.spoke, entity: name };
        const marked = await markTableDirty(tx, table, feed, nowMs);
        const held = await holdMissingRows(tx, table, feed, nowMs);
        if (marked > 0) context.log.warn({ ...feed, marked, held, reason }, 'every record is compared');
        if (held === 0) continue;
        const evidence = { records: held, reason };
        await openReviews(tx, [{ ...feed, kind: 'mass_delete', key: `resync ${reason}`, evidence }], nowMs);
      }
    });
  }
}

function captureTables(context: EngineContext): readonly CaptureTable[] {
  return [...context.tables.values()].map(({ entity }) => ({
    schema: entity.table.schema,
    table: entity.table.name,
    key: entity.table.id,
    columns: entity.fields.map((field) => field.name),
  }));
}

function tableMap(context: EngineContext): TableMap {
  return new Map(
    [...context.tables.values()].map(({ entity }) => [
      `${entity.table.schema}.${entity.table.name}`,
      { entity, routes: routesOf(context.mapping, entity) },
    ]),
  );
}
