// Owns the planner's knowledge of the tables that fill within seconds. Autovacuum looks once a minute; until then Postgres plans for a handful
// of rows, and a statement over a batch of 5,000 takes ten seconds instead of a tenth of one, with its locks held all the while.
import { quoteTable } from './identifier.js';
import type { Queryable } from './pool.js';

/** Changed rows since the last look at a table that make a new one worth its 50 ms. */
const changesMin = 1_000;

/**
 * Analyses what has more than twice the rows that the planner knows of. What shrinks, or changes without growing, waits for autovacuum: a
 * plan for more rows than there are costs little, and tables whose every row changes within a second were analysed each second (bench
 * row 12: a fifth of a core, taken from the applications). Skips what another process is looking at.
 */
export async function refreshStatistics(db: Queryable): Promise<readonly string[]> {
  const { rows } = await db.query({
    name: 'statistics_stale',
    text: `select s.schemaname, s.relname from pg_stat_all_tables s join pg_class c on c.oid = s.relid
            where s.schemaname in ('truespoke', 'hub') and s.n_mod_since_analyze >= $1
              and s.n_live_tup > 2 * greatest(c.reltuples, 0) + $1::int / 2
            order by s.n_mod_since_analyze desc limit 8`,
    values: [changesMin],
  });
  const names = rows.map((row) => quoteTable({ schema: row['schemaname'] ?? '', table: row['relname'] ?? '' }));
  for (const name of names) await db.query(`analyze (skip_locked) ${name}`);
  return names;
}
