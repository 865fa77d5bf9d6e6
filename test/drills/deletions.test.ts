// Deletions need evidence, and many at once need a person (law 8): F51, F101, F106, through the whole engine.
// Proves: Invariant 4
import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/clock.js';
import { silentLog } from '../../src/base/log.js';
import { orderApprove } from '../../src/engine/orders.js';
import { parseMapping } from '../../src/mapping/load.js';
import { openPeople, personYaml, type People, type Policy } from '../support/people.js';

let people: People;
afterEach(() => people.end());

const three = { 'ann@x.test': 'Ann', 'bob@x.test': 'Bob', 'cy@x.test': 'Cy' };
const many = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`p${i}@x.test`, `P${i}`]));

async function open(
  records: Readonly<Record<string, string>>,
  options: Parameters<typeof openPeople>[0] = {},
): Promise<void> {
  people = await openPeople(options);
  people.start();
  await people.settled();
  await people.put(records);
  await people.agree(records);
}

const reviews = async (): Promise<string[]> =>
  (
    await people.sql(
      `select kind, coalesce(spoke, '*') as spoke from truespoke.review where state = 'open' order by 1, 2`,
    )
  ).map((row) => `${row['kind']} ${row['spoke']}`);
const deletes = (side: 'left' | 'right'): number => people.writes(side).filter(({ op }) => op === 'delete').length;

async function approve(yaml = personYaml()): Promise<void> {
  const { mapping } = parseMapping([{ file: 'person.yaml', text: yaml }], { spokes: ['left', 'right'] });
  const ids = (await people.sql(`select id from truespoke.review where state = 'open'`)).map((row) => row['id'] ?? '');
  const deps = { pool: people.db.pool, clock: systemClock, log: silentLog, actor: 'a person', mapping };
  expect(await orderApprove(deps, ids)).toHaveLength(ids.length);
}

describe('F51 TRUNCATE', () => {
  test('is held for a person: no record of any spoke is deleted, by no way', async () => {
    await open(three);
    await people.sql('truncate hub.person');
    await people.until(async () => (await reviews()).includes('truncate *'));
    await people.settled();
    // A person goes on working with one of them, which shows it to us again.
    people.rename('left', 'ann@x.test', 'Anna');
    const polls = people.remote('left').calls['changes'] ?? 0;
    await people.until(() => (people.remote('left').calls['changes'] ?? 0) > polls + 3);
    await people.settled();
    await people.reconcile('left');
    await people.reconcile('right');
    await people.settled();
    expect([deletes('left'), deletes('right')]).toEqual([0, 0]);
    expect(Object.keys(people.left()).sort()).toEqual(Object.keys(three));
    expect(people.right()).toEqual(three);
  });

  test('rows that come back afterwards flow as if nothing had been', async () => {
    await open(three);
    const rows = await people.sql('select id, email, name from hub.person');
    await people.sql('truncate hub.person');
    await people.until(async () => (await reviews()).length === 1);
    for (const row of rows)
      await people.sql('insert into hub.person (id, email, name) values ($1, $2, $3)', [
        row['id'],
        row['email'],
        row['name'],
      ]);
    const changed = { ...three, 'bob@x.test': 'Bobby' };
    await people.put(changed);
    await people.agree(changed);
    expect([deletes('left'), deletes('right')]).toEqual([0, 0]);
  });

  test('approved by a person, the deletions go out', async () => {
    await open(three);
    await people.sql('truncate hub.person');
    await people.until(async () => (await reviews()).length === 1);
    await approve();
    await people.agree({});
    expect([deletes('left'), deletes('right')]).toEqual([3, 3]);
  });
});

test('many rows deleted in one transaction are held as well, single ones are not', async () => {
  await open(many);
  await people.sql(`delete from hub.person where email <> 'p0@x.test' and email <> 'p1@x.test'`);
  await people.until(async () => (await reviews()).includes('mass_delete left'));
  await people.settled();
  expect([deletes('left'), deletes('right')]).toEqual([0, 0]);
  await people.sql(`delete from hub.person where email = 'p0@x.test'`);
  await people.until(() => deletes('left') === 1 && deletes('right') === 1);
  await approve();
  await people.agree({ 'p1@x.test': 'P1' });
});

test('rows that vanished from the hub unseen are not deleted by the reconciler in masses: it asks', async () => {
  await open(many);
  // What no stream tells of: triggers and capture are off for this session.
  await people.sql(`drop publication truespoke; delete from hub.person where email not in ('p0@x.test', 'p1@x.test')`);
  await people.until(async () => (await reviews()).length === 2);
  await people.reconcile('left');
  await people.settled();
  expect([deletes('left'), deletes('right')]).toEqual([0, 0]);
  expect(await reviews()).toEqual(['mass_delete left', 'mass_delete right']);
});

describe('F101 a deletion at a spoke leaves a tombstone, and does what the mapping says', () => {
  const outcomes: Record<Policy, { hub: string[]; right: string[] }> = {
    propagate: { hub: [], right: [] },
    archive: { hub: ['archived'], right: [] },
    unlink: { hub: ['live'], right: ['bob@x.test'] },
    ignore: { hub: ['live'], right: ['bob@x.test'] },
  };
  test.each(Object.entries(outcomes))('%s', async (policy, expected) => {
    await open({ 'bob@x.test': 'Bob' }, { mappings: [personYaml(policy as Policy)] });
    people.remote('left').remove('Contact', people.row('left', 'bob@x.test').id);
    await people.until(async () => {
      const [link] = await people.sql(`select state from truespoke.link where spoke = 'left'`);
      return link?.['state'] === 'tombstone' && Object.keys(people.right()).length === expected.right.length;
    });
    await people.settled();
    const archived = policy === 'archive' ? `case when deleted_at is null then 'live' else 'archived' end` : `'live'`;
    expect((await people.sql(`select ${archived} as state from hub.person`)).map((row) => row['state'])).toEqual(
      expected.hub,
    );
    expect(Object.keys(people.right())).toEqual(expected.right);
    // Polls do not bring it back there; an edit in the hub does where deletions are to be ignored.
    await people.sql(`update hub.person set size = 3`);
    await people.settled();
    const ops = policy === 'ignore' ? ['create', 'delete', 'create'] : ['create', 'delete'];
    expect(people.remote('left').ledger.map(({ op }) => op)).toEqual(ops);
  });
});

describe('F106 thousands are suddenly not there', () => {
  test('erased without a word: the reconciler finds it, the breaker holds and asks', async () => {
    await open(many);
    for (const row of people.remote('left').list('Contact')) people.remote('left').erase('Contact', row.id);
    await people.reconcile('left');
    await people.until(async () => (await reviews()).includes('mass_delete left'), 30_000);
    await people.settled();
    const hub = Object.keys(await people.hub()).length;
    // Those before the limit was reached are gone, as single deletions would be; the rest waits.
    expect(hub).toBeGreaterThanOrEqual(200);
    expect(Object.keys(people.right()).length).toBe(hub);
    expect(deletes('right')).toBeLessThanOrEqual(100);
    const [parked] = await people.sql(
      `select count(*)::text as n from truespoke.parked where state = 'open' and code = 'mass_delete_held'`,
    );
    expect(parked).toEqual({ n: String(hub) });
  });

  test('a listing that is empty by mistake is no evidence at all', async () => {
    await open(many);
    people.remote('left').faults.indexLagMs = 3_600_000;
    await people.reconcile('left');
    await people.settled();
    people.remote('left').faults.heal();
    expect(await reviews()).toEqual([]);
    await people.agree(many);
    expect([deletes('left'), deletes('right')]).toEqual([0, 0]);
  });
});
