// A create that meets the record that an earlier one made: nothing is written unseen, what others made of it since is merged.
// Proves: Law 5
import { afterEach, expect, test } from 'vitest';
import { hubId } from '../../src/model/ids.js';
import type { RemoteFields } from '../../src/model/record.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const thing = (direction: string): string => `
entity: thing
fields: { code: { type: text, match: exact }, label: text, price: { type: decimal, scale: 2 } }
spokes:
  left: { object: Thing, direction: ${direction}, fields: { code: Code, label: Label, price: Price } }
`;
const id = '019b76da-c580-7b2b-8111-37cc16b3453a';
const fields = { Code: {}, Label: {}, Price: { type: 'number' as const } };

let wheel: Wheel;
afterEach(() => wheel.end());

const open = async (direction: 'both' | 'out'): Promise<void> => {
  wheel = await openWheel({ spokes: { left: { objects: { Thing: { fields } } } }, mappings: [thing(direction)] });
  wheel.start();
  await wheel.settled();
};
const shown = (): readonly RemoteFields[] =>
  wheel
    .remote('left')
    .list('Thing')
    .map((row) => row.fields);

test('F65 F83 the first create arrives late, somebody edits what it made, the second one meets it: the edit comes in', async () => {
  await open('both');
  const left = wheel.remote('left');
  let sent = 0;
  const crashpoint = (name: string): void => {
    if (name !== 'delivery_sent/left') return;
    sent += 1;
    if (sent !== 2) return;
    // After the read-back and every look, before the second one is there.
    const first = { Code: 't', Label: 'ours', Price: 1 } as RemoteFields;
    const made = left.applySelf({ op: 'create', object: 'Thing', hubKey: hubId(id), fields: first, children: {} });
    if (made.outcome === 'applied') left.edit('Thing', made.row?.id ?? '', { Label: 'by a person' });
  };
  await wheel.restart({ roles: ['capture', 'outbound'], crashpoint });
  left.faults.next('lostUnapplied');
  await wheel.sql(`insert into hub.thing (id, code, label, price) values ($1, 't', 'ours', 1)`, [id]);
  await wheel.until(async () => (await wheel.sql(`select 1 from hub.thing where label = 'by a person'`)).length > 0);
  await wheel.settled();
  expect(shown()).toMatchObject([{ Code: 't', Label: 'by a person', Price: 1 }]);
  expect(await wheel.sql('select field from truespoke.conflict')).toEqual([]);
  expect(sent).toBe(2);
});

test.each([
  ['both', 'by a person'],
  ['out', 'ours'],
] as const)(
  'F83 a create meets a record that carries our key, and nothing is known of who made it (direction %s): it is linked, and there is one',
  async (direction, label) => {
    await open(direction);
    const left = wheel.remote('left');
    // Unlike what the hub holds, so that no look by its match key finds it.
    const given = { Code: 'other', ...(direction === 'both' ? { Label: label } : { Label: 'by a person' }) };
    await wheel.restart({ roles: ['capture', 'outbound'] });
    left.create('Thing', given, { hubKey: hubId(id) });
    await wheel.sql(`insert into hub.thing (id, code, label, price) values ($1, 't', 'ours', 1)`, [id]);
    await wheel.until(async () => (await wheel.sql(`select 1 from truespoke.link where state = 'live'`)).length > 0);
    await wheel.settled();
    const [row] = await wheel.sql('select code, label from hub.thing');
    expect(shown()).toMatchObject([{ Code: row?.['code'], Label: row?.['label'], Price: 1 }]);
    if (direction === 'out') expect(row).toEqual({ code: 't', label: 'ours' });
    const lost = await wheel.sql('select field from truespoke.conflict order by field');
    expect(lost.map(({ field }) => field)).toEqual(direction === 'both' ? ['code', 'label'] : []);
  },
);
