// Law 4: reading back what became of a write of ours takes account of that write, not of what others did to the record meanwhile.
// Proves: Law 4, Invariant 1
import { afterEach, expect, test } from 'vitest';
import { openWheel, type Wheel } from '../support/wheel.js';

const thing = `
entity: thing
fields: { code: { type: text, match: exact }, label: text, price: { type: decimal, scale: 2 } }
spokes:
  left: { object: Thing, fields: { code: Code, label: Label, price: Price } }
`;

let wheel: Wheel;
afterEach(() => wheel.end());

test.each([true, false])(
  'F64 somebody edits another field before we come to look: the next write does not go over it (conditional writes: %s)',
  async (conditionalWrite) => {
    const fields = { Code: {}, Label: {}, Price: { type: 'number' as const } };
    wheel = await openWheel({
      spokes: { left: { capabilities: { conditionalWrite, tellsAuthor: false }, objects: { Thing: { fields } } } },
      mappings: [thing],
    });
    const left = wheel.remote('left');
    const id = left.create('Thing', { Code: 't', Label: 'first', Price: 1 });
    wheel.start();
    await wheel.settled();
    // Nothing else looks at the spoke.
    await wheel.restart({ roles: ['capture', 'outbound'] });
    const read = (): number => left.calls['fetch'] ?? 0;
    let edited = false;
    left.trigger('Thing', (values) => {
      if (!edited) queueMicrotask(() => left.edit('Thing', id, { Label: 'by a person' }));
      edited = true;
      return values;
    });
    left.faults.next('lostApplied');
    const before = read();
    await wheel.sql(`update hub.thing set price = 2`);
    await wheel.until(async () => {
      const open = await wheel.sql(`select 1 from truespoke.delivery`);
      return open.length === 0 && edited && read() > before;
    });
    await wheel.sql(`update hub.thing set label = 'by an application'`);
    await wheel.until(async () => {
      const open = await wheel.sql(`select 1 from truespoke.delivery`);
      const captured = await wheel.sql(`select 1 from truespoke.journal where after ->> 'label' = 'by an application'`);
      return open.length === 0 && captured.length > 0;
    });
    expect(await wheel.sql('select field, hub_value, spoke_value from truespoke.conflict')).toEqual([
      { field: 'label', hub_value: 'by an application', spoke_value: 'by a person' },
    ]);
    const [row] = await wheel.sql('select label from hub.thing');
    expect(left.get('Thing', id)?.fields['Label' as never]).toBe(row?.['label']);
  },
);
