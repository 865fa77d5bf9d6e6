// kill -9 of the real process at every instant between an application's commit and its effect at the spokes (F1–F11). After a restart
// everything resumes from Postgres alone: no edit lost, none applied twice, no record created twice.
// Proves: Law 6
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { built, openProcessRig, type ProcessRig } from '../support/engine-process.js';

let rig: ProcessRig;
let round = 0;
let seen = { salesforce: 0, shopify: 0 };

describe.skipIf(!built)('killed on the way out', { timeout: 120_000 }, () => {
  beforeAll(async () => {
    rig = await openProcessRig();
    const first = await rig.start();
    await rig.sql(`insert into hub.customer (email, first_name, last_name) values ('old@x.test', 'r0', 'Old')`);
    await rig.until(() => shown('old@x.test', 'r0'));
    await rig.settled();
    await rig.kill(first);
  }, 120_000);
  afterAll(() => rig.end());

  beforeEach(() => {
    round += 1;
    seen = { salesforce: rig.salesforce.ledger.lastSeq, shopify: rig.shopify.ledger.lastSeq };
  });

  /** What an application commits while no engine runs: one update, one insert, in one transaction. */
  async function edit(): Promise<void> {
    await rig.sql(`begin; update hub.customer set first_name = 'r${round}' where email = 'old@x.test';
      insert into hub.customer (email, first_name, last_name) values ('new${round}@x.test', 'r${round}', 'New'); commit`);
  }

  function shown(email: string, name: string): boolean {
    const contacts = rig.salesforce.records('Contact').filter((row) => row['Email'] === email);
    const customers = rig.shopify.records('Customer').filter((row) => row['email'] === email);
    return contacts[0]?.['FirstName'] === name && customers[0]?.['firstName'] === name;
  }

  /** A fresh engine brings everything to its place; the ledgers of both systems show each effect once. */
  async function recovers(): Promise<void> {
    const engine = await rig.start();
    await rig.until(() => shown('old@x.test', `r${round}`) && shown(`new${round}@x.test`, `r${round}`));
    await rig.settled();
    const entries = [
      ...rig.writes('salesforce', 'Contact', seen.salesforce),
      ...rig.writes('shopify', 'Customer', seen.shopify),
    ];
    expect(entries.map(({ object, op }) => `${op} ${object}`).sort()).toEqual([
      'create Contact',
      'create Customer',
      'update Contact',
      'update Customer',
    ]);
    expect(await journal()).toEqual({ changes: '2', distinct: '2' });
    expect(await rig.sql(`select code from truespoke.parked where state in ('open', 'waiting')`)).toEqual([]);
    await rig.kill(engine);
  }

  async function journal(): Promise<Record<string, string | null> | undefined> {
    const [row] = await rig.sql(
      `select count(*)::text as changes, count(distinct (hub_id))::text as distinct from truespoke.journal
        where after ->> 'first_name' = $1 and origin = 'application'`,
      [`r${round}`],
    );
    return row;
  }

  const deliveries = async (): Promise<(string | null)[]> =>
    (await rig.sql(`select state || ' ' || spoke as state from truespoke.delivery order by 1`)).map(
      (row) => row['state'] ?? null,
    );

  test('F1 BEGIN received, nothing journaled: redelivered', async () => {
    await edit();
    await rig.dieAt('source_begin');
    expect(await journal()).toEqual({ changes: '0', distinct: '0' });
    expect(await deliveries()).toEqual([]);
    await recovers();
  });

  test('F2 mid-transaction journaling: the partial journal is rolled back, redelivered', async () => {
    await edit();
    await rig.dieAt('journal_inserted');
    expect(await journal()).toEqual({ changes: '0', distinct: '0' });
    await recovers();
  });

  test('F3 journal committed, acknowledgement unsent: durable, and not captured twice', async () => {
    await edit();
    await rig.dieAt('journal_committed');
    expect(await journal()).toEqual({ changes: '2', distinct: '2' });
    const [slot] = await rig.sql(
      `select (s.confirmed_flush_lsn < p.durable_lsn)::text as behind from pg_replication_slots s, truespoke.position p
        where s.database = current_database()`,
    );
    expect(slot).toEqual({ behind: 'true' });
    await recovers();
  });

  test('F5 F6 journal and deliveries are one transaction: a death between the two leaves neither', async () => {
    await edit();
    await rig.dieAt('journal_written');
    expect(await journal()).toEqual({ changes: '0', distinct: '0' });
    expect(await deliveries()).toEqual([]);
    await recovers();
  });

  test('F7 claimed, request unsent: the lease goes with its holder, tried again', async () => {
    await edit();
    await rig.dieAt('delivery_claimed');
    expect((await deliveries()).filter((state) => state?.startsWith('claimed') === true)).not.toEqual([]);
    await recovers();
  });

  test('F8 recorded as sent and never sent: read back first, then sent', async () => {
    await edit();
    await rig.dieAt('delivery_sent');
    expect((await deliveries()).filter((state) => state?.startsWith('sent') === true)).not.toEqual([]);
    await recovers();
  });

  test('F8 request sent, no response: read back before any retry, nothing sent twice', async () => {
    rig.salesforce.faults.put({
      id: 'hang',
      route: '^(POST|PATCH) .*(sobjects|composite)',
      kind: 'hang',
      applied: true,
    });
    const engine = await rig.start();
    await edit();
    await rig.until(() => rig.writes('salesforce', 'Contact', seen.salesforce).length > 0);
    await rig.kill(engine);
    rig.salesforce.faults.clear();
    await recovers();
  });

  test('F9 response received, unrecorded: read back, nothing sent twice', async () => {
    await edit();
    await rig.dieAt('delivery_answered');
    expect((await deliveries()).filter((state) => state?.startsWith('sent') === true)).not.toEqual([]);
    await recovers();
  });

  test('F10 result and base are one transaction: a death between the two leaves neither', async () => {
    await edit();
    await rig.dieAt('delivery_settling');
    const [row] = await rig.sql(
      `select count(*)::text as n from truespoke.link l where l.base_hub ->> 'first_name' = $1
         and exists (select 1 from truespoke.delivery d where d.hub_id = l.hub_id and d.spoke = l.spoke)`,
      [`r${round}`],
    );
    expect(row).toEqual({ n: '0' });
    expect((await deliveries()).filter((state) => state?.startsWith('sent') === true)).not.toEqual([]);
    await recovers();
  });

  test('F11 during read-back: read back again', async () => {
    await edit();
    await rig.dieAt('delivery_answered');
    await rig.dieAt('delivery_read_back');
    expect((await deliveries()).filter((state) => state?.startsWith('unknown') === true)).not.toEqual([]);
    await recovers();
  });
});
