// The hub comes back as it was before (F33), or without the WAL that the slot needs (F34, F35), under the whole engine: it notices, begins a
// new epoch, and compares every record. Nothing is pushed blindly: what the spokes were given or edited since stays, and the hub gets it back.
// Proves: Invariant 4
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual, promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { slotOf } from '../../src/engine/engine.js';
import { alive, readPostmaster, start } from '../../src/store/postgres-process.js';
import { startTestCluster, testSettings, type TestCluster } from '../support/global-setup.js';
import { openPeople, type People } from '../support/people.js';

let people: People;
let cluster: TestCluster;
afterEach(async () => {
  await people.end();
  await cluster.stop();
});

const run = promisify(execFile);
const durable = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' };
const three = { 'ann@x.test': 'Ann', 'bob@x.test': 'Bob', 'cy@x.test': 'Cy' };

async function open(settings: Record<string, string> = durable): Promise<void> {
  cluster = await startTestCluster(settings);
  people = await openPeople({ cluster: cluster.url });
  people.start();
  await people.settled();
  await people.put(three);
  await people.agree(three);
}

async function stopServer(): Promise<void> {
  const { pid } = (await readPostmaster(cluster.dir)) ?? cluster;
  process.kill(pid, 'SIGINT');
  await expect.poll(() => alive(pid), { timeout: 20_000, interval: 10 }).toBe(false);
}

async function startServer(settings: Record<string, string> = durable): Promise<void> {
  const logFile = path.join(cluster.dir, '..', 'log');
  await start(cluster.cluster, { port: cluster.port, settings: { ...testSettings, ...settings }, logFile });
}

const copy = (): string => path.join(cluster.dir, '..', 'copy');
async function backUp(): Promise<void> {
  await stopServer();
  await run('cp', ['-a', cluster.dir, copy()]);
  await startServer();
}

async function putBack(): Promise<void> {
  await stopServer();
  await rm(cluster.dir, { recursive: true });
  await run('cp', ['-a', copy(), cluster.dir]);
  await startServer();
}

const epoch = async (): Promise<string | null | undefined> =>
  (await people.sql('select epoch::text as epoch from truespoke.position'))[0]?.['epoch'];

/** What happened between the backup and its return: at the hub, at a spoke, made, deleted. */
const since = { 'ann@x.test': 'Anna', 'bob@x.test': 'Bobby', 'dee@x.test': 'Dee' };
async function goOn(): Promise<void> {
  await people.until(() => people.put({ 'ann@x.test': 'Anna', 'dee@x.test': 'Dee' }).then(() => true));
  people.rename('left', 'bob@x.test', 'Bobby');
  await people.sql(`delete from hub.person where email = 'cy@x.test'`);
  await people.agree(since, 40_000);
}

const ledgers = (): [number, number] => [people.remote('left').ledger.length, people.remote('right').ledger.length];

test('F33 an older copy put back under the running engine: a new epoch, nothing pushed, and the hub gets back what it had lost', async () => {
  await open();
  await backUp();
  await goOn();
  const before = ledgers();
  await putBack();
  await people.agree(since, 60_000);
  expect(ledgers()).toEqual(before);
  expect(await epoch()).toBe('2');
  // And it goes on as before.
  await people.put({ 'dee@x.test': 'Deirdre' });
  await people.agree({ ...since, 'dee@x.test': 'Deirdre' });
}, 120_000);

test('F33 an older copy without its slot, as a base backup is: found at the start, a new epoch, nothing pushed', async () => {
  await open();
  await backUp();
  await goOn();
  await people.stop();
  const before = ledgers();
  await putBack();
  await people.until(() => people.sql(`select pg_drop_replication_slot($1)`, [slotOf(people.db.url)]).then(() => true));
  // An edit that nobody has captured: the comparison finds it.
  await people.put({ 'eve@x.test': 'Eve' });
  await people.restart();
  await people.agree({ ...since, 'eve@x.test': 'Eve' }, 60_000);
  const [left, right] = before;
  expect(ledgers()).toEqual([left + 1, right + 1]);
  expect(await epoch()).toBe('2');
}, 120_000);

test('F35 the server gave up the WAL that the slot needs: a new epoch, every edit of the gap arrives, unseen deletions wait for a person', async () => {
  await open({ ...durable, max_slot_wal_keep_size: '1MB', max_wal_size: '64MB', wal_keep_size: '0' });
  await people.stop();
  await people.put({ 'ann@x.test': 'Anna', 'dee@x.test': 'Dee' });
  await people.sql(`delete from hub.person where email = 'cy@x.test'`);
  await people.until(async () => {
    await people.sql('select pg_switch_wal()');
    await people.sql('create table if not exists public.filler (t text)');
    await people.sql(`insert into public.filler select repeat('x', 1000) from generate_series(1, 1000)`);
    await people.sql('checkpoint');
    const [row] = await people.sql('select wal_status as status from pg_replication_slots');
    return row?.['status'] === 'lost';
  }, 40_000);
  await people.restart();
  const sorted = (all: Readonly<Record<string, unknown>>): unknown => Object.entries(all).sort();
  const shown = sorted({ ...three, 'ann@x.test': 'Anna', 'dee@x.test': 'Dee' });
  await people.until(() => {
    const both = [sorted(people.left()), sorted(people.right())];
    if (isDeepStrictEqual(both, [shown, shown])) return true;
    throw new Error(JSON.stringify(both));
  }, 40_000);
  expect(await epoch()).toBe('2');
  expect(await people.sql(`select kind, state from truespoke.review order by spoke`)).toEqual([
    { kind: 'mass_delete', state: 'open' },
    { kind: 'mass_delete', state: 'open' },
  ]);
}, 120_000);
