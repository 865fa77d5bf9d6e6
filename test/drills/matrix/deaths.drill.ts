// kill -9 together with something else: Postgres crashes at the same time (F4), a record is being set aside (F22), a migration is half-way
// (F23), a sleeper wakes after another took over (F24), the process is killed again and again while it recovers (F26).
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect } from 'vitest';
import { alive, readPostmaster, start } from '../../../src/store/postgres-process.js';
import { startTestCluster, testSettings, type TestCluster } from '../../support/global-setup.js';
import { death, hits, measureRecovery, sides } from './death.js';
import { World } from './world.js';

let world: World;
let cluster: TestCluster | null = null;
afterEach(async () => {
  await world.end();
  await cluster?.stop();
  cluster = null;
});

const count = async (from: string): Promise<number> =>
  Number((await world.rig.sql(`select count(*)::text as n from ${from}`))[0]?.['n']);

const durable = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' };

for (const hit of hits) {
  death({ fault: 'F4', point: 'acknowledged', spoke: 'both', hit }, async (row) => {
    const own = await startTestCluster(durable);
    cluster = own;
    world = await World.open({ cluster: own.url });
    await world.rig.sql('checkpoint');
    await world.mark();
    await world.dies(`acknowledged:${hit}`, () => world.commit());
    const { pid } = (await readPostmaster(own.dir)) ?? own;
    process.kill(pid, 'SIGQUIT');
    await world.rig.until(() => !alive(pid));
    const logFile = path.join(own.dir, '..', 'log');
    await start(own.cluster, { port: own.port, settings: { ...testSettings, ...durable }, logFile });
    await world.recovers(row);
  });
}

// Before and after the transaction that sets a record aside.
for (const [point, kept] of [
  ['delivery_settling', 0],
  ['delivery_settled', 1],
] as const) {
  for (const spoke of sides) {
    for (const hit of hits) {
      death({ fault: 'F22', point, spoke, hit }, async (row) => {
        world = await World.open({}, [spoke]);
        world.rig.salesforce.rules.validations.put({
          ...{ id: 'v', object: 'Contact', message: 'not an address', field: 'Email' },
          rejects: (record) => !String(record['Email']).includes('@'),
        });
        // The shop itself refuses what is no address.
        const bad = (n: number): Promise<unknown> =>
          world.rig.sql(`insert into hub.customer (email, first_name, last_name) values ('bad${n}', 'B', 'Bad')`);
        const open = (): Promise<number> => count(`truespoke.parked where state = 'open'`);
        await bad(1);
        const engine = await world.rig.start(`${point}/${spoke}:${hit}`);
        for (let n = 1; n < hit; n += 1) {
          await world.rig.until(async () => (await open()) === n);
          await bad(n + 1);
        }
        expect(await engine.ended).toBe('SIGKILL');
        expect(await open()).toBe(hit - 1 + kept);
        const measured = measureRecovery();
        const next = await world.rig.start();
        measured.up(next);
        await world.rig.until(async () => (await open()) === hit);
        row.recovery = measured.agreed();
        await world.rig.settled();
        expect(await count('truespoke.parked')).toBe(hit);
        await world.rig.sql(`update hub.customer set email = email || '@x.test' where email like 'bad%'`);
        await world.rig.until(async () => (await open()) === 0);
        expect(world.shown(spoke).filter((one) => one.startsWith('bad'))).toHaveLength(hit);
        await world.rig.kill(next);
      });
    }
  }
}

for (const [point, times] of [
  ['migration_ran', hits],
  ['schema_migrated', [1]],
  ['hub_migrated', [1]],
] as const) {
  for (const hit of times) {
    death({ fault: 'F23', point, spoke: 'both', hit }, async (row) => {
      world = await World.openUnread();
      const dying = await world.rig.start(`${point}:${hit}`);
      expect(await dying.ended).toBe('SIGKILL');
      // Files run in one transaction: all of them or none.
      const [link] = await world.rig.sql(`select to_regclass('truespoke.link')::text as there`);
      expect(link?.['there'] === null).toBe(point === 'migration_ran');
      world.loadMany('salesforce', 3);
      await world.mark();
      world.mustArrive('shopify');
      await world.recovers(row);
    });
  }
}

async function isAsleep(pid: number): Promise<boolean> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'state=', '-p', String(pid)]);
  return stdout.trim().startsWith('T');
}

for (const point of ['delivery_claimed', 'delivery_answered']) {
  for (const spoke of sides) {
    for (const hit of hits) {
      death({ fault: 'F24', point, spoke, hit }, async (row) => {
        world = await World.open({}, [spoke]);
        await world.mark();
        const sleeper = await world.rig.start(`${point}/${spoke}:${hit}:stop`);
        const sleeps = (): Promise<boolean> => isAsleep(sleeper.child.pid ?? 0);
        for (let n = 1; n <= 10 && !(await sleeps()); n += 1) {
          await world.commit();
          await world.rig.until(async () => (await sleeps()) || (await world.agrees()));
        }
        expect(await sleeps()).toBe(true);
        const measured = measureRecovery();
        const next = await world.rig.startBeside();
        measured.up(next);
        // Five minutes later: its leases have run out, and Postgres has given up its stream (wal_sender_timeout), where a commit may still be
        // waiting that it was too sleepy to journal.
        await world.rig.sql(
          `update truespoke.delivery set lease_until = lease_until - interval '1 hour' where lease_until is not null`,
        );
        await world.rig.sql(
          `select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database() and active_pid is not null`,
        );
        await world.rig.until(() => world.agrees());
        row.recovery = measured.agreed();
        sleeper.child.kill('SIGCONT');
        await world.judge();
        await world.rig.kill(next);
        await world.rig.kill(sleeper);
      });
    }
  }
}

for (const spoke of sides) {
  for (const hit of hits) {
    death({ fault: 'F26', point: 'delivery_answered, then thrice', spoke, hit }, async (row) => {
      world = await World.open();
      await world.mark();
      await world.dies(`delivery_answered/${spoke}:${hit}`, () => world.commit());
      for (const point of ['delivery_read_back', 'delivery_read_back', 'delivery_settling'])
        await world.rig.dieAt(`${point}/${spoke}`);
      await world.recovers(row);
    });
  }
}
