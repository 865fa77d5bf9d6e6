// Owns the database that the seeds of one process share: each finds it as the template left it. Emptying it costs a tenth of what a
// new one costs with its connections and their prepared statements. A run that broke off leaves none behind: the next gets a new one.
import { openPool, type Pool } from '../../src/store/pool.js';
import { testDatabase, withClient, type TestDatabase, type TestTemplate } from '../support/postgres.js';
import { Backends } from './backends.js';

export interface SimulationDatabase {
  readonly name: string;
  readonly url: string;
  /** Outside of the simulated world. */
  readonly monitor: Pool;
  readonly backends: Backends;
}

interface Kept extends SimulationDatabase {
  readonly db: TestDatabase;
  readonly reset: string;
  seeds: number;
}

const seedsPerVacuum = 10;

const kept = new Map<string, Kept>();

/** Every commit of a run flushes what it wrote: no background process has to be on time. */
export const clusterSettings = {
  wal_writer_delay: '200ms',
  bgwriter_lru_maxpages: '0',
  checkpoint_timeout: '1h',
  max_wal_size: '1GB',
  shared_buffers: '128MB',
};

export async function takeDatabase(cluster: string, template: TestTemplate): Promise<SimulationDatabase> {
  const key = `${cluster} ${template.name}`;
  const known = kept.get(key);
  kept.delete(key);
  if (known !== undefined) {
    await known.backends.clear();
    await known.monitor.query(known.reset);
    known.seeds += 1;
    // What was deleted still takes room, and makes plans anew when it goes.
    if (known.seeds % seedsPerVacuum === 0) await known.monitor.query('vacuum');
    return known;
  }
  const db = await testDatabase({ cluster, template });
  // A commit must be decodable once it is answered.
  const socket = await withClient(`${cluster}/postgres`, async (client) => {
    // Circles are found by the scheduler, so that not the timers of Postgres choose who is refused.
    await client.query(`alter database ${db.name} set deadlock_timeout = '1h'`);
    await client.query(`alter database ${db.name} set synchronous_commit = on`);
    // Tables of a few hundred rows: planning a statement costs more than running it.
    await client.query(`alter database ${db.name} set plan_cache_mode = force_generic_plan`);
    await client.query(`alter database ${db.name} set jit = off`);
    // A plan outlives the rows that it was made for: it must not depend on how many there were.
    for (const off of ['seqscan', 'hashjoin', 'mergejoin', 'bitmapscan'])
      await client.query(`alter database ${db.name} set enable_${off} = off`);
    const { rows } = await client.query<{ at: string }>(`select current_setting('unix_socket_directories') as at`);
    return rows[0]?.at ?? '';
  });
  const { port } = new URL(cluster);
  // Half the time of a statement is TCP.
  const url = socket === '' ? db.url : `postgres://postgres@${encodeURIComponent(socket)}:${port}/${db.name}`;
  const monitor = openPool({ url, applicationName: 'monitor', max: 2, lockTimeoutMs: 0 });
  return {
    db,
    name: db.name,
    url,
    monitor,
    backends: new Backends(url, monitor),
    reset: await resetOf(monitor),
    seeds: 0,
  } as Kept;
}

/** For the next seed, or not: after a failure of the run itself nobody knows what it left behind. */
export function giveDatabase(cluster: string, template: TestTemplate, given: SimulationDatabase): void {
  kept.set(`${cluster} ${template.name}`, given as Kept);
}

export async function dropDatabase(given: SimulationDatabase): Promise<void> {
  await given.backends.end();
  await given.monitor.end();
  await (given as Kept).db.drop();
}

/** What was kept for a next seed that does not come: an engine that is loaded beside others keeps its own, and a cluster has so many connections. */
export async function dropKept(): Promise<void> {
  const all = [...kept.values()];
  kept.clear();
  for (const one of all) await dropDatabase(one);
}

/**
 * One call brings every table and sequence back to the template's state. Rows are deleted, not tables truncated, and the publication stays:
 * either would make every connection forget its plans, and half of what Postgres does for a seed was planning.
 */
async function resetOf(monitor: Pool): Promise<string> {
  const { rows: tables } = await monitor.query(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname in ('hub', 'truespoke') and c.relkind in ('r', 'p') and not c.relispartition order by 1`,
  );
  const { rows: sequences } = await monitor.query(
    `select format('%I.%I', schemaname, sequencename) as name, start_value::text as start from pg_sequences
      where schemaname in ('hub', 'truespoke') order by 1`,
  );
  await monitor.query(`create schema if not exists pristine`);
  const emptied: string[] = [];
  const refilled: string[] = [];
  for (const [index, { name }] of tables.entries()) {
    const { rows } = await monitor.query(`select exists (select from ${name ?? ''})::text as filled`);
    emptied.push(`delete from ${name ?? ''}`);
    if (rows[0]?.['filled'] !== 'true') continue;
    await monitor.query(`create table pristine.t${index} as table ${name ?? ''}`);
    refilled.push(`insert into ${name ?? ''} overriding system value table pristine.t${index}`);
  }
  const restarted = sequences.map(({ name, start }) => `perform setval('${name ?? ''}', ${start ?? '1'}, false)`);
  await monitor.query(`create function pristine.reset() returns void language plpgsql as $$
    declare one text;
    begin
      perform pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database();
      -- The audit log lets nobody else empty it.
      set local session_replication_role = replica;
      -- Days that a run made partitions for.
      for one in select inhrelid::regclass::text from pg_inherits where inhparent = 'truespoke.journal'::regclass
        loop execute 'drop table ' || one; end loop;
      ${[...emptied, ...refilled, ...restarted].join(';\n      ')};
    end $$`);
  return `select pristine.reset()`;
}
