// Owns the judgement of a simulated run that has come to rest: hub and spokes agree, no edit has vanished, nothing old is back, nothing is left
// to do. What a person must decide, and what the conflict log keeps, counts as kept.
import { keyOf, sameTokens, tokensOf, type Edit, type Model } from './model.js';
import { sameCounts } from './same-counts.js';
import type { Sides } from './sides.js';
import {
  followedEntities,
  hubEntities,
  keeps,
  livesSql,
  spokeNames,
  type EntityId,
  type FollowedField,
  type SpokeId,
} from './world.js';

export interface VerdictPorts {
  readonly sides: Sides;
  readonly model: Model;
  readonly overwrites: readonly Overwrite[];
  readonly reverts: readonly Revert[];
}

/** Tokens that the engine wrote over, and where: forgiven only inside the window that the promise names. */
export interface Overwrite {
  readonly spoke: SpokeId;
  readonly lost: number;
  readonly by: readonly number[];
  /** Made after the last read before our write, where the spoke offers no condition: the one window that the promise leaves. */
  readonly inWindow: boolean;
}

/** Older values, or none, put over newer ones: wrong unless a policy decided so or damage was repaired, which the conflict log then tells. */
export interface Revert {
  readonly over: number;
  readonly what: string;
}

export class Verdict {
  constructor(private readonly ports: VerdictPorts) {}

  /** Everything that is wrong when all is at rest. */
  async atRest(): Promise<readonly string[]> {
    const problems: string[] = [];
    const explained = await this.explained();
    for (const entity of hubEntities) await this.compare(entity, explained, problems);
    const logged = this.loggedTokens(explained);
    problems.push(
      ...this.ports.reverts.filter(({ over }) => !logged.has(over) && !this.wasDeleted(over)).map(({ what }) => what),
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
    const { db } = this.ports.sides;
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
    const hub = await this.ports.sides.hubRows(entity, livesSql(entity));
    const keys = new Set(hub.map((row) => row.key));
    for (const [key, of] of model.keys) {
      if (of !== entity || keys.has(key) || model.deleted.has(key)) continue;
      const made = spokeNames.some((spoke) =>
        this.ports.sides
          .remoteRows(spoke, entity)
          .some((row) => row.key === key && !explained.ids.has(`${entity}/${row.id}`)),
      );
      if (made) problems.push(`${key} exists at a spoke and not in the hub`);
    }
    if (new Set(hub.map((row) => row.id)).size !== hub.length || (keys.size !== hub.length && model.merged.size === 0))
      problems.push(`hub.${entity} holds two rows of one key`);
    for (const spoke of spokeNames) {
      const place = followedEntities[entity].keys[spoke];
      if (place === undefined) continue;
      const remote = this.ports.sides.remoteRows(spoke, entity);
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
          if (field.only === spoke && isMerged(this.ports.model, row.key)) continue;
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
      for (const row of await this.ports.sides.hubRows(entity))
        for (const list of Object.values(row.tokens)) for (const token of list) inPlace.add(token);
    // What a spoke keeps of a record that is gone elsewhere lives on there alone.
    for (const spoke of spokeNames)
      for (const entity of hubEntities.filter((one) => keeps(one, spoke)))
        for (const row of this.ports.sides.remoteRows(spoke, entity).filter(({ key }) => model.deleted.has(key)))
          for (const list of Object.values(row.tokens)) for (const token of list) inPlace.add(token);
    const open = new Set<number>();
    for (const text of explained.texts)
      for (const match of text.matchAll(/w(\d+)|:\s?"?(\d+)(\.\d+)?"?[,}]/gi)) open.add(Number(match[1] ?? match[2]));
    for (const spoke of spokeNames)
      for (const entity of hubEntities)
        for (const row of this.ports.sides
          .remoteRows(spoke, entity)
          .filter(({ id }) => explained.ids.has(`${entity}/${id}`)))
          for (const list of Object.values(row.tokens)) for (const token of list) open.add(token);
    const lost: string[] = [];
    for (const edit of model.edits.values()) {
      if (inPlace.has(edit.token) || logged.has(edit.token) || open.has(edit.token)) continue;
      if (this.ports.overwrites.some((one) => one.lost === edit.token && one.inWindow)) continue;
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
      const rows = await this.ports.sides.hubRows(entity);
      for (const edit of model.edits.values()) {
        if (
          edit.cleared !== true ||
          edit.entity !== entity ||
          model.deleted.has(edit.key) ||
          isMerged(this.ports.model, edit.key)
        )
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
    const { model, sides } = this.ports;
    const { rows } = await sides.db.query(
      `select id::text as id, key, visits::text as visits from hub.person order by id`,
    );
    return rows.flatMap((row) => {
      const key = keyOf(row['key'] ?? null) ?? '';
      const counted = model.counted(key);
      if (model.deleted.has(key) || isMerged(this.ports.model, key) || explained.ids.has(`person/${row['id']}`))
        return [];
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
    const overwritten = this.ports.overwrites.find((one) => one.lost === edit.token);
    const how =
      overwritten === undefined ? '' : `; we wrote w${overwritten.by.join(',')} over it at ${overwritten.spoke}`;
    return `lost edit: w${edit.token} of ${edit.key}.${edit.field}, made at ${edit.site} over w${edit.over.join(',')}${how}`;
  }

  /** Order per record: the engine never put an older value of a chain back. Every commit of the hub is in the journal. */
  private async wrongOrder(logged: ReadonlySet<number>): Promise<readonly string[]> {
    const { model, sides } = this.ports;
    const { rows } = await sides.db.query(
      `select entity, hub_id, origin, before::text as before, after::text as after from truespoke.journal order by epoch, commit_lsn, seq`,
    );
    const problems: string[] = [];
    const journaled = new Set<number>();
    const keys = new Map<string, string>();
    for (const entity of hubEntities)
      for (const row of await this.ports.sides.hubRows(entity)) keys.set(`${entity}/${row.id}`, row.key);
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
        if (after[field.field] === null && !known && key !== undefined && !mayBeEmpty(model, entity, key, field))
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
    const { rows } = await this.ports.sides.db.query(
      `select spoke, entity, hub_id, state, reason, waits_for, attempt from truespoke.delivery where state <> 'held' order by 1, 2, 3`,
    );
    return rows.map((row) => `a delivery is left: ${Object.values(row).join(' ')}`);
  }
}

/** Merged by people inside a spoke: what belongs to which of the two is for the match rules and for people to say. */
const isMerged = (model: Model, key: string): boolean => model.merged.has(key);

/** Did anybody empty it, or was there ever one of these without it: made twice, merged, deleted and made anew? */
export function mayBeEmpty(model: Model, entity: EntityId, key: string, { field, shape }: FollowedField): boolean {
  if (shape === 'list' || model.doubled.has(key) || model.deleted.has(key) || isMerged(model, key)) return true;
  return [...model.edits.values()].some(
    (edit) => edit.cleared === true && edit.entity === entity && edit.key === key && edit.field === field,
  );
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
