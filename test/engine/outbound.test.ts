// What goes out: one record in the end, no loop, no edit written over unseen.
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { openWheel, type Wheel, type WheelOptions } from '../support/wheel.js';

let wheel: Wheel | undefined;
afterEach(async () => {
  await wheel?.end();
  wheel = undefined;
});
const open = async (options: WheelOptions): Promise<Wheel> => (wheel = await openWheel(options));

const person = (name = 'name: Name', more = ''): string => `
entity: person
fields:
  email: { type: text, match: case-insensitive }
  name: text
  size: { type: decimal, scale: 2 }
spokes:
  left:
    object: Contact
    fields: { email: Email, ${name}, size: Size }
    delete: propagate
${more}`;
const contact = { fields: { Email: {}, Name: {}, Size: { type: 'number' as const } } };
const parked = (on: Wheel): Promise<Record<string, string | null>[]> =>
  on.sql(`select direction, code from truespoke.parked where state in ('open', 'waiting') order by id`);
const idle = async (on: Wheel, spoke = 'left', rounds = 6): Promise<void> => {
  const polls = on.remote(spoke).calls['changes'] ?? 0;
  await on.until(() => (on.remote(spoke).calls['changes'] ?? 0) >= polls + rounds);
  await on.settled();
};

describe('creates', () => {
  test('F64 F65 a spoke without idempotency: lost and late answers leave one record', async () => {
    const on = await open({
      spokes: { left: { objects: { Contact: contact }, capabilities: { idempotentCreate: false } } },
      mappings: [person()],
    });
    const remote = on.remote('left');
    on.start();
    await on.settled();
    remote.faults.next('lostApplied');
    await on.sql(`insert into hub.person (email, name) values ('a@x.test', 'A')`);
    await on.until(() => remote.list('Contact').length === 1);
    await on.settled(30_000);
    remote.faults.lateMs = 1_000;
    remote.faults.next('lateApplied');
    await on.sql(`insert into hub.person (email, name) values ('b@x.test', 'B')`);
    await on.until(() => remote.list('Contact').length === 2);
    await on.settled(30_000);
    expect(remote.list('Contact')).toHaveLength(2);
    expect(remote.ledger.filter(({ op }) => op === 'create')).toHaveLength(2);
  });

  test('F119 a twin that cannot be read is not asked for again and again', async () => {
    const on = await open({
      spokes: { left: { objects: { Contact: contact } } },
      mappings: [person('name: { remote: Name, via: { values: { Ann: Ann } } }')],
    });
    const remote = on.remote('left');
    on.start();
    await on.settled();
    remote.create('Contact', { Email: 'a@x.test', Name: 'Odd' });
    await on.until(async () => (await parked(on)).length === 1);
    const finds = remote.calls['find'] ?? 0;
    await on.sql(`insert into hub.person (email, name) values ('a@x.test', 'Ann')`);
    await on.until(() => (remote.calls['find'] ?? 0) > finds);
    const before = remote.calls['find'] ?? 0;
    await systemClock.sleep(1_000);
    expect((remote.calls['find'] ?? 0) - before).toBeLessThan(6);
    expect(remote.list('Contact')).toHaveLength(1);
    remote.edit('Contact', remote.list('Contact')[0]?.id ?? '', { Name: 'Ann' });
    await on.until(async () => (await on.sql(`select 1 from truespoke.link where state = 'live'`)).length === 1);
    await on.settled(30_000);
  });
});

describe('updates', () => {
  test.each([{ versions: 'counter' as const }, { versions: 'none' as const }])(
    'without conditional writes an edit made there since the last poll is merged, not written over ($versions)',
    async ({ versions }) => {
      const on = await open({
        spokes: {
          left: { objects: { Contact: contact }, versions, capabilities: { conditionalWrite: false, stream: false } },
        },
        mappings: [person()],
        engine: { pollMs: 600_000 },
      });
      const remote = on.remote('left');
      const id = remote.create('Contact', { Email: 'a@x.test', Name: 'Ann', Size: 1 });
      on.start();
      await on.settled();
      remote.edit('Contact', id, { Size: 5, Name: 'Theirs' });
      await on.sql(`update hub.person set name = 'Ours'`);
      await on.until(() => remote.get('Contact', id)?.fields['Name' as never] === 'Ours');
      await on.settled();
      expect(await on.sql('select name, size::text from hub.person')).toEqual([{ name: 'Ours', size: '5.00' }]);
      expect(await on.sql(`select field, spoke_value from truespoke.conflict`)).toEqual([
        { field: 'name', spoke_value: 'Theirs' },
      ]);
    },
  );

  test('an edit made there is kept when the hub deletes the record before the next poll', async () => {
    const on = await open({
      spokes: { left: { objects: { Contact: contact }, capabilities: { stream: false } } },
      mappings: [person()],
      engine: { pollMs: 600_000 },
    });
    const remote = on.remote('left');
    const id = remote.create('Contact', { Email: 'a@x.test', Name: 'Ann', Size: 1 });
    on.start();
    await on.settled();
    remote.edit('Contact', id, { Name: 'Anna' });
    await on.sql('delete from hub.person');
    await on.until(() => remote.list('Contact').length === 0);
    await on.settled();
    expect(await on.sql(`select field, spoke_value, winner from truespoke.conflict`)).toEqual([
      { field: 'name', spoke_value: 'Anna', winner: 'hub' },
    ]);
  });

  test('another hub value that looks the same there is agreed on: a later edit there is no conflict', async () => {
    const on = await open({
      spokes: { left: { objects: { Contact: contact } } },
      mappings: [person('name: { remote: Name, via: trim }')],
    });
    const remote = on.remote('left');
    const id = remote.create('Contact', { Email: 'a@x.test', Name: 'Ann' });
    on.start();
    await on.settled();
    await on.sql(`update hub.person set name = 'Ann '`);
    await on.until(
      async () => (await on.sql(`select 1 from truespoke.link where base_hub ->> 'name' = 'Ann '`)).length === 1,
    );
    await on.settled();
    expect(remote.ledger.filter(({ by }) => by === 'self')).toEqual([]);
    remote.edit('Contact', id, { Name: 'Anna' });
    await on.until(async () => (await on.sql(`select 1 from hub.person where name = 'Anna'`)).length === 1);
    await on.settled();
    expect(remote.get('Contact', id)?.fields['Name' as never]).toBe('Anna');
    expect(await on.sql('select 1 from truespoke.conflict')).toEqual([]);
  });

  test.each([{ returnsRecord: true }, { returnsRecord: false }])(
    'F74 F75 a spoke that trims, rounds, re-cases or rewrites: one write, no loop (answers with the record: $returnsRecord)',
    async ({ returnsRecord }) => {
      const on = await open({
        spokes: {
          left: {
            objects: {
              Contact: {
                fields: {
                  Email: { normalise: ['trim', 'lowercase'] },
                  Name: { normalise: ['truncate:5'] },
                  Size: { type: 'number', normalise: ['round:0'] },
                },
              },
            },
            capabilities: { returnsRecord },
          },
        },
        mappings: [person()],
      });
      const remote = on.remote('left');
      on.start();
      await on.settled();
      await on.sql(`insert into hub.person (email, name, size) values ('Ann@X.test', 'Annabella', 1.25)`);
      await on.until(() => remote.list('Contact').length === 1);
      await on.settled();
      await idle(on);
      expect(
        remote.ledger.filter(({ by }) => by === 'self'),
        JSON.stringify(remote.ledger),
      ).toHaveLength(1);
      await on.sql(`update hub.person set name = 'Annabelle'`);
      await idle(on);
      expect(remote.ledger.filter(({ by }) => by === 'self').length).toBeLessThanOrEqual(2);
    },
  );

  test('F78 a field that is hidden from us is absent, not null', async () => {
    const on = await open({ spokes: { left: { objects: { Contact: contact } } }, mappings: [person()] });
    const remote = on.remote('left');
    const id = remote.create('Contact', { Email: 'a@x.test', Name: 'Ann', Size: 1 });
    on.start();
    await on.settled();
    remote.hide('Contact', 'Name');
    remote.edit('Contact', id, { Size: 2 });
    await on.until(async () => (await on.sql(`select 1 from hub.person where size = 2`)).length === 1);
    await on.settled();
    expect(await on.sql('select name from hub.person')).toEqual([{ name: 'Ann' }]);
  });
});

describe('matching', () => {
  test('F119 one person made in both spokes and in one batch twice: one hub record each, questions instead of guesses', async () => {
    const right = `  right:
    object: Client
    fields: { email: mail, name: label }
`;
    const on = await open({
      spokes: {
        left: { objects: { Contact: contact } },
        right: { objects: { Client: { fields: { mail: {}, label: {} } } } },
      },
      mappings: [person('name: Name', right)],
    });
    on.start();
    await on.settled();
    for (let i = 0; i < 10; i += 1) {
      on.remote('left').create('Contact', { Email: `P${i}@x.test`, Name: 'L' });
      on.remote('right').create('Client', { mail: `p${i}@x.test`, label: 'R' });
    }
    on.remote('left').create('Contact', { Email: 'twice@x.test' });
    on.remote('left').create('Contact', { Email: 'TWICE@x.test' });
    await on.until(async () => (await on.sql(`select 1 from truespoke.link where state = 'live'`)).length === 22);
    await on.settled();
    expect(await on.sql('select count(*)::text as n from hub.person')).toEqual([{ n: '11' }]);
    expect(on.remote('left').list('Contact')).toHaveLength(12);
    expect(on.remote('right').list('Client')).toHaveLength(11);
    expect(await on.sql(`select kind from truespoke.review where state = 'open'`)).toEqual([{ kind: 'duplicate' }]);
  });
});
