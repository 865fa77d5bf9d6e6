// kill -9 at every instant between a person's edit at a spoke and its effect in the hub (F12–F17), at the first, second and third passing.
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import { death, hits, sides, type Side } from './death.js';
import { World } from './world.js';

let world: World;
beforeAll(async () => {
  world = await World.open();
}, 120_000);
afterAll(() => world.end());

/** What is edited comes by polling only, so that the page under test is what brings it. */
function silenceHints(on: boolean): void {
  world.rig.shopify.webhooks.plan.drop = on ? 1 : 0;
  if (on) world.rig.salesforce.faults.put({ id: 'no stream', route: 'cometd', kind: 'refuse' });
  else world.rig.salesforce.faults.clear();
}

const polled = [
  { fault: 'F12', point: 'page_fetched', merged: false },
  { fault: 'F13', point: 'page_written', merged: false },
  { fault: 'F14', point: 'cursor_written', merged: false },
  { fault: 'F15', point: 'page_merged', merged: null },
] as const;

const firstNames = async (spoke: Side): Promise<string | null | undefined> =>
  (await world.rig.sql('select first_name from hub.customer where email = $1', [`${spoke}@x.test`]))[0]?.['first_name'];

for (const { fault, point, merged } of polled) {
  for (const spoke of sides) {
    for (const hit of hits) {
      death({ fault, point, spoke, hit }, async (row) => {
        await world.mark();
        silenceHints(true);
        await world.dies(`${point}/${spoke}:${hit}`, () => world.personEdits(spoke));
        // What was in the page under way is not in the hub: rows and cursor are one transaction.
        if (merged === false) expect(await firstNames(spoke)).not.toBe(world.lastValue());
        await world.recovers(row);
      });
    }
  }
}

const webhooks = [
  { fault: 'F16', point: 'webhook_verified' },
  { fault: 'F17', point: 'webhook_stored' },
] as const;

// Salesforce sends none: what its stream tells is only a hint, and polling stands behind it.
for (const { fault, point } of webhooks) {
  for (const hit of hits) {
    death({ fault, point, spoke: 'shopify', hit }, async (row) => {
      await world.mark();
      silenceHints(false);
      const before = world.rig.shopify.webhooks.deliveries().length;
      await world.dies(`${point}:${hit}`, () => world.personEdits('shopify'));
      await world.recovers(row);
      // The provider was told 2xx in the end, and each event stands in the inbox once.
      const told = world.rig.shopify.webhooks.deliveries().slice(before);
      expect(told.map(({ tries }) => tries.at(-1))).toEqual(told.map(() => 200));
      expect(told.filter(({ tries }) => tries[0] === null).length).toBeGreaterThan(0);
      const rows = await world.rig.sql(
        `select event_id, count(*)::text as n from truespoke.inbox group by 1 having count(*) > 1`,
      );
      expect(rows).toEqual([]);
    });
  }
}

beforeEach(() => {
  silenceHints(false);
});
