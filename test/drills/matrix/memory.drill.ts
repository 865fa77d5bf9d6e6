// kill -9 around what no process may forget: bulk ids (F18, F19), the reconciler's place (F20), a rotated token (F21), a backfill's place
// (F25). Each drill has a hub of its own.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect } from 'vitest';
import { root } from '../../support/source-tree.js';
import { death, hits, sides } from './death.js';
import { World } from './world.js';

let world: World;
afterEach(() => world.end());

const calls = (part: string): number =>
  Object.entries(world.rig.salesforce.stats().byRoute).reduce(
    (sum, [route, count]) => sum + (route.includes(part) ? count : 0),
    0,
  );
const one = async (text: string, values: readonly unknown[] = []): Promise<Record<string, string | null> | undefined> =>
  (await world.rig.sql(text, values))[0];

const bulk = { salesforce: '    bulkWriteFrom: 201' };

// Shopify's writes have no bulk route. `storing`: made, its id not saved. `stored`: saved, nothing uploaded.
for (const point of ['state_storing', 'state_stored']) {
  for (const hit of hits) {
    death({ fault: 'F18', point, spoke: 'salesforce', hit }, async (row) => {
      world = await World.open(bulk, ['salesforce']);
      await world.mark();
      await world.dies(`${point}/salesforce:${hit}`, () => world.commitMany(600));
      const before = calls('POST /jobs/ingest');
      await world.recovers(row);
      // Nothing was started: the rows go again, in one more piece of bulk work at most.
      expect(calls('POST /jobs/ingest') - before).toBeLessThanOrEqual(1);
    });
  }
}

for (const hit of hits) {
  death({ fault: 'F19', point: 'results_unread', spoke: 'salesforce', hit }, async (row) => {
    world = await World.open(bulk, ['salesforce']);
    for (let round = 1; round < hit; round += 1) await world.lives(() => world.commitMany(600));
    await world.mark();
    world.rig.salesforce.faults.put({ id: 'hang', route: 'GET .*Results', kind: 'hang' });
    const engine = await world.rig.start();
    await world.commitMany(600);
    await world.rig.until(() => world.rig.salesforce.faults.list().some(({ struck }) => struck > 0));
    await world.rig.kill(engine);
    world.rig.salesforce.faults.clear();
    const before = calls('POST /jobs/ingest');
    await world.recovers(row);
    // What was submitted is fetched or read back, never submitted again.
    expect(calls('POST /jobs/ingest')).toBe(before);
  });
}

for (const point of ['sweep_fetched', 'sweep_saved']) {
  for (const spoke of sides) {
    for (const hit of hits) {
      death({ fault: 'F20', point, spoke, hit }, async (row) => {
        world = await World.open({}, [spoke]);
        await world.lives(() => Promise.resolve(world.loadMany(spoke, spoke === 'salesforce' ? 1_700 : 420)));
        await world.mark();
        await world.reconcileEverySecond();
        await world.dies(`${point}/${spoke}:${hit}`, null);
        const died = await one(
          `select id::text, coalesce(last_key, '') as key from truespoke.reconcile_run where kind = 'remote' and finished_at is null`,
        );
        expect(died?.['key'] !== '').toBe(point === 'sweep_saved' || hit > 1);
        await world.recovers(row, async () => {
          const run = await world.rig.until(() =>
            one(`select compared::text from truespoke.reconcile_run where id = $1 and finished_at is not null`, [
              died?.['id'],
            ]),
          );
          // The same run went on behind its last key: each link once, none left out.
          expect(run).toEqual(await one(`select count(*)::text as compared from truespoke.link where state = 'live'`));
        });
      });
    }
  }
}

for (const hit of hits) {
  death({ fault: 'F21', point: 'state_storing', spoke: 'salesforce', hit }, async (row) => {
    world = await World.open({
      salesforceAuth:
        'refreshToken: { clientId: "${SALESFORCE_ID}", clientSecret: "${SALESFORCE_SECRET}", refreshToken: "${SALESFORCE_REFRESH}" }',
      salesforceOptions: { auth: { rotateRefreshTokens: true } },
    });
    await world.mark();
    await world.dies(`state_storing/salesforce:${hit}`, async () => {
      world.rig.salesforce.auth.revokeAll('access');
      await world.commit();
    });
    const engine = await world.rig.start();
    const paused = (): Promise<Record<string, string | null> | undefined> =>
      one(`select paused_reason, paused_hint from truespoke.spoke where name = 'salesforce' and paused_at is not null`);
    expect(JSON.stringify(await world.rig.until(paused))).toMatch(/authori[sz]/i);
    // The other one runs.
    await world.commit();
    await world.rig.until(() => world.agrees(['shopify']));
    await world.rig.kill(engine);
    // A person authorises again.
    world.rig.env['SALESFORCE_REFRESH'] = world.rig.salesforce.auth.authorise();
    await promisify(execFile)(process.execPath, [join(root, 'bin', 'truespoke.js'), 'resume', 'salesforce'], {
      cwd: world.rig.folder,
      env: world.rig.env,
    });
    await world.recovers(row);
  });
}

for (const spoke of sides) {
  for (const hit of hits) {
    death({ fault: 'F25', point: 'page_merged', spoke, hit }, async (row) => {
      world = await World.openUnread([spoke]);
      const count = spoke === 'salesforce' ? 6_500 : 2_100;
      world.loadMany(spoke, count);
      await world.mark();
      await world.dies(`page_merged/${spoke}:${hit}`, null);
      const read = async (): Promise<number> =>
        Number(
          (await one(`select coalesce(sum(records), 0)::text as n from truespoke.cursor where kind = 'scan'`))?.['n'],
        );
      const before = await read();
      expect(before).toBeGreaterThan(0);
      expect(before).toBeLessThan(count);
      await world.recovers(row);
      // It went on where it was: no record was read twice.
      expect(await read()).toBe(count);
    });
  }
}
