// The disk of the hub is full (F38), and the network swallows every byte between engine and hub (F30), under the whole engine: nothing is
// acknowledged that is not stored, nobody is told that all is well, and it goes on by itself.
// Proves: Invariant 3, Invariant 4
import { execFileSync } from 'node:child_process';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { createLog } from '../../src/base/log.js';
import { defaultLimits } from '../../src/engine/engine.js';
import { startTestCluster } from '../support/global-setup.js';
import { openPeople, type People } from '../support/people.js';
import { startProxy, type Proxy } from '../support/proxy.js';

let people: People;
const cleanup: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  await people.end();
  for (const step of cleanup.splice(0).reverse()) await step();
});

const three = { 'ann@x.test': 'Ann', 'bob@x.test': 'Bob', 'cy@x.test': 'Cy' };

/** A small disk that the server may use, or why there is none. */
async function smallDisk(owner: { readonly uid: number; readonly gid: number } | undefined): Promise<string | null> {
  const folder = await mkdtemp(path.join(tmpdir(), 'truespoke-disk-'));
  cleanup.push(() => rm(folder, { recursive: true, force: true }));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    // Not allowed here, in a container for instance.
    return null;
  }
  cleanup.push(() => void execFileSync('umount', [folder]));
  if (owner !== undefined) await chown(folder, owner.uid, owner.gid);
  return folder;
}

test.skipIf(process.getuid?.() !== 0)(
  'F38 disk full while journaling: nothing acknowledged, deliveries made of nothing, recovers by itself once there is room',
  async (context) => {
    const cluster = await startTestCluster();
    cleanup.push(() => cluster.stop());
    people = await openPeople({ cluster: cluster.url });
    const folder = await smallDisk(cluster.cluster.account);
    if (folder === null) return context.skip('a file system cannot be mounted here');
    people.start();
    await people.settled();
    await people.put(three);
    await people.agree(three);
    await people.stop();
    await people.sql(`create tablespace small location '${folder}'`);
    const [journal] = await people.sql(
      `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'truespoke.journal'::regclass`,
    );
    await people.sql(`alter table ${journal?.['name']} set tablespace small`);
    await people.sql('create table public.ballast (t text) tablespace small');
    await people
      .sql(`insert into public.ballast select repeat(md5(i::text), 200) from generate_series(1, 100000) i`)
      .catch(() => undefined);
    // A failed statement gives its room back: fill it piece by piece.
    for (const rows of [400, 100, 20, 5, 1, 1]) {
      while (
        await people
          .sql(
            `insert into public.ballast select repeat(md5(i::text || random()), 200) from generate_series(1, ${rows}) i`,
          )
          .then(
            () => true,
            () => false,
          )
      );
    }
    const at = async (): Promise<Record<string, string | null> | undefined> =>
      (
        await people.sql(
          `select p.durable_lsn::text as stored, (s.confirmed_flush_lsn <= p.durable_lsn)::text as honest
             from truespoke.position p join pg_replication_slots s on s.slot_name = p.slot`,
        )
      )[0];
    const before = await at();
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`p${i}@x.test`, `P${i}`]));
    await people.put(many);
    await people.restart();
    const status = async (): Promise<string> => JSON.stringify((await people.engine.status()).replication);
    await people.until(
      async () => /No space left|53100|disk/i.test(await status()) || Promise.reject(new Error(await status())),
    );
    expect(await at()).toEqual({ stored: before?.['stored'], honest: 'true' });
    expect(people.writes('left').filter(({ op }) => op === 'create')).toHaveLength(3);
    await people.sql('drop table public.ballast');
    await people.agree({ ...three, ...many }, 60_000);
    expect(people.writes('left').filter(({ op }) => op === 'create')).toHaveLength(303);
    const [row] = await people.sql(
      `select count(*)::text as n, count(distinct hub_id)::text as records from truespoke.journal where op = 'insert' and origin = 'application'`,
    );
    expect(row).toEqual({ n: '303', records: '303' });
    await people.stop();
    await people.sql(`alter table ${journal?.['name']} set tablespace pg_default`);
    await people.sql('drop tablespace small');
  },
  120_000,
);

test('F30 a black hole without FIN between engine and hub: our own timer notices, a new stream, nothing lost, nothing twice', async () => {
  const lines: string[] = [];
  let proxy: Proxy | null = null;
  const hub = { url: '', embedded: false, serverVersion: null, poolSize: 10 };
  people = await openPeople({
    before: async (db) => {
      const opened = await startProxy({ host: '127.0.0.1', port: Number(new URL(db.url).port) });
      cleanup.push(() => opened.close());
      proxy = opened;
      hub.url = opened.through(db.url);
    },
    engine: { hub, log: createLog({ level: 'warn', destination: { write: (line: string) => void lines.push(line) } }) },
    limits: { capture: { ...defaultLimits.capture, idleAdvanceMs: 1_000, waitMs: 200, silenceMsMax: 1_500 } },
  });
  people.start();
  await people.settled();
  await people.put(three);
  await people.agree(three);
  const network = proxy as unknown as Proxy;
  const expected = { ...three, 'ann@x.test': 'Anna', 'bob@x.test': 'Bobby', 'dee@x.test': 'Dee' };
  network.blackHole(true);
  const from = performance.now();
  await people.put({ 'ann@x.test': 'Anna', 'dee@x.test': 'Dee' });
  people.rename('left', 'bob@x.test', 'Bobby');
  // The stream's silence, or the statement that was under way: whichever timer ends first.
  await people
    .until(() => lines.some((line) => line.includes('"service":"capture"')), 60_000)
    .catch((error: unknown) => {
      throw new Error(lines.join(''), { cause: error });
    });
  expect(performance.now() - from).toBeLessThan(60_000);
  // The network is back; it knows the old connections no more.
  network.reset();
  network.blackHole(false);
  await people.agree(expected, 60_000);
  for (const side of ['left', 'right'] as const)
    expect(people.writes(side).filter(({ op }) => op === 'create')).toHaveLength(4);
}, 120_000);
