// What a spoke does to our writes (F63–F72), through the whole engine: no edit lost, no record created twice, nothing called done
// that is not, other records keep flowing, and everything agrees once the spoke is well.
// Proves: Law 5
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock, type Clock } from '../../src/base/clock.js';
import type { Fault } from '../../src/connectors/memory/faults.js';
import { defaultLimits } from '../../src/engine/engine.js';
import { openPeople, peopleSpokes, type People } from '../support/people.js';

let people: People;
afterEach(() => people.end());

const outbound = { ...defaultLimits.outbound, leaseMs: 20_000, backoff: { firstMs: 20, maxMs: 200 } };

async function open(more: Parameters<typeof peopleSpokes>[0] = {}): Promise<void> {
  people = await openPeople({ spokes: peopleSpokes(more), limits: { outbound } });
  people.start();
  await people.settled();
}

const emails = (op: 'create' | 'update'): string[] =>
  people
    .writes('left')
    .filter((entry) => entry.op === op)
    .map(({ after }) => String(after?.['Email' as never]))
    .sort();
const parked = async (): Promise<(string | null | undefined)[]> =>
  (await people.sql(`select code from truespoke.parked where state = 'open' order by 1`)).map((row) => row['code']);
const strike = (...list: Fault[]): void => list.forEach((fault) => people.remote('left').faults.next(fault));

const three = { 'ann@x.test': 'Ann', 'bob@x.test': 'Bob', 'cy@x.test': 'Cy' };
const renamed = { 'ann@x.test': 'Anna', 'bob@x.test': 'Bobby', 'cy@x.test': 'Cyrus' };

describe.each<readonly [string, Fault[]]>([
  ['F63 connect refused: nothing was sent, so it is sent again', ['refused', 'refused']],
  ['F64 timeout after apply: read back, one record', ['lostApplied']],
  ['F64 timeout before apply: read back, not there, sent again', ['lostUnapplied']],
  ['F64 three lost answers in a row, some applied', ['lostUnapplied', 'lostApplied', 'lostUnapplied']],
  ['F59 throttled: waited for, not counted against the record', ['throttled', 'throttled']],
  ['F70 results in another order belong to their records', ['reordered']],
  ['F70 missing results are unknown, read back, and not sent twice', ['fewer', 'fewer']],
  ['F72 locked rows are tried again, the others of the batch are done', ['lockSome', 'lockSome', 'lockSome']],
])('%s', (_, list) => {
  test('creates and updates', async () => {
    await open();
    people.remote('left').faults.retryAfterMs = 100;
    strike(...list);
    await people.put(three);
    await people.agree(three);
    expect(emails('create')).toEqual(Object.keys(three));
    expect(emails('update')).toEqual([]);
    strike(...list);
    await people.put(renamed);
    await people.agree(renamed);
    expect(emails('create')).toEqual(Object.keys(three));
    expect(emails('update')).toEqual(Object.keys(three));
    expect(await parked()).toEqual([]);
  });
});

test('F65 applied late, after the read-back: the key that we left absorbs it', async () => {
  await open();
  people.remote('left').faults.lateMs = 400;
  strike('lateApplied');
  await people.put(three);
  await people.agree(three);
  // The late effect has happened by now, whatever the read-back saw.
  await people.until(() => people.writes('left').length >= 3);
  expect(people.remote('left').list('Contact')).toHaveLength(3);
  expect(emails('create')).toEqual(Object.keys(three));
});

test('F64 at a spoke that is not idempotent: looked for again and again before a create is repeated', async () => {
  await open({ capabilities: { idempotentCreate: false } });
  people.remote('left').faults.indexLagMs = 150;
  strike('lostApplied');
  await people.put(three);
  await people.until(() => people.writes('left').length === 3);
  people.remote('left').faults.heal();
  await people.agree(three);
  expect(emails('create')).toEqual(Object.keys(three));
});

test('F64 applied, the answer lost, and deleted in the hub before anyone looked: it goes at the spoke too, and never comes back', async () => {
  people = await openPeople({ limits: { outbound: { ...outbound, backoff: { firstMs: 60_000, maxMs: 60_000 } } } });
  people.start();
  await people.settled();
  strike('lostApplied');
  await people.put({ 'ann@x.test': 'Ann' });
  const left = async (): Promise<string | null | undefined> =>
    (await people.sql(`select state from truespoke.delivery where spoke = 'left'`))[0]?.['state'];
  await people.until(async () => (await left()) === 'unknown' && Object.keys(people.right()).length === 1);
  await people.sql('delete from hub.person');
  await people.until(() => Object.keys(people.right()).length === 0);
  // A person touches it there, so that every way of reading shows it.
  people.rename('left', 'ann@x.test', 'Anna');
  const polls = people.remote('left').calls['changes'] ?? 0;
  await people.until(() => (people.remote('left').calls['changes'] ?? 0) > polls + 5);
  expect(await people.hub()).toEqual({});
  await people.sql(`update truespoke.delivery set not_before = null`);
  await people.agree({});
  expect(people.writes('left').map(({ op }) => op)).toEqual(['create', 'delete']);
});

test('F24 a machine that slept through its lease just before sending sends nothing; what another has written since stays', async () => {
  let sleptMs = 0;
  const points: string[] = [];
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + sleptMs };
  people = await openPeople({
    spokes: peopleSpokes({ capabilities: { conditionalWrite: false } }),
    limits: { outbound },
    engine: {
      clock,
      crashpoint: (name) => {
        if (name.endsWith('/left')) points.push(name);
        if (name === 'delivery_sent/left' && sleptMs === 0) sleptMs = 3_600_000;
      },
    },
  });
  people.start();
  await people.settled();
  await people.put({ 'ann@x.test': 'Ann' });
  await people.agree({ 'ann@x.test': 'Ann' });
  const told = points.filter((name) => /sent|answered|read_back/.test(name)).map((name) => name.split('/')[0]);
  expect(told).toEqual(['delivery_sent', 'delivery_read_back', 'delivery_sent', 'delivery_answered']);
  expect(people.writes('left').map(({ op }) => op)).toEqual(['create']);
});

test('F69 partial batch: what was refused is parked with its reason, the rest is there, and a good value closes it', async () => {
  await open();
  people
    .remote('left')
    .validate('Contact', (fields) =>
      fields['Name' as never] === 'forbidden'
        ? { code: 'FIELD_CUSTOM_VALIDATION_EXCEPTION', message: 'not this name', paths: ['Name'] }
        : null,
    );
  await people.put({ ...three, 'bob@x.test': 'forbidden' });
  await people.until(async () => (await parked()).length === 1);
  await people.settled();
  expect(people.left()).toEqual({ 'ann@x.test': 'Ann', 'cy@x.test': 'Cy' });
  expect(await parked()).toEqual(['FIELD_CUSTOM_VALIDATION_EXCEPTION']);
  const [status] = (await people.engine.status()).spokes.filter(({ name }) => name === 'left');
  expect(status?.parkedOpen).toBe(1);
  await people.put(three);
  await people.agree(three);
  expect(await parked()).toEqual([]);
  expect(emails('create')).toEqual(Object.keys(three));
});

test('F71 the same record ten times while its spoke is away: one write', async () => {
  await open();
  await people.put({ 'ann@x.test': 'Ann 0' });
  await people.agree({ 'ann@x.test': 'Ann 0' });
  people.remote('left').faults.rates = { refused: 1 };
  for (let i = 1; i <= 10; i += 1) await people.put({ 'ann@x.test': `Ann ${i}` });
  await people.until(() => people.right()['ann@x.test'] === 'Ann 10');
  const [row] = await people.sql(`select count(*)::text as n from truespoke.delivery where spoke = 'left'`);
  expect(row).toEqual({ n: '1' });
  people.remote('left').faults.heal();
  await people.agree({ 'ann@x.test': 'Ann 10' });
  expect(emails('update')).toEqual(['ann@x.test']);
});

test('one spoke that answers nothing holds the other one back by nothing', async () => {
  await open();
  people.remote('left').faults.rates = { lostUnapplied: 1 };
  await people.put(three);
  await people.until(() => Object.keys(people.right()).length === 3, 5_000);
  expect(people.left()).toEqual({});
  people.remote('left').faults.heal();
  await people.agree(three, 40_000);
  expect(emails('create')).toEqual(Object.keys(three));
});

test('every kind of fault by chance for a while, with edits on all three sides: no loss, no duplicate, all agree', async () => {
  await open();
  const people100 = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`p${i}@x.test`, `P${i}`]));
  await people.put(people100);
  await people.agree(people100);
  for (const side of ['left', 'right'] as const) {
    people.remote(side).faults.retryAfterMs = 50;
    people.remote(side).faults.lateMs = 200;
    people.remote(side).faults.rates = {
      throttled: 0.05,
      refused: 0.05,
      lostApplied: 0.1,
      lostUnapplied: 0.05,
      lateApplied: 0.05,
      lockSome: 0.1,
      reordered: 0.1,
      fewer: 0.1,
    };
  }
  const expected: Record<string, string> = { ...people100 };
  for (let i = 0; i < 60; i += 1) {
    const email = `p${i}@x.test`;
    expected[email] = `edited ${i}`;
    if (i % 3 === 0) await people.put({ [email]: `edited ${i}` });
    else people.rename(i % 3 === 1 ? 'left' : 'right', email, `edited ${i}`);
    if (i % 10 === 0) {
      expected[`n${i}@x.test`] = `N${i}`;
      await people.put({ [`n${i}@x.test`]: `N${i}` });
    }
  }
  await people.until(
    async () => Object.values(await people.hub()).filter((name) => name?.startsWith('edited')).length === 60,
  );
  for (const side of ['left', 'right'] as const) people.remote(side).faults.heal();
  await people.agree(expected, 60_000);
  for (const side of ['left', 'right'] as const) {
    const creates = people.writes(side).filter(({ op }) => op === 'create');
    expect(new Set(creates.map(({ hubKey }) => hubKey)).size).toBe(creates.length);
  }
  expect(await parked()).toEqual([]);
}, 90_000);
