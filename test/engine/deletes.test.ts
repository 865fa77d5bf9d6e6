// Law 8: deletions need evidence, go by policy, and lose nothing.
// Proves: Law 3, Law 8
import { afterEach, describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.js';
import { systemClock } from '../../src/base/clock.js';
import type { EngineOptions } from '../../src/engine/engine.js';
import { orderApprove } from '../../src/engine/orders.js';
import { entityName } from '../../src/model/ids.js';
import { openHubTable } from '../../src/store/hub.js';
import { freeReturned } from '../../src/store/resync.js';
import { openWheel, type Wheel, type WheelOptions } from '../support/wheel.js';

let wheel: Wheel | undefined;
afterEach(async () => {
  await wheel?.end();
  wheel = undefined;
});
const open = async (options: WheelOptions): Promise<Wheel> => (wheel = await openWheel(options));

const left = { objects: { Contact: { fields: { Email: {}, Name: {} } } } };
const right = { objects: { Client: { fields: { mail: {}, label: {} } } } };
const person = (policy: string): string => `
entity: person
fields:
  email: { type: text, match: case-insensitive }
  name: text
spokes:
  left:
    object: Contact
    fields: { email: Email, name: Name }
    delete: ${policy}
  right:
    object: Client
    fields: { email: mail, name: label }
    delete: ${policy}
`;
const conflicts = (on: Wheel): Promise<Record<string, string | null>[]> =>
  on.sql(`select spoke, field, base, hub_value, spoke_value, policy, winner from truespoke.conflict order by id`);
const started = async (policy: string): Promise<{ on: Wheel; a: string; b: string }> => {
  const on = await open({ spokes: { left, right }, mappings: [person(policy)] });
  const a = on.remote('left').create('Contact', { Email: 'ann@x.test', Name: 'Ann' });
  on.start();
  await on.settled();
  return { on, a, b: on.remote('right').list('Client')[0]?.id ?? '' };
};

describe('delete policies', () => {
  test.each(['', 'on delete restrict'])(
    'a row to which a table of an application still refers %s goes once nothing refers to it any more',
    async (rule) => {
      const { on, a } = await started('propagate');
      await on.sql(`create table public.note (person uuid references hub.person (id) ${rule})`);
      await on.sql('insert into public.note select id from hub.person');
      on.remote('left').remove('Contact', a);
      const [parked] = await on.until(async () => {
        const rows = await on.sql(`select message from truespoke.parked where state = 'open'`);
        return rows.length > 0 && rows;
      });
      expect(parked?.['message']).toContain('another row still refers to it');
      // Asked again by us: the next listing need not name it any more.
      expect(await on.sql(`select distinct topic from truespoke.inbox where topic = 'referred'`)).toHaveLength(1);
      await on.sql('delete from public.note');
      await on.until(async () => (await on.sql('select 1 from hub.person')).length === 0);
      await on.until(() => on.remote('right').list('Client').length === 0);
    },
  );

  test('F101 F103 propagate: a deletion travels both ways, and an undelete revives the same link', async () => {
    const { on, a, b } = await started('propagate');
    on.remote('left').remove('Contact', a);
    await on.until(() => on.remote('right').list('Client').length === 0);
    await on.settled();
    expect(await on.sql('select 1 from hub.person')).toEqual([]);
    on.remote('left').undelete('Contact', a);
    await on.until(() => on.remote('right').list('Client').length === 1);
    await on.settled();
    expect(on.remote('right').list('Client')[0]?.id).toBe(b);
    expect(await on.sql(`select external_id from truespoke.link where state = 'live' order by 1`)).toEqual([
      { external_id: b },
      { external_id: a },
    ]);
    await on.sql('delete from hub.person');
    await on.until(() => on.remote('left').list('Contact').length + on.remote('right').list('Client').length === 0);
    await on.settled();
  });

  test('archive: the row stays with deleted_at, both spokes lose the record, and clearing it brings both back', async () => {
    const { on, a, b } = await started('archive');
    on.remote('left').remove('Contact', a);
    await on.until(() => on.remote('right').list('Client').length === 0);
    await on.settled();
    expect(await on.sql('select deleted_at is not null as gone from hub.person')).toEqual([{ gone: 't' }]);
    await on.sql('update hub.person set deleted_at = null');
    await on.until(() => on.remote('right').list('Client').length + on.remote('left').list('Contact').length === 2);
    await on.settled();
    expect([on.remote('left').list('Contact')[0]?.id, on.remote('right').list('Client')[0]?.id]).toEqual([a, b]);
  });

  test('unlink: a deletion ends the pair and nothing else; the record that lives on brings nothing back', async () => {
    const { on, a, b } = await started('unlink');
    on.remote('left').remove('Contact', a);
    await on.until(async () => (await on.sql(`select 1 from truespoke.link where state = 'tombstone'`)).length === 1);
    await on.settled();
    expect(await on.sql('select name from hub.person')).toEqual([{ name: 'Ann' }]);
    await on.sql('delete from hub.person');
    await on.until(async () => (await on.sql(`select 1 from truespoke.link where state = 'tombstone'`)).length === 2);
    on.remote('right').edit('Client', b, { label: 'Anna' });
    const polls = on.remote('right').calls['changes'] ?? 0;
    await on.until(() => (on.remote('right').calls['changes'] ?? 0) >= polls + 5);
    await on.settled();
    expect(await on.sql('select 1 from hub.person')).toEqual([]);
    expect(on.remote('left').list('Contact')).toEqual([]);
  });

  test('ignore: a deletion there changes neither the hub nor the other spoke', async () => {
    const { on, a } = await started('ignore');
    on.remote('left').remove('Contact', a);
    await on.until(async () => (await on.sql(`select 1 from truespoke.link where state = 'tombstone'`)).length === 1);
    await on.settled();
    expect(await on.sql('select name from hub.person')).toEqual([{ name: 'Ann' }]);
    expect(on.remote('right').list('Client')).toHaveLength(1);
    await on.sql('delete from hub.person');
    await on.settled();
    expect(on.remote('right').list('Client')).toHaveLength(1);
  });
});

describe('F118 delete against update', () => {
  test('the spoke deletes what the hub has edited: gone on both sides, the edit is in the conflict log', async () => {
    const { on, a } = await started('propagate');
    await on.stop();
    await on.sql(`update hub.person set name = 'Anna'`);
    on.remote('left').remove('Contact', a);
    await on.restart();
    await on.until(() => on.remote('right').list('Client').length === 0);
    await on.settled();
    expect(await on.sql('select 1 from hub.person')).toEqual([]);
    expect(await conflicts(on)).toContainEqual({
      spoke: 'left',
      field: 'name',
      base: 'Ann',
      hub_value: 'Anna',
      spoke_value: null,
      policy: 'delete',
      winner: 'spoke',
    });
  });

  test('the spoke deletes a record whose field it never had from the hub: the value is in the conflict log too', async () => {
    const { on, a } = await started('propagate');
    await on.stop();
    // As when what we wrote was refused: nothing was ever agreed on.
    await on.sql(
      `update truespoke.link set base_hub = base_hub - 'name', base_remote = base_remote - 'name' where spoke = 'left'`,
    );
    on.remote('left').remove('Contact', a);
    await on.restart();
    await on.until(() => on.remote('right').list('Client').length === 0);
    await on.settled();
    expect(await conflicts(on)).toMatchObject([{ spoke: 'left', field: 'name', base: null, hub_value: 'Ann' }]);
  });

  test('the hub deletes what the spoke has edited: gone on both sides, the edit is in the conflict log', async () => {
    const { on, a } = await started('propagate');
    await on.stop();
    await on.sql('delete from hub.person');
    on.remote('left').edit('Contact', a, { Name: 'Anna' });
    await on.restart();
    await on.until(() => on.remote('left').list('Contact').length + on.remote('right').list('Client').length === 0);
    await on.settled();
    expect(await on.sql('select 1 from hub.person')).toEqual([]);
    expect(await conflicts(on)).toContainEqual({
      spoke: 'left',
      field: 'name',
      base: 'Ann',
      hub_value: null,
      spoke_value: 'Anna',
      policy: 'delete',
      winner: 'hub',
    });
  });

  test.each([[['capture', 'outbound']], [['capture', 'inbound']]])(
    'the hub deletes a record in which somebody filled in what was never agreed on: it is in the conflict log (seen by %s)',
    async (roles) => {
      const { on, a } = await started('propagate');
      await on.stop();
      await on.sql(
        `update truespoke.link set base_hub = base_hub - 'name', base_remote = base_remote - 'name' where spoke = 'left'`,
      );
      await on.sql('delete from hub.person');
      on.remote('left').edit('Contact', a, { Name: 'Anna' });
      await on.restart({ roles: roles as EngineOptions['roles'] });
      await on.until(async () => (await conflicts(on)).length > 0);
      expect(await conflicts(on)).toMatchObject([{ spoke: 'left', field: 'name', base: null, spoke_value: 'Anna' }]);
      await on.restart();
      await on.until(() => on.remote('left').list('Contact').length === 0);
      await on.settled();
    },
  );
});

describe('F118 whichever order they are seen in, by every policy', () => {
  // What stands in the hub, at the left and at the right one in the end.
  const outcomes = {
    archive: { hub: ['gone'], left: [], right: [] },
    unlink: { hub: ['Anna'], left: [], right: ['Anna'] },
    ignore: { hub: ['Anna'], left: ['Anna'], right: ['Anna'] },
  };
  test.each(Object.entries(outcomes))('%s: the spoke deletes what the hub edits', async (policy, expected) => {
    for (const inboundFirst of [true, false]) {
      const { on, a } = await started(policy);
      await on.restart({ roles: inboundFirst ? ['inbound'] : ['capture', 'outbound'] });
      await on.sql(`update hub.person set name = 'Anna'`);
      if (inboundFirst) {
        on.remote('left').remove('Contact', a);
        await on.until(
          async () => (await on.sql(`select 1 from truespoke.link where state = 'tombstone'`)).length === 1,
        );
      } else {
        await on.until(() => on.remote('left').list('Contact')[0]?.fields['Name' as never] === 'Anna');
        on.remote('left').remove('Contact', a);
      }
      await on.restart();
      await on.settled();
      const people = await on.sql(
        policy === 'archive'
          ? `select case when deleted_at is null then name else 'gone' end as name from hub.person`
          : 'select name from hub.person',
      );
      const [leftNames, rightNames] = [
        on
          .remote('left')
          .list('Contact')
          .map((row) => row.fields['Name' as never]),
        on
          .remote('right')
          .list('Client')
          .map((row) => row.fields['label' as never]),
      ];
      // Ignoring a deletion means that the next edit of the hub makes the record again; an edit that went before it does not.
      const remaining = policy === 'ignore' && !inboundFirst ? [] : expected.left;
      expect([people.map((row) => row['name']), leftNames, rightNames]).toEqual([
        expected.hub,
        remaining,
        expected.right,
      ]);
      await on.end();
      wheel = undefined;
    }
  });
});

test('F106 a mass deletion is held however small the pages it comes in, by the limit of its spoke', async () => {
  const config = { ...left, pageRows: 5 };
  const on = await open({
    spokes: { left: config },
    mappings: [person('propagate').replace(/ {2}right:[^]*$/, '')],
    deletions: { left: { max: 10, percent: 20 } },
  });
  const ids = Array.from({ length: 60 }, (_, i) => on.remote('left').create('Contact', { Email: `p${i}@x.test` }));
  on.start();
  await on.settled();
  for (const id of ids.slice(0, 40)) on.remote('left').remove('Contact', id);
  await on.until(
    async () => (await on.sql(`select 1 from truespoke.parked where code = 'mass_delete_held'`)).length >= 28,
  );
  await on.settled();
  const [row] = await on.sql('select count(*)::int as n from hub.person');
  expect(Number(row?.['n'])).toBeGreaterThanOrEqual(48);
});

test('F106 a mass deletion in the hub is held; what else its transaction did goes out', async () => {
  const on = await open({ spokes: { left }, mappings: [person('propagate').replace(/ {2}right:[^]*$/, '')] });
  on.start();
  await on.settled();
  await on.sql(`insert into hub.person (email, name) select 'p' || i || '@x.test', 'P' from generate_series(1, 200) i`);
  await on.until(() => on.remote('left').list('Contact').length === 200);
  await on.settled();
  await on.sql(`with gone as (delete from hub.person where email ~ '^p1' returning 1),
      changed as (update hub.person set name = 'Q' where email = 'p2@x.test' returning 1)
    insert into hub.person (email, name) values ('new@x.test', 'N')`);
  await on.until(() =>
    on
      .remote('left')
      .list('Contact')
      .some((row) => row.fields['Name' as never] === 'N'),
  );
  await on.until(() =>
    on
      .remote('left')
      .list('Contact')
      .some((row) => row.fields['Name' as never] === 'Q'),
  );
  await on.settled();
  expect(on.remote('left').list('Contact')).toHaveLength(201);
  expect(await on.sql(`select count(*)::text as n from truespoke.delivery where state = 'held'`)).toEqual([
    { n: '111' },
  ]);
});

test('F106 many rows deleted one by one are a mass deletion too, by the limits of each spoke; approved once, the rest goes', async () => {
  const on = await open({
    spokes: { left, right },
    mappings: [person('propagate')],
    deletions: { left: { max: 10, percent: 20 }, right: { max: 10, percent: 90 } },
  });
  on.start();
  await on.settled();
  await on.sql(`insert into hub.person (email, name) select 'p' || i || '@x.test', 'P' from generate_series(1, 60) i`);
  await on.until(() => on.remote('left').list('Contact').length + on.remote('right').list('Client').length === 120);
  await on.settled();
  const people = await on.sql('select id::text from hub.person order by email');
  const remove = async (from: number, to: number): Promise<void> => {
    for (const { id } of people.slice(from, to)) await on.sql('delete from hub.person where id = $1', [id]);
  };
  await remove(0, 40);
  await on.until(() => on.remote('right').list('Client').length === 20);
  await on.settled();
  // More than 10 and more than a fifth of what is linked: the right one would have to lose nine tenths.
  const remaining = on.remote('left').list('Contact').length;
  expect([remaining >= 48, remaining <= 50]).toEqual([true, true]);
  const reviews = (): Promise<Record<string, string | null>[]> =>
    on.sql(`select id, spoke, key, evidence ->> 'records' as records from truespoke.review where state = 'open'`);
  expect(await reviews()).toMatchObject([{ spoke: 'left', key: 'hub', records: String(remaining - 20) }]);
  const { mapping } = on;
  const deps = { pool: on.db.pool, clock: systemClock, mapping, actor: 'tester' };
  await orderApprove(deps, [(await reviews())[0]?.['id'] ?? '']);
  await on.until(() => on.remote('left').list('Contact').length === 20);
  // The purge goes on: the same person is not asked about each record.
  await remove(40, 44);
  await on.until(() => on.remote('left').list('Contact').length === 16);
  await on.settled();
  expect(await reviews()).toEqual([]);
});

test('F106 archiving many rows at once is a mass deletion too', async () => {
  const on = await open({ spokes: { left }, mappings: [person('archive').replace(/ {2}right:[^]*$/, '')] });
  on.start();
  await on.settled();
  await on.sql(`insert into hub.person (email, name) select 'p' || i || '@x.test', 'P' from generate_series(1, 200) i`);
  await on.until(() => on.remote('left').list('Contact').length === 200);
  await on.settled();
  await on.sql(`update hub.person set deleted_at = now()`);
  await on.until(async () => (await on.sql(`select 1 from truespoke.delivery where state = 'held'`)).length === 200);
  // Housekeeping looks every second for held deletions whose row is back: an archived one is there, but not back.
  const archived = await openHubTable(on.db.pool, must(on.mapping.entities.get(entityName('person')), 'person'));
  expect(await freeReturned(on.db.pool, archived)).toBe(0);
  await on.settled();
  expect(on.remote('left').list('Contact')).toHaveLength(200);
  expect(await on.sql(`select kind from truespoke.review where state = 'open'`)).toEqual([{ kind: 'mass_delete' }]);
});
