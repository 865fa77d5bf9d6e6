// Law 3 end to end: both sides changed one field; the policy decides, the loser is kept with both values.
// Proves: Law 3
import { afterEach, describe, expect, test } from 'vitest';
import { openWheel, type Wheel, type WheelOptions } from '../support/wheel.js';

let wheel: Wheel | undefined;
afterEach(async () => {
  await wheel?.end();
  wheel = undefined;
});
const open = async (options: WheelOptions): Promise<Wheel> => (wheel = await openWheel(options));

const objects = (fields: Record<string, { type?: 'text' | 'number' | 'list' }>) => ({
  objects: { Thing: { fields } },
  versions: 'clock' as const,
});
const mapping = (spec: string): string => `
entity: thing
fields:
  code: { type: text, match: exact }
  value: ${spec}
spokes:
  left: { object: Thing, fields: { code: code, value: value } }
  right: { object: Thing, fields: { code: code, value: value } }
`;

/** The hub and `left` change the same field while the engine is stopped. */
async function clash(
  spec: string,
  type: 'text' | 'number' | 'list',
  values: { readonly base: unknown; readonly hub: string; readonly left: unknown },
): Promise<Wheel> {
  const on = await open({
    spokes: { left: objects({ code: {}, value: { type } }), right: objects({ code: {}, value: { type } }) },
    mappings: [mapping(spec)],
  });
  const id = on.remote('left').create('Thing', { code: 'a', value: values.base as never });
  on.start();
  await on.settled();
  await on.stop();
  on.remote('left').edit('Thing', id, { value: values.left as never });
  await on.sql('update hub.thing set value = $1', [values.hub]);
  await on.restart();
  await on.until(async () => (await on.sql('select 1 from truespoke.conflict')).length > 0);
  await on.settled();
  return on;
}
const everywhere = async (on: Wheel): Promise<unknown[]> => [
  (await on.sql('select value::text from hub.thing'))[0]?.['value'],
  on.remote('left').list('Thing')[0]?.fields['value' as never],
  on.remote('right').list('Thing')[0]?.fields['value' as never],
];
const conflict = (on: Wheel): Promise<Record<string, string | null>[]> =>
  on.sql('select policy, winner, base, hub_value, spoke_value, state from truespoke.conflict');

describe('F116 both edit one field', () => {
  test.each([
    ['authority: the hub', '{ authority: hub }', 'text', { base: 'x', hub: 'h', left: 'l' }, ['h', 'h', 'h'], 'hub'],
    [
      'authority: that spoke',
      '{ authority: left }',
      'text',
      { base: 'x', hub: 'h', left: 'l' },
      ['l', 'l', 'l'],
      'spoke',
    ],
    [
      'authority: another spoke',
      '{ authority: right }',
      'text',
      { base: 'x', hub: 'h', left: 'l' },
      ['h', 'h', 'h'],
      'hub',
    ],
    ['max', '{ type: integer, policy: max }', 'number', { base: 1, hub: '9', left: 10 }, ['10', 10, 10], 'spoke'],
    ['min', '{ type: integer, policy: min }', 'number', { base: 99, hub: '9', left: 10 }, ['9', 9, 9], 'hub'],
    ['delta', '{ type: integer, policy: delta }', 'number', { base: 10, hub: '15', left: 7 }, ['12', 12, 12], 'both'],
    [
      'delta, both counted to the same number',
      '{ type: integer, policy: delta }',
      'number',
      { base: 13, hub: '14', left: 14 },
      ['15', 15, 15],
      'both',
    ],
    [
      'union',
      '{ type: list, policy: union }',
      'list',
      { base: ['a'], hub: '{a,b}', left: ['a', 'c'] },
      ['{a,b,c}', ['a', 'b', 'c'], ['a', 'b', 'c']],
      'both',
    ],
  ] as const)('%s', async (_name, spec, type, values, expected, winner) => {
    const on = await clash(spec, type, values);
    expect(await everywhere(on)).toEqual(expected);
    expect(await conflict(on)).toMatchObject([{ winner, state: 'decided' }]);
    const [kept] = await conflict(on);
    expect([kept?.['base'], kept?.['hub_value'], kept?.['spoke_value']].every((value) => value !== null)).toBe(true);
  });

  test('latest: the later edit wins', async () => {
    const on = await clash('text', 'text', { base: 'x', hub: 'h', left: 'l' });
    expect(new Set(await everywhere(on)).size).toBe(1);
    expect(await conflict(on)).toMatchObject([{ policy: 'latest', hub_value: 'h', spoke_value: 'l', base: 'x' }]);
  });

  test('review: nothing of that field is pushed until a person has decided; other fields flow', async () => {
    const on = await clash('{ type: text, policy: review }', 'text', { base: 'x', hub: 'h', left: 'l' });
    expect(await conflict(on)).toMatchObject([{ winner: 'open', state: 'open' }]);
    expect((await everywhere(on)).slice(0, 2)).toEqual(['h', 'l']);
    await on.sql(`update hub.thing set code = 'b', value = 'hh'`);
    await on.until(() => on.remote('left').list('Thing')[0]?.fields['code' as never] === 'b');
    await on.settled();
    expect(on.remote('left').list('Thing')[0]?.fields['value' as never]).toBe('l');
  });

  test('delta without a base adds nothing up: two counts of one thing are not a sum', async () => {
    const on = await open({
      spokes: {
        left: objects({ code: {}, value: { type: 'number' } }),
        right: objects({ code: {}, value: { type: 'number' } }),
      },
      mappings: [mapping('{ type: integer, policy: delta }')],
    });
    on.remote('left').create('Thing', { code: 'a', value: 10 });
    on.remote('right').create('Thing', { code: 'a', value: 12 });
    on.start();
    await on.settled();
    const [hub, left, right] = await everywhere(on);
    expect([String(left), String(right)]).toEqual([hub, hub]);
    expect(['10', '12']).toContain(hub);
    expect(await on.sql('select hub_value, spoke_value from truespoke.conflict')).toHaveLength(1);
  });
});

describe('direction', () => {
  const oneWay = (direction: string): string =>
    mapping('text').replace('left: { object: Thing,', `left: { object: Thing, direction: ${direction},`);
  const clashed = async (yaml: string): Promise<Wheel> => {
    const on = await open({
      spokes: { left: objects({ code: {}, value: {} }), right: objects({ code: {}, value: {} }) },
      mappings: [yaml],
    });
    on.remote('left').create('Thing', { code: 'a', value: 'x' });
    on.remote('right').create('Thing', { code: 'a', value: 'x' });
    on.start();
    await on.settled();
    await on.stop();
    on.remote('left').edit('Thing', on.remote('left').list('Thing')[0]?.id ?? '', { value: 'l' });
    await on.sql(`update hub.thing set value = 'h'`);
    await on.restart();
    await on.settled();
    return on;
  };

  test('in: the spoke is read and never written; what it overrides in the hub is kept', async () => {
    const on = await clashed(oneWay('in'));
    await on.until(() => on.remote('right').list('Thing')[0]?.fields['value' as never] === 'l');
    await on.settled();
    expect(await everywhere(on)).toEqual(['l', 'l', 'l']);
    expect(await conflict(on)).toMatchObject([
      { policy: 'direction', winner: 'spoke', hub_value: 'h', spoke_value: 'l' },
    ]);
    expect(on.remote('left').ledger.filter(({ by }) => by === 'self')).toEqual([]);
  });

  test('out: the spoke gets what the hub holds, and an edit there comes to nothing', async () => {
    const on = await clashed(oneWay('out'));
    await on.until(() =>
      on
        .remote('left')
        .list('Thing')
        .some((row) => row.fields['value' as never] === 'h'),
    );
    await on.settled();
    expect((await everywhere(on))[0]).toBe('h');
    expect(on.remote('right').list('Thing')[0]?.fields['value' as never]).toBe('h');
  });

  test('both, narrowed for one field: that field goes one way, the others both', async () => {
    const narrowed = mapping('text').replace(
      'left: { object: Thing, fields: { code: code, value: value } }',
      'left: { object: Thing, fields: { code: code, value: { remote: value, direction: in } } }',
    );
    const on = await clashed(narrowed);
    await on.sql(`update hub.thing set code = 'b', value = 'mine'`);
    await on.until(() => on.remote('left').list('Thing')[0]?.fields['code' as never] === 'b');
    await on.settled();
    expect(await everywhere(on)).toEqual(['mine', 'l', 'mine']);
  });
});

describe('adopted tables', () => {
  test.each([
    ['bigint', 'no bigint generated by default as identity primary key', '-5', '9223372036854775807'],
    ['text', `no text primary key default md5(random()::text)`, 'key / with é', 'k2'],
  ])(
    'of %s key and default replica identity: both ways, TOAST unchanged, odd keys, a changed key',
    async (_type, key, odd, other) => {
      const on = await open({
        before: async (db) => {
          await db.pool.query(`create table public.stock (${key}, code text, value text, big text, private text)`);
          await db.pool.query(`alter table public.stock alter column big set storage external`);
        },
        spokes: { left: objects({ code: {}, value: {}, big: {} }) },
        mappings: [
          `
entity: thing
table: { schema: public, name: stock, id: no }
fields:
  code: { type: text, match: exact }
  value: text
  big: text
spokes:
  left: { object: Thing, fields: { code: code, value: value, big: big }, delete: propagate }
`,
        ],
      });
      const remote = on.remote('left');
      on.start();
      await on.settled();
      const big = 'x'.repeat(20_000);
      await on.sql(`insert into public.stock (no, code, value, big) values ($1, 'odd', '1', $2)`, [odd, big]);
      await on.until(() => remote.list('Thing').length === 1);
      await on.settled();
      await on.sql(`update public.stock set value = '2'`);
      await on.until(() => remote.list('Thing')[0]?.fields['value' as never] === '2');
      expect(remote.list('Thing')[0]?.fields['big' as never]).toBe(big);
      await on.settled();
      remote.edit('Thing', remote.list('Thing')[0]?.id ?? '', { value: '3' });
      await on.until(async () => (await on.sql(`select 1 from public.stock where value = '3'`)).length === 1);
      await on.settled();
      // F52: the link moves with the key, no second record.
      await on.sql(`update public.stock set no = $1`, [other]);
      await on.settled();
      await on.sql(`update public.stock set value = '4'`);
      await on.until(() => remote.list('Thing')[0]?.fields['value' as never] === '4');
      expect(remote.list('Thing')).toHaveLength(1);
      remote.create('Thing', { code: 'new', value: 'n' });
      await on.until(
        async () => (await on.sql(`select 1 from public.stock where code = 'new' and no is not null`)).length === 1,
      );
      await on.sql(`delete from public.stock where code = 'odd'`);
      await on.until(() => remote.list('Thing').length === 1);
      await on.settled();
    },
  );
});
