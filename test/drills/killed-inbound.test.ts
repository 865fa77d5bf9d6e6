// kill -9 of the real process at every instant between a remote edit and its effect in the hub (F12–F17). After a restart everything
// resumes from Postgres alone: no edit lost, none applied twice, and our own writes never come back as an edit.
// Proves: Law 6
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { built, openProcessRig, type ProcessRig } from '../support/engine-process.js';

let rig: ProcessRig;
let round = 0;
let contact = '';
let customer = '';
let seen = { salesforce: 0, shopify: 0 };

describe.skipIf(!built)('killed on the way in', { timeout: 120_000 }, () => {
  beforeAll(async () => {
    rig = await openProcessRig();
    [contact = ''] = rig.salesforce.load('Contact', [{ FirstName: 'r0', LastName: 'Lee', Email: 'ann@x.test' }]);
    [customer = ''] = rig.shopify.load('Customer', [{ firstName: 'r0', lastName: 'Lee', email: 'ann@x.test' }]);
    const first = await rig.start();
    await rig.settled();
    await rig.kill(first);
  }, 120_000);
  afterAll(() => rig.end());

  beforeEach(() => {
    round += 1;
    seen = { salesforce: rig.salesforce.ledger.lastSeq, shopify: rig.shopify.ledger.lastSeq };
  });

  const name = (): string => `r${round}`;
  const editContact = (): Promise<unknown> =>
    rig.salesforce.edit({ op: 'update', object: 'Contact', id: contact, fields: { FirstName: name() } });

  async function hub(): Promise<string | null | undefined> {
    return (await rig.sql('select first_name from hub.customer'))[0]?.['first_name'];
  }

  async function cursor(): Promise<string | null | undefined> {
    const rows = await rig.sql(
      `select cursor from truespoke.cursor where spoke = 'salesforce' and object = 'Contact' and kind = 'changes'`,
    );
    return rows[0]?.['cursor'];
  }

  /** The edit is in the hub and at the other spoke, once; its own spoke got nothing back. */
  async function recovers(from: 'salesforce' | 'shopify' = 'salesforce'): Promise<void> {
    const engine = await rig.start();
    await rig.until(
      async () =>
        (await hub()) === name() &&
        rig.shopify.records('Customer')[0]?.['firstName'] === name() &&
        rig.salesforce.records('Contact')[0]?.['FirstName'] === name(),
    );
    await rig.settled();
    const writes = {
      salesforce: rig.writes('salesforce', 'Contact', seen.salesforce).map(({ op }) => op),
      shopify: rig.writes('shopify', 'Customer', seen.shopify).map(({ op }) => op),
    };
    expect(writes).toEqual(
      from === 'salesforce' ? { salesforce: [], shopify: ['update'] } : { salesforce: ['update'], shopify: [] },
    );
    const [row] = await rig.sql(
      `select count(*)::text as n from truespoke.journal where after ->> 'first_name' = $1 and origin = $2`,
      [name(), from],
    );
    expect(row).toEqual({ n: '1' });
    expect(await rig.sql('select count(*)::text as n from hub.customer')).toEqual([{ n: '1' }]);
    // A webhook that is still tried again would strike in the next drill.
    await rig.shopify.settled();
    await rig.kill(engine);
  }

  test.each([
    ['F12 page fetched, unstored: fetched again', 'page_fetched'],
    ['F13 page stored, cursor not: one transaction, so neither is there', 'page_written'],
    ['F14 before the merge commits: done again', 'cursor_written'],
  ])('%s', async (_, point) => {
    await editContact();
    const before = { hub: await hub(), cursor: await cursor() };
    await rig.dieAt(`${point}/salesforce`);
    expect({ hub: await hub(), cursor: await cursor() }).toEqual(before);
    await recovers();
  });

  test('F15 after the merge has committed: shown again, and nothing happens', async () => {
    await editContact();
    const before = await cursor();
    await rig.dieAt('page_merged/salesforce');
    expect(await hub()).toBe(name());
    expect(await cursor()).not.toBe(before);
    await recovers();
  });

  /** Edits a customer while the engine runs and polls nothing: what arrives comes by webhook. */
  async function diesOverWebhook(crash: string): Promise<string> {
    const engine = await rig.start(crash);
    await rig.settled();
    rig.shopify.edit({ op: 'update', object: 'Customer', id: customer, fields: { firstName: name() } });
    expect(await engine.ended).toBe('SIGKILL');
    const delivery = rig.shopify.webhooks.deliveries().findLast(({ topic }) => topic === 'customers/update');
    return delivery?.webhookId ?? '';
  }

  /** The provider was told 2xx, after all, and what it told stands in the inbox once. */
  async function told(webhookId: string): Promise<void> {
    await rig.shopify.settled();
    const tries = rig.shopify.webhooks.deliveries().findLast((one) => one.webhookId === webhookId)?.tries ?? [];
    expect([tries[0], tries.at(-1)]).toEqual([null, 200]);
    const rows = await rig.sql(
      `select done_at is not null as done from truespoke.inbox where topic = 'customers/update'
      and received_at > now() - interval '1 minute' and event_id like $1`,
      [`%${eventOf(webhookId)}%`],
    );
    expect(rows).toHaveLength(1);
  }

  const eventOf = (webhookId: string): string =>
    rig.shopify.webhooks.deliveries().find((one) => one.webhookId === webhookId)?.eventId ?? '';

  test('F16 webhook verified, unstored: no 2xx was sent, so the provider tries again', async () => {
    const webhookId = await diesOverWebhook('webhook_verified');
    expect(await rig.sql(`select 1 from truespoke.inbox where event_id like $1`, [`%${eventOf(webhookId)}%`])).toEqual(
      [],
    );
    await recovers('shopify');
    const engine = await rig.start();
    await told(webhookId);
    await rig.kill(engine);
  });

  test('F17 webhook stored, 2xx unsent: the duplicate is recognised', async () => {
    const webhookId = await diesOverWebhook('webhook_stored');
    expect(
      await rig.sql(`select 1 from truespoke.inbox where event_id like $1`, [`%${eventOf(webhookId)}%`]),
    ).toHaveLength(1);
    await recovers('shopify');
    const engine = await rig.start();
    await told(webhookId);
    await rig.kill(engine);
  });
});
