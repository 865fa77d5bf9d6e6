// Owns the judgement of a simulated run after every step; what must hold when everything has come to rest is verdict.ts.
// Judges by the spokes' own ledgers, the hub's tables and the model of what people wrote, never by what the engine says of itself.
import type { LedgerEntry, MemoryRemote } from '../../src/connectors/memory/remote.js';
import { remotePath } from '../../src/model/ids.js';
import type { Queryable } from '../../src/store/pool.js';
import { keyOf, sameTokens, type Instant, type Model } from './model.js';
import { at, entityOf, Sides, type Shown } from './sides.js';
import { mayBeEmpty, Verdict, type Overwrite, type Revert } from './verdict.js';
import {
  followedEntities,
  hubEntities,
  keeps,
  spokeNames,
  type EntityId,
  type FollowedField,
  type SpokeId,
} from './world.js';

export class Violation extends Error {
  override readonly name = 'Violation';
}

export interface OraclePorts {
  readonly model: Model;
  readonly remotes: Readonly<Record<SpokeId, MemoryRemote>>;
  /** Outside of the simulated world. */
  readonly db: Queryable;
  readonly violated: (message: string) => void;
}

export class Oracle {
  private readonly overwrites: Overwrite[] = [];
  private readonly reverts: Revert[] = [];
  private readonly sides: Sides;
  private readonly claims = new Map<string, number>();
  private readonly reads = new Map<string, Instant>();
  private readonly finds = new Map<string, Instant>();
  private readonly seen: Record<SpokeId, number> = { alpha: 0, beta: 0, gamma: 0 };

  constructor(private readonly ports: OraclePorts) {
    this.sides = new Sides(ports.db, ports.remotes);
  }

  /** Everything that is wrong when all is at rest. */
  atRest(): Promise<readonly string[]> {
    const { sides, overwrites, reverts } = this;
    return new Verdict({ sides, model: this.ports.model, overwrites, reverts }).atRest();
  }

  /** After every event: new lines of the spokes' ledgers. */
  checkLedgers(): void {
    for (const spoke of spokeNames) {
      const { ledger } = this.ports.remotes[spoke];
      for (let i = this.seen[spoke]; i < ledger.length; i += 1) {
        const entry = ledger[i];
        if (entry?.by === 'self') this.checkEntry(spoke, entry);
      }
      this.seen[spoke] = ledger.length;
    }
  }

  /** What the engine was told by the hub: when it claimed which delivery. */
  hear(label: string, values: readonly unknown[], rows: readonly unknown[], at: number): void {
    if (label !== 'delivery_claim_pending') return;
    for (const row of rows as readonly { hub_id: string }[]) this.claims.set(`${String(values[0])}/${row.hub_id}`, at);
  }

  /** What the engine read of a spoke by id. */
  read(spoke: SpokeId, ids: readonly string[], now: Instant): void {
    // A read by id may lag behind as well.
    const shown = { ...now, watchMs: now.watchMs - this.ports.remotes[spoke].faults.staleReadMs };
    for (const id of ids) this.reads.set(`${spoke}/${id}`, shown);
  }

  /** What the engine looked for by its key before it made it. */
  looked(spoke: SpokeId, keys: readonly string[], now: Instant): void {
    // What a search shows lies behind by the lag of its index.
    const shown = { ...now, watchMs: now.watchMs - this.ports.remotes[spoke].faults.indexLagMs };
    for (const key of keys) this.finds.set(`${spoke}/${key.toLowerCase()}`, shown);
  }

  /** Deletions carry a condition nowhere. */
  private inWindow(spoke: SpokeId, entry: LedgerEntry, lost: number): boolean {
    const { config } = this.ports.remotes[spoke];
    if (config.capabilities.conditionalWrite && entry.op !== 'delete') return this.underOurStamp(spoke, entry, lost);
    const read = this.reads.get(`${spoke}/${entry.id}`);
    const claimed = entry.hubKey === null ? 0 : (this.claims.get(`${spoke}/${entry.hubKey}`) ?? 0);
    const edit = this.ports.model.edits.get(lost);
    if (edit === undefined || read === undefined || read.at < claimed) return false;
    const step = config.versionStepMs;
    const sameStamp = config.versions === 'clock' && Math.floor(edit.atMs / step) === Math.floor(entry.atMs / step);
    return edit.at >= read.at || edit.watchMs >= read.watchMs || sameStamp;
  }

  /** Made under the very stamp of a write of ours: the condition of the next one names that stamp, and cannot tell the two apart. */
  private underOurStamp(spoke: SpokeId, entry: LedgerEntry, lost: number): boolean {
    const { config, ledger } = this.ports.remotes[spoke];
    const edit = this.ports.model.edits.get(lost);
    if (config.versions !== 'clock' || edit === undefined) return false;
    const stamp = Math.floor(edit.atMs / config.versionStepMs);
    return ledger.some(
      (one) =>
        one.sequence < entry.sequence &&
        one.by === 'self' &&
        one.id === entry.id &&
        Math.floor(one.atMs / config.versionStepMs) === stamp,
    );
  }

  /** Now and then: the hub holds nothing that nobody wrote, and nothing where it does not belong. */
  async checkHub(): Promise<void> {
    const keys = new Map<string, string>();
    for (const entity of hubEntities) {
      for (const row of await this.sides.hubRows(entity)) {
        this.checkKnown('hub', entity, row);
        keys.set(`${entity}/${row.id}`, row.key);
      }
    }
    const { rows } = await this.ports.db.query({
      name: 'live_links',
      text: `select spoke, entity, external_id, hub_id from truespoke.link where state = 'live' order by 1, 2, 3`,
    });
    const shown = new Map<string, string>(
      spokeNames.flatMap((spoke) =>
        hubEntities.flatMap((entity) =>
          this.sides.remoteKeys(spoke, entity).map(({ id, key }) => [`${spoke}/${entity}/${id}`, key] as const),
        ),
      ),
    );
    for (const row of rows) {
      const there = shown.get(`${row['spoke']}/${row['entity']}/${row['external_id']}`);
      const key = keys.get(`${row['entity']}/${row['hub_id']}`);
      if (there !== undefined && key !== undefined && !this.ports.model.isSameRecord(there, key)) {
        this.ports.violated(`wrong link: ${row['entity']} ${key} is linked to ${there} at ${row['spoke']}`);
      }
    }
  }

  private checkEntry(spoke: SpokeId, entry: LedgerEntry): void {
    const { violated, model } = this.ports;
    const entity = entityOf(spoke, entry.object);
    const place = entity === null ? undefined : followedEntities[entity].keys[spoke];
    if (entity === null || place === undefined || place.child !== undefined) return;
    const key = keyOf((entry.after ?? entry.before)?.[remotePath(place.path)]);
    if (key === null) return violated(`${spoke}: we wrote ${entry.object} ${entry.id} without its key`);
    if (entry.op === 'delete') {
      if (!model.isDestroyed(key)) violated(`${spoke}: we deleted ${key} ${entry.id} and nobody had`);
      if (keeps(entity, spoke)) violated(`${spoke}: we deleted ${key} ${entry.id}, where deletions are not carried`);
      for (const field of followedEntities[entity].fields) this.checkDeleted(spoke, field, entry);
      return;
    }
    if (entry.op === 'create') {
      // Made by somebody after our last look, or not yet in what it showed: nobody can see that coming.
      const foreseeable = (id: string): boolean => {
        const [made, look] = [model.twins.get(`${spoke}/${id}`), this.finds.get(`${spoke}/${key}`)];
        return made === undefined || look === undefined || (made.at <= look.at && made.watchMs <= look.watchMs);
      };
      const all = this.sides.remoteKeys(spoke, entity).filter((one) => one.key === key);
      const live = all.filter((one) => one.id === entry.id || foreseeable(one.id));
      if (live.length > 1) violated(`${spoke}: ${live.length} live records of ${key} after our create of ${entry.id}`);
    }
    for (const field of followedEntities[entity].fields) this.checkWritten(spoke, entity, key, field, entry);
  }

  private checkWritten(spoke: SpokeId, entity: EntityId, key: string, field: FollowedField, entry: LedgerEntry): void {
    const path = field.paths[spoke];
    if (path === undefined) return;
    const before = at(field.shape, entry.before, path);
    const after = at(field.shape, entry.after, path);
    if (sameTokens(before, after)) return;
    if (before.length > 0 && after.length === 0 && !mayBeEmpty(this.ports.model, entity, key, field))
      for (const over of before)
        this.reverts.push({ over, what: `${spoke}: we emptied ${key}.${field.field} over w${over} and nobody had` });
    this.checkKnown(spoke, entity, { key, id: entry.id, tokens: { [field.field]: after } });
    if (field.shape === 'list') return;
    for (const old of before) {
      for (const now of after) {
        if (this.ports.model.descends(old, now))
          this.reverts.push({
            over: old,
            what: `${spoke}: we put the old value w${now} of ${key}.${field.field} back over w${old}`,
          });
      }
      if (this.ports.model.edits.get(old)?.site === spoke && !after.some((now) => this.ports.model.descends(now, old)))
        this.overwrites.push({ spoke, lost: old, by: after, inWindow: this.inWindow(spoke, entry, old) });
    }
  }

  /** What went with a record of which we carried a deletion on: edits that nobody had seen are kept, or were made in the one window. */
  private checkDeleted(spoke: SpokeId, field: FollowedField, entry: LedgerEntry): void {
    const path = field.paths[spoke];
    if (path === undefined) return;
    // What our user may not read goes with its record unseen: holding the deletion until it is shown would hold it for ever (F78).
    const hidden = this.ports.remotes[spoke].isHidden(entry.object, path);
    for (const lost of at(field.shape, entry.before, path))
      if (this.ports.model.edits.get(lost)?.site === spoke)
        this.overwrites.push({ spoke, lost, by: [], inWindow: hidden || this.inWindow(spoke, entry, lost) });
  }

  private checkKnown(where: string, entity: EntityId, { key, id, tokens }: Shown): void {
    const { model, violated } = this.ports;
    for (const [field, list] of Object.entries(tokens)) {
      for (const token of list) {
        const edit = model.edits.get(token);
        if (edit === undefined)
          violated(`${where}: nobody wrote w${token}, which ${entity} ${key} ${id} shows in ${field}`);
        else if (edit.entity !== entity || edit.field !== field || !model.isSameRecord(edit.key, key))
          violated(
            `${where}: w${token} was written to ${edit.key}.${edit.field} and stands in ${key}.${field} of ${id}`,
          );
      }
    }
  }
}
