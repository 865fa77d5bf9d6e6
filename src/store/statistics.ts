// Owns the planner's knowledge of the tables that grow and shrink within seconds. Autovacuum looks once a minute; until then Postgres plans for a
// handful of rows, and a statement over a batch of 5,000 takes ten seconds instead of a tenth of one, with its locks held all the while.
import { quoteTable } from './identifier.js';
import type { Queryable } from './pool.js';

/** Changed rows since the last look at a table that make a new one worth its 50 ms. */
const changesMin = 1_000;

/** Analyses what changed much since it was last analysed. Cheap when nothing did; skips what another process is looking at. */
export async function refreshStatistics(db: Queryable): Promise<readonly string[]> {
  const { rows } = await db.query({
    name: 'statistics_stale',
    text: `select schemaname, relname from pg_stat_all_tables
            where schemaname in ('truespoke', 'hub') and n_mod_since_analyze >= $1 and n_mod_since_analyze >= n_live_tup / 5
            order by n_mod_since_analyze desc limit 8`,
    values: [changesMin],
  });
  const names = rows.map((row) => quoteTable({ schema: row['schemaname'] ?? '', table: row['relname'] ?? '' }));
  for (const name of names) await db.query(`analyze (skip_locked) ${name}`);
  return names;
}
