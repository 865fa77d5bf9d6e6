// kill -9 at every instant between an application's commit and its effect at the spokes (F1–F11), at the first, second and third passing.
import { afterAll, beforeAll, expect } from 'vitest';
import { death, hits, sides, type Side } from './death.js';
import { World } from './world.js';

let world: World;
beforeAll(async () => {
  world = await World.open();
}, 120_000);
afterAll(() => world.end());

interface Instant {
  readonly fault: string;
  readonly point: string;
  /** What must be so while nobody runs. */
  readonly dead?: (spoke: Side) => Promise<void>;
  /** Before the engine that dies is started, and after it died. */
  readonly before?: (spoke: Side) => void;
}

/** F6: nothing of the transaction that was being journaled is left behind. */
async function leftNothing(): Promise<void> {
  const [row] = await world.rig.sql(
    `select (select count(*) from truespoke.journal j, truespoke.position p where j.commit_lsn >= p.durable_lsn)::text as journaled,
            (select count(*) from truespoke.delivery d, truespoke.position p where d.lsn >= p.durable_lsn)::text as deliveries`,
  );
  expect(row).toEqual({ journaled: '0', deliveries: '0' });
}

const ofTheStream: readonly Instant[] = [
  { fault: 'F1', point: 'source_begin', dead: leftNothing },
  { fault: 'F2', point: 'journal_inserted', dead: leftNothing },
  { fault: 'F3', point: 'journal_committed' },
  { fault: 'F5', point: 'journal_written', dead: leftNothing },
  { fault: 'F6', point: 'position_advanced', dead: leftNothing },
];

const states = async (spoke: Side): Promise<readonly (string | null | undefined)[]> =>
  (await world.rig.sql('select distinct state from truespoke.delivery where spoke = $1', [spoke])).map(
    (row) => row['state'],
  );

/** F10: base and delivery are one transaction, so the base says nothing that the delivery has not settled. */
async function settledTogether(spoke: Side): Promise<void> {
  expect(await states(spoke)).not.toEqual([]);
  const [row] = await world.rig.sql(
    `select count(*)::text as n from truespoke.delivery d join truespoke.link l using (spoke, entity, hub_id)
       join hub.customer c on c.id::text = d.hub_id
      where d.spoke = $1 and l.base_hub ->> 'first_name' = c.first_name`,
    [spoke],
  );
  expect(row).toEqual({ n: '0' });
}

/** Every answer to a write is lost, so that it has to be read back. */
function loseAnswers(spoke: Side): void {
  if (spoke === 'salesforce')
    world.rig.salesforce.faults.put({
      id: 'lost',
      route: '^(POST|PATCH|DELETE) .*(sobjects|composite)',
      kind: 'lost-response',
    });
  else world.rig.shopify.faults.put({ id: 'lost', route: '^mutation customer', kind: 'lost-response' });
}

const ofASpoke: readonly Instant[] = [
  { fault: 'F7', point: 'delivery_claimed', dead: async (spoke) => expect(await states(spoke)).toContain('claimed') },
  { fault: 'F8', point: 'delivery_sent', dead: async (spoke) => expect(await states(spoke)).toContain('sent') },
  { fault: 'F9', point: 'delivery_answered', dead: async (spoke) => expect(await states(spoke)).toContain('sent') },
  { fault: 'F10', point: 'delivery_settling', dead: settledTogether },
  {
    fault: 'F11',
    point: 'delivery_read_back',
    before: loseAnswers,
    dead: async (spoke) => expect(await states(spoke)).toContain('unknown'),
  },
];

for (const { fault, point, dead } of ofTheStream) {
  for (const hit of hits) {
    death({ fault, point, spoke: 'both', hit }, async (row) => {
      await world.mark();
      await world.dies(`${point}:${hit}`, () => world.commit());
      await dead?.('salesforce');
      await world.recovers(row);
    });
  }
}

for (const { fault, point, dead, before } of ofASpoke) {
  for (const spoke of sides) {
    for (const hit of hits) {
      death({ fault, point, spoke, hit }, async (row) => {
        await world.mark();
        before?.(spoke);
        await world.dies(`${point}/${spoke}:${hit}`, () => world.commit());
        world.rig[spoke].faults.clear();
        await dead?.(spoke);
        await world.recovers(row);
      });
    }
  }
}
