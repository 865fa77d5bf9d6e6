// What a spoke shows us late, twice, stale or with coarse stamps (F94–F98), through the whole engine: every edit arrives once, and nothing
// old overwrites anything new.
// Proves: Law 3, Law 4
import { afterEach, expect, test } from 'vitest';
import { openPeople, peopleSpokes, type People } from '../support/people.js';

let people: People;
afterEach(() => people.end());

async function open(
  left: Parameters<typeof peopleSpokes>[0],
  records: Readonly<Record<string, string>> = {},
): Promise<void> {
  people = await openPeople({ spokes: peopleSpokes(left) });
  people.start();
  await people.settled();
  await people.put(records);
  await people.agree(records);
}

// No stream: what arrives comes by polling.
const polled = { capabilities: { stream: false } };
const clocked = { ...polled, versions: 'clock' as const, overlapMs: 5_000 };

test('F94 five hundred records with one stamp, on pages of fifty: none is skipped', async () => {
  await open({ ...clocked, pageRows: 50 });
  const expected = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`p${i}@x.test`, `P${i}`]));
  people.remote('left').together(() => {
    for (const [email, name] of Object.entries(expected)) people.join('left', email, name);
  });
  await people.agree(expected, 30_000);
  expect(people.writes('left')).toEqual([]);
});

test('F95 whole seconds for stamps: every edit within one second arrives, and an idle poll changes nothing', async () => {
  await open({ ...clocked, versionStepMs: 1_000 }, { 'ann@x.test': 'Ann' });
  for (let i = 0; i < 12; i += 1) {
    people.rename('left', 'ann@x.test', `Ann ${i}`);
    await people.until(() => people.right()['ann@x.test'] === `Ann ${i}`);
  }
  await people.agree({ 'ann@x.test': 'Ann 11' });
  const ledger = people.remote('right').ledger.length;
  const polls = people.remote('left').calls['changes'] ?? 0;
  await people.until(() => (people.remote('left').calls['changes'] ?? 0) > polls + 5);
  expect(people.remote('right').ledger.length).toBe(ledger);
});

test('F95 an edit of ours and one of a person within the same second: neither hides the other', async () => {
  await open({ ...clocked, versionStepMs: 1_000 }, { 'ann@x.test': 'Ann' });
  for (let i = 0; i < 5; i += 1) {
    await people.sql(`update hub.person set size = $1`, [i]);
    await people.until(() => people.row('left', 'ann@x.test').fields['Size' as never] === i);
    people.rename('left', 'ann@x.test', `Ann ${i}`);
    await people.until(() => people.right()['ann@x.test'] === `Ann ${i}`);
  }
  await people.agree({ 'ann@x.test': 'Ann 4' });
  expect(await people.sql('select size from hub.person')).toEqual([{ size: '4.00' }]);
});

test('F96 a late commit with an older stamp is found inside the overlap', async () => {
  await open(clocked);
  const remote = people.remote('left');
  remote.together(() => people.join('left', 'late@x.test', 'Late'), 1_000);
  people.join('left', 'soon@x.test', 'Soon');
  await people.until(async () => Object.keys(await people.hub()).length === 1);
  expect(await people.hub()).toEqual({ 'soon@x.test': 'Soon' });
  await people.agree({ 'late@x.test': 'Late', 'soon@x.test': 'Soon' });
});

test('F96 later than any overlap: the reconciler finds it', async () => {
  await open({ ...clocked, overlapMs: 50 }, { 'ann@x.test': 'Ann' });
  people.remote('left').together(() => {
    people.rename('left', 'ann@x.test', 'Anna');
    people.join('left', 'late@x.test', 'Late');
  }, 1_200);
  const polls = people.remote('left').calls['changes'] ?? 0;
  await people.until(() => (people.remote('left').calls['changes'] ?? 0) > polls + 16);
  expect(await people.hub()).toEqual({ 'ann@x.test': 'Ann' });
  await people.reconcile('left');
  await people.agree({ 'ann@x.test': 'Anna', 'late@x.test': 'Late' });
});

test('F97 a search index that lags: what it does not show yet comes later, once', async () => {
  await open(polled, { 'ann@x.test': 'Ann' });
  people.remote('left').faults.indexLagMs = 600;
  people.rename('left', 'ann@x.test', 'Anna');
  people.join('left', 'bob@x.test', 'Bob');
  await people.agree({ 'ann@x.test': 'Anna', 'bob@x.test': 'Bob' });
  expect(people.writes('left').map(({ op }) => op)).toEqual(['create']);
});

test('F117 three sides edit a field each of one record at once: every edit survives, and there is no conflict', async () => {
  await open({}, { 'ann@x.test': 'Ann' });
  const [left, right] = [people.row('left', 'ann@x.test').id, people.row('right', 'ann@x.test').id];
  await people.stop();
  people.remote('left').edit('Contact', left, { Name: 'Anna' });
  people.remote('right').edit('Client', right, { weight: 7 });
  await people.sql(`update hub.person set email = 'anna@x.test'`);
  await people.restart();
  await people.agree({ 'anna@x.test': 'Anna' });
  expect(people.row('left', 'anna@x.test').fields['Size' as never]).toBe(7);
  expect(people.row('right', 'anna@x.test').fields['weight' as never]).toBe(7);
  expect(await people.sql('select size from hub.person')).toEqual([{ size: '7.00' }]);
  expect(await people.sql('select 1 from truespoke.conflict')).toEqual([]);
});

test('F98 a stale read after our own write is never taken for a revert, by poll, hint or reconciler', async () => {
  await open({}, { 'ann@x.test': 'Ann' });
  const remote = people.remote('left');
  remote.faults.indexLagMs = 1_500;
  remote.faults.staleReadMs = 1_500;
  for (let i = 0; i < 8; i += 1) {
    await people.put({ 'ann@x.test': `Ann ${i}` });
    await people.until(() => people.left()['ann@x.test'] === `Ann ${i}`);
  }
  await people.reconcile('left');
  const polls = remote.calls['changes'] ?? 0;
  await people.until(() => (remote.calls['changes'] ?? 0) > polls + 20);
  await people.agree({ 'ann@x.test': 'Ann 7' });
  const [row] = await people.sql(
    `select count(*)::text as n from truespoke.journal where origin = 'left' and op = 'update' and after ? 'name'`,
  );
  expect(row).toEqual({ n: '0' });
  expect(await people.sql('select 1 from truespoke.conflict')).toEqual([]);
});

test('F98 and a person who really does put the old value back is believed', async () => {
  await open({}, { 'ann@x.test': 'Ann' });
  await people.put({ 'ann@x.test': 'Anna' });
  await people.agree({ 'ann@x.test': 'Anna' });
  people.rename('left', 'ann@x.test', 'Ann');
  await people.agree({ 'ann@x.test': 'Ann' });
});
