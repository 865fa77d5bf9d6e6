// F120: spokes whose automations rewrite one field in turn are stopped after two rounds, and a person is asked.
// Proves: Law 2
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RemoteFields } from '../../src/model/record.js';
import { remotePath } from '../../src/model/ids.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const thing = `
entity: thing
fields: { code: { type: text, match: exact }, label: text }
spokes:
  left: { object: Thing, fields: { code: Code, label: Label } }
  right: { object: Thing, fields: { code: Code, label: Label } }
`;
const objects = { Thing: { fields: { Code: {}, Label: {} } } };

let wheel: Wheel;
beforeEach(async () => {
  wheel = await openWheel({ spokes: { left: { objects }, right: { objects } }, mappings: [thing] });
});
afterEach(() => wheel.end());

test('F120 ping-pong of two automations ends in an open conflict after a few rewrites', async () => {
  wheel.start();
  await wheel.sql(`insert into hub.thing (code, label) values ('t', 'Mixed')`);
  const label = remotePath('Label');
  const automation = (name: string, rewrite: (text: string) => string) => (): void => {
    for (const row of wheel.remote(name).list('Thing')) {
      const shown = String(row.fields[label] ?? '');
      if (rewrite(shown) !== shown)
        wheel.remote(name).edit('Thing', row.id, { [label]: rewrite(shown) } as RemoteFields);
    }
  };
  const left = automation('left', (text) => text.toUpperCase());
  const right = automation('right', (text) => text.toLowerCase());
  const conflict = await wheel.until(async () => {
    left();
    right();
    return (await wheel.sql(`select policy, state from truespoke.conflict where policy = 'ping_pong'`))[0];
  });
  expect(conflict).toEqual({ policy: 'ping_pong', state: 'open' });
  // From now on it is quiet: the automations find nothing to rewrite, and nothing is written.
  const writes = (): number =>
    [...wheel.remote('left').ledger, ...wheel.remote('right').ledger].filter((entry) => entry.by === 'self').length;
  let before = writes();
  await wheel.until(async () => {
    left();
    right();
    await wheel.settled();
    const quiet = writes() === before;
    before = writes();
    return quiet;
  });
  const polls = wheel.remote('left').calls['changes'] ?? 0;
  await wheel.until(() => {
    left();
    right();
    return (wheel.remote('left').calls['changes'] ?? 0) > polls + 10;
  });
  expect(writes()).toBe(before);
});
