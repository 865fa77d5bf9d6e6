// The sweep: what differs is found, repaired through the ordinary doors, and closed; what agrees or is explained is left alone.
// Proves: Law 8, Invariant 1
import { afterEach, describe, expect, test } from 'vitest';
import { seeded, systemIds } from '../../src/base/random.js';
import { systemClock } from '../../src/base/clock.js';
import { silentLog } from '../../src/base/log.js';
import { reconcileNow } from '../../src/engine/reconcile.js';
import type { SweepReport } from '../../src/reconcile/sweep.js';
import { openWheel, type Wheel } from '../support/wheel.js';

const left = {
  objects: { Contact: { fields: { Email: {}, Name: {}, Note: {} } } },
  capabilities: { stream: false },
};
const person = (policy: string): string => `
entity: person
fields:
  email: { type: text, match: case-insensitive }
  name: text
  note: text
spokes:
  left:
    object: Contact
    when: hub.email != 'no@x.test'
    fields: { email: Email, name: { remote: Name, via: trim }, note: Note }
    delete: ${policy}
`;

let wheel: Wheel | undefined;
afterEach(async () => {
  await wheel?.end();
  wheel = undefined;
});

async function started(
  policy = 'propagate',
  pollMs = 600_000,
): Promise<{ on: Wheel; ids: string[]; sweep: () => Promise<SweepReport> }> {
  const on = (wheel = await openWheel({ spokes: { left }, mappings: [person(policy)], engine: { pollMs } }));
  const ids = ['a', 'b', 'c', 'd'].map((name) =>
    on.remote('left').create('Contact', { Email: `${name}@x.test`, Name: name }),
  );
  on.start();
  await on.settled();
  const sweep = async (): Promise<SweepReport> => {
    const http = { request: () => Promise.reject(new Error('none')) };
    const { signal } = new AbortController();
    const deps = {
      pool: on.db.pool,
      clock: systemClock,
      ids: systemIds(systemClock),
      random: seeded(1),
      log: silentLog,
      http,
      mapping: on.mapping,
      signal,
    };
    const [report] = (await reconcileNow(deps, on.setup('left'))).reports;
    if (report === undefined) throw new Error('no report');
    return report;
  };
  return { on, ids, sweep };
}
const drift = (on: Wheel): Promise<Record<string, string | null>[]> =>
  on.sql(`select class, state from truespoke.drift order by id`);

describe('the sweep', () => {
  test('what becomes of a record that outlived its row is no drift where deletions are ignored', async () => {
    const { on, ids, sweep } = await started('ignore');
    await on.sql(`delete from hub.person where email = 'a@x.test'`);
    await on.settled();
    on.remote('left').edit('Contact', ids[0] ?? '', { Name: 'somebody' });
    await on.settled();
    expect(await sweep()).toMatchObject({ drifted: 0 });
    expect(await on.sql('select class from truespoke.drift')).toEqual([]);
  });

  test('of healthy data finds nothing and writes nothing, also while the hub is edited', async () => {
    const { on, sweep } = await started();
    await on.sql(`insert into hub.person (email, name) values ('no@x.test', 'not for this spoke')`);
    await on.sql(`update hub.person set name = 'a ' where name = 'a'`);
    await on.settled();
    const writes = on.remote('left').ledger.length;
    expect(await sweep()).toMatchObject({ compared: 4, drifted: 0, unseen: 0 });
    let editing = true;
    const edits = (async () => {
      for (let i = 0; editing; i += 1) await on.sql(`update hub.person set note = $1 where name = 'b'`, [`n${i}`]);
    })();
    for (let round = 0; round < 3; round += 1) expect((await sweep()).drifted).toBe(0);
    editing = false;
    await edits;
    await on.settled();
    expect(await drift(on)).toEqual([]);
    expect(
      on
        .remote('left')
        .ledger.slice(writes)
        .every(({ after }) => String(after?.['Note' as never]).startsWith('n')),
    ).toBe(true);
  });

  test('damaged is written again, missed is fetched, missing is confirmed, undeleted comes back; the next sweep closes them', async () => {
    const { on, ids, sweep } = await started();
    const remote = on.remote('left');
    const [a = '', b = '', c = '', d = ''] = ids;
    remote.damage('Contact', a, { Name: 'broken' });
    remote.edit('Contact', b, { Name: 'B' });
    remote.erase('Contact', c);
    expect((await sweep()).drifted).toBe(3);
    await on.until(() => remote.get('Contact', a)?.fields['Name' as never] === 'a');
    await on.until(async () => (await on.sql(`select 1 from hub.person where name = 'B'`)).length === 1);
    await on.until(async () => (await on.sql(`select 1 from hub.person where name = 'c'`)).length === 0);
    await on.settled();
    expect((await sweep()).drifted).toBe(0);
    expect((await drift(on)).map(({ state }) => state)).toEqual(['repaired', 'repaired', 'repaired']);
    await on.sql(`delete from hub.person where name = 'd'`);
    await on.until(() => remote.get('Contact', d)?.deleted === true);
    await on.settled();
    remote.undelete('Contact', d);
    expect((await sweep()).unseen).toBe(1);
    await on.until(async () => (await on.sql(`select 1 from hub.person where name = 'd'`)).length === 1);
  });

  test('damage beside a field that a person must decide is written again; that field is left as it is', async () => {
    const { on, ids, sweep } = await started();
    const remote = on.remote('left');
    const [id = ''] = ids;
    const [row] = await on.sql(`select id::text as id from hub.person where name = 'a'`);
    await on.sql(
      `insert into truespoke.conflict (at, spoke, entity, hub_id, field, base, hub_value, spoke_value, policy, winner, state)
       values (now(), 'left', 'person', $1, 'note', null, null, null, 'review', 'open', 'open')`,
      [row?.['id']],
    );
    remote.damage('Contact', id, { Name: 'broken', Note: 'open' });
    expect((await sweep()).drifted).toBe(1);
    await on.until(() => remote.get('Contact', id)?.fields['Name' as never] === 'a');
    await on.settled();
    expect((await sweep()).drifted).toBe(0);
    expect(remote.get('Contact', id)?.fields['Note' as never]).toBe('open');
  });

  test('what differs about a record that inbound was told of is no damage: it is read, and the edit comes in', async () => {
    const { on, ids, sweep } = await started();
    const [id = '', other = ''] = ids;
    // Under the stamp that we know, as an edit within a coarse one is.
    on.remote('left').damage('Contact', id, { Name: 'edited' });
    on.remote('left').damage('Contact', other, { Name: 'broken' });
    await on.sql(
      `insert into truespoke.inbox (spoke, event_id, topic, object, external_id, received_at, not_before)
       values ('left', 'told', 'webhook', 'Contact', $1, now(), 'infinity'), ('left', 'of another', 'webhook', 'Person', $2, now(), 'infinity')`,
      [id, other],
    );
    expect((await sweep()).drifted).toBe(1);
    await on.until(() => on.remote('left').get('Contact', other)?.fields['Name' as never] === 'b');
    expect(on.remote('left').get('Contact', id)?.fields['Name' as never]).toBe('edited');
    await on.sql(`update truespoke.inbox set not_before = null where event_id = 'told'`);
    await on.until(async () => (await on.sql(`select 1 from hub.person where name = 'edited'`)).length === 1);
    expect(await on.sql(`select spoke_value from truespoke.conflict`)).toEqual([{ spoke_value: 'broken' }]);
  });

  test('rows that do not belong in the spoke, however many, keep no other from being compared', async () => {
    const { on, sweep } = await started();
    await on.stop();
    // Before all others in the order of comparison, and unseen by any stream.
    await on.sql(`insert into hub.person (id, email, name)
      select ('00000000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid, 'no@x.test', 'x' from generate_series(1, 10050) i`);
    await on.sql(`update hub.person set name = 'unseen' where name = 'a'`);
    await on.sql(`select pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) from pg_replication_slots
      where slot_name in (select slot from truespoke.position)`);
    await on.sql(`update truespoke.position set durable_lsn = pg_current_wal_lsn()`);
    expect((await sweep()).drifted).toBe(1);
    expect(await drift(on)).toEqual([{ class: 'not_captured', state: 'open' }]);
    await on.restart().catch(() => on.start());
  });

  test('a deletion that is ignored by policy is no drift', async () => {
    const { on, sweep } = await started('ignore');
    await on.sql(`delete from hub.person where name = 'd'`);
    await on.settled();
    const report = await sweep();
    expect(await drift(on)).toEqual([]);
    expect(report.drifted).toBe(0);
  });
});
