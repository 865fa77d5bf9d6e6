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
  await wheel.until(async () => (await wheel.sql('select 1 from hub.thing')).length > 0);
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
