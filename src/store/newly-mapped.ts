// Owns the SQL that follows a changed mapping: which hub rows a spoke may lack something of by now, and which bases are about a field that
// is read from another place since. Set-based, one statement an entity; diffing decides per record.
import type { SpokeMapping } from '../mapping/mapping.js';
import type { Uncovered } from '../mapping/coverage.js';
import type { FieldName } from '../model/ids.js';
import type { HubTable } from './hub.js';
import { quoteText } from './identifier.js';
import type { Tx } from './pool.js';

/**
 * Rows that the spoke has no record of (where records may be created there), and rows whose newly mapped fields differ from what was agreed
 * on. A row whose record was deleted there is left alone. An embedded child marks its parent. Returns how many were marked.
 */
export async function markUncovered(
  tx: Tx,
  table: HubTable,
  mapping: SpokeMapping,
  gap: Uncovered,
  atMs: number,
): Promise<number> {
  if (mapping.direction === 'in') return 0;
  const target = targetOf(table, mapping);
  const conditions = [...(gap.records && mapping.create ? [absentSql] : []), ...differSql(table, mapping, gap.fields)];
  if (conditions.length === 0 || target === null) return 0;
  const alive = table.archives ? 't.deleted_at is null' : 'true';
  await tx.query('set local statement_timeout = 0');
  const { rowCount } = await tx.query(
    `insert into truespoke.delivery as d (spoke, entity, hub_id, state, generation, lane, dirty_at, trace)
     select distinct $1, $3, ${target.sql}::text, 'pending', 1, 2, $4::timestamptz, 'newly mapped'
       from (select t.*, t.${table.id.sql}::text as "truespoke key" from ${table.sql} t) t
       left join truespoke.link l on l.spoke = $1 and l.entity = $2 and l.hub_id = t."truespoke key" and l.state = 'live'
      where ${alive} and ${target.sql} is not null and (${conditions.join(' or ')})
      order by 3
     on conflict (spoke, entity, hub_id) do update set generation = d.generation + 1`,
    [mapping.spoke, mapping.entity, target.entity, new Date(atMs).toISOString()],
  );
  return rowCount ?? 0;
}

const absentSql = `(l.hub_id is null and not exists (
  select 1 from truespoke.link x where x.spoke = $1 and x.entity = $2 and x.hub_id = t."truespoke key"))`;

function targetOf(table: HubTable, mapping: SpokeMapping): { readonly entity: string; readonly sql: string } | null {
  if (mapping.embedded === null) return { entity: mapping.entity, sql: `t.${table.id.sql}` };
  const parent = mapping.fields.find((field) => field.fromParent)?.field.name;
  const column = table.columns.find((candidate) => candidate.field.name === parent);
  return column === undefined ? null : { entity: mapping.embedded.parentEntity, sql: `t.${column.sql}` };
}

function differSql(table: HubTable, mapping: SpokeMapping, names: readonly FieldName[]): readonly string[] {
  const out = mapping.fields.filter(({ direction, writes }) => direction !== 'in' && writes.length > 0);
  const fields = new Set(out.map(({ field }) => field.name).filter((name) => names.includes(name)));
  return table.columns
    .filter(({ field }) => fields.has(field.name))
    .map(({ field, sql }) => {
      const key = quoteText(field.name);
      return `(l.hub_id is not null and t.${sql}::text is distinct from l.base_hub ->> ${key}
               and (t.${sql} is not null or l.base_hub ? ${key}))`;
    });
}

/** What was agreed on about these fields was read from another place: it says nothing about the new one. */
export async function forgetBases(tx: Tx, mapping: SpokeMapping, fields: readonly FieldName[]): Promise<void> {
  if (fields.length === 0) return;
  await tx.query('set local statement_timeout = 0');
  await tx.query(
    `update truespoke.link l set base_hub = l.base_hub - $3::text[], base_remote = l.base_remote - $3::text[],
            overruled = nullif(l.overruled - $3::text[], '{}')
      where l.spoke = $1 and l.entity = $2 and (l.base_hub ?| $3::text[] or l.overruled ?| $3::text[])`,
    [mapping.spoke, mapping.entity, fields],
  );
}
