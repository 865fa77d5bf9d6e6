// Postgres stops, crashes and takes in a huge transaction while the whole engine runs (F4, F27, F28, F50).
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { defaultLimits, slotOf } from '../../src/engine/engine.js';
import { alive, readPostmaster, start } from '../../src/store/postgres-process.js';
import { startTestCluster, testSettings, type TestCluster } from '../support/global-setup.js';
import { openPeople, type People } from '../support/people.js';

let people: People | null = null;
let cluster: TestCluster | null = null;
afterEach(async () => {
  await people?.end();
  await cluster?.stop();
  people = cluster = null;
});

const durable = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' };
const three = { 'ann@x.test': 'Ann', 'bob@x.test': 'Bob', 'cy@x.test': 'Cy' };

async function open(settings: Record<string, string> = durable): Promise<{ hub: People; own: TestCluster }> {
  cluster = await startTestCluster(settings);
  people = await openPeople({ cluster: cluster.url });
  people.start();
  await people.settled();
  await people.put(three);
  await people.agree(three);
  return { hub: people, own: cluster };
}

async function stopServer(own: TestCluster, signal: 'SIGINT' | 'SIGQUIT'): Promise<number> {
  const { pid } = (await readPostmaster(own.dir)) ?? own;
  const from = performance.now();
  process.kill(pid, signal);
  await expect.poll(() => alive(pid), { timeout: 20_000, interval: 10 }).toBe(false);
  return performance.now() - from;
}

async function restart(own: TestCluster, settings: Record<string, string> = durable): Promise<void> {
  const logFile = path.join(own.dir, '..', 'log');
  await start(own.cluster, { port: own.port, settings: { ...testSettings, ...settings }, logFile });
}

test('F27 fast shutdown while the engine runs: down within two seconds, and the engine goes on by itself afterwards', async () => {
  const { hub, own } = await open();
  hub.rename('left', 'ann@x.test', 'Anna');
  expect(await stopServer(own, 'SIGINT')).toBeLessThan(2_000);
  hub.rename('right', 'bob@x.test', 'Bobby');
  expect((await hub.engine.status()).hub.reachable).toBe(false);
  await restart(own);
  await hub.agree({ ...three, 'ann@x.test': 'Anna', 'bob@x.test': 'Bobby' }, 40_000);
  for (const side of ['left', 'right'] as const)
    expect(hub.writes(side).filter(({ op }) => op === 'create')).toHaveLength(3);
}, 90_000);

test('F28 immediate stop amid edits: nothing lost, nothing captured or created twice', async () => {
  const { hub, own } = await open();
  const expected: Record<string, string> = { ...three };
  for (let round = 0; round < 2; round += 1) {
    for (let i = 0; i < 20; i += 1) {
      const email = `p${round}${i}@x.test`;
      await hub.put({ [email]: 'new', 'cy@x.test': `Cy ${round} ${i}` });
      Object.assign(expected, { [email]: 'new', 'cy@x.test': `Cy ${round} ${i}` });
    }
    await stopServer(own, 'SIGQUIT');
    await restart(own);
  }
  await hub.agree(expected, 40_000);
  for (const side of ['left', 'right'] as const)
    expect(hub.writes(side).filter(({ op }) => op === 'create')).toHaveLength(43);
  const [row] = await hub.sql(
    `select count(*)::text as all, count(distinct (commit_lsn, seq))::text as distinct from truespoke.journal
      where op = 'insert' and origin = 'application'`,
  );
  expect(row).toEqual({ all: '43', distinct: '43' });
}, 90_000);

test('F4 acknowledged, then Postgres crashes before its checkpoint: sent again, recognised', async () => {
  const { hub, own } = await open();
  await hub.sql('checkpoint');
  const expected: Record<string, string> = { ...three };
  for (let i = 0; i < 10; i += 1) {
    expected[`p${i}@x.test`] = 'new';
    await hub.put({ [`p${i}@x.test`]: 'new' });
  }
  await hub.agree(expected);
  const slot = slotOf(hub.db.url);
  const confirmed = async (): Promise<string> =>
    (
      await hub.sql(`select confirmed_flush_lsn - '0/0' as at from pg_replication_slots where slot_name = $1`, [slot])
    )[0]?.['at'] ?? '';
  const before = BigInt(await confirmed());
  await hub.stop();
  await stopServer(own, 'SIGQUIT');
  await restart(own);
  // What was acknowledged since the checkpoint is forgotten by the server.
  expect(BigInt(await confirmed())).toBeLessThan(before);
  await hub.restart();
  await hub.agree(expected, 30_000);
  const [row] = await hub.sql(
    `select count(*)::text as n from truespoke.journal where op = 'insert' and origin = 'application'`,
  );
  expect(row).toEqual({ n: '13' });
  for (const side of ['left', 'right'] as const)
    expect(hub.writes(side).filter(({ op }) => op === 'create')).toHaveLength(13);
}, 90_000);

async function cutJournal(): Promise<void> {
  await people?.sql(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'truespoke journal' and datname = current_database()`,
  );
}

test('F2 F50 a transaction too large for memory, its journal connection cut half-way: all of it or nothing, once', async () => {
  let cuts = 0;
  people = await openPeople({
    limits: { capture: { ...defaultLimits.capture, spillRows: 50, messagesMax: 200, idleAdvanceMs: 20, waitMs: 200 } },
    engine: {
      crashpoint: (name) => {
        if (name !== 'journal_spilled' || cuts >= 2) return;
        cuts += 1;
        void cutJournal();
      },
    },
  });
  people.start();
  await people.settled();
  await people.sql(
    `insert into hub.person (email, name) select 'p' || i || '@x.test', 'P' || i from generate_series(1, 600) i`,
  );
  await people.until(() => Object.keys(people?.left() ?? {}).length === 600, 40_000);
  await people.settled(40_000);
  expect(cuts).toBe(2);
  const [row] = await people.sql(
    `select count(*)::text as rows, count(distinct hub_id)::text as records, count(distinct commit_lsn)::text as commits
       from truespoke.journal where origin = 'application'`,
  );
  expect(row).toEqual({ rows: '600', records: '600', commits: '1' });
  expect(people.writes('right').filter(({ op }) => op === 'create')).toHaveLength(600);
}, 90_000);

test('F2 the journal connection is cut while one step is written and the next is read: every change is journaled once', async () => {
  let cuts = 0;
  people = await openPeople({
    limits: { capture: { ...defaultLimits.capture, messagesMax: 6, idleAdvanceMs: 20, waitMs: 200 } },
    engine: {
      crashpoint: (name) => {
        if (name !== 'journal_inserted' || cuts >= 3) return;
        cuts += 1;
        void cutJournal();
      },
    },
  });
  people.start();
  await people.settled();
  // Each read finds more than a step takes.
  await people.sql(`do $$ begin for i in 1 .. 100 loop
      insert into hub.person (email, name) values ('p' || i || '@x.test', 'P' || i); commit;
      update hub.person set name = name || '!' where email = 'p' || i || '@x.test'; commit;
    end loop; end $$`);
  await people.settled(40_000);
  expect(cuts).toBe(3);
  expect(Object.keys(people.left())).toHaveLength(100);
  const rows = await people.sql(`select op, count(*)::text as rows, count(distinct hub_id)::text as records
      from truespoke.journal where origin = 'application' group by op order by op`);
  expect(rows).toEqual([
    { op: 'insert', rows: '100', records: '100' },
    { op: 'update', rows: '100', records: '100' },
  ]);
  expect(people.writes('right').filter(({ op }) => op === 'create')).toHaveLength(100);
}, 90_000);
