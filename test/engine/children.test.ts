// References: embedded children both ways, children before parents, circles in two steps.
// Proves: Law 4, Law 5, Law 9
import { afterEach, describe, expect, test } from 'vitest';
import type { MemoryRemote } from '../../src/connectors/memory/remote.js';
import { defaultLimits } from '../../src/engine/engine.js';
import { openWheel, type Wheel, type WheelOptions } from '../support/wheel.js';

let wheel: Wheel | undefined;
afterEach(async () => {
  await wheel?.end();
  wheel = undefined;
});
const open = async (options: WheelOptions): Promise<Wheel> => (wheel = await openWheel(options));

const shop = {
  objects: {
    Order: { fields: { Number: {} }, children: { lines: { title: {}, count: { type: 'number' as const } } } },
  },
};
const orders = `
entity: purchase
fields:
  number: { type: text, match: exact }
spokes:
  shop:
    object: Order
    fields: { number: Number }
    delete: propagate
`;
const lines = `
entity: purchase_line
fields:
  purchase: { ref: purchase, required: true }
  title: text
  count: integer
spokes:
  shop:
    object: Order.lines
    fields: { purchase: '@parent', title: title, count: count }
    delete: propagate
`;
const titles = (on: Wheel): Promise<Record<string, string | null>[]> =>
  on.sql('select title, count::text from hub.purchase_line order by title');
const shown = (on: Wheel, order = 0): unknown[] =>
  (on.remote('shop').list('Order')[order]?.children['lines'] ?? []).map((line) => line.fields['title' as never]).sort();

/** A line that both know; from now on nothing comes in. `edit`: a person's, of its title. */
async function knownLine(
  crashpoint: (name: string) => void = () => undefined,
): Promise<{ readonly on: Wheel; readonly remote: MemoryRemote; readonly edit: () => void }> {
  const on = await open({ spokes: { shop }, mappings: [orders, lines] });
  const remote = on.remote('shop');
  const child = { id: null, hubKey: null, fields: { title: 'first', count: 1 } as never };
  const id = remote.create('Order', { Number: '1' }, { children: { lines: [child] } });
  on.start();
  await on.settled();
  await on.restart({ roles: ['capture', 'outbound'], crashpoint });
  const [line] = remote.get('Order', id)?.children['lines'] ?? [];
  const edited = { id: line?.id ?? '', hubKey: null, fields: { title: 'by a person' } as never };
  return { on, remote, edit: () => void remote.edit('Order', id, {}, { lines: [edited] }) };
}

/** Somebody edits right after the next write of ours has arrived. */
function editBesideWrite(remote: MemoryRemote, edit: () => void): () => boolean {
  let edited = false;
  remote.trigger('Order', (values) => {
    if (!edited) queueMicrotask(edit);
    edited = true;
    return values;
  });
  return () => edited;
}

describe('embedded children', () => {
  test('F64 a write of children is not answered, and somebody edits one of them before we look: the edit is kept', async () => {
    const { on, remote, edit } = await knownLine();
    const isEdited = editBesideWrite(remote, edit);
    remote.faults.next('lostApplied');
    await on.sql(`update hub.purchase_line set title = 'ours', count = 2`);
    await on.until(isEdited);
    await on.restart();
    await on.settled();
    // Nothing told whether ours had come before the edit: they count as two edits of one field, the other field as what it is.
    expect(await on.sql(`select field, hub_value, spoke_value from truespoke.conflict`)).toEqual([
      { field: 'title', hub_value: 'ours', spoke_value: 'by a person' },
    ]);
    expect(await on.sql('select count::text as count from hub.purchase_line')).toEqual([{ count: '2' }]);
    expect(shown(on)).toEqual((await titles(on)).map(({ title }) => title));
  });

  test('F64 a write of children never came, and somebody edits the same one: both edits are kept', async () => {
    const { on, remote, edit } = await knownLine();
    edit();
    remote.faults.next('lostUnapplied');
    await on.sql(`update hub.purchase_line set title = 'ours'`);
    await on.until(() => remote.faults.unanswered.unapplied > 0);
    await on.restart();
    await on.settled();
    const kept = await on.sql(`select hub_value, spoke_value from truespoke.conflict where entity = 'purchase_line'`);
    expect(kept).toEqual([{ hub_value: 'ours', spoke_value: 'by a person' }]);
    expect(shown(on)).toEqual((await titles(on)).map(({ title }) => title));
  });

  test('F64 read back with their parent, then edited by somebody, and we die before inbound has looked: the list does not go over the edit', async () => {
    const met: string[] = [];
    const { on, remote, edit } = await knownLine((name) => {
      if (!name.startsWith('delivery_read_back') && !name.startsWith('delivery_settled')) return;
      met.push(name.replace('/shop', ''));
      if (met.slice(-2).join() === 'delivery_read_back,delivery_settled') throw new Error('the process dies');
    });
    editBesideWrite(remote, edit);
    remote.faults.next('lostApplied');
    await on.sql(
      `with p as (update hub.purchase set number = '2' returning id) update hub.purchase_line set title = 'ours' from p where purchase = p.id`,
    );
    await on.until(() => met.includes('delivery_read_back'));
    await on.until(async () => (await on.sql('select 1 from truespoke.delivery')).length === 0);
    await on.restart();
    await on.settled();
    expect(await on.sql(`select field, hub_value, spoke_value from truespoke.conflict`)).toEqual([
      { field: 'title', hub_value: 'ours', spoke_value: 'by a person' },
    ]);
    expect(shown(on)).toEqual((await titles(on)).map(({ title }) => title));
    expect(remote.list('Order')[0]?.fields['Number' as never]).toBe('2');
  });

  test('of two kinds go out with their parent, and so does an edit of each', async () => {
    const notes = lines
      .replaceAll('purchase_line', 'purchase_note')
      .replace('Order.lines', 'Order.notes')
      .replace('  count: integer\n', '')
      .replace(', count: count', '');
    const { Order } = shop.objects;
    const on = await open({
      spokes: { shop: { objects: { Order: { ...Order, children: { ...Order.children, notes: { title: {} } } } } } },
      mappings: [orders, lines, notes],
    });
    on.start();
    await on.settled();
    await on.sql(`with p as (insert into hub.purchase (number) values ('1') returning id),
      l as (insert into hub.purchase_line (purchase, title) select id, 'a' from p)
      insert into hub.purchase_note (purchase, title) select id, 'b' from p`);
    const both = (): unknown[] =>
      ['lines', 'notes'].flatMap((kind) =>
        (on.remote('shop').list('Order')[0]?.children[kind] ?? []).map((one) => one.fields['title' as never]),
      );
    await on.until(() => on.remote('shop').list('Order').length === 1);
    await on.settled();
    expect(both()).toEqual(['a', 'b']);
    await on.sql(`with l as (update hub.purchase_line set title = 'aa') update hub.purchase_note set title = 'bb'`);
    await on.until(() => both().join() === 'aa,bb');
    await on.settled();
  });

  test('come in with their parent; one added, edited, removed there follows; the parent takes them along when it goes', async () => {
    const on = await open({ spokes: { shop }, mappings: [orders, lines] });
    const remote = on.remote('shop');
    const id = remote.create(
      'Order',
      { Number: '1' },
      {
        children: {
          lines: [
            { id: null, hubKey: null, fields: { title: 'a', count: 1 } as never },
            { id: null, hubKey: null, fields: { title: 'b', count: 2 } as never },
          ],
        },
      },
    );
    on.start();
    await on.settled();
    expect(await titles(on)).toEqual([
      { title: 'a', count: '1' },
      { title: 'b', count: '2' },
    ]);
    const [a, b] = remote.get('Order', id)?.children['lines'] ?? [];
    remote.edit(
      'Order',
      id,
      {},
      {
        lines: [
          { id: a?.id ?? '', hubKey: null, fields: { count: 5 } as never },
          { id: null, hubKey: null, fields: { title: 'c', count: 3 } as never },
        ],
      },
    );
    await on.until(async () => (await titles(on)).length === 3);
    await on.settled();
    expect((await titles(on))[0]).toEqual({ title: 'a', count: '5' });
    remote.edit('Order', id, {}, { lines: [{ id: b?.id ?? '', hubKey: null, fields: {}, remove: true }] });
    await on.until(async () => (await titles(on)).length === 2);
    await on.settled();
    const writes = remote.ledger.filter(({ by }) => by === 'self');
    expect(writes).toEqual([]);
    remote.remove('Order', id);
    await on.until(async () => (await on.sql('select 1 from hub.purchase')).length === 0);
    await on.settled();
    expect(await titles(on)).toEqual([]);
    expect(await on.sql(`select 1 from truespoke.parked where state in ('open', 'waiting')`)).toEqual([]);
  });

  test('go out with their parent; one added, edited, removed, moved in the hub follows', async () => {
    const on = await open({ spokes: { shop }, mappings: [orders, lines] });
    on.start();
    await on.settled();
    await on.sql(`with p as (insert into hub.purchase (number) values ('1'), ('2') returning id, number)
      insert into hub.purchase_line (purchase, title, count) select id, t, 1 from p, unnest(array['a', 'b']) t where number = '1'`);
    await on.until(() => on.remote('shop').list('Order').length === 2);
    await on.settled();
    const first = on
      .remote('shop')
      .list('Order')
      .findIndex((row) => row.fields['Number' as never] === '1');
    expect(shown(on, first)).toEqual(['a', 'b']);
    await on.sql(`insert into hub.purchase_line (purchase, title) select id, 'c' from hub.purchase where number = '1'`);
    await on.sql(`update hub.purchase_line set title = 'aa' where title = 'a'`);
    await on.until(() => shown(on, first).join() === 'aa,b,c');
    await on.settled();
    await on.sql(`delete from hub.purchase_line where title = 'b'`);
    await on.until(() => shown(on, first).join() === 'aa,c');
    await on.settled();
    await on.sql(
      `update hub.purchase_line set purchase = (select id from hub.purchase where number = '2') where title = 'c'`,
    );
    await on.until(() => shown(on, first).join() === 'aa' && shown(on, 1 - first).join() === 'c');
    await on.settled();
    expect(await on.sql(`select count(*)::text as n from truespoke.link where state = 'live'`)).toEqual([{ n: '4' }]);
    expect(await on.sql(`select 1 from truespoke.parked where state in ('open', 'waiting')`)).toEqual([]);
  });

  test('a field that the hub empties is emptied in the child that is there already', async () => {
    const on = await open({ spokes: { shop }, mappings: [orders, lines] });
    const child = { id: null, hubKey: null, fields: { title: 'a', count: 1 } as never };
    const id = on.remote('shop').create('Order', { Number: '1' }, { children: { lines: [child] } });
    on.start();
    await on.settled();
    await on.sql(`update hub.purchase_line set title = null`);
    await on.settled();
    const [line] = on.remote('shop').get('Order', id)?.children['lines'] ?? [];
    expect(line?.fields).toEqual({ title: null, count: 1 });
  });

  test('of adopted tables whose WAL names no parent: one removed or moved there follows all the same', async () => {
    const adopted = (yaml: string, name: string): string =>
      yaml.replace('fields:', `table: { schema: public, name: ${name}, id: no }\nfields:`);
    const on = await open({
      spokes: { shop },
      mappings: [adopted(orders, 'purchases'), adopted(lines, 'lines')],
      before: async (db) => {
        await db.pool.query(
          `create table public.purchases (no int generated by default as identity primary key, number text)`,
        );
        await db.pool.query(`create table public.lines (no int generated by default as identity primary key,
          purchase int not null references public.purchases, title text, count int)`);
      },
    });
    on.start();
    await on.settled();
    await on.sql(`insert into public.purchases (no, number) values (1, '1'), (2, '2')`);
    await on.sql(`insert into public.lines (purchase, title) values (1, 'a'), (1, 'b'), (1, 'c')`);
    const at = (number: string): unknown[] => {
      const row = on
        .remote('shop')
        .list('Order')
        .find((one) => one.fields['Number' as never] === number);
      return (row?.children['lines'] ?? []).map((line) => line.fields['title' as never]).sort();
    };
    await on.until(() => at('1').length === 3);
    await on.settled();
    await on.sql(`delete from public.lines where title = 'a'`);
    await on.until(() => at('1').length === 2);
    await on.settled();
    await on.sql(`update public.lines set purchase = 2 where title = 'b'`);
    await on.until(() => at('1').length === 1 && at('2').length === 1);
    await on.settled();
    expect([at('1'), at('2')]).toEqual([['c'], ['b']]);
  });

  test('a child that the spoke still shows after the hub deleted it leaves no delivery that nobody takes', async () => {
    const on = await open({
      spokes: { shop },
      mappings: [orders, lines.replace('delete: propagate', 'delete: unlink')],
    });
    const id = on.remote('shop').create(
      'Order',
      { Number: '1' },
      {
        children: { lines: [{ id: null, hubKey: null, fields: { title: 'a', count: 1 } as never }] },
      },
    );
    on.start();
    await on.settled();
    await on.sql('delete from hub.purchase_line');
    await on.settled();
    on.remote('shop').edit('Order', id, { Number: '2' });
    await on.until(async () => (await on.sql(`select 1 from hub.purchase where number = '2'`)).length === 1);
    await on.settled();
  });
});

const tree = {
  objects: {
    Unit: {
      fields: {
        Code: {},
        Parent: { type: 'id' as const, references: 'Unit' },
        Head: { type: 'id' as const, references: 'Person' },
      },
    },
    Person: { fields: { Mail: {}, Home: { type: 'id' as const, references: 'Unit' } } },
  },
};
const other = {
  objects: {
    Dept: {
      fields: {
        code: {},
        up: { type: 'id' as const, references: 'Dept' },
        boss: { type: 'id' as const, references: 'Staff' },
      },
    },
    Staff: { fields: { mail: {}, dept: { type: 'id' as const, references: 'Dept' } } },
  },
};
const unit = `
entity: unit
fields:
  code: { type: text, match: exact }
  parent: { ref: unit }
  head: { ref: member }
spokes:
  left: { object: Unit, fields: { code: Code, parent: Parent, head: Head } }
  right: { object: Dept, fields: { code: code, parent: up, head: boss } }
`;
const member = `
entity: member
fields:
  mail: { type: text, match: exact }
  home: { ref: unit }
spokes:
  left: { object: Person, fields: { mail: Mail, home: Home } }
  right: { object: Staff, fields: { mail: mail, home: dept } }
`;

describe('references', () => {
  test('F121 circles are closed in two steps, in and out', async () => {
    const on = await open({ spokes: { left: tree, right: other }, mappings: [unit, member] });
    const remote = on.remote('left');
    const a = remote.create('Unit', { Code: 'a' });
    const p = remote.create('Person', { Mail: 'p', Home: a });
    const b = remote.create('Unit', { Code: 'b', Parent: a, Head: p });
    remote.edit('Unit', a, { Parent: b, Head: p });
    on.start();
    await on.until(
      async () => (await on.sql(`select 1 from hub.unit where parent is not null and head is not null`)).length === 2,
    );
    await on.until(
      () =>
        on
          .remote('right')
          .list('Dept')
          .filter((row) => row.fields['up' as never] !== null && row.fields['boss' as never] !== null).length === 2,
    );
    await on.settled();
    expect(on.remote('right').list('Staff')[0]?.fields['dept' as never]).not.toBeNull();
    expect(await on.sql(`select 1 from truespoke.parked where state in ('open', 'waiting')`)).toEqual([]);
    // A circle that cannot be closed yet holds no other edit up.
    on.remote('right').validate('Staff', (fields) =>
      fields['mail' as never] === 'new' ? { code: 'NO', message: 'no', paths: ['mail'] } : null,
    );
    await on.sql(
      `with m as (insert into hub.member (mail) values ('new') returning id) update hub.unit set head = m.id, code = 'A' from m where code = 'a'`,
    );
    await on.until(() =>
      on
        .remote('right')
        .list('Dept')
        .some((row) => row.fields['code' as never] === 'A'),
    );
  });

  test('F122 a child before its parent waits, and after its deadline a person is asked', async () => {
    const inbound = { ...defaultLimits.inbound, referenceWaitMs: 1_500 };
    const outbound = { ...defaultLimits.outbound, referenceWaitMs: 1_500 };
    const on = await open({
      spokes: { left: tree, right: other },
      mappings: [unit, member],
      limits: { inbound, outbound },
    });
    on.start();
    await on.settled();
    on.remote('right').validate('Dept', (fields) =>
      fields['code' as never] === 'bad' ? { code: 'NO', message: 'no', paths: ['code'] } : null,
    );
    await on.sql(
      `with u as (insert into hub.unit (code) values ('bad') returning id) insert into hub.member (mail, home) select 'm', id from u`,
    );
    const open_ = (): Promise<Record<string, string | null>[]> =>
      on.sql(`select entity, code from truespoke.parked where state = 'open' and spoke = 'right' order by entity`);
    await on.until(async () => (await open_()).length === 2, 20_000);
    expect(await open_()).toEqual([
      { entity: 'member', code: 'reference_missing' },
      { entity: 'unit', code: 'NO' },
    ]);
    await on.sql(`update hub.unit set code = 'good'`);
    await on.until(() => on.remote('right').list('Staff')[0]?.fields['dept' as never] !== undefined);
    await on.settled();
    expect(await open_()).toEqual([]);
  });
});
