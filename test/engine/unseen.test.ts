// F78 while the field can still be written: what a spoke does not show is not written to unseen, and nothing of it is lost.
// Proves: Law 2, Law 5, Invariant 1
import { afterEach, describe, expect, test } from 'vitest';
import { openWheel, type Wheel } from '../support/wheel.js';

let wheel: Wheel | undefined;
afterEach(async () => {
  await wheel?.end();
  wheel = undefined;
});

const person = `
entity: person
fields:
  email: { type: text, match: case-insensitive }
  name: text
  size: integer
spokes:
  left:
    object: Contact
    fields: { email: Email, name: Name, size: Size }
    delete: propagate
`;

async function started(
  conditionalWrite: boolean,
  deletion: 'propagate' | 'ignore' = 'propagate',
): Promise<{ readonly on: Wheel; readonly id: string }> {
  const fields = { Email: {}, Name: { normalise: ['uppercase' as const] }, Size: { type: 'number' as const } };
  const left = { objects: { Contact: { fields } }, capabilities: { conditionalWrite } };
  const on = (wheel = await openWheel({
    spokes: { left },
    mappings: [person.replace('propagate', deletion)],
    engine: { pollMs: 100, unseenMs: 100 },
  }));
  const id = on.remote('left').create('Contact', { Email: 'a@x.test', Name: 'Ann', Size: 1 });
  on.start();
  await on.settled();
  return { on, id };
}

const hub = async (on: Wheel): Promise<unknown> => (await on.sql('select name, size::text as size from hub.person'))[0];
const shown = (on: Wheel, id: string): unknown => {
  const { fields = {} } = on.remote('left').get('Contact', id) ?? {};
  return { name: fields['Name' as never], size: fields['Size' as never] };
};
const waits = async (on: Wheel): Promise<boolean> =>
  (await on.sql(`select 1 from truespoke.delivery where reason = 'field_not_shown'`)).length === 1;
const conflicts = (on: Wheel): Promise<unknown> =>
  on.sql('select field, hub_value, spoke_value from truespoke.conflict order by id');

describe.each([
  ['with conditional writes', true],
  ['without conditional writes', false],
])('%s', (_name, conditionalWrite) => {
  test('F78 what was edited while we could not see it is not written over; the other fields go their way; then both are merged', async () => {
    const { on, id } = await started(conditionalWrite);
    const remote = on.remote('left');
    remote.hide('Contact', 'Name');
    remote.edit('Contact', id, { Name: 'SOMEBODY', Size: 2 });
    await on.until(async () => (await on.sql('select 1 from hub.person where size = 2')).length === 1);
    await on.sql(`update hub.person set name = 'Bea', size = 3`);
    await on.until(() => remote.get('Contact', id)?.fields['Size' as never] === 3);
    await on.until(() => waits(on));
    expect(shown(on, id)).toEqual({ name: 'SOMEBODY', size: 3 });
    remote.hide('Contact', 'Name', false);
    await on.until(async () => (await on.sql('select 1 from truespoke.delivery')).length === 0);
    await on.settled();
    expect(await conflicts(on)).toEqual([{ field: 'name', hub_value: 'Bea', spoke_value: 'SOMEBODY' }]);
    expect(JSON.stringify(shown(on, id)).toLowerCase()).toBe(
      JSON.stringify({ ...((await hub(on)) as object), size: 3 }).toLowerCase(),
    );
  });

  test('F78 hidden while the answer came: the first sight of our own write in the spelling of the spoke is nobody’s edit', async () => {
    const { on, id } = await started(conditionalWrite);
    const remote = on.remote('left');
    const writes = remote.ledger.length;
    const calls = (): number => remote.calls['write'] ?? 0;
    const before = calls();
    // Between our look and the answer.
    if (conditionalWrite) remote.hide('Contact', 'Name');
    else remote.trigger('Contact', (fields) => (remote.hide('Contact', 'Name'), fields));
    await on.sql(`update hub.person set name = 'Bea'`);
    await on.until(() => calls() > before);
    await on.settled();
    remote.hide('Contact', 'Name', false);
    await on.sql(`update hub.person set size = 5`);
    await on.until(() => remote.get('Contact', id)?.fields['Size' as never] === 5);
    await on.settled();
    expect(await hub(on)).toEqual({ name: 'Bea', size: '5' });
    expect(shown(on, id)).toEqual({ name: 'BEA', size: 5 });
    expect(await conflicts(on)).toEqual([]);
    expect(remote.ledger.slice(writes).filter(({ by }) => by === 'self')).toHaveLength(2);
  });

  test('F64 F78 a write that never came, to a field that is hidden when we look: that is no success, and what stood there is nobody’s edit', async () => {
    const { on, id } = await started(conditionalWrite);
    const remote = on.remote('left');
    let looks = 0;
    const crashpoint = (name: string): void => {
      if (name === 'delivery_sent/left' && looks === 0) remote.hide('Contact', 'Name');
      if (name === 'delivery_read_back/left') looks += 1;
    };
    await on.restart({ crashpoint });
    remote.faults.next('lostUnapplied', 'write');
    await on.sql(`update hub.person set name = 'Bea'`);
    await on.until(() => looks > 0);
    await on.until(async () => (await on.sql(`select 1 from truespoke.delivery where state = 'unknown'`)).length === 0);
    remote.hide('Contact', 'Name', false);
    await on.until(() => (shown(on, id) as { name: unknown }).name === 'BEA');
    await on.settled();
    expect(await hub(on)).toEqual({ name: 'Bea', size: '1' });
    expect(await conflicts(on)).toEqual([]);
  });

  test('F78 shown again: what was edited meanwhile comes in by itself, though no record changes any more', async () => {
    const { on, id } = await started(conditionalWrite);
    const remote = on.remote('left');
    const other = remote.create('Contact', { Email: 'b@x.test', Name: 'BOB', Size: 1 });
    await on.until(async () => (await on.sql('select 1 from hub.person')).length === 2);
    remote.hide('Contact', 'Name');
    remote.edit('Contact', id, { Name: 'SOMEBODY', Size: 2 });
    remote.edit('Contact', other, { Name: 'SOMEBODY ELSE', Size: 2 });
    await on.until(async () => (await on.sql('select 1 from hub.person where size = 2')).length === 2);
    await on.settled();
    remote.hide('Contact', 'Name', false);
    const names = async (): Promise<unknown> =>
      (await on.sql('select name from hub.person order by email')).map((row) => row['name']);
    await on.until(async () => JSON.stringify(await names()) === '["SOMEBODY","SOMEBODY ELSE"]');
    expect(await conflicts(on)).toEqual([]);
    expect(await on.sql('select 1 from truespoke.link where unseen is not null')).toEqual([]);
  });

  test('F78 hidden from us, and respelled meanwhile: we have seen what the spoke makes of ours, so that is an edit', async () => {
    const { on, id } = await started(conditionalWrite);
    const remote = on.remote('left');
    remote.hide('Contact', 'Name');
    remote.edit('Contact', id, { Name: 'A.N.N.', Size: 2 });
    await on.until(async () => (await on.sql('select 1 from hub.person where size = 2')).length === 1);
    await on.settled();
    remote.hide('Contact', 'Name', false);
    await on.until(async () => JSON.stringify(await hub(on)) === '{"name":"A.N.N.","size":"2"}');
    expect(await conflicts(on)).toEqual([]);
  });

  test('F64 F78 a create is not answered, and hidden from us is what somebody fills in before we look: it is not written over', async () => {
    const { on } = await started(conditionalWrite);
    const remote = on.remote('left');
    // Nobody but outbound looks, and what its look leaves for inbound never gets there.
    const looked = { edited: false, died: false };
    const crashpoint = (point: string): void => {
      if (point !== 'delivery_settled/left' || !looked.edited || looked.died) return;
      looked.died = true;
      throw new Error('dies');
    };
    await on.restart({ roles: ['capture', 'outbound'], crashpoint });
    remote.trigger('Contact', (fields, before) => {
      if (before !== null) return fields;
      remote.hide('Contact', 'Name');
      remote.faults.rates = { refused: 1 };
      return fields;
    });
    remote.faults.next('lostApplied');
    await on.sql(`insert into hub.person (email) values ('b@x.test')`);
    await on.until(async () => (await on.sql(`select 1 from truespoke.delivery where state = 'unknown'`)).length > 0);
    const made = remote.list('Contact').at(-1)?.id ?? '';
    remote.edit('Contact', made, { Name: 'SOMEBODY', Size: 2 });
    looked.edited = true;
    remote.faults.rates = {};
    await on.until(() => looked.died);
    await on.sql(`update hub.person set name = 'Bea' where email = 'b@x.test'`);
    await on.until(() => waits(on));
    expect(shown(on, made)).toEqual({ name: 'SOMEBODY', size: 2 });
    remote.hide('Contact', 'Name', false);
    await on.restart();
    await on.settled();
    expect(await conflicts(on)).toEqual([{ field: 'name', hub_value: 'Bea', spoke_value: 'SOMEBODY' }]);
  });
});

test('F78 the row is gone and its record was left alone: nobody asks for it without end; with the row back, what was edited comes in', async () => {
  const { on, id } = await started(true, 'ignore');
  const remote = on.remote('left');
  remote.hide('Contact', 'Name');
  remote.edit('Contact', id, { Name: 'SOMEBODY', Size: 2 });
  await on.until(async () => (await on.sql('select 1 from hub.person where size = 2')).length === 1);
  await on.settled();
  const [row] = await on.sql('delete from hub.person returning id, email, name, size');
  remote.hide('Contact', 'Name', false);
  const calls = (): { readonly polls: number; readonly reads: number } => ({
    polls: remote.calls['changes'] ?? 0,
    reads: remote.calls['fetch'] ?? 0,
  });
  let from = calls();
  // As often as it is polled, hidden fields are looked for.
  await on.until(() => {
    const now = calls();
    if (now.reads !== from.reads) from = now;
    return now.polls >= from.polls + 20;
  });
  await on.settled();
  await on.sql('insert into hub.person (id, email, name, size) values ($1, $2, $3, $4)', Object.values(row ?? {}));
  await on.until(async () => JSON.stringify(await hub(on)) === '{"name":"SOMEBODY","size":"2"}');
  expect(await conflicts(on)).toEqual([]);
  expect(await on.sql('select 1 from truespoke.link where unseen is not null')).toEqual([]);
});
