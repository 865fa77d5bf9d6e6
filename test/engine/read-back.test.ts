// Law 4: reading back what became of a write of ours takes account of that write, not of what others did to the record meanwhile.
// Proves: Law 4, Law 5
import { afterEach, expect, test } from 'vitest';
import { openWheel, type Wheel } from '../support/wheel.js';

const thing = `
entity: thing
fields: { code: { type: text, match: exact }, label: text, price: { type: decimal, scale: 2 }, visits: { type: integer, policy: delta } }
spokes:
  left: { object: Thing, fields: { code: Code, label: Label, price: Price, visits: Visits }, delete: propagate }
`;

let wheel: Wheel;
afterEach(() => wheel.end());

/**
 * A record both know; then nothing but outbound looks at the spoke. Our next write is applied, its answer lost, `meanwhile` happens, and
 * nobody comes through to look before `found`; where nothing happens meanwhile, anybody may.
 */
async function lostAnswer(
  conditionalWrite: boolean,
  meanwhile: Record<string, string | number> | null,
): Promise<string> {
  const fields = { Code: {}, Label: {}, Price: { type: 'number' as const }, Visits: { type: 'number' as const } };
  wheel = await openWheel({
    spokes: { left: { capabilities: { conditionalWrite, tellsAuthor: false }, objects: { Thing: { fields } } } },
    mappings: [thing],
  });
  const left = wheel.remote('left');
  const id = left.create('Thing', { Code: 't', Label: 'first', Price: 1, Visits: 1 });
  wheel.start();
  await wheel.settled();
  await wheel.restart({ roles: ['capture', 'outbound'] });
  let edited = false;
  left.trigger('Thing', (values) => {
    if (!edited && meanwhile !== null) {
      queueMicrotask(() => left.edit('Thing', id, meanwhile));
      left.faults.rates = { refused: 1 };
    }
    edited = true;
    return values;
  });
  left.faults.next('lostApplied');
  return id;
}

async function found(): Promise<void> {
  await wheel.until(
    async () => (await wheel.sql(`select 1 from truespoke.delivery where state = 'unknown'`)).length > 0,
  );
  wheel.remote('left').faults.rates = {};
}

/** Journaled, and nothing is on its way out. */
const out = (field: string, value: string): Promise<unknown> =>
  wheel.until(async () => {
    const captured = await wheel.sql(`select 1 from truespoke.journal where after ->> $1 = $2`, [field, value]);
    const open = await wheel.sql(`select 1 from truespoke.delivery`);
    return captured.length > 0 && open.length === 0;
  });

test.each([true, false])(
  'F64 somebody edits another field before we come to look: the next write does not go over it (conditional writes: %s)',
  async (conditionalWrite) => {
    const id = await lostAnswer(conditionalWrite, { Label: 'by a person' });
    await wheel.sql(`update hub.thing set price = 2`);
    await wheel.until(
      async () => (await wheel.sql(`select 1 from truespoke.delivery where state = 'unknown'`)).length > 0,
    );
    await wheel.sql(`update hub.thing set label = 'by an application'`);
    await found();
    await out('label', 'by an application');
    expect(await wheel.sql('select field, hub_value, spoke_value from truespoke.conflict')).toEqual([
      { field: 'label', hub_value: 'by an application', spoke_value: 'by a person' },
    ]);
    const [row] = await wheel.sql('select label from hub.thing');
    expect(wheel.remote('left').get('Thing', id)?.fields['Label' as never]).toBe(row?.['label']);
  },
);

test('F64 somebody respells another field before we come to look: no spelling of ours stood there, so that is an edit', async () => {
  const id = await lostAnswer(true, { Label: 'FIRST' });
  await wheel.sql(`update hub.thing set price = 2`);
  await found();
  await wheel.until(async () => (await wheel.sql(`select 1 from hub.thing where label = 'FIRST'`)).length === 1);
  await out('label', 'FIRST');
  expect(wheel.remote('left').get('Thing', id)?.fields['Label' as never]).toBe('FIRST');
  expect(await wheel.sql('select field from truespoke.conflict')).toEqual([]);
});

test('F65 F118 a deletion is not answered, and somebody has edited the record when we look: it may come yet, so the edit is kept at once', async () => {
  const id = await lostAnswer(true, null);
  const left = wheel.remote('left');
  const seen = { answers: 0, looked: false };
  const crashpoint = (name: string): void => {
    if (name === 'delivery_answered/left') {
      seen.answers += 1;
      if (seen.answers === 1) left.edit('Thing', id, { Label: 'by a person' });
    }
    if (name === 'delivery_read_back/left') seen.looked = true;
    // No second try, which would look as well.
    if (name === 'delivery_claimed/left' && seen.looked) throw new Error('dies');
  };
  await wheel.restart({ roles: ['capture', 'outbound'], crashpoint });
  left.faults.heal();
  left.faults.next('lostUnapplied');
  await wheel.sql('delete from hub.thing');
  const kept = (): Promise<unknown[]> => wheel.sql('select field, winner, spoke_value from truespoke.conflict');
  await wheel.until(async () => (await kept()).length > 0);
  expect(await kept()).toEqual([{ field: 'label', winner: 'hub', spoke_value: 'by a person' }]);
});

test('F64 somebody counts on from the number that our write brought: a part of the write that still shows proves that all of it came', async () => {
  const id = await lostAnswer(true, { Visits: 10 });
  await wheel.sql(`update hub.thing set price = 2, visits = 9`);
  await found();
  await out('visits', '9');
  await wheel.until(async () => (await wheel.sql('select 1 from hub.thing where visits <> 9')).length === 1);
  await out('visits', '10');
  expect(await wheel.sql('select visits::text as visits from hub.thing')).toEqual([{ visits: '10' }]);
  expect(wheel.remote('left').get('Thing', id)?.fields['Visits' as never]).toBe(10);
  expect(await wheel.sql('select field from truespoke.conflict')).toEqual([]);
});

test('F64 our count never came, and somebody counted to the same number before we look: where only the number speaks, the conflict log keeps both', async () => {
  const id = await lostAnswer(true, null);
  const left = wheel.remote('left');
  // Nobody comes through to look before the other one has counted.
  let answered = 0;
  const crashpoint = (name: string): void => {
    if (name !== 'delivery_answered/left') return;
    answered += 1;
    if (answered === 1) left.faults.rates = { refused: 1 };
  };
  await wheel.restart({ roles: ['capture', 'outbound'], crashpoint });
  left.faults.heal();
  left.faults.next('lostUnapplied');
  await wheel.sql(`update hub.thing set visits = 9`);
  await wheel.until(
    async () => (await wheel.sql(`select 1 from truespoke.delivery where state = 'unknown'`)).length > 0,
  );
  left.edit('Thing', id, { Visits: 9 });
  left.faults.rates = {};
  await out('visits', '9');
  expect(await wheel.sql('select field, policy, winner, base, hub_value, spoke_value from truespoke.conflict')).toEqual(
    [{ field: 'visits', policy: 'delta', winner: 'hub', base: '1', hub_value: '9', spoke_value: '9' }],
  );
  expect(await wheel.sql('select visits::text as visits from hub.thing')).toEqual([{ visits: '9' }]);
  expect(left.get('Thing', id)?.fields['Visits' as never]).toBe(9);
});

test('F98 F64 a read-back that lags behind our own unanswered write: the refused condition of the next try tells that it came', async () => {
  const id = await lostAnswer(true, null);
  const left = wheel.remote('left');
  const lagMs = 1_500;
  // Older than reads will lag, or it would be an absence.
  await wheel.until(() => left.view('Thing', lagMs).get(id) !== undefined);
  left.faults.staleReadMs = lagMs;
  await wheel.sql(`update hub.thing set visits = 9`);
  await out('visits', '9');
  left.faults.staleReadMs = 0;
  await wheel.restart();
  await wheel.settled();
  expect(await wheel.sql('select visits::text as visits from hub.thing')).toEqual([{ visits: '9' }]);
  expect(left.get('Thing', id)?.fields['Visits' as never]).toBe(9);
});

test('F65 F8 our first write arrives late and has the second refused, whose answer is forgotten: what it left does not pass for the second', async () => {
  const fields = { Code: {}, Label: {}, Price: { type: 'number' as const }, Visits: { type: 'number' as const } };
  wheel = await openWheel({ spokes: { left: { objects: { Thing: { fields } } } }, mappings: [thing] });
  const left = wheel.remote('left');
  const id = left.create('Thing', { Code: 't', Label: 'first', Price: 1 });
  wheel.start();
  await wheel.settled();
  const calls = { sent: 0, answered: 0 };
  const crashpoint = (name: string): void => {
    if (name === 'delivery_sent/left') {
      calls.sent += 1;
      const late = {
        op: 'update',
        object: 'Thing',
        id,
        fields: { Label: 'second' },
        children: {},
        expect: null,
      } as const;
      if (calls.sent === 2) left.applySelf(late as never);
    }
    if (name !== 'delivery_answered/left') return;
    calls.answered += 1;
    // Nobody comes through to look before the hub has moved on; nor after the second answer, so that it is not known any more.
    if (calls.answered === 1) left.faults.rates = { refused: 1 };
    if (calls.answered === 2) left.faults.next('refused', 'read');
  };
  await wheel.restart({ roles: ['capture', 'outbound'], crashpoint });
  left.faults.next('lostUnapplied');
  await wheel.sql(`update hub.thing set label = 'second'`);
  await wheel.until(
    async () => (await wheel.sql(`select 1 from truespoke.delivery where state = 'unknown'`)).length > 0,
  );
  await wheel.sql(`update hub.thing set label = 'third', price = 3`);
  await wheel.until(async () => (await wheel.sql(`select 1 from truespoke.delivery where generation = 2`)).length > 0);
  left.faults.rates = {};
  await out('label', 'third');
  expect(left.get('Thing', id)?.fields).toMatchObject({ Label: 'third', Price: 3 });
  expect(calls).toEqual({ sent: 3, answered: 3 });
});

test('somebody fills in what our create left empty before we look at what it made, within one coarse stamp: that is an edit', async () => {
  const coarse = { returnsRecord: false, conditionalWrite: false, idempotentCreate: false, tellsAuthor: false };
  const fields = { Code: {}, Label: {}, Price: { type: 'number' as const }, Visits: { type: 'number' as const } };
  wheel = await openWheel({
    spokes: {
      left: { versions: 'clock', versionStepMs: 1_000, capabilities: coarse, objects: { Thing: { fields } } },
    },
    mappings: [thing],
  });
  const left = wheel.remote('left');
  left.trigger('Thing', (values, before) => {
    if (before === null) {
      queueMicrotask(() => left.edit('Thing', left.list('Thing')[0]?.id ?? '', { Label: 'by a person' }));
    }
    return values;
  });
  wheel.start();
  await wheel.settled();
  await wheel.sql(`insert into hub.thing (code, price) values ('t', 2)`);
  await wheel.until(async () => (await wheel.sql(`select 1 from hub.thing where label = 'by a person'`)).length === 1);
  await wheel.sql(`update hub.thing set price = 3`);
  await out('price', '3.00');
  expect(left.list('Thing')[0]?.fields).toMatchObject({ Label: 'by a person', Price: 3 });
});
