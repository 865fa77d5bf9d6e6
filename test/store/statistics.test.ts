// Owns the promise that the planner hears of a table that filled within seconds, and is left alone otherwise.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolve } from 'node:path';
import { migrate } from '../../src/store/migrate.js';
import { openPool, type Pool } from '../../src/store/pool.js';
import { refreshStatistics } from '../../src/store/statistics.js';
import { testDatabase, type TestDatabase } from '../support/postgres.js';

let db: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  db = await testDatabase();
  pool = openPool({ url: db.url, applicationName: 'test', max: 2 });
  await migrate(pool, resolve('migrations'));
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

test('a table that filled within seconds is analysed once, and its rows are known to the planner', async () => {
  await refreshStatistics(pool);
  await pool.query(
    `insert into truespoke.delivery (spoke, entity, hub_id, state, generation, lane, dirty_at)
     select 'crm', 'widget', n::text, 'pending', 1, 2, now() from generate_series(1, 5000) n`,
  );
  // The server counts changes when the session is idle for a moment.
  await expect.poll(() => refreshStatistics(pool), { timeout: 15_000 }).toContain('"truespoke"."delivery"');
  const { rows } = await pool.query(
    `explain (format json) select * from truespoke.delivery where spoke = 'crm' and entity = 'widget'`,
  );
  const [plan] = JSON.parse(rows[0]?.['QUERY PLAN'] ?? '[]') as { Plan: { 'Plan Rows': number } }[];
  expect(plan?.Plan['Plan Rows']).toBeGreaterThan(4_000);
  expect(await refreshStatistics(pool)).toEqual([]);
});

test('rows that change, or go, without becoming more are left to autovacuum', async () => {
  await pool.query(`update truespoke.delivery set generation = generation + 1`);
  await pool.query(`delete from truespoke.delivery where hub_id::int > 10`);
  const counted = `select (n_mod_since_analyze >= 9000 and n_live_tup < 100)::text as yes from pg_stat_all_tables where relid = 'truespoke.delivery'::regclass`;
  await expect.poll(async () => (await pool.query(counted)).rows[0]?.['yes'], { timeout: 15_000 }).toBe('true');
  expect(await refreshStatistics(pool)).toEqual([]);
});
