// Law 2: where an answer shows nothing of the record and the look after it fails, the base is what we sent until the spoke shows it.
// Proves: Law 2
import { afterEach, expect, test } from 'vitest';
import type { RemoteFields } from '../../src/model/record.js';
import { remotePath } from '../../src/model/ids.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const thing = `
entity: thing
fields: { code: { type: text, match: exact }, label: text, price: { type: decimal, scale: 2 } }
spokes:
  left: { object: Thing, fields: { code: Code, label: Label, price: Price } }
`;

let wheel: Wheel;
afterEach(() => wheel.end());

async function createdUnseen(): Promise<string> {
  wheel = await openWheel({
    spokes: {
      left: {
        versions: 'clock',
        capabilities: { returnsRecord: false, conditionalWrite: false, idempotentCreate: false },
        objects: {
          Thing: {
            fields: {
              Code: {},
              Label: { normalise: ['uppercase'] },
              Price: { type: 'number', normalise: ['round:0'] },
            },
          },
        },
      },
    },
    mappings: [thing],
  });
  const left = wheel.remote('left');
  // The look after the write is refused: nobody sees what the spoke made of it.
  left.trigger('Thing', (fields, before) => {
    if (before === null) left.faults.next('refused', 'read');
    return fields;
  });
  wheel.start();
  await wheel.settled();
  await wheel.restart({ roles: ['capture', 'outbound'] });
  await wheel.sql(`insert into hub.thing (code, label, price) values ('t', 'anna', 12.25)`);
  await wheel.until(() => left.list('Thing').length === 1);
  await wheel.until(async () => (await wheel.sql(`select 1 from truespoke.link where state = 'live'`)).length === 1);
  return left.list('Thing')[0]?.id ?? '';
}

test("the first sight of our own write in the spoke's spelling is nobody's edit", async () => {
  await createdUnseen();
  await wheel.restart({ roles: ['capture', 'inbound', 'outbound'] });
  await wheel.until(
    async () => (await wheel.sql(`select 1 from truespoke.link where base_remote::text like '%ANNA%'`)).length === 1,
  );
  await wheel.settled();
  expect(await wheel.sql('select label, price from hub.thing')).toEqual([{ label: 'anna', price: '12.25' }]);
  expect(wheel.remote('left').ledger).toHaveLength(1);
});

test('an edit made before the first sight is one', async () => {
  const id = await createdUnseen();
  wheel.remote('left').edit('Thing', id, { [remotePath('Price')]: 13 } as RemoteFields);
  await wheel.restart({ roles: ['capture', 'inbound', 'outbound'] });
  await wheel.until(async () => (await wheel.sql(`select 1 from hub.thing where price = 13`)).length === 1);
  await wheel.settled();
  expect(await wheel.sql('select label, price from hub.thing')).toEqual([{ label: 'anna', price: '13.00' }]);
});
