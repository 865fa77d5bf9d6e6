// Compares both sides and re-enqueues what differs through the ordinary doors, so that echo and conflict rules exist once.
// Hub ↔ base is local SQL; base ↔ remote spends the repair lane's share of the API budget and resumes after a crash (F20).
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import type { Ids } from '../base/random.js';
import { must } from '../base/assert.js';
import type { Spoke } from '../connectors/connector.js';
import type { Mapping, SpokeMapping } from '../mapping/mapping.js';
import { ownMappings, selectionOf } from '../mapping/selection.js';
import type { DeletionLimits } from '../model/deletion-window.js';
import type { EntityName, ExternalId, FieldName, HubId, SpokeName } from '../model/ids.js';
import type { Link } from '../model/link.js';
import type { HubFields, RemoteValue } from '../model/record.js';
import { insertConflicts, openConflictFields, openReviews, type ConflictRow } from '../store/conflicts.js';
import { lane, markDirty, type Dirty } from '../store/deliveries.js';
import {
  closeDrift,
  closeVanished,
  explained,
  isCaptured,
  openRun,
  pageLinks,
  saveDrift,
  saveRun,
  startRun,
  writtenLsn,
  type DriftRow,
} from '../store/drift.js';
import { storeEvents, type InboxEvent } from '../store/inbox.js';
import { countLive, linksByExternal } from '../store/links.js';
import { transaction, type Pool, type Tx } from '../store/pool.js';
import { readRows, type HubTable } from '../store/hub.js';
import { compareHub, type LocalDrift } from '../store/hub-compare.js';
import { classify, type Classified } from './classify.js';

export interface SweepDeps {
  readonly pool: Pool;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly mapping: Mapping;
  readonly tables: ReadonlyMap<EntityName, HubTable>;
  /** Only this one, where given. */
  readonly entity?: EntityName | undefined;
  /** Spokes whose mass-deletion limits are their own. */
  readonly deletions?: ReadonlyMap<SpokeName, DeletionLimits> | undefined;
  readonly onProgress?: (progress: SweepReport) => void;
  /** Named instants at which drills kill the process. */
  readonly crashpoint?: ((name: string) => void) | undefined;
}

/** One feed's outcome. */
export interface SweepReport {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
  /** Records compared with the spoke. */
  readonly compared: number;
  /** Differences with nothing to explain them. */
  readonly drifted: number;
  /** Earlier differences that are gone now. */
  readonly repaired: number;
  /** Records of the spoke that no link knows, of a complete listing. */
  readonly unseen: number;
}

/** What one page of links turned up. */
interface Found {
  readonly drift: DriftRow[];
  readonly dirty: Dirty[];
  readonly hints: InboxEvent[];
  readonly overwritten: ConflictRow[];
}

const localRowsMax = 10_000;
const deletionsMax: DeletionLimits = { absolute: 100, relative: 0.1 };
/** The stream moves an idle position at least every ten seconds. */
const captureWaitMs = 15_000;

/** Sweeps every entity of one spoke, parents first. */
export async function sweep(
  deps: SweepDeps,
  name: SpokeName,
  spoke: Spoke,
  signal: AbortSignal,
): Promise<readonly SweepReport[]> {
  const reports: SweepReport[] = [];
  for (const mapping of ownMappings(deps.mapping, name)) {
    if (signal.aborted) break;
    if (deps.entity !== undefined && deps.entity !== mapping.entity) continue;
    const feedSweep = new FeedSweep(deps, mapping, spoke, signal);
    const report = await feedSweep.run();
    deps.onProgress?.(report);
    reports.push(report);
  }
  return reports;
}

class FeedSweep {
  private readonly feed: { readonly spoke: SpokeName; readonly entity: EntityName };
  /** The runs that found what is open now; older findings were not found again. */
  private readonly runs: string[] = [];
  private compared = 0;
  private drifted = 0;
  private repaired = 0;
  private unseen = 0;

  constructor(
    private readonly deps: SweepDeps,
    private readonly mapping: SpokeMapping,
    private readonly spoke: Spoke,
    private readonly signal: AbortSignal,
  ) {
    this.feed = { spoke: mapping.spoke, entity: mapping.entity };
  }

  async run(): Promise<SweepReport> {
    if (this.mapping.direction !== 'in') await this.compareLocally();
    await this.compareRemote();
    if (this.mapping.direction !== 'out') await this.findUnseen();
    if (!this.signal.aborted)
      this.repaired += await closeVanished(this.deps.pool, this.feed, this.runs, this.deps.clock.now());
    const { compared, drifted, repaired, unseen } = this;
    return { ...this.feed, compared, drifted, repaired, unseen };
  }

  private async compareLocally(): Promise<void> {
    const { pool, clock } = this.deps;
    const found = await this.uncaptured();
    const run = await startRun(pool, this.feed, 'hub', clock.now());
    this.runs.push(run);
    await transaction(pool, async (tx) => {
      const rows = found.map((one): DriftRow => ({
        ...this.feed,
        hubId: one.hubId,
        externalId: null,
        field: null,
        class: one.class,
        action: 'push',
        base: null,
        remote: null,
      }));
      await saveDrift(tx, run, rows, clock.now());
      await this.enqueue(tx, found);
      await saveRun(tx, run, { compared: 0, drifted: found.length, lastKey: null, finishedAtMs: clock.now() });
    });
    this.drifted += found.length;
  }

  /** A deletion that was not captured is pushed like any other, the diff asks the mapping's policy; many ask a person first (law 8). */
  private async enqueue(tx: Tx, found: readonly LocalDrift[]): Promise<void> {
    const gone = found.filter((one) => one.class === 'deletion_not_captured').length;
    const asks = await this.isMass(tx, gone);
    await markDirty(
      tx,
      found.map((one): Dirty => {
        const held = asks && one.class === 'deletion_not_captured' ? 'deleted_unseen' : null;
        return { ...this.dirty(one.hubId, null), held };
      }),
    );
    if (!asks) return;
    const evidence = { records: gone, reason: 'rows that are gone from the hub, without a captured deletion' };
    await openReviews(tx, [{ ...this.feed, kind: 'mass_delete', key: 'unseen', evidence }], this.deps.clock.now());
  }

  private async isMass(tx: Tx, gone: number): Promise<boolean> {
    const { absolute, relative } = this.deps.deletions?.get(this.feed.spoke) ?? deletionsMax;
    if (gone <= absolute) return false;
    // As many as are looked at in one sweep may be a part only.
    return gone >= localRowsMax || gone > (await countLive(tx, this.feed)) * relative;
  }

  /** What differs from its base and is not merely on its way through the stream: capture gets a moment to come by it. */
  private async uncaptured(): Promise<readonly LocalDrift[]> {
    const { pool, clock } = this.deps;
    const table = must(this.deps.tables.get(this.mapping.entity), this.mapping.entity);
    const look = (): Promise<readonly LocalDrift[]> => this.lookLocally(table);
    const first = await look();
    if (first.length === 0) return first;
    const written = await writtenLsn(pool);
    const untilMs = clock.monotonic() + captureWaitMs;
    while (!(await isCaptured(pool, written)) && clock.monotonic() < untilMs && !this.signal.aborted)
      await clock.sleep(100, this.signal);
    const before = new Set(first.map((one) => one.hubId));
    return (await look()).filter((one) => before.has(one.hubId));
  }

  /** Page by page: rows that do not belong in this spoke must not keep the others from being looked at. */
  private async lookLocally(table: HubTable): Promise<readonly LocalDrift[]> {
    const wanted: LocalDrift[] = [];
    let after: HubId | null = null;
    do {
      const page: readonly LocalDrift[] = await compareHub(this.deps.pool, table, this.mapping, {
        rows: localRowsMax,
        after,
      });
      wanted.push(...(await this.wanted(table, page)));
      after = page.length < localRowsMax ? null : (page.at(-1)?.hubId ?? null);
    } while (after !== null && wanted.length < localRowsMax && !this.signal.aborted);
    return wanted;
  }

  /** A row that does not belong in this spoke (`when`) is not missing there. */
  private async wanted(table: HubTable, found: readonly LocalDrift[]): Promise<readonly LocalDrift[]> {
    const absent = found.filter((one) => one.class === 'not_created').map((one) => one.hubId);
    const rows = await readRows(this.deps.pool, table, absent, { lock: false });
    return found.filter((one) => one.class !== 'not_created' || this.wants(rows.get(one.hubId)?.fields ?? {}));
  }

  private wants(fields: HubFields): boolean {
    try {
      return this.mapping.wants(fields);
    } catch {
      // A condition that cannot take the row: outbound finds the same and parks it.
      return true;
    }
  }

  private dirty(hubId: Link['hubId'], observed: Dirty['observed']): Dirty {
    return {
      ...this.feed,
      hubId,
      lane: lane.repair,
      atMs: this.deps.clock.now(),
      lsn: null,
      trace: 'reconcile',
      observed: observed ?? null,
    };
  }

  private async compareRemote(): Promise<void> {
    const { pool, clock } = this.deps;
    const open = await openRun(pool, this.feed);
    const run = open?.id ?? (await startRun(pool, this.feed, 'remote', clock.now()));
    this.runs.push(run);
    let after = open?.lastKey ?? null;
    const rows = Math.max(1, this.spoke.capabilities.fetchBatch);
    while (!this.signal.aborted) {
      const links = await pageLinks(pool, this.feed, after, rows);
      const last = links.at(-1);
      if (last === undefined) {
        await saveRun(pool, run, { compared: 0, drifted: 0, lastKey: null, finishedAtMs: clock.now() });
        return;
      }
      await this.comparePage(run, links);
      after = last.externalId;
    }
  }

  private async comparePage(run: string, links: readonly Link[]): Promise<void> {
    const { pool, mapping: whole } = this.deps;
    const ids = links.map((link) => link.externalId);
    const fields = selectionOf(whole, this.mapping.spoke, this.mapping.object);
    const found = await this.spoke.fetch(this.mapping.object, ids, fields, { lane: 'repair', signal: this.signal });
    this.deps.crashpoint?.(`sweep_fetched/${this.feed.spoke}`);
    const records = new Map(found.map((record) => [record.externalId, record]));
    // What is under way and links are read after the remote, in this order: a write that settles in between is either still under way
    // or has moved its link, and does not look like drift.
    const busy = await explained(pool, this.feed, this.mapping.object, links);
    const kept = await this.keptAlone(links);
    const open = await openConflictFields(
      pool,
      this.feed,
      links.map(({ hubId }) => hubId),
    );
    const fresh = await linksByExternal(pool, this.feed, ids);
    const into: Found = { drift: [], dirty: [], hints: [], overwritten: [] };
    const agreed: Link[] = [];
    for (const before of links) {
      const link = fresh.get(before.externalId);
      // Moved on while we looked: the next sweep compares it.
      if (link?.state !== 'live' || link.version !== before.version || !isDeepStrictEqual(link.base, before.base))
        continue;
      const record = records.get(link.externalId) ?? null;
      const verdict = classify({
        mapping: this.mapping,
        link,
        record,
        explained: busy.has(link.hubId) || kept.has(link.hubId),
        open: open.get(link.hubId),
      });
      if (verdict.kind !== 'agrees') this.collect(verdict, link, into);
      // The hub's side may still be on its way.
      else if (!busy.has(link.hubId)) agreed.push(link);
    }
    await transaction(pool, (tx) => this.savePage(tx, run, links, { ...into, agreed }));
    this.deps.crashpoint?.(`sweep_saved/${this.feed.spoke}`);
    this.compared += links.length;
    this.drifted += new Set(into.drift.map((row) => row.externalId)).size;
  }

  /** A deletion that is ignored leaves the spoke's record and its link, on purpose: what becomes of it there is no drift. */
  private async keptAlone(links: readonly Link[]): Promise<ReadonlySet<HubId>> {
    if (this.mapping.delete !== 'ignore') return new Set();
    const table = must(this.deps.tables.get(this.mapping.entity), this.mapping.entity);
    const ids = links.map(({ hubId }) => hubId);
    const rows = await readRows(this.deps.pool, table, ids, { lock: false });
    return new Set(
      ids.filter((id) => {
        const row = rows.get(id);
        return row === undefined || row.deletedAt !== null;
      }),
    );
  }

  private collect(verdict: Classified, link: Link, into: Found): void {
    const row = (field: string | null, kind: string, action: string, base: unknown, remote: unknown): DriftRow => ({
      ...this.feed,
      hubId: link.hubId,
      externalId: link.externalId,
      field,
      class: kind,
      action,
      base,
      remote,
    });
    switch (verdict.kind) {
      case 'damaged':
        for (const [field, shown] of Object.entries(verdict.shown)) {
          const agreedOn = link.base[field as keyof typeof link.base]?.remote ?? null;
          into.drift.push(row(field, 'damaged', 'push', agreedOn, shown));
          into.overwritten.push(this.overwritten(link, field as FieldName, shown));
        }
        into.dirty.push(this.dirty(link.hubId, verdict.shown));
        break;
      case 'missed':
        for (const field of verdict.fields)
          into.drift.push(row(field, 'missed_change', 'fetch', link.base[field]?.remote ?? null, null));
        into.hints.push(this.hint(link.externalId));
        break;
      case 'gone':
        into.drift.push(row(null, 'missing_at_spoke', 'fetch', null, null));
        into.hints.push(this.hint(link.externalId));
        break;
      case 'explained':
      case 'agrees':
        break;
      default:
        verdict satisfies never;
    }
  }

  /** Nothing vanishes: what is written over is kept with both values, should it have been an edit after all. */
  private overwritten(link: Link, field: FieldName, shown: RemoteValue): ConflictRow {
    const { hub } = must(link.base[field], 'base');
    return {
      ...this.feed,
      hubId: link.hubId,
      field,
      base: hub,
      hub,
      spokeValue: typeof shown === 'string' ? shown : JSON.stringify(shown),
      remote: shown,
      policy: 'repair',
      winner: 'hub',
      hubAtMs: null,
      spokeAtMs: null,
      trace: 'reconcile',
    };
  }

  private hint(id: ExternalId): InboxEvent {
    return {
      eventId: `reconcile:${this.mapping.object}:${id}:${this.deps.ids.uuid()}`,
      topic: 'reconcile',
      object: this.mapping.object,
      externalId: id,
      deleted: false,
      compliance: false,
      body: null,
      notBeforeMs: null,
    };
  }

  private async savePage(
    tx: Tx,
    run: string,
    links: readonly Link[],
    page: Found & { readonly agreed: readonly Link[] },
  ): Promise<void> {
    const nowMs = this.deps.clock.now();
    await saveDrift(tx, run, page.drift, nowMs);
    await insertConflicts(tx, page.overwritten, nowMs);
    await markDirty(tx, page.dirty);
    await storeEvents(tx, this.feed.spoke, page.hints, nowMs);
    const hubIds = page.agreed.map((link) => link.hubId);
    this.repaired += await closeDrift(
      tx,
      this.feed,
      { hubIds, externalIds: page.agreed.map((link) => link.externalId) },
      nowMs,
    );
    const lastKey = links.at(-1)?.externalId ?? null;
    await saveRun(tx, run, { compared: links.length, drifted: page.drift.length, lastKey, finishedAtMs: null });
  }

  /** Records of the spoke that no link and no open question knows. */
  private async findUnseen(): Promise<void> {
    const { pool, clock } = this.deps;
    for await (const page of this.spoke.inventory(this.mapping.object, { lane: 'repair', signal: this.signal })) {
      if (this.signal.aborted) return;
      const ids = page.entries.map((entry) => entry.externalId);
      const links = await linksByExternal(pool, this.feed, ids);
      // A tombstone whose record lives on was undeleted unseen, unless the pair was ended on purpose.
      const undeleted = new Set(
        page.entries
          .filter(
            ({ externalId: id, version }) =>
              links.get(id)?.state === 'tombstone' && version > (links.get(id)?.version ?? ''),
          )
          .map((entry) => entry.externalId),
      );
      const unknown = ids.filter((id) => !links.has(id) || (undeleted.has(id) && this.mapping.delete !== 'unlink'));
      // Scope (`where`) is for inbound to judge: a record that is none of ours costs one fetch a sweep.
      await storeEvents(
        pool,
        this.feed.spoke,
        unknown.map((id) => this.hint(id)),
        clock.now(),
      );
      this.unseen += unknown.length;
    }
  }
}
