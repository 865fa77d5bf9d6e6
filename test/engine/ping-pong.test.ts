// F120: spokes whose automations rewrite one field in turn are stopped after two rounds, and a person is asked.
// Proves: Law 2
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { resolveConflict, type Choice } from '../../src/engine/resolve.js';
import type { RemoteFields } from '../../src/model/record.js';
import { entityName, remotePath } from '../../src/model/ids.js';
import { openHubTable } from '../../src/store/hub.js';
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

const label = remotePath('Label');
const shownIn = (name: string): unknown => wheel.remote(name).list('Thing')[0]?.fields[label];
const edit = (name: string, text: string): void => {
  const [row] = wheel.remote(name).list('Thing');
  wheel.remote(name).edit('Thing', row?.id ?? '', { [label]: text } as RemoteFields);
};
/** A rule inside the spoke that rewrites what it does not like. */
const automation = (name: string, rewrite: (text: string) => string) => (): void => {
  const shown = shownIn(name);
  if (typeof shown === 'string' && rewrite(shown) !== shown) edit(name, rewrite(shown));
};
const left = automation('left', (text) => text.toUpperCase());
const right = automation('right', (text) => text.toLowerCase());
const writes = (): number =>
  [...wheel.remote('left').ledger, ...wheel.remote('right').ledger].filter((entry) => entry.by === 'self').length;

const openOnes = (): Promise<Record<string, string | null>[]> =>
  wheel.sql(`select id, spoke from truespoke.conflict where policy = 'ping_pong' and state = 'open'`);

/** The automations run until one of them is stopped. */
const stopped = (): Promise<Record<string, string | null>> =>
  wheel.until(async () => {
    left();
    right();
    return (await openOnes())[0];
  });

async function decide(id: string | null | undefined, choice: Choice): Promise<void> {
  const entity = wheel.mapping.entities.get(entityName('thing'));
  if (entity === undefined) throw new Error('not mapped');
  const tables = new Map([[entity.name, await openHubTable(wheel.db.pool, entity)]]);
  await resolveConflict({ pool: wheel.db.pool, clock: systemClock, tables }, id ?? '', choice, 'ann');
}

test('F120 ping-pong of two automations ends in an open conflict after a few rewrites', async () => {
  wheel.start();
  await wheel.sql(`insert into hub.thing (code, label) values ('t', 'Mixed')`);
  const conflict = await wheel.until(async () => {
    left();
    right();
    return (await wheel.sql(`select policy, state from truespoke.conflict where policy = 'ping_pong'`))[0];
  });
  expect(conflict).toEqual({ policy: 'ping_pong', state: 'open' });
  // From now on it is quiet: the automations find nothing to rewrite, and nothing is written.
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

test('F120 once a person has decided, the field flows; automations that go on are stopped and asked about again', async () => {
  wheel.start();
  await wheel.sql(`insert into hub.thing (code, label) values ('t', 'Mixed')`);
  const first = await stopped();
  const before = writes();
  await decide(first['id'], { kind: 'hub' });
  await stopped();
  // A round or two, not for ever.
  expect(writes() - before).toBeLessThanOrEqual(8);
  // The rules are repaired; whatever is open is decided.
  for (const { id } of await openOnes()) await decide(id, { kind: 'value', value: 'agreed' });
  await wheel.until(() => shownIn('left') === 'agreed' && shownIn('right') === 'agreed');
  await wheel.settled();
  // Now the same texts are people's own.
  for (const [name, text] of [
    ['left', 'MIXED'],
    ['right', 'mixed'],
    ['left', 'MIXED'],
  ] as const) {
    edit(name, text);
    await wheel.until(() => shownIn('left') === text && shownIn('right') === text);
    await wheel.settled();
  }
  expect(await openOnes()).toEqual([]);
});

test('F120 a circle that never repeats itself (each round adds a letter) ends in an open conflict too', async () => {
  wheel.start();
  await wheel.sql(`insert into hub.thing (code, label) values ('t', 'a')`);
  await wheel.until(() => shownIn('left') === 'a' && shownIn('right') === 'a');
  const grow = (name: string, from: string) => (): void => {
    const shown = String(shownIn(name));
    if (!shown.endsWith(from)) edit(name, shown + from);
  };
  const [onLeft, onRight] = [grow('left', 'x'), grow('right', 'y')];
  const [open] = await wheel.until(async () => {
    onLeft();
    onRight();
    const found = await openOnes();
    return found.length > 0 && found;
  });
  expect(open).toBeDefined();
  await wheel.settled();
  const length = String(shownIn('left')).length;
  await wheel.until(async () => {
    onLeft();
    onRight();
    await wheel.settled();
    return (wheel.remote('left').calls['changes'] ?? 0) % 5 === 0;
  });
  // Nothing goes round any more, and what both wrote is kept.
  expect(String(shownIn('left')).length).toBeLessThanOrEqual(length + 1);
});
