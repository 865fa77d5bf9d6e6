// Owns what applications do in the hub of a simulated run: plain SQL in ordinary transactions, some rolled back, each statement an event.
import type { Random } from '../../src/base/random.js';
import { seededIds } from '../../src/base/random.js';
import type { Clock } from '../../src/base/clock.js';
import { sqlState } from '../../src/store/pool.js';
import type { GatedPool } from './gated-pool.js';
import { hubValue, keyOf, tokensOf, type Edit, type Model } from './model.js';
import { disposable, removable } from './people.js';
import type { FaultPlan } from './faults.js';
import type { Habits } from './habits.js';
import { followedEntities, livesSql, writable, type EntityId, type FollowedField, spokeNames } from './world.js';

export interface ApplicationPorts {
  readonly pool: GatedPool;
  readonly clock: Clock;
  readonly random: Random;
  readonly model: Model;
  readonly at: () => { readonly at: number; readonly atMs: number; readonly watchMs: number };
  readonly note: (line: string) => void;
  readonly plan: Habits & Pick<FaultPlan, 'deletes' | 'burials' | 'crowd' | 'clears' | 'forges'>;
  /** One operation is done. */
  readonly did: () => void;
}

type Query = (text: string, values?: readonly unknown[]) => Promise<{ rows: Record<string, string | null>[] }>;
type Staged =
  | Edit
  | { readonly removes: string; readonly shown: ReadonlySet<number> }
  | { readonly counts: string; readonly by: number };

/** One of the rows that live, by a number from 0 to 1. */
const anyRow = (entity: EntityId): string =>
  `${livesSql(entity)} and id = (select id from hub.${entity} where ${livesSql(entity)} order by id limit 1
    offset (select floor($1::float8 * count(*)) from hub.${entity} where ${livesSql(entity)})::bigint)`;

const isEdit = (one: Staged): one is Edit => 'token' in one;

export class Application {
  private readonly ids;

  constructor(private readonly ports: ApplicationPorts) {
    this.ids = seededIds(ports.clock, ports.random);
  }

  /** One transaction. Its edits exist once it has committed. */
  async act(name: string): Promise<void> {
    const { pool, random, model, note } = this.ports;
    const client = await pool.as(name).connect();
    const query = client.query.bind(client) as unknown as Query;
    const staged: Staged[] = [];
    try {
      await query('begin');
      // Anyone may write our marker: it hides nothing (F136).
      if (this.ports.plan.forges && random.next() < 0.3)
        await query(`select pg_logical_emit_message(true, 'truespoke', $1)`, [
          JSON.stringify({ origin: this.one(spokeNames), trace: 'forged' }),
        ]);
      const steps = 1 + Math.floor(random.next() * 3);
      for (let i = 0; i < steps; i += 1) await this.step(query, staged);
      if (random.next() < 0.12) {
        await query('rollback');
        note('hub: rolled back');
        return;
      }
      // Whoever reads the value after this commit must find its writer known.
      for (const one of staged) if (isEdit(one)) model.edits.set(one.token, one);
      await query('commit');
      for (const one of staged) {
        if ('removes' in one) model.remove(one.removes, 'hub', one.shown);
        else if ('counts' in one) model.count(one.counts, one.by, 'hub');
        else model.record(one);
      }
      note(`hub: committed ${JSON.stringify(staged)}`);
    } catch (error) {
      // Even a commit may fail: references are checked then.
      for (const one of staged) if (isEdit(one)) model.edits.delete(one.token);
      await query('rollback').catch(() => undefined);
      note(`hub: failed ${sqlState(error) ?? String(error)}`);
    } finally {
      client.release();
    }
  }

  private async step(query: Query, staged: Staged[]): Promise<void> {
    const { random, model, plan } = this.ports;
    if (plan.families > 0 && random.next() < plan.families) return this.family(query, staged);
    if (plan.removals > 0 && random.next() < plan.removals) return this.remove(query, staged);
    const draw = model.living >= plan.crowd ? 0.34 + 0.66 * random.next() : random.next();
    this.ports.did();
    if (draw < 0.18) await this.insert(query, staged, 'person');
    else if (draw < 0.26) await this.insert(query, staged, 'parcel');
    else if (draw < 0.34) await this.insert(query, staged, 'line');
    else if (draw < 0.4 && plan.deletes) await this.remove(query, staged);
    else if (draw < 0.44) await this.point(query);
    else if (draw < 0.47) await this.count(query, staged);
    else if (draw < 0.52 && plan.burials) await this.remove(query, staged);
    else await this.update(query, staged, draw < 0.85 ? 'person' : draw < 0.93 ? 'parcel' : 'line');
  }

  /** Two who refer to each other, what belongs to one of them and its parts: nobody has heard of any of it (F121, F122). */
  private async family(query: Query, staged: Staged[]): Promise<void> {
    const { plan } = this.ports;
    const one = await this.insert(query, staged, 'person');
    const other = await this.insert(query, staged, 'person');
    if (one === null || other === null) return;
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const)
      if (!removable(to.key)) await query(`update hub.person set boss = $2 where id = $1`, [from.id, to.id]);
    await this.follow(query, staged, one);
    const parcel = await this.insert(query, staged, 'parcel', removable(one.key) ? null : one.id);
    if (parcel === null || (plan.burials && disposable(parcel.key))) return;
    for (let i = 0; i < 2; i += 1) await this.insert(query, staged, 'line', parcel.id);
  }

  /** One who is known everywhere comes to refer to a newcomer, and changes besides: a part of that cannot be told to a spoke yet. */
  private async follow(
    query: Query,
    staged: Staged[],
    newcomer: { readonly id: string; readonly key: string },
  ): Promise<void> {
    if (removable(newcomer.key)) return;
    const { rows } = await query(`select id::text, key from hub.person order by id`);
    const id = this.one(rows)['id'] ?? '';
    await query(`update hub.person set boss = $2 where id = $1`, [id, newcomer.id]);
    await this.update(query, staged, 'person', id);
  }

  /** `target`: what it refers to; null = any. Null where there is nothing to refer to. */
  private async insert(
    query: Query,
    staged: Staged[],
    entity: EntityId,
    target: string | null = null,
  ): Promise<{ readonly id: string; readonly key: string } | null> {
    const { model, random } = this.ports;
    const id = this.ids.uuid();
    const columns: Record<string, string | null> = { id };
    if (entity !== 'person' && target !== null) columns[entity === 'parcel' ? 'owner' : 'parcel'] = target;
    else if (entity !== 'person') {
      const referred = entity === 'parcel' ? 'person' : 'parcel';
      const { rows } = await query(`select id::text, key from hub.${referred} order by id`);
      const goes = (key: string): boolean => removable(key) || (this.ports.plan.burials && disposable(key));
      const usable = rows.filter((row) => !goes(row['key'] ?? ''));
      if (usable.length === 0) return null;
      columns[entity === 'parcel' ? 'owner' : 'parcel'] = this.one(usable)['id'] ?? '';
    }
    const key = model.nextKey(entity);
    columns['key'] = key;
    for (const field of writable(entity, 'hub')) {
      if (random.next() < 0.6) columns[field.field] = this.write(staged, entity, key, field, []);
    }
    const names = Object.keys(columns);
    await query(
      `insert into hub.${entity} (${names.join(', ')}) values (${names.map((_, i) => `$${i + 1}`).join(', ')})`,
      Object.values(columns),
    );
    return { id, key };
  }

  private async update(query: Query, staged: Staged[], entity: EntityId, known: string | null = null): Promise<void> {
    const { rows } = await query(`select id::text, key from hub.${entity} where ${livesSql(entity)} order by id`);
    if (rows.length === 0) return;
    const id = known ?? this.one(this.hot(rows))['id'];
    const fields = this.some(writable(entity, 'hub'));
    const columns = fields.map((field) => `${field.field}::text as ${field.field}`).join(', ');
    const { rows: held } = await query(
      `select key, ${columns} from hub.${entity} where id = $1 and ${livesSql(entity)} for update`,
      [id],
    );
    const [row] = held;
    const key = keyOf(row?.['key']);
    if (row === undefined || key === null) return;
    const values = fields.map((field) =>
      this.write(staged, entity, key, field, tokensOf(field.shape, row[field.field])),
    );
    const sets = fields.map((field, i) => `${field.field} = $${i + 2}`).join(', ');
    await query(`update hub.${entity} set ${sets} where id = $1`, [id, ...values]);
  }

  /** A reference between people: translated through links, a circle now and then. */
  private async point(query: Query): Promise<void> {
    const { rows } = await query(`select id::text, key from hub.person order by id`);
    const usable = rows.filter((row) => !removable(row['key'] ?? ''));
    if (usable.length < 2) return;
    await query(`update hub.person set boss = $2 where id = $1`, [this.one(usable)['id'], this.one(usable)['id']]);
  }

  private async count(query: Query, staged: Staged[]): Promise<void> {
    const by = 1 + Math.floor(this.ports.random.next() * 9);
    const { rows: counted } = await query(
      `update hub.person set visits = coalesce(visits, 0) + $2 where ${anyRow('person')} returning key`,
      [this.ports.random.next(), by],
    );
    const key = keyOf(counted[0]?.['key']);
    if (key !== null) staged.push({ counts: key, by });
  }

  private async remove(query: Query, staged: Staged[]): Promise<void> {
    const { random, plan } = this.ports;
    if (!plan.burials || random.next() < 0.4) await this.removeRow(query, staged, 'person', removable);
    else if (random.next() < 0.6) await this.removeRow(query, staged, 'parcel', disposable);
    else await this.removeRow(query, staged, 'line', () => true);
  }

  private async removeRow(
    query: Query,
    staged: Staged[],
    entity: EntityId,
    wanted: (key: string) => boolean,
  ): Promise<void> {
    const { rows } = await query(`select id::text, key from hub.${entity} where ${livesSql(entity)} order by id`);
    const usable = rows.filter((row) => wanted(row['key'] ?? ''));
    if (usable.length === 0) return;
    const row = this.one(usable);
    const { fields } = followedEntities[entity];
    const columns = fields.map(({ field }) => `${field}::text as ${field}`).join(', ');
    // A row that can be archived may be deleted all the same.
    const isArchived = entity === 'parcel' && this.ports.random.next() < 0.5;
    const act = isArchived ? `update hub.${entity} set deleted_at = '2026-01-02'` : `delete from hub.${entity}`;
    const { rows: gone } = await query(`${act} where id = $1 and ${livesSql(entity)} returning key, ${columns}`, [
      row['id'],
    ]);
    const key = keyOf(gone[0]?.['key']);
    if (key === null) return;
    staged.push({ removes: key, shown: new Set(fields.flatMap((one) => tokensOf(one.shape, gone[0]?.[one.field]))) });
  }

  private write(
    staged: Staged[],
    entity: EntityId,
    key: string,
    field: FollowedField,
    over: readonly number[],
  ): string | null {
    const { model, at, plan, random } = this.ports;
    const token = model.nextToken();
    const cleared = plan.clears && over.length > 0 && field.shape !== 'list' && random.next() < 0.1;
    staged.push({
      token,
      entity,
      key,
      field: field.field,
      site: 'hub',
      over: field.shape === 'list' ? [] : over,
      ...at(),
      cleared,
    });
    if (cleared) return field.shape === 'text' && random.next() < 0.5 ? '' : null;
    return hubValue(field.shape, token, over);
  }

  /** Those that somebody has just touched, where the plan draws people together. */
  private hot(rows: readonly Record<string, string | null>[]): readonly Record<string, string | null>[] {
    const { model, plan, random } = this.ports;
    if (plan.focus <= 0 || random.next() >= plan.focus) return rows;
    const hot = rows.filter((row) => model.recent.includes(keyOf(row['key'] ?? null) ?? ''));
    return hot.length === 0 ? rows : hot;
  }

  private one<T>(list: readonly T[]): T {
    return list[Math.floor(this.ports.random.next() * list.length)] as T;
  }

  private some<T>(list: readonly T[]): readonly T[] {
    const chosen = list.filter(() => this.ports.random.next() < 0.3);
    return chosen.length > 0 ? chosen : [this.one(list)];
  }
}
