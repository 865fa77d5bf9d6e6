// Owns bringing the hub's tables to what the mapping wants: reads the catalogue, runs a plan. What the plan is, mapping/plan.ts decides.
// All or nothing in one transaction under a lock, so any number of processes may start together.
import { Problems } from '../base/errors.js';
import type { Mapping } from '../mapping/mapping.js';
import { planHub, type CatalogueTable, type HubPlan } from '../mapping/plan.js';
import { transaction, type Pool, type Queryable } from './pool.js';

/** One row a table, lists as JSON text: a catalogue is read in one statement whatever the number of tables. */
const catalogueText = `
  select n.nspname as schema, c.relname as name,
    (select coalesce(json_agg(json_build_object(
              'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'notNull', a.attnotnull) order by a.attnum), '[]')
       from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)::text as columns,
    (select coalesce(json_agg(a.attname order by k.position), '[]')
       from pg_index i
       cross join lateral unnest(i.indkey::int2[]) with ordinality as k (attnum, position)
       join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
      where i.indrelid = c.oid and i.indisprimary)::text as primary_key,
    (select coalesce(json_agg(ic.relname order by ic.relname), '[]')
       from pg_index i join pg_class ic on ic.oid = i.indexrelid where i.indrelid = c.oid)::text as indexes,
    (select coalesce(json_agg(o.conname order by o.conname), '[]')
       from pg_constraint o where o.conrelid = c.oid and o.contype = 'f')::text as foreign_keys,
    (select coalesce(json_agg(o.conname order by o.conname), '[]')
       from pg_constraint o where o.conrelid = c.oid and o.contype = 'c')::text as checks
  from json_to_recordset($1::json) as wanted (schema text, name text)
  join pg_namespace n on n.nspname = wanted.schema
  join pg_class c on c.relnamespace = n.oid and c.relname = wanted.name and c.relkind in ('r', 'p')
  order by 1, 2`;

/** The tables of the mapping that exist, as the planner wants them. */
export async function readHubTables(db: Queryable, mapping: Mapping): Promise<readonly CatalogueTable[]> {
  const wanted = [...mapping.entities.values()].map(({ table }) => ({ schema: table.schema, name: table.name }));
  const { rows } = await db.query(catalogueText, [JSON.stringify(wanted)]);
  const list = <T>(text: string | null | undefined): readonly T[] => JSON.parse(text ?? '[]') as readonly T[];
  return rows.map((row) => ({
    schema: row['schema'] ?? '',
    name: row['name'] ?? '',
    columns: list(row['columns']),
    primaryKey: list(row['primary_key']),
    indexes: list(row['indexes']),
    foreignKeys: list(row['foreign_keys']),
    checks: list(row['checks']),
  }));
}

/** What would have to happen. Changes nothing. */
export async function planHubTables(db: Queryable, mapping: Mapping): Promise<HubPlan> {
  return planHub(mapping, await readHubTables(db, mapping));
}

/** "tsph" */
const lockKey = 0x74737068;

/** Runs what is missing and tells what it ran. Throws Problems, with nothing changed, when the mapping cannot be applied. */
export async function migrateHub(pool: Pool, mapping: Mapping): Promise<HubPlan> {
  return transaction(pool, async (tx) => {
    await tx.query('select pg_advisory_xact_lock($1)', [lockKey]);
    const plan = await planHubTables(tx, mapping);
    if (plan.problems.length > 0) throw new Problems(plan.problems, 'hub_not_as_mapped');
    // An index on a large table that is being adopted takes as long as it takes.
    if (plan.steps.length > 0) await tx.query('set local statement_timeout = 0');
    for (const step of plan.steps) await tx.query(step.sql);
    return plan;
  });
}
