// Law 2: the base moves only after a confirmed effect, and still a spoke that was overruled gets the hub's value in the end.
// Proves: Law 2, Invariant 1
import { afterEach, expect, test } from 'vitest';
import { remotePath } from '../../src/model/ids.js';
import type { RemoteFields } from '../../src/model/record.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const thing = `
entity: thing
fields: { code: { type: text, match: exact }, label: { type: text, authority: hub } }
spokes:
  left: { object: Thing, fields: { code: Code, label: Label } }
`;
const label = remotePath('Label');

let wheel: Wheel;
afterEach(() => wheel.end());

test('a hub value that returns to the base is still sent to a spoke whose later edit it overruled', async () => {
  wheel = await openWheel({
    spokes: { left: { objects: { Thing: { fields: { Code: {}, Label: {} } } } } },
    mappings: [thing],
    engine: { roles: ['capture', 'inbound'] },
  });
  const id = wheel.remote('left').create('Thing', { Code: 't', Label: 'A' } as RemoteFields);
  wheel.start();
  // Captured from here on: what is committed before the slot is there stands in no journal. A row that came in before it is marked for
  // comparison, and nobody delivers here yet: there is no rest to wait for.
  const rows = async (table: string): Promise<number> => (await wheel.sql(`select 1 from ${table}`)).length;
  await wheel.until(async () => (await rows('truespoke.position')) > 0 && (await rows('hub.thing')) > 0);
  await wheel.sql(`update hub.thing set label = 'B'`);
  wheel.remote('left').edit('Thing', id, { [label]: 'R' } as RemoteFields);
  await wheel.until(async () => (await wheel.sql(`select 1 from truespoke.conflict where winner = 'hub'`)).length > 0);
  await wheel.sql(`update hub.thing set label = 'A'`);
  await wheel.until(
    async () =>
      (await wheel.sql(`select 1 from truespoke.journal where after ->> 'label' = 'A' and op = 'update'`)).length > 0,
  );
  await wheel.restart({ roles: ['capture', 'inbound', 'outbound'] });
  await wheel.until(() => wheel.remote('left').get('Thing', id)?.fields[label] === 'A');
  await wheel.settled();
  expect(await wheel.sql('select label from hub.thing')).toEqual([{ label: 'A' }]);
});

test.each([true, false])(
  'what somebody writes into the emptiness that the hub is about to fill is not written over (conditional writes: %s)',
  async (conditionalWrite) => {
    wheel = await openWheel({
      spokes: { left: { capabilities: { conditionalWrite }, objects: { Thing: { fields: { Code: {}, Label: {} } } } } },
      mappings: [thing],
      engine: { roles: ['capture', 'inbound'] },
    });
    const left = wheel.remote('left');
    const id = left.create('Thing', { Code: 't', Label: null } as RemoteFields);
    await wheel.sql(`insert into hub.thing (code, label) values ('t', 'hub')`);
    wheel.start();
    await wheel.until(
      async () => (await wheel.sql(`select 1 from truespoke.link where overruled is not null`)).length > 0,
    );
    await wheel.stop();
    left.edit('Thing', id, { [label]: 'somebody' } as RemoteFields);
    await wheel.restart({ roles: ['capture', 'outbound'] });
    await wheel.until(() => left.get('Thing', id)?.fields[label] === 'hub');
    expect(await wheel.sql('select hub_value, spoke_value from truespoke.conflict')).toEqual([
      { hub_value: 'hub', spoke_value: 'somebody' },
    ]);
  },
);

/** A record that is known at the spoke with `shown` meets a row with `held`; before anything goes out the hub holds `later`. */
async function joined(shown: string | null, held: string, later: string | null): Promise<string> {
  wheel = await openWheel({
    spokes: { left: { objects: { Thing: { fields: { Code: {}, Label: {} } } } } },
    mappings: [thing],
    engine: { roles: ['capture', 'inbound'] },
  });
  const id = wheel.remote('left').create('Thing', { Code: 't', Label: shown } as RemoteFields);
  await wheel.sql(`insert into hub.thing (code, label) values ('t', '${held}')`);
  wheel.start();
  await wheel.until(
    async () => (await wheel.sql(`select 1 from truespoke.link where overruled is not null`)).length > 0,
  );
  await wheel.sql(`update hub.thing set label = ${later === null ? 'null' : `'${later}'`}`);
  await wheel.restart({ roles: ['capture', 'inbound', 'outbound'] });
  await wheel.settled();
  return id;
}

test.each([
  ['the hub is emptied before it fills what the spoke left empty', null, null],
  ['the hub comes round to what the spoke shows before it writes over that', 'spoke', 'spoke'],
])('%s: they agree, and nothing is written', async (_what, shown, later) => {
  const id = await joined(shown, 'hub', later);
  expect(wheel.remote('left').ledger.filter(({ by }) => by === 'self')).toEqual([]);
  expect(wheel.remote('left').get('Thing', id)?.fields[label]).toBe(later);
  expect(
    await wheel.sql(`select base_hub ->> 'label' as hub, base_hub ? 'label' as agreed, overruled from truespoke.link`),
  ).toEqual([{ hub: later, agreed: 't', overruled: null }]);
});

test('the hub is emptied before it writes over what the spoke shows: the spoke is emptied too', async () => {
  const id = await joined('spoke', 'hub', null);
  expect(wheel.remote('left').get('Thing', id)?.fields[label]).toBeNull();
  expect(await wheel.sql(`select hub_value, spoke_value from truespoke.conflict`)).toEqual([
    { hub_value: 'hub', spoke_value: 'spoke' },
  ]);
});

test('a search for twins in the same batch gives nobody the time to be written over: the look at what changed comes after it', async () => {
  const left = { conditionalWrite: false, writeBatch: 10 };
  wheel = await openWheel({
    spokes: { left: { capabilities: left, objects: { Thing: { fields: { Code: {}, Label: {} } } } } },
    mappings: [thing],
  });
  const remote = wheel.remote('left');
  const id = remote.create('Thing', { Code: 't', Label: 'A' } as RemoteFields);
  wheel.start();
  await wheel.until(async () => (await wheel.sql('select 1 from hub.thing')).length > 0);
  await wheel.settled();
  await wheel.restart({ roles: ['capture'] });
  // One batch: an update, which is looked at first, and a create, for which a twin is searched.
  await wheel.sql(
    `with edited as (update hub.thing set label = 'B') insert into hub.thing (code, label) values ('u', 'C')`,
  );
  await wheel.until(async () => (await wheel.sql('select 1 from truespoke.delivery')).length === 2);
  await wheel.stop();
  let searches = 0;
  Object.defineProperty(remote.calls, 'find', {
    get: () => searches,
    set(count: number) {
      searches = count;
      remote.edit('Thing', id, { [label]: 'somebody' } as RemoteFields);
    },
  });
  await wheel.restart({ roles: ['outbound'] });
  await wheel.until(() => remote.list('Thing').length === 2 && remote.get('Thing', id)?.fields[label] === 'B');
  expect(searches).toBe(1);
  // The hub's field has the authority; what it went over is kept.
  expect(await wheel.sql('select hub_value, spoke_value from truespoke.conflict')).toEqual([
    { hub_value: 'B', spoke_value: 'somebody' },
  ]);
});
