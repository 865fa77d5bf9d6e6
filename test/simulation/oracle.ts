// Owns the judgement of a simulated run: what must hold after every step, and what must hold when everything has come to rest.
// Judges by the spokes' own ledgers, the hub's tables and the model of what people wrote, never by what the engine says of itself.
import type { LedgerEntry, MemoryRemote } from '../../src/connectors/memory/remote.js';
import type { RemoteFields, RemoteValue } from '../../src/model/record.js';
import { remotePath } from '../../src/model/ids.js';
import type { Queryable } from '../../src/store/pool.js';
import { keyOf, sameTokens, tokensOf, type Edit, type Instant, type Model } from './model.js';
import { sameCounts } from './same-counts.js';
import {
  followedEntities,
  hubEntities,
  keeps,
  livesSql,
  spokeNames,
  type EntityId,
  type FollowedField,
  type Shape,
  type SpokeId,
} from './world.js';

export class Violation extends Error {
  override readonly name = 'Violation';
}

/** What one record shows somewhere. */
interface Shown {
  readonly key: string;
  readonly id: string;
  readonly tokens: Readonly<Record<string, readonly number[]>>;
}

interface HubShown extends Shown {
  /** The record that embeds it at some spoke. */
  readonly parent: string | null;
}

export interface OraclePorts {
  readonly model: Model;
  readonly remotes: Readonly<Record<SpokeId, MemoryRemote>>;
  /** Outside of the simulated world. */
  readonly db: Queryable;
  readonly violated: (message: string) => void;
}

/** Tokens that the engine wrote over, and where: forgiven only inside the window that the promise names. */
export interface Overwrite {
  readonly spoke: SpokeId;
  readonly lost: number;
  readonly by: readonly number[];
  /** Made after the last read before our write, where the spoke offers no condition: the one window that the promise leaves. */
  readonly inWindow: boolean;
}

export class Oracle {
  readonly overwrites: Overwrite[] = [];
  /** Older values, or none, put over newer ones: wrong unless a policy decided so or damage was repaired, which the conflict log then tells. */
  private readonly reverts: { readonly over: number; readonly what: string }[] = [];
  private readonly claims = new Map<string, number>();
  private readonly reads = new Map<string, Instant>();
  private readonly finds = new Map<string, Instant>();
  private readonly seen: Record<SpokeId, number> = { alpha: 0, beta: 0, gamma: 0 };

  constructor(private readonly ports: OraclePorts) {}

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
      for (const row of await this.hubRows(entity)) {
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
          this.remoteKeys(spoke, entity).map(({ id, key }) => [`${spoke}/${entity}/${id}`, key] as const),
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

  /** Merged by people inside a spoke: what belongs to which of the two is for the match rules and for people to say. */
  private isMerged(key: string): boolean {
    return this.ports.model.merged.has(key);
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
      const all = this.remoteKeys(spoke, entity).filter((one) => one.key === key);
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
    if (before.length > 0 && after.length === 0 && !this.mayBeEmpty(entity, key, field))
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

  /** Did anybody empty it, or was there ever one of these without it: made twice, merged, deleted and made anew? */
  private mayBeEmpty(entity: EntityId, key: string, { field, shape }: FollowedField): boolean {
    const { model } = this.ports;
    if (shape === 'list' || model.doubled.has(key) || model.deleted.has(key) || this.isMerged(key)) return true;
    return [...model.edits.values()].some(
      (edit) => edit.cleared === true && edit.entity === entity && edit.key === key && edit.field === field,
    );
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

  /** Everything that is wrong when all is at rest. */
  async atRest(): Promise<readonly string[]> {
    const problems: string[] = [];
    const explained = await this.explained();
    for (const entity of hubEntities) await this.compare(entity, explained, problems);
    const logged = this.loggedTokens(explained);
    problems.push(
      ...this.reverts.filter(({ over }) => !logged.has(over) && !this.wasDeleted(over)).map(({ what }) => what),
    );
    problems.push(...(await this.lostEdits(explained, logged)), ...(await this.wrongOrder(logged)));
    problems.push(...(await this.uncleared(explained)), ...(await this.miscounted(explained)));
    problems.push(...(await this.leftovers()));
    return problems;
  }

  /** Superseded: whoever deleted its record was shown it. Brought back at a spoke, the record is what that spoke shows of it (F103). */
  private wasDeleted(token: number): boolean {
    const edit = this.ports.model.edits.get(token);
    return edit !== undefined && this.ports.model.isSupersededByDeletion(edit);
  }

  /** Hub ids and external ids with an open question or an open parked record. */
  private async explained(): Promise<Explained> {
    const { db } = this.ports;
    const { rows: parked } = await db.query(
      `select direction, spoke, entity, key, code, payload::text as payload from truespoke.parked where state in ('open', 'waiting') order by id`,
    );
    const { rows: reviews } = await db.query(
      `select kind, spoke, entity, key, evidence::text as evidence from truespoke.review where state = 'open' order by id`,
    );
    const { rows: conflicts } = await db.query(
      `select entity, hub_id, field, spoke, hub_value, spoke_value, base, policy, winner, state, remote::text as remote from truespoke.conflict order by id`,
    );
    const ids = new Set<string>();
    for (const row of parked) ids.add(`${row['entity']}/${row['key']}`);
    for (const row of reviews) {
      ids.add(`${row['entity']}/${row['key']}`);
      for (const [, id] of (row['evidence'] ?? '').matchAll(/"([0-9a-f-]{36}|[a-z]-\d{8})"/g))
        ids.add(`${row['entity']}/${id}`);
    }
    const openFields = new Set(
      conflicts
        .filter((row) => row['state'] === 'open')
        .map((row) => `${row['entity']}/${row['hub_id']}/${row['field']}`),
    );
    // Both rows of a merge are kept: it can be undone.
    const { rows: merges } = await db.query(
      `select loser_row::text as loser, replaced::text as replaced from truespoke.merge where undone_at is null order by id`,
    );
    const texts = [
      ...parked.map((row) => row['payload'] ?? ''),
      ...reviews.map((row) => row['evidence'] ?? ''),
      ...merges.flatMap((row) => [row['loser'] ?? '', row['replaced'] ?? '']),
    ];
    return { ids, openFields, conflicts, texts };
  }

  private async compare(entity: EntityId, explained: Explained, problems: string[]): Promise<void> {
    const { model } = this.ports;
    const hub = await this.hubRows(entity, livesSql(entity));
    const keys = new Set(hub.map((row) => row.key));
    for (const [key, of] of model.keys) {
      if (of !== entity || keys.has(key) || model.deleted.has(key)) continue;
      const made = spokeNames.some((spoke) =>
        this.remoteRows(spoke, entity).some((row) => row.key === key && !explained.ids.has(`${entity}/${row.id}`)),
      );
      if (made) problems.push(`${key} exists at a spoke and not in the hub`);
    }
    if (new Set(hub.map((row) => row.id)).size !== hub.length || (keys.size !== hub.length && model.merged.size === 0))
      problems.push(`hub.${entity} holds two rows of one key`);
    for (const spoke of spokeNames) {
      const place = followedEntities[entity].keys[spoke];
      if (place === undefined) continue;
      const remote = this.remoteRows(spoke, entity);
      for (const row of hub) {
        const found = remote.filter((one) => one.key === row.key);
        // Deleted there, or here and there and brought back: a pair that is no more.
        if (keeps(entity, spoke) && model.deleted.has(row.key) && found.length < 2) continue;
        // One bad record parks itself and what depends on it (law 9): an embedded child goes with its parent, or waits with it.
        const waits = place.child !== undefined && explained.ids.has(`parcel/${row.parent}`);
        const open =
          waits ||
          explained.ids.has(`${entity}/${row.id}`) ||
          found.some((one) => explained.ids.has(`${entity}/${one.id}`));
        if (open) continue;
        if (found.length !== 1)
          problems.push(
            `${row.key} has ${found.length} live records at ${spoke} (${found.map((one) => one.id).join(', ')})`,
          );
        const [shown] = found;
        if (shown === undefined) continue;
        for (const field of followedEntities[entity].fields) {
          if (field.paths[spoke] === undefined || explained.openFields.has(`${entity}/${row.id}/${field.field}`))
            continue;
          // Filled by a merge inside another spoke, and never written here (direction in).
          if (field.only === spoke && this.isMerged(row.key)) continue;
          const [a, b] = [row.tokens[field.field] ?? [], shown.tokens[field.field] ?? []];
          if (!sameTokens(a, b))
            problems.push(`${row.key}.${field.field}: hub w${a.join(',')}, ${spoke} w${b.join(',')} (${shown.id})`);
        }
      }
      for (const row of remote) {
        if (keeps(entity, spoke) && model.deleted.has(row.key)) continue;
        if (!keys.has(row.key) && !explained.ids.has(`${entity}/${row.id}`))
          problems.push(`${row.key} lives on at ${spoke} (${row.id}) and not in the hub`);
      }
    }
  }

  /** Values that a conflict row keeps. */
  private loggedTokens(explained: Explained): ReadonlySet<number> {
    const logged = new Set<number>();
    for (const row of explained.conflicts) {
      const field = followedEntities[row['entity'] as EntityId].fields.find((one) => one.field === row['field']);
      if (field === undefined) continue;
      for (const value of [row['hub_value'], row['spoke_value']])
        for (const token of tokensOf(field.shape, value)) logged.add(token);
    }
    return logged;
  }

  /** No edit vanishes: in place, superseded, in the conflict log, or in something a person must decide. */
  private async lostEdits(explained: Explained, logged: ReadonlySet<number>): Promise<readonly string[]> {
    const { model } = this.ports;
    const inPlace = new Set<number>();
    for (const entity of hubEntities)
      for (const row of await this.hubRows(entity))
        for (const list of Object.values(row.tokens)) for (const token of list) inPlace.add(token);
    // What a spoke keeps of a record that is gone elsewhere lives on there alone.
    for (const spoke of spokeNames)
      for (const entity of hubEntities.filter((one) => keeps(one, spoke)))
        for (const row of this.remoteRows(spoke, entity).filter(({ key }) => model.deleted.has(key)))
          for (const list of Object.values(row.tokens)) for (const token of list) inPlace.add(token);
    const open = new Set<number>();
    for (const text of explained.texts)
      for (const match of text.matchAll(/w(\d+)|:\s?"?(\d+)(\.\d+)?"?[,}]/gi)) open.add(Number(match[1] ?? match[2]));
    for (const spoke of spokeNames)
      for (const entity of hubEntities)
        for (const row of this.remoteRows(spoke, entity).filter(({ id }) => explained.ids.has(`${entity}/${id}`)))
          for (const list of Object.values(row.tokens)) for (const token of list) open.add(token);
    const lost: string[] = [];
    for (const edit of model.edits.values()) {
      if (inPlace.has(edit.token) || logged.has(edit.token) || open.has(edit.token)) continue;
      if (this.overwrites.some((one) => one.lost === edit.token && one.inWindow)) continue;
      if ((model.heirs.get(edit.token)?.length ?? 0) > 0 || model.isSupersededByDeletion(edit)) continue;
      if (edit.cleared === true) continue;
      lost.push(this.describeLost(edit));
    }
    return lost;
  }

  /** What somebody emptied does not stand there again, unless the conflict log tells that the emptying lost. */
  private async uncleared(explained: Explained): Promise<readonly string[]> {
    const { model } = this.ports;
    const problems: string[] = [];
    for (const entity of hubEntities) {
      const rows = await this.hubRows(entity);
      for (const edit of model.edits.values()) {
        if (edit.cleared !== true || edit.entity !== entity || model.deleted.has(edit.key) || this.isMerged(edit.key))
          continue;
        // An emptied field shows nothing that could tell an edit under way over it: the window of one request, where nothing protects.
        if (edit.site === 'gamma') continue;
        const row = rows.find((one) => one.key === edit.key);
        const logged = explained.conflicts.some(
          (one) => one['entity'] === entity && one['hub_id'] === row?.id && one['field'] === edit.field,
        );
        const back = row?.tokens[edit.field]?.filter((token) => edit.over.includes(token)) ?? [];
        if (back.length > 0 && !logged && !explained.ids.has(`${entity}/${row?.id}`))
          problems.push(`w${back.join(',')} of ${edit.key}.${edit.field} was emptied at ${edit.site} and is back`);
      }
    }
    return problems;
  }

  /** A counter holds what all counted, from both sides. */
  private async miscounted(explained: Explained): Promise<readonly string[]> {
    const { db, model } = this.ports;
    const { rows } = await db.query(`select id::text as id, key, visits::text as visits from hub.person order by id`);
    return rows.flatMap((row) => {
      const key = keyOf(row['key'] ?? null) ?? '';
      const counted = model.counted(key);
      if (model.deleted.has(key) || this.isMerged(key) || explained.ids.has(`person/${row['id']}`)) return [];
      const missing = counted - Number(row['visits'] ?? 0);
      // Where two records of one thing meet there is no base: their counters are two counts of the same thing, one of them stands, and the
      // other one is in the conflict log (law 3). So is a count that came to the very number of a write of ours which nobody answered, where
      // nothing else of that write shows whether it came (law 5: no edit vanishes, it is in the conflict log with both values). Where both
      // came to the same number before they met, they agree on it (law 3: "both, equal → agree"), and it stands for both.
      const kept = [
        ...(model.doubled.has(key) ? [...lostCounts(explained, row['id'] ?? ''), ...sameCounts(model, key)] : []),
        ...doubtfulCounts(explained, row['id'] ?? ''),
      ];
      if (sumsOf(kept).includes(missing)) return [];
      return [`the counter of ${key} holds ${row['visits']}, and ${counted} were counted`];
    });
  }

  private describeLost(edit: Edit): string {
    const overwritten = this.overwrites.find((one) => one.lost === edit.token);
    const how =
      overwritten === undefined ? '' : `; we wrote w${overwritten.by.join(',')} over it at ${overwritten.spoke}`;
    return `lost edit: w${edit.token} of ${edit.key}.${edit.field}, made at ${edit.site} over w${edit.over.join(',')}${how}`;
  }

  /** Order per record: the engine never put an older value of a chain back. Every commit of the hub is in the journal. */
  private async wrongOrder(logged: ReadonlySet<number>): Promise<readonly string[]> {
    const { db, model } = this.ports;
    const { rows } = await db.query(
      `select entity, hub_id, origin, before::text as before, after::text as after from truespoke.journal order by epoch, commit_lsn, seq`,
    );
    const problems: string[] = [];
    const journaled = new Set<number>();
    const keys = new Map<string, string>();
    for (const entity of hubEntities)
      for (const row of await this.hubRows(entity)) keys.set(`${entity}/${row.id}`, row.key);
    for (const row of rows) {
      const entity = row['entity'] as EntityId;
      const before = JSON.parse(row['before'] ?? '{}') as Record<string, string | null>;
      const after = JSON.parse(row['after'] ?? '{}') as Record<string, string | null>;
      for (const field of followedEntities[entity].fields) {
        const now = tokensOf(field.shape, after[field.field]);
        for (const token of now) journaled.add(token);
        if (row['origin'] === 'application' || field.shape === 'list') continue;
        const was = tokensOf(field.shape, before[field.field]);
        const key = keys.get(`${entity}/${row['hub_id']}`);
        const known = was.every((token) => logged.has(token));
        if (after[field.field] === null && !known && key !== undefined && !this.mayBeEmpty(entity, key, field))
          problems.push(`hub: ${row['origin']} emptied ${key}.${field.field} over w${was.join(',')} and nobody had`);
        for (const old of was) {
          for (const token of now)
            if (model.descends(old, token) && !logged.has(old))
              problems.push(`hub: ${row['origin']} put w${token} of ${field.field} back over w${old}`);
        }
      }
    }
    for (const edit of model.edits.values())
      if (edit.site === 'hub' && edit.cleared !== true && !journaled.has(edit.token))
        problems.push(`w${edit.token} was committed to the hub and is not in the journal`);
    return problems;
  }

  private async leftovers(): Promise<readonly string[]> {
    const { rows } = await this.ports.db.query(
      `select spoke, entity, hub_id, state, reason, waits_for, attempt from truespoke.delivery where state <> 'held' order by 1, 2, 3`,
    );
    return rows.map((row) => `a delivery is left: ${Object.values(row).join(' ')}`);
  }

  private async hubRows(entity: EntityId, where = 'true'): Promise<readonly HubShown[]> {
    const { fields } = followedEntities[entity];
    const parent = entity === 'line' ? 'parcel::text' : 'null';
    const columns = fields.map((one) => `${one.field}::text as ${one.field}`).join(', ');
    const { rows } = await this.ports.db.query({
      name: where === 'true' ? `all_${entity}` : `some_${entity}`,
      text: `select id::text as id, key, ${parent} as parent, ${columns} from hub.${entity} where ${where} order by id`,
    });
    return rows.map((row) => ({
      key: keyOf(row['key'] ?? null) ?? '',
      id: row['id'] ?? '',
      parent: row['parent'] ?? null,
      tokens: Object.fromEntries(fields.map((one) => [one.field, tokensOf(one.shape, row[one.field])])),
    }));
  }

  private remoteRows(spoke: SpokeId, entity: EntityId): readonly Shown[] {
    const { fields } = followedEntities[entity];
    return this.remoteKeys(spoke, entity).map(({ id, key, row }) => ({
      key,
      id,
      tokens: Object.fromEntries(
        fields
          .filter((one) => one.paths[spoke] !== undefined)
          .map((one) => [one.field, at(one.shape, row, one.paths[spoke] ?? '')]),
      ),
    }));
  }

  private remoteKeys(
    spoke: SpokeId,
    entity: EntityId,
  ): readonly { readonly id: string; readonly key: string; readonly row: RemoteFields }[] {
    const place = followedEntities[entity].keys[spoke];
    if (place === undefined) return [];
    const rows = this.ports.remotes[spoke].list(place.object);
    const all: { readonly id: string; readonly fields: RemoteFields }[] =
      place.child === undefined ? [...rows] : rows.flatMap((row) => [...(row.children[place.child ?? ''] ?? [])]);
    return all.map(({ id, fields }) => ({ id, key: keyOf(fields[remotePath(place.path)]) ?? '', row: fields }));
  }
}

interface Explained {
  readonly ids: ReadonlySet<string>;
  readonly openFields: ReadonlySet<string>;
  readonly conflicts: readonly Record<string, string | null>[];
  readonly texts: readonly string[];
}

/** Counts that lost as a whole, against another count of the same thing. */
const lostCounts = ({ conflicts }: Explained, hubId: string): readonly number[] =>
  conflicts.flatMap((row) => {
    if (row['entity'] !== 'person' || row['hub_id'] !== hubId || row['field'] !== 'visits' || row['base'] !== null)
      return [];
    if (row['winner'] === 'hub') return [Number(row['spoke_value'] ?? 0)];
    return row['winner'] === 'spoke' ? [Number(row['hub_value'] ?? 0)] : [];
  });

/** Counts that may have been ours or somebody else's: both came to the same number, and it was taken for ours. */
const doubtfulCounts = ({ conflicts }: Explained, hubId: string): readonly number[] =>
  conflicts.flatMap((row) => {
    const same = row['hub_value'] === row['spoke_value'] && row['winner'] === 'hub' && row['policy'] === 'delta';
    if (!same || row['entity'] !== 'person' || row['hub_id'] !== hubId || row['field'] !== 'visits') return [];
    return [Number(row['spoke_value'] ?? 0) - Number(row['base'] ?? 0)];
  });

/** What some of these add up to, each at most once. */
const sumsOf = (values: readonly number[]): readonly number[] =>
  values.reduce<readonly number[]>((sums, value) => sums.flatMap((sum) => [sum, sum + value]), [0]);

function entityOf(spoke: SpokeId, object: string): EntityId | null {
  return (
    hubEntities.find(
      (entity) =>
        followedEntities[entity].keys[spoke]?.object === object &&
        followedEntities[entity].keys[spoke]?.child === undefined,
    ) ?? null
  );
}

const at = (shape: Shape, fields: RemoteFields | null, path: string): readonly number[] =>
  tokensOf(shape, fields?.[remotePath(path)] as RemoteValue | undefined);
